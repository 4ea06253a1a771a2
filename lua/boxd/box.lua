-- c.box, the service of boxes, and Box.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local ensure = require "boxd.ensure"
local files = require "boxd.files"
local forward = require "boxd.forward"
local job = require "boxd.job"
local lifecycle = require "boxd.lifecycle"
local poll = require "boxd.internal.poll"
local publish = require "boxd.publish"
local resource = require "boxd.internal.resource"
local settings = require "boxd.internal.box_settings"
local stat = require "boxd.stat"
local sync = require "boxd.sync"
local temporary = require "boxd.temporary"
core.internal()

local call, compute_of = resource.call, resource.compute

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
  compute_of(self)
  local name = self.name or self.id
  poll.wait({ timeout = opts.timeout or 90, name = name,
    interval = poll.interval("wait_until_ready", opts),
    late = ("box %s was not ready"):format(name) },
    function(left) return is_ready(self, left) end)
  return self
end

-- Exec and files.

for _, part in ipairs { files.methods, settings, lifecycle.methods,
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

-- Proxies.

local function proxy(message)
  local domain = message.domain
  if domain then
    local here = domain:find "^127%." or domain:find "^localhost"
    message.url = (here and "http://" or "https://") .. domain
  end
  return message
end

-- The box in a request: by its id, which stays, for services that know `vm`, and
-- by its name, for those from before.
local function target(box, request)
  request = request or {}
  request.vm, request.vm_name = box.id, box.name
  return request
end

function methods:proxies(opts)
  opts = check.options(1, "proxies", opts, { "timeout" })
  local list = call(compute_of(self), "ListProxies",
    target(self), opts).proxies
  for i, message in ipairs(list) do list[i] = proxy(message) end
  return list
end

local function check_port(at, what, port, expected)
  if math.type(port) ~= "integer" then
    check.fail(at, what, expected or "integer", port)
  end
  if port < 0 or port > 65535 then
    check.invalid("%s: a port is 0 to 65535, not %d", what, port)
  end
  return port
end

function methods:create_proxy(name, port, opts)
  check.string(1, "create_proxy", name)
  port, opts = check.trailing(port, opts)
  port = port == nil and 0 or check_port(2, "create_proxy", port)
  opts = check.options(3, "create_proxy", opts, { "timeout" })
  local reply = call(compute_of(self), "CreateProxy",
    target(self, { name = name, port = port }), opts)
  reply.is_default = false
  return proxy(reply)
end

-- box:set_proxy_port(port or "auto", name=""): "auto" has the service find it.
function methods:set_proxy_port(port, name, opts)
  if port ~= "auto" then
    check_port(1, "set_proxy_port", port, 'integer or "auto"')
  end
  name, opts = check.trailing(name, opts)
  name = check.opt_string(2, "set_proxy_port", name, "")
  opts = check.options(3, "set_proxy_port", opts, { "timeout" })
  call(compute_of(self), "SetProxyPort",
    target(self, { name = name, port = tostring(port) }), opts)
end

function methods:delete_proxy(name, opts)
  check.string(1, "delete_proxy", name)
  opts = check.options(2, "delete_proxy", opts, { "timeout" })
  call(compute_of(self), "DeleteProxy",
    target(self, { name = name }), opts)
end

-- The service.

local service = { temporary = temporary.temporary }

-- The id of a Box, an id or a name; `boxes` is the service.
local function resolve(boxes, at, what, v, opts)
  if type(v) ~= "string" then return resource.id(at, what, v, "Box") end
  return boxes:get(v, { timeout = opts.timeout }).id
end

-- A call for a box that is named by `v`, already checked: a Box's id, or else
-- the text as it is; services that know boxes by id alone are asked again with
-- the id of the box of that name. Returns the reply, and what named the box.
local function call_on(compute, rpc, request, v, opts)
  opts = resource.within(opts, opts.timeout or compute.timeout)
  request.vm_id = v
  local ok, reply = pcall(call, compute, rpc, request, opts)
  if ok then return reply, v end
  if reply.class ~= "NotFoundError" then error(reply, 0) end
  local found, id = pcall(resolve, compute.box, 1, rpc, v, opts)
  if not found and id.class ~= "NotFoundError" then error(id, 0) end
  if not found or id == v then error(reply, 0) end
  request.vm_id = id
  return call(compute, rpc, request, opts), id
end

core.methods("boxd.Box", methods)
core.methods("boxd.Files", files.methods)
core.methods("boxd.Files", stat.methods)
core.methods("boxd.Boxes", service)
core.methods("boxd.Boxes", ensure.methods)

return {
  call_on = call_on,
  resolve = resolve,
  new = function(compute, message)
    return core.record(compute, "Box", message)
  end,
}
