-- Runs a program to its end, for specs about what a user sees of it.

local program = {}

program.boxdlua = os.getenv("BOXDLUA") or "build/boxdlua"
--- The Lua that loads boxd.so; its headers are under the same name.
program.lua5 = os.getenv("LUA") or "lua5.4"

local function quote(text)
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

local function read_away(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  os.remove(path)
  return text
end

-- The shell's line for `args`, and a function of its status.
local function prepare(args)
  local words, out, err, input = {}, os.tmpname(), os.tmpname(), "/dev/null"
  for name, value in pairs(args.env or {}) do
    words[#words + 1] = name .. "=" .. quote(value)
  end
  for _, word in ipairs(args) do words[#words + 1] = quote(word) end
  if args.stdin then
    input = os.tmpname()
    local file = assert(io.open(input, "wb"))
    file:write(args.stdin)
    file:close()
  end
  local function result(_, _, status)
    if args.stdin then os.remove(input) end
    return { out = read_away(out), err = read_away(err), status = status }
  end
  return ("env %s <%s >%s 2>%s"):format(table.concat(words, " "), quote(input),
    quote(out), quote(err)), result
end

--- Runs `args` (a list), with `args.env` (a map) set and `args.stdin` (text,
--- else nothing) to read. Returns { out=, err=, status= }: status as the shell
--- has it, 128 + n for a signal.
function program.run(args)
  local line, result = prepare(args)
  return result(os.execute(line))
end

--- Begins that, and returns a function that waits for it and has its result.
function program.begin(args)
  local line, result = prepare(args)
  local pipe = assert(io.popen(line))
  return function() return result(pipe:close()) end
end

--- The output of a shell's command line, a format with its values; it must succeed.
function program.sh(fmt, ...)
  local result = program.run { "sh", "-c", fmt:format(...) }
  assert(result.status == 0, result.out .. result.err)
  return result.out
end

local function of_lua(args)
  return table.move(args, 1, #args, 2, { program.boxdlua, env = args.env,
    stdin = args.stdin })
end

--- The same for boxdlua itself.
function program.lua(args) return program.run(of_lua(args)) end

function program.begin_lua(args) return program.begin(of_lua(args)) end

--- Adds to env, and returns it, what the Lua that loads boxd.so has in this run:
--- a sanitizer's runtime has to come first; scripts/gc sets its collector.
function program.module_env(env)
  for name, value in (os.getenv "MODULE_ENV" or ""):gmatch "(%S-)=(%S+)" do
    env[name] = value
  end
  return env
end

--- Writes a file that lasts as long as the spec wants; returns its name.
function program.file(text)
  local name = os.tmpname()
  local file = assert(io.open(name, "wb"))
  file:write(text)
  file:close()
  return name
end

--- The same, with the mode that files have by default.
function program.plain_file(text)
  local name = program.file(text)
  assert(os.execute("chmod 644 " .. name))
  return name
end

--- The output of a script under boxdlua with only this environment of ours.
function program.prints(script, env, options)
  local args = { "-e", script, env = env }
  if options then table.insert(args, 1, options) end
  local result = program.lua(args)
  assert(result.status == 0 and result.err == "", result.err)
  return (result.out:gsub("\n$", ""))
end

return program
