-- box:exec and box:sh: arguments and options to the first chunk of an Exec.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local progress = require "boxd.internal.progress"
core.internal()

local exec = {}

local OPTIONS = { "env", "cwd", "stdin", "timeout", "stream", "pty",
  "interactive", "cols", "rows", "close_stdin" }

local ExecResult = { __name = "boxd.ExecResult" }

function ExecResult:__tostring()
  return ("ExecResult(exit_code=%d, stdout=%d bytes, stderr=%d bytes)"):format(
    self.exit_code, #self.stdout, #self.stderr)
end

local TYPES = { stdin = "string", cwd = "string", env = "table",
  stream = "boolean", pty = "boolean", interactive = "boolean",
  close_stdin = "boolean", cols = "number", rows = "number" }

-- The options, with what follows from them: interactive means pty and stream.
local function read_options(index, method, opts)
  opts = check.options(index, method, opts, OPTIONS)
  for name, expected in pairs(TYPES) do
    check.field(method, opts, name, expected)
  end
  local pty = opts.pty or opts.interactive or false
  if pty and opts.close_stdin then
    check.invalid("%s: close_stdin would end the terminal of a pty", method)
  end
  if opts.stdin and opts.close_stdin then
    check.invalid("%s: stdin and close_stdin exclude each other", method)
  end
  return opts, pty, opts.stream or opts.interactive or false
end

local function run(box, command, opts, pty, stream)
  local first = { vm_id = box.id, command = command, tty = pty,
    cols = opts.cols, rows = opts.rows }
  local half_close = opts.close_stdin or not stream and not opts.stdin
  local process = core.exec(box, first, opts.stdin, half_close, not stream,
    opts.timeout)
  progress.watch(process)
  if stream then return process end
  local stdout, stderr, code = core.collect(process)
  return setmetatable({ stdout = stdout, stderr = stderr, exit_code = code,
    success = code == 0 }, ExecResult)
end

-- box:exec(arg, ..., opts?)
function exec.exec(box, ...)
  local n = select("#", ...)
  local args = { ... }
  local opts
  if type(args[n]) == "table" then
    opts, args[n] = args[n], nil
    n = n - 1
  end
  if n == 0 and opts and opts[1] ~= nil then
    check.invalid("exec: arguments come one by one, as in box:exec(\"ls\", "
      .. "\"-l\"), not in a table")
  end
  local index = n + 1
  local pty, stream
  opts, pty, stream = read_options(index, "exec", opts)
  if n == 0 or args[1] == "" then
    check.invalid("exec: a command expected, such as box:exec(\"ls\", \"-l\")")
  end
  for i = 1, n do
    local kind = type(args[i])
    if kind ~= "string" and kind ~= "number" then
      check.fail(i, "exec", "string", args[i])
    end
  end
  return run(box, core.text.command(args, opts), opts, pty, stream)
end

-- box:sh(line, opts?)
function exec.sh(box, line, opts)
  check.string(1, "sh", line)
  if line == "" then check.invalid("sh: a command line expected") end
  local pty, stream
  opts, pty, stream = read_options(2, "sh", opts)
  return run(box, core.text.command(line, opts), opts, pty, stream)
end

return exec
