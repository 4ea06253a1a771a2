-- Turns the client's Lua files into a C table for boxd.so: as text, since other
-- patch versions of Lua 5.4 may not take each other's bytecode.
io.write('/* Made by scripts/embed_so.lua. */\n#include "bind/embedded.h"\n\n')
local rows, total = {}, 0
for i, path in ipairs(arg) do
  local f <close> = assert(io.open(path, "rb"))
  local text = f:read "a"
  -- Whole-line comments go, their lines stay: messages name the right one.
  text = text:gsub("^%s*%-%-[^\n]*", ""):gsub("\n%s*%-%-[^%[\n][^\n]*", "\n")
    :gsub("\n[ \t]+", "\n")
  assert(load(text, "@" .. path, "t"))
  total = total + #text
  io.write(("static const unsigned char code_%d[] = {\n"):format(i))
  for at = 1, #text, 24 do
    io.write(table.concat({ text:byte(at, at + 23) }, ","), ",\n")
  end
  io.write("0};\n\n")
  local name = path:match "^lua/(.+)%.lua$"
  rows[i] = ('  {"%s", "@%s.lua", (const char *)code_%d, sizeof code_%d - 1},\n')
    :format((name:gsub("/", ".")), name, i, i)
end
io.write("const lbx_file lbx_files[] = {\n", table.concat(rows),
  "  {0, 0, 0, 0}};\n")
io.stderr:write(("%d files, %d bytes of text\n"):format(#arg, total))
