-- c.box:create and c.box:fork with `wait`: the box is there when it answers.

local core = require "boxd.core"
local temporary = require "boxd.temporary"
local waiting = require "boxd.internal.waiting"
core.internal()

local methods = {}

-- The options without `wait`, for the time that is left.
local function without_wait(options, ends)
  local copy = {}
  for name, v in pairs(options) do copy[name] = v end
  copy.wait, copy.timeout = nil, waiting.left(ends)
  return copy
end

-- Waits for a new box. Where it does not come up it is destroyed, as nobody has it.
local function await(box, ends)
  local ok, e = pcall(waiting.for_box, box, ends)
  if ok then return box end
  temporary.discard(box)
  error(e, 0)
end

-- c.box:create(name?, { wait = true, ... })
function methods:create(name, options)
  if type(name) == "table" and options == nil then
    name, options = nil, name
  end
  local ends = waiting.ends("create", options)
  waiting.for_source(core.compute(self), options, ends)
  return await(self:create(name, without_wait(options, ends)), ends)
end

-- c.box:fork(source, { wait = true, ... })
function methods:fork(source, options)
  local ends = waiting.ends("fork", options)
  return await(self:fork(source, without_wait(options, ends)), ends)
end

return methods
