-- Temporary boxes: whatever ends the script, they go.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local lease = require "boxd.lease"
local resource = require "boxd.internal.resource"
local waiting = require "boxd.internal.waiting"
core.internal()

local compute_of = resource.compute

local temporary = {}

-- Those that are to be destroyed; destroy takes a box out.
local living = core.living

local CLEANUP_SECONDS = 8 -- of the 10 that cleaning up may take

-- The tasks that make or destroy a box, each with its Compute. Nothing cancels
-- them: not the caller's end, nor a signal, nor the closing of the Compute,
-- which waits for them. A requested box exists even when its caller has gone.
local under_way = setmetatable({}, { __mode = "k" })

-- Until when the end of the script, or of a Compute, waits for a task: set
-- when the first of them does.
local limits = setmetatable({}, { __mode = "k" })

--- Runs fn in a task that nothing cancels.
function temporary.begin(compute, fn)
  return core.spawn_alone(under_way, compute, fn)
end

local begin = temporary.begin

-- Waits for those of a Compute, or for all. Raises what ends the wait.
local function settle(compute)
  local tasks = {}
  for task, of in pairs(under_way) do
    if task.status == "running" and (not compute or of == compute) then
      tasks[#tasks + 1] = task
      limits[task] = limits[task] or boxd.now() + CLEANUP_SECONDS
    end
  end
  for _, task in ipairs(tasks) do
    local left = limits[task] - boxd.now()
    if left > 0 and task.status == "running" then
      local ok, e = pcall(task.join, task, { timeout = left })
      if not ok and task.status == "running" and limits[task] > boxd.now() then
        error(e, 0)
      end
    end
  end
end

-- In a task of its own: true, or false and the error; a box that is gone
-- already is as wished.
local function destroy_now(box, seconds)
  return pcall(box.destroy, box,
    { missing_ok = true, timeout = seconds or CLEANUP_SECONDS })
end

local function destroy(box, seconds)
  return begin(compute_of(box), function()
    if box.status == "destroyed" then return true end
    return destroy_now(box, seconds)
  end)
end

--- Destroys a box after an error. If that fails, too, it only warns.
function temporary.discard(box)
  local ok, e = destroy(box):join()
  if not ok then
    warn(("boxd: box %s was not destroyed: %s"):format(box.id, tostring(e)))
  end
end

local function close(box, reason)
  if reason ~= nil then return temporary.discard(box) end
  local ok, e = destroy(box):join()
  if not ok then error(e, 0) end
end

-- What follows on the making of a box.
local function go_on(box, options, ends)
  local seconds = lease.seconds(options)
  if seconds then lease.begin(box, seconds, ends) end
  if options.wait then waiting.for_box(box, ends) end
end

-- Makes the box, with its lease. Raises, with the box destroyed.
local function make(boxes, name, opts)
  local options = type(name) == "table" and name or opts
  if type(options) ~= "table" then options = {} end
  local ends = waiting.ends("temporary", options)
  if options.wait == true then
    waiting.for_source(compute_of(boxes), options, ends)
  end
  local box = core.closing(core.create(boxes, name, opts), close)
  living[box] = true
  local ok, e = pcall(go_on, box, options, ends)
  if ok then return box end
  temporary.discard(box)
  error(e, 0)
end

-- Without a taker the box is destroyed again, as soon as it is there.
--
-- c.box:temporary(name?, opts?): as create, but the box is destroyed by its
-- <close>, or at the end of boxdlua's script, whatever ends it; and by the
-- service when its lease ends.
function temporary:temporary(name, opts)
  local compute, taken, box = compute_of(self), true, nil
  local maker = begin(compute, function()
    local ok, made = pcall(make, self, name, opts)
    if not ok then
      if taken then error(made, 0) end
      warn(("boxd: a temporary box that nothing waits for any more was not "
        .. "made: %s"):format(tostring(made)))
      return
    end
    box = made
    if taken and core.is_open(compute) then return end
    destroy_now(box)
    if taken then core.raise("CancelledError", "the client was closed") end
  end)
  local ok, e = pcall(maker.join, maker)
  if ok then return box end
  taken = false
  if box then destroy(box) end
  check.raise(e)
end

core.at_close(settle)

-- Part of the end of a script: first boxes being made, so that they are known,
-- then, when all tasks have ended, the rest.
local exit_limit

core.at_exit(function(last)
  if not last then
    exit_limit = boxd.now() + CLEANUP_SECONDS
    return settle()
  end
  local seconds = math.max(exit_limit - boxd.now(), 1)
  local tasks = {}
  for box in pairs(living) do tasks[box] = destroy(box, seconds) end
  for box, task in pairs(tasks) do
    local joined, ok, e = pcall(task.join, task, { timeout = seconds + 1 })
    if not joined or not ok then
      io.stderr:write(("boxd: box %s (%s) was not destroyed: %s\n"):format(
        box.id, box.name or "", tostring(joined and e or ok)))
    end
  end
end)

return temporary
