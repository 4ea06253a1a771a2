-- Disks that a config names: a service may know them by id alone.

local core = require "boxd.core"
local resource = require "boxd.internal.resource"
core.internal()

local call = resource.call
local volumes = {}

-- What a service may say of a disk's name where it expects an id.
local UNKNOWN = { NOT_FOUND = true, INVALID_ARGUMENT = true }

-- Puts ids in the place of names; true if there was one.
local function put_ids(list, disks)
  local ids, names, any = {}, {}, false
  for _, disk in ipairs(disks) do
    ids[disk.disk_id] = true
    names[disk.name or ""] = names[disk.name or ""] or disk.disk_id
  end
  for _, volume in ipairs(list) do
    local id = not ids[volume.disk_id] and names[volume.disk_id]
    if id then volume.disk_id, any = id, true end
  end
  return any
end

-- As resource.call, for a request with a config: one that is refused is sent
-- again with the ids of the disks it names.
function volumes.call(compute, rpc, request, opts, into)
  local list = request.config and request.config.volumes
  if not list then return call(compute, rpc, request, opts, into) end
  opts = resource.within(opts, opts.timeout or compute.timeout)
  local ok, reply = pcall(call, compute, rpc, request, opts, into)
  if ok then return reply end
  if not UNKNOWN[reply.code]
    or not put_ids(list, call(compute, "ListDisks", {}, opts).disks) then
    error(reply, 0)
  end
  return call(compute, rpc, request, opts, into)
end

return volumes
