-- Turns Lua files into a C table of module name, chunk name and code, sorted by
-- name. For boxdlua to carry, the code is compiled, with its lines and names: to
-- parse it took half the time that boxdlua needed to start and make a call. For
-- boxd.so it is text: another patch release of Lua may refuse the bytecode.
--   lua5.4 scripts/embed.lua lua/boxd/a.lua lua/boxd/b/init.lua > embedded.c
--   lua5.4 scripts/embed.lua --text lua/boxd/a.lua ... > embedded_so.c

local PER_LINE = 16

local function module_name(path)
  local name = path:match("^lua/(.+)%.lua$")
  if not name then
    error(("%s: only files lua/*.lua can be embedded"):format(path), 0)
  end
  return (name:gsub("/init$", ""):gsub("/", "."))
end

-- The name that errors and tracebacks show.
local function chunk_name(path) return "@" .. path:gsub("^lua/", "") end

local as_text = arg[1] == "--text"
if as_text then table.remove(arg, 1) end
local HEADER = as_text and "bind/embedded.h" or "boxdlua/boxdlua.h"
local TYPE = as_text and "lbx_file" or "host_module"

local function code_of(path)
  local file = assert(io.open(path, "rb"))
  local source = assert(file:read("a"))
  file:close()
  assert(load(source, "@" .. path, "t")) -- the build names the file in full
  local compiled = assert(load(source, chunk_name(path), "t"))
  return as_text and source or string.dump(compiled)
end

-- Bytes in decimal: a C compiler need not take long string literals.
local function write_bytes(code)
  for at = 1, #code, PER_LINE do
    local bytes = { code:byte(at, at + PER_LINE - 1) }
    io.write("  ", table.concat(bytes, ","), ",\n")
  end
end

local modules, by_name = {}, {}
for _, path in ipairs(arg) do
  local module = { name = module_name(path), path = path,
    code = code_of(path) }
  local other = by_name[module.name]
  if other then
    error(("%s and %s are both module %s"):format(other.path, path,
      module.name), 0)
  end
  by_name[module.name] = module
  modules[#modules + 1] = module
end
table.sort(modules, function(a, b) return a.name < b.name end)

io.write("/* Made by scripts/embed.lua: change the Lua files instead. */\n",
  '#include "', HEADER, '"\n\n')
for i, module in ipairs(modules) do
  io.write(("static const unsigned char code_%d[] = {\n"):format(i))
  write_bytes(module.code)
  io.write("  0\n};\n\n")
end
io.write(("const %s %ss[] = {\n"):format(TYPE, TYPE))
for i, module in ipairs(modules) do
  io.write(('  {"%s", "%s", (const char *)code_%d, sizeof code_%d - 1},\n')
    :format(module.name, chunk_name(module.path), i, i))
end
io.write("  {0, 0, 0, 0}\n};\n\n",
  ("const size_t %s_count = %d;\n"):format(TYPE, #modules))
