-- boxd in GLib's main loop, by lgi. Requiring it installs the hooks: boxd's tasks
-- run in the default main context from then on, and calls wait by it in
-- coroutines that go starts.

local lgi, boxd = require "lgi", require "boxd"
local GLib = lgi.GLib

local channel = GLib.IOChannel.unix_new(boxd.pollfd())
GLib.io_add_watch(channel, GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN,
  function()
    boxd.step()
    return true
  end)

local go, resumes, wake = require "boxd.loop.go"()

boxd.hooks { park = coroutine.yield, wake = wake, can_park = resumes }

return { go = go }
