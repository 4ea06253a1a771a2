-- Checkpoints: what one box was, to go back to. They go with their box.

local account = require "boxd.local.account"
local captures = require "boxd.local.captures"
local ids = require "boxd.local.ids"
local status = require "boxd.local.status"

local fail = status.fail

local checkpoints = {}

local function find(service, box, name)
  for _, checkpoint in ipairs(service.captures:of("checkpoints", box)) do
    if checkpoint.name == name or checkpoint.id == name then
      return checkpoint
    end
  end
  fail("NOT_FOUND", "box '%s' has no checkpoint '%s'", box.name, name or "")
end

local function check_new(service, box, name)
  local all = service.captures:of("checkpoints", box)
  for _, other in ipairs(all) do
    if other.name == name then
      fail("ALREADY_EXISTS", "box '%s' has a checkpoint '%s' already: delete "
        .. "it, or choose another name", box.name, name)
    end
  end
  service.limits:check_count("checkpoints", #all)
end

local function create(service, request)
  local name = captures.check_name(request.name, "cp-")
  local box = service.boxes:find_vm(request)
  local _lock <close> = service.boxes:lock_running(box)
  check_new(service, box, name)
  captures.say_files_only()
  local made = service.captures:take(box, function(folder, bytes)
    local checkpoint = { id = ids.new("cp-"), name = name,
      vm_id = box.id, folder = folder, size_bytes = bytes,
      created_at = captures.now() }
    service.store:put("checkpoints", checkpoint.id, checkpoint)
    return checkpoint
  end)
  return { checkpoint_id = made.id, name = name, status = "ready" }
end

local function on_checkpoint(fn)
  return function(service, request)
    local box = service.boxes:find_vm(request)
    local _lock <close> = service.boxes:lock(box)
    fn(service, box, find(service, box, request.name))
    return {}
  end
end

checkpoints.rpcs = {
  CreateCheckpoint = create,
  DeleteCheckpoint = on_checkpoint(function(service, _, checkpoint)
    service.captures:remove("checkpoints", checkpoint)
  end),
  RestoreCheckpoint = on_checkpoint(function(service, box, checkpoint)
    service.boxes:replace_files(box, service.captures:folder(checkpoint))
  end),
  ListCheckpoints = function(service, request)
    local out = {}
    local box = service.boxes:find_vm(request)
    for i, c in ipairs(service.captures:of("checkpoints", box)) do
      out[i] = { checkpoint_id = c.id, name = c.name, status = "ready",
        size_bytes = c.size_bytes, created_at = c.created_at,
        created_by = account.USER, available = true }
    end
    return { checkpoints = out }
  end,
}

return checkpoints
