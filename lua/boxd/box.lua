-- c.box, the service of boxes, and Box.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local create = require "boxd.create"
local ensure = require "boxd.ensure"
local files = require "boxd.files"
local forward = require "boxd.forward"
local job = require "boxd.job"
local lease = require "boxd.lease"
local lifecycle = require "boxd.lifecycle"
local poll = require "boxd.internal.poll"
local publish = require "boxd.publish"
local stat = require "boxd.stat"
local sync = require "boxd.sync"
local temporary = require "boxd.temporary"
local update_spec = require "boxd.internal.update_spec"
core.internal()

local methods = {}

-- Raises unless the state can still become a running one.
local function check_state(box)
  local status = box.status
  if status == "failed" or status == "destroyed" or status == "stopped" then
    core.raise("BoxdError", ("box %s is %s: it will not become ready"):format(
      box.name or box.id, status))
  end
end

-- Looks once: true, or false and why not yet. Raises a permanent failure.
local function is_ready(box, left)
  local looked, e = lifecycle.look(box, left)
  if not looked then return false, e end
  check_state(box)
  if box.status ~= "running" then
    return false, "it is " .. tostring(box.status)
  end
  return lifecycle.answers(box, left)
end

-- box:wait_until_ready{ timeout=90, poll_interval=0.5 }
function methods:wait_until_ready(opts)
  opts = check.options(1, "wait_until_ready", opts,
    { "timeout", "poll_interval" })
  local name = self.name or self.id
  poll.wait({ timeout = opts.timeout or 90, name = name,
    interval = poll.interval("wait_until_ready", opts),
    late = ("box %s was not ready"):format(name) },
    function(left) return is_ready(self, left) end)
  return self
end

-- Exec and files.

for _, part in ipairs { files.methods, update_spec, lifecycle.methods,
  lease.methods,
  publish.methods, stat.methods, job.methods, sync, forward } do
  for name, f in pairs(part) do methods[name] = f end
end

-- box:stream_logs{ follow=false }: for chunk in box:stream_logs() do
function methods:stream_logs(opts)
  opts = check.options(1, "stream_logs", opts, { "follow", "timeout" })
  check.field("stream_logs", opts, "follow", "boolean")
  local stream = core.stream(self, "StreamLogs",
    { vm_id = self.id, follow = opts.follow }, opts.timeout)
  local function next_chunk()
    local chunk
    repeat chunk = stream:recv() until not chunk or chunk.data ~= ""
    return chunk and chunk.data
  end
  return next_chunk, nil, nil, stream
end

-- The service.

local service = { temporary = temporary.temporary }

core.methods("boxd.Box", methods)
core.methods("boxd.Files", files.methods)
core.methods("boxd.Files", stat.methods)
core.methods("boxd.Boxes", service)
core.methods("boxd.Boxes", create)
core.methods("boxd.Boxes", ensure.methods)

return {
  new = function(compute, message)
    return core.record(compute, "Box", message)
  end,
}
