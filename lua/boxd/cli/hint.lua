-- What boxdlua adds to an error of Lua's that a misspelt name makes: the name of
-- ours that is nearest. Runs no code of the user's.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local repl = require "boxd.cli.repl"
core.internal()

local PROCESS = { lines = true, chunks = true, wait = true, write = true,
  write_eof = true, read_stdout = true, read_stderr = true, iter_stdout = true,
  iter_stderr = true, resize = true }

-- Adds an object of ours, and those in its fields: c.box for c.
local function add(list, v)
  if not repl.is_ours(v) then return end
  list[#list + 1] = v
  if type(v) ~= "table" or v == boxd then return end
  for _, field in next, v do
    if repl.is_ours(field) then list[#list + 1] = field end
  end
end

-- What of ours the script has at hand where it failed.
local function at_hand()
  local list, level = {}, check.script_level()
  if level then
    for i = 1, 250 do
      local name, v = debug.getlocal(level, i)
      if not name then break end
      add(list, v)
    end
    local f = debug.getinfo(level, "f").func
    for i = 1, 255 do
      local name, v = debug.getupvalue(f, i)
      if not name then break end
      add(list, v)
    end
  end
  for _, v in next, _G do add(list, v) end
  return list
end

-- The lists of names that one may have been meant.
local function lists(kind)
  local out = {}
  if kind == "method" or kind == "field" then
    for i, object in ipairs(at_hand()) do out[i] = repl.names(object) end
  elseif kind == "global" then
    out[1] = repl.names(_G)
  end
  return out
end

-- hint(message) -> ": did you mean 'destroy'?" or nil.
return function(message)
  local kind, name =
    message:match "attempt to %l+ a nil value %((%l+) '([%a_][%w_]*)'%)"
  for _, names in ipairs(lists(kind)) do
    local near = core.text.nearest(name, names)
    if near and near ~= name then return (": did you mean '%s'?"):format(near) end
  end
  if kind == "method" and PROCESS[name] then
    return ": exec and sh give a process, which has it, with { stream = true }"
  end
end
