-- Plays a session on a terminal of its own, for specs about what people see.

local json = require "boxd".json
local program = require "spec.support.program"

local terminal = {}

--- Runs `args` (a list, with `args.env`) and plays `steps`, as terminal.py has
--- them. Returns a function that waits for the end, and returns the output
--- and the exit status.
function terminal.begin(args, steps)
  local words = { "/usr/bin/python3", "spec/support/terminal.py" }
  table.move(args, 1, #args, 3, words)
  words.stdin = json.encode(steps)
  words.env = args.env
  local wait = program.begin(words)
  return function()
    local result = wait()
    assert(result.status ~= 99, result.err)
    return result.out, result.status
  end
end

--- The same; it has ended then.
function terminal.play(args, steps) return terminal.begin(args, steps)() end

--- The same for boxdlua's prompt. `lines` are typed, each once the prompt is
--- there; at the end it is left with Ctrl-D.
function terminal.prompt(lines, args)
  args = args or {}
  local steps = { { "prompt" } }
  for _, line in ipairs(lines) do
    if type(line) == "string" then
      steps[#steps + 1] = { "send", line .. "\n" }
      steps[#steps + 1] = { "prompt" }
    else
      steps[#steps + 1] = line
    end
  end
  steps[#steps + 1] = { "send", "\4" }
  steps[#steps + 1] = { "end" }
  local words = { program.boxdlua, table.unpack(args) }
  words.env = { TERM = "xterm", HOME = "/nonexistent", LC_ALL = "C.UTF-8" }
  for name, value in pairs(args.env or {}) do words.env[name] = value end
  return terminal.play(words, steps)
end

return terminal
