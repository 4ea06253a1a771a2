-- c.box, the service of boxes, and Box.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local files = require "boxd.files"
local forward = require "boxd.forward"
local job = require "boxd.job"
local progress = require "boxd.internal.progress"
local resource = require "boxd.internal.resource"
local settings = require "boxd.internal.box_settings"
local sync = require "boxd.sync"
core.internal()

local call, compute_of = resource.call, resource.compute

local living = core.living() -- temporary boxes that are to be destroyed

local methods = {}

-- Raises unless the state can still become a running one.
local function check_state(box)
  local status = box.status
  if status == "failed" or status == "destroyed" or status == "stopped" then
    core.raise("BoxdError", ("box %s is %s: it will not become ready"):format(
      box.name or box.id, status))
  end
end

-- Errors of a look that a later one may not have. A box that starts may refuse
-- an exec in more ways than it refuses to be looked at.
local PASSING = { ConnectionError = true, TimeoutError = true }
local PASSING_EXEC = { ConnectionError = true, TimeoutError = true,
  InternalError = true, BoxdError = true, ConflictError = true }

-- Only a call's own error passes: one without a method is not about the box,
-- but ends our waiting (with_timeout around it, say).
local function passes(e, classes) return classes[e.class] and e.method end

-- Polls once: true, or false and why not yet. Raises a permanent failure.
local function is_ready(box, left)
  local ok, e = pcall(box.refresh, box, { timeout = left })
  if ok then
    check_state(box)
    if box.status ~= "running" then
      return false, "it is " .. tostring(box.status)
    end
    local result
    ok, result = pcall(box.exec, box, "true",
      { timeout = left, killable = false })
    if ok then
      return result.success,
        ("its shell answers %q with exit code %d"):format("true", result.exit_code)
    end
    e = result
    if passes(e, PASSING_EXEC) then return false, e end
  end
  if passes(e, PASSING) then return false, e end
  error(e, 0)
end

-- box:wait_until_ready{ timeout=90, poll_interval=0.5 }
function methods:wait_until_ready(opts)
  opts = check.options(1, "wait_until_ready", opts,
    { "timeout", "poll_interval" })
  compute_of(self)
  local interval = opts.poll_interval == nil and 0.5
    or check.seconds("wait_until_ready", "poll_interval", opts.poll_interval)
  local limit = opts.timeout or 90
  local ends, pause = boxd.now() + limit, 0.01
  local say, _shown <close> = progress.wait(self.name or self.id)
  while true do
    local ready, why = is_ready(self, math.max(ends - boxd.now(), 0.001))
    if ready then return self end
    local left = ends - boxd.now()
    say(type(why) == "table" and why.message or tostring(why))
    if left <= 0 then
      core.raise("TimeoutError", ("box %s was not ready within %g s: %s")
        :format(self.name or self.id, limit,
          type(why) == "table" and why.message or tostring(why)))
    end
    boxd.sleep(math.min(pause, left))
    pause = math.min(pause * 2, interval)
  end
end

-- Exec and files.

for _, part in ipairs { files.methods, settings, job.methods, sync, forward } do
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

local service = {}

-- Temporary boxes.

local CLEANUP_SECONDS = 8 -- of the 10 that cleaning up may take

-- The tasks that make or destroy a box, each with its Compute. Nothing cancels
-- them: not the caller's end, nor a signal, nor the closing of the Compute,
-- which waits for them. A requested box exists even when its caller has gone.
local under_way = setmetatable({}, { __mode = "k" })

-- Until when the end of the script, or of a Compute, waits for a task: set
-- when the first of them does.
local limits = setmetatable({}, { __mode = "k" })

local function begin(compute, fn)
  return core.spawn_alone(under_way, compute, fn)
end

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
  local ok, e = pcall(resource.call, box, "DestroyVm", { vm_id = box.id },
    { timeout = seconds or CLEANUP_SECONDS })
  if not ok and e.class ~= "NotFoundError" then return false, e end
  core.set(box, "status", "destroyed")
  living[box] = nil
  return true
end

local function destroy(box, seconds)
  return begin(compute_of(box), function()
    if box.status == "destroyed" then return true end
    return destroy_now(box, seconds)
  end)
end

-- Of a box that is not what it should have been.
local function discard(box)
  local ok, e = destroy(box):join()
  if not ok then
    warn(("boxd: box %s was not destroyed: %s"):format(box.id, tostring(e)))
  end
end

local function close(box, reason)
  if reason ~= nil then return discard(box) end
  local ok, e = destroy(box):join()
  if not ok then error(e, 0) end
end

-- Without a taker the box is destroyed again, as soon as it is there.
--
-- c.box:temporary(name?, opts?): as create, but the box is destroyed by its
-- <close>, or at the end of boxdlua's script, whatever ends it.
function service:temporary(name, opts)
  local compute, taken, box = compute_of(self), true, nil
  local maker = begin(compute, function()
    local ok, made = pcall(core.create, self, name, opts)
    if not ok then
      if taken then error(made, 0) end
      warn(("boxd: a temporary box that nothing waits for any more was not "
        .. "made: %s"):format(tostring(made)))
      return
    end
    box = core.closing(made, close)
    living[box] = true
    if taken and core.is_open(compute) then return end
    destroy_now(box)
    if taken then core.raise("CancelledError", "the client was closed") end
  end)
  local ok, e = pcall(maker.join, maker)
  if ok then return box end
  taken = false
  if box then destroy(box) end
  -- The maker has no line of the script's.
  if type(e) == "string" then e = check.where() .. " " .. e end
  if boxd.is_error(e) and e.where == "" then e.where = check.where() end
  error(e, 0)
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
core.methods("boxd.Boxes", service)

return {
  begin = begin,
  discard = discard,
  call_on = call_on,
  resolve = resolve,
  new = function(compute, message)
    return core.record(compute, "Box", message)
  end,
}
