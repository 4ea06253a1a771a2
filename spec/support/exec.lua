-- A process whose server, in this process, is a script of each spec.

local boxd = require "boxd"
local calls = require "spec.support.calls"

local exec = {}

--- A server whose Exec is `script`, after the first chunk; its `p` is a process.
function exec.start(script, opts)
  local s = calls.start { Exec = function(call)
    local first = call:recv()
    script(call, first)
  end }
  opts = opts or {}
  opts.stream = true
  s.p = s.box:exec("x", opts)
  return s
end

--- Ends the command.
function exec.ok(call, code)
  call:send { exit_code = code or 0 }
  call:finish()
end

--- Sends output.
function exec.send(call, data, is_stderr)
  call:send { data = data, is_stderr = is_stderr }
end

--- Every way to take all of a process's output; each returns the output.
exec.READERS = {
  read_stdout = function(p)
    local got = {}
    return got, function()
      for data in p.read_stdout, p do got[#got + 1] = data end
    end
  end,
  iter_stdout = function(p)
    local got = {}
    return got, function()
      for data in p:iter_stdout() do got[#got + 1] = data end
    end
  end,
  read_stderr = function(p)
    local got = {}
    return got, function()
      for data in p.read_stderr, p do got[#got + 1] = data end
    end
  end,
  iter_stderr = function(p)
    local got = {}
    return got, function()
      for data in p:iter_stderr() do got[#got + 1] = data end
    end
  end,
  chunks = function(p)
    local got = {}
    return got, function()
      for data, stream in p:chunks() do
        if stream == "stdout" then got[#got + 1] = data end
      end
    end
  end,
  lines = function(p)
    local got = {}
    return got, function()
      for line in p:lines() do got[#got + 1] = line .. "\n" end
    end
  end,
}

--- Calls f with a way to run a function outside of tasks, and in one.
function exec.in_and_out_of_tasks(f)
  f(function(g, ...) return g(...) end)
  f(function(g, ...) return boxd.spawn(g, ...):join() end)
end

return exec
