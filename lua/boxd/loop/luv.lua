-- boxd in luv's loop. Requiring it installs the hooks: boxd's tasks run in
-- uv.run from then on, and calls wait by the loop in coroutines that go starts.
-- What boxd waits for keeps uv.run going, as luv's own handles do.

local uv, boxd = require "luv", require "boxd"

local poll = assert(uv.new_poll(boxd.pollfd()))
assert(poll:start("r", function()
  local ok, e = pcall(boxd.step)
  if not ok then error(tostring(e), 0) end -- luv reports texts alone
end))
poll:unref()

local go, resumes, wake = require "boxd.loop.go"()

boxd.hooks {
  park = coroutine.yield,
  wake = wake,
  can_park = resumes,
  watch = function(on)
    if on then poll:ref() else poll:unref() end
  end,
}

return { go = go }
