-- What boxdlua adds to an error of Lua's that a misspelt name makes: the name of
-- ours that is nearest. Runs no code of the user's.

local core = require "boxd.core"
local repl = require "boxd.cli.repl"
core.internal()

local PROCESS = { lines = true, chunks = true, wait = true, write = true,
  write_eof = true, read_stdout = true, read_stderr = true, iter_stdout = true,
  iter_stderr = true, resize = true }

-- hint(message) -> ": did you mean 'destroy'?" or nil.
return function(message)
  local kind, name =
    message:match "attempt to %l+ a nil value %((%l+) '([%a_][%w_]*)'%)"
  local near = kind == "global" and core.text.nearest(name, repl.names(_G))
  if near and near ~= name then return (": did you mean '%s'?"):format(near) end
  if kind == "method" and PROCESS[name] then
    return ": exec and sh give a process, which has it, with { stream = true }"
  end
end
