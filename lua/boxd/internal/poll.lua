-- Looks again and again, from 10 ms on and then less often, until something is
-- so, and which errors of a look a later one may not have.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local progress = require "boxd.internal.progress"
core.internal()

local poll = {}

poll.INTERVAL = 0.5 -- seconds between two looks, at most
local CALL_SECONDS = 20 -- of one call; a call that hangs must not take all the time

local LOST = { ConnectionError = true, TimeoutError = true }
local BUSY = { ConnectionError = true, TimeoutError = true,
  ConflictError = true }
local STARTING = { ConnectionError = true, TimeoutError = true,
  InternalError = true, BoxdError = true, ConflictError = true }

local function is_one(e, classes)
  -- An error without a method is of no call: it ends our waiting, as that of a
  -- with_timeout around it does.
  return boxd.is_error(e) and classes[e.class] and e.method
end

--- The answer was lost, or the service is not reached.
function poll.is_lost(e) return is_one(e, LOST) end

--- The same, or the box changes at the time.
function poll.is_passing(e) return is_one(e, BUSY) end

--- What exec raises while a box starts.
function poll.is_starting(e) return is_one(e, STARTING) end

--- The options of one call of a wait with so many seconds left.
function poll.one(left) return { timeout = math.min(left, CALL_SECONDS) } end

--- Of one command, which is sent as it is.
function poll.command(left)
  return { timeout = math.min(left, CALL_SECONDS), killable = false }
end

local function text_of(why)
  return type(why) == "table" and why.message or tostring(why)
end

--- look(seconds left) -> the awaited value, or false and why not yet: an error,
--- text, or nil, the reason of the look before. with: timeout and interval (seconds),
--- name (for the progress), first (why not, before the first look), late (of the
--- message: "box web was not ready").
--- Raises: TimeoutError with the last reason; what look raises.
function poll.wait(with, look)
  local ends, pause = boxd.now() + with.timeout, 0.01
  local say, _shown <close> = progress.wait(with.name)
  local why = with.first or "there is no answer yet"
  say(why)
  while true do
    local found = table.pack(look(math.max(ends - boxd.now(), 0.001)))
    if found[1] then return table.unpack(found, 1, found.n) end
    local left = ends - boxd.now()
    -- A look that our own end has cut short gives no reason.
    local cut = left <= 0 and boxd.is_error(found[2], boxd.TimeoutError)
    why = found[2] ~= nil and not cut and text_of(found[2]) or why
    say(why)
    if left <= 0 then
      core.raise("TimeoutError", ("%s within %g s: %s"):format(with.late,
        with.timeout, why))
    end
    boxd.sleep(math.min(pause, left))
    pause = math.min(pause * 2, with.interval or poll.INTERVAL)
  end
end

--- The option poll_interval of a method.
function poll.interval(method, opts)
  local v = opts.poll_interval
  return v == nil and poll.INTERVAL or check.seconds(method, "poll_interval", v)
end

return poll
