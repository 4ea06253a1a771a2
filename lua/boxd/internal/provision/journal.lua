-- A file of JSON lines, one a step that has ended, by which a run that broke is
-- gone on with. It has names and results, never contents.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
core.internal()

local journal = {}
journal.__index = journal

local function key(call, box, index)
  return ("%d %s %d"):format(call, box, index)
end

-- What a journal has of steps that are right: key -> line. A last line that was
-- cut short is none.
function journal.read(path)
  local file <close>, why = io.open(path, "rb")
  if not file then
    check.invalid("provision: can't read the journal to go on with: %s", why)
  end
  local done = {}
  for line in file:lines() do
    local ok, entry = pcall(boxd.json.decode, line)
    if ok and type(entry) == "table" and entry.step then
      local right = entry.status == "ok" or entry.status == "changed"
        or entry.status == "skipped"
      done[key(entry.call, entry.box, entry.step)] = right and entry or nil
    end
  end
  return done
end

-- Ends a last line that was cut short, so that the next one is not lost with it.
local function end_line(file)
  if file:seek "end" == 0 then return end
  file:seek("end", -1)
  local ended = file:read(1) == "\n"
  file:seek "end"
  if not ended then file:write "\n" end
end

local opened = {} -- by this program: a later call of provision adds to it

function journal.open(path, append)
  local file, why = io.open(path, (append or opened[path]) and "a+b" or "wb")
  opened[path] = true
  if not file then
    check.invalid("provision: can't write the journal: %s", why)
  end
  end_line(file)
  return setmetatable({ file = file, path = path }, journal)
end

-- Copies the steps that another journal records as right.
function journal:copy(call, box, plan)
  for _, step in ipairs(plan) do
    if step.resumed then self:add(call, box, step) end
  end
end

journal.__close = function(self) self.file:close() end

function journal:add(call, box, step)
  local ok, why = self.file:write(boxd.json.encode { call = call, box = box,
    step = step.index, kind = step.kind, name = step.shown, status = step.status,
    time = os.time() }, "\n")
  if ok then ok, why = self.file:flush() end
  if not ok then
    core.raise("BoxdError", ("can't write the journal %s: %s"):format(self.path,
      why))
  end
end

-- Gives the steps that an earlier run has brought right their result.
function journal.resume(done, call, box, plan)
  for _, step in ipairs(plan) do
    local entry = done[key(call, box, step.index)]
    if entry and entry.kind == step.kind and entry.name == step.shown then
      step.status, step.resumed = "skipped", true
    end
  end
end

return journal
