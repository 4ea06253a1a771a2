-- What the embedded service must have after random work by many clients. Each
-- client owns some names; the disks are shared. An answered call is
-- certain; an unanswered one happened wholly or not at all.

local boxd = require "boxd"
local calls = require "spec.support.calls"

local model = {}
model.__index = model

local SLOTS, DISKS = 2, 6
local MARK = "/home/boxd/mark"

-- A box has its slot's name, or that with this at its end.
local OTHER = "-b"

local function slot_name(name) return name and (name:gsub(OTHER .. "$", "")) end

-- The slots of client i: what its boxes are, by name; `called` and `label` are
-- what a box is called and labelled now. What begins with `maybe` is under way.
local function new_slots(i)
  local slots = {}
  for k = 1, SLOTS do
    slots[k] = { name = ("c%d-%d"):format(i, k), state = "absent" }
  end
  return slots
end

function model.new(compute, clients)
  local self = setmetatable({ clients = {}, disks = {}, done = 0, marks = 0,
    ops = {} }, model)
  for i = 1, clients do self.clients[i] = new_slots(i) end
  for i = 1, DISKS do
    self.disks[i] = { id = compute:call("CreateDisk",
      { name = "shared-" .. i, size_bytes = 1 << 20 }).disk_id }
  end
  return self
end

-- Did the service go away, rather than refuse?
local function is_lost(e)
  return boxd.is_error(e, boxd.ConnectionError)
    or boxd.is_error(e, boxd.CancelledError)
    or boxd.is_error(e, boxd.AuthenticationError) and e.code == nil
end

-- Calls; returns the reply, or nil and the refusal's code. Raises what else may
-- come, and the loss of the service as "lost".
local function ask(compute, rpc, request)
  local ok, reply = pcall(compute.call, compute, rpc, request)
  if ok then return reply end
  if is_lost(reply) then error("lost", 0) end
  if boxd.is_error(reply) and reply.code then
    return nil, reply.code, tostring(reply)
  end
  error(reply, 0)
end

local function must(compute, rpc, request)
  local reply, _, message = ask(compute, rpc, request)
  if not reply then error(message, 0) end
  return reply
end

-- A change of a slot by one call.
local function change(slot, after, compute, rpc, request)
  slot.maybe = after
  local reply = must(compute, rpc, request)
  slot.state, slot.maybe = after, nil
  slot.id = reply.vm_id or slot.id
end

local function leave_disks(self, slot)
  for _, disk in ipairs(self.disks) do
    if disk.at == slot.name then disk.at, disk.maybe = nil, slot.name end
  end
end

local ops = {}

function ops.create(_, slot, compute)
  if slot.state ~= "absent" then return end
  slot.mark, slot.called, slot.label, slot.points = nil, slot.name, nil, {}
  change(slot, "running", compute, "CreateVm", { name = slot.name })
end

function ops.fork(_, slot, compute, slots)
  local source = slots[slot == slots[1] and 2 or 1]
  if slot.state ~= "absent" or source.state == "absent" then return end
  slot.mark, slot.called, slot.label = source.mark, slot.name, source.label
  slot.points = {}
  change(slot, "running", compute, "ForkVm",
    { source_vm_id = source.id, name = slot.name })
end

function ops.destroy(self, slot, compute)
  if slot.state == "absent" then return end
  leave_disks(self, slot)
  change(slot, "absent", compute, "DestroyVm", { vm_id = slot.id })
  for _, disk in ipairs(self.disks) do
    if disk.maybe == slot.name then disk.maybe = nil end
  end
end

-- Changes of state: of a box in which state, to which, by which RPC.
for name, row in pairs {
  stop = { "running", "stopped", "StopVm" },
  start = { "stopped", "running", "StartVm" },
  hibernate = { "running", "hibernated", "HibernateVm" },
  wake = { "hibernated", "running", "WakeVm" },
} do
  local from, to, rpc = table.unpack(row)
  ops[name] = function(_, slot, compute)
    if slot.state ~= from then return end
    change(slot, to, compute, rpc, { vm_id = slot.id })
  end
end

function ops.rename(_, slot, compute)
  if slot.state == "absent" then return end
  slot.maybe_called = slot.called == slot.name and slot.name .. OTHER
    or slot.name
  must(compute, "RenameVm", { vm_id = slot.id, new_name = slot.maybe_called })
  slot.called, slot.maybe_called = slot.maybe_called, nil
end

function ops.label(self, slot, compute)
  if slot.state == "absent" then return end
  self.marks = self.marks + 1
  slot.maybe_label = tostring(self.marks)
  must(compute, "UpdateVmLabels",
    { vm = slot.id, set = { n = slot.maybe_label } })
  slot.label, slot.maybe_label = slot.maybe_label, nil
end

function ops.mark(self, slot, compute)
  if slot.state ~= "running" then return end
  self.marks = self.marks + 1
  slot.maybe_mark = tostring(self.marks)
  must(compute, "UploadFile",
    { vm_id = slot.id, path = MARK, data = slot.maybe_mark })
  slot.mark, slot.maybe_mark = slot.maybe_mark, nil
end

-- A client has one snapshot, of whichever of its boxes it saved last.
function ops.save(_, slot, compute, slots)
  if slot.state ~= "running" then return end
  slots.saved = slots.saved or { version = 0, name = "of-" .. slots[1].name }
  local saved = slots.saved
  saved.maybe = { mark = slot.mark, label = slot.label }
  local version = must(compute, "CreateSnapshot",
    { vm = slot.id, name = saved.name }).version
  assert(version == saved.version + 1, "a version too many, or lost")
  calls.eventually(function()
    return must(compute, "GetSnapshot", { name = saved.name }).snapshot.status
      ~= "pending"
  end)
  saved.version, saved.mark, saved.label = version, slot.mark, slot.label
  saved.maybe = nil
end

function ops.restore(_, slot, compute, slots)
  local saved = slots.saved
  if slot.state ~= "absent" or not saved or saved.version == 0 then return end
  slot.mark, slot.called, slot.label = saved.mark, slot.name, saved.label
  slot.points = {}
  change(slot, "running", compute, "CreateVmFromSnapshot",
    { snapshot = saved.name, name = slot.name })
end

function ops.point(self, slot, compute)
  if slot.state ~= "running" or #slot.points > 3 then return end
  self.marks = self.marks + 1
  local point = { name = "p" .. self.marks, mark = slot.mark }
  must(compute, "CreateCheckpoint", { vm = slot.id, name = point.name })
  table.insert(slot.points, point)
end

function ops.back(_, slot, compute)
  local point = slot.points and slot.points[math.random(0, #slot.points)]
  if slot.state ~= "running" or not point then return end
  slot.maybe_mark = point.mark
  must(compute, "RestoreCheckpoint", { vm = slot.id, name = point.name })
  slot.mark, slot.maybe_mark = point.mark, nil
end

function ops.attach(self, slot, compute)
  if slot.state == "absent" then return end
  local disk = self.disks[math.random(#self.disks)]
  local others = disk.claims or 0
  disk.claims = others + 1
  disk.wanted = disk.wanted or {}
  disk.wanted[slot.name] = true
  local reply, code, message = ask(compute, "AttachDisk", { disk_id = disk.id,
    vm_id = slot.id, mount_path = "/mnt/" .. disk.id })
  disk.wanted[slot.name] = nil
  if reply then
    assert(disk.at == nil, "a disk in two boxes")
    disk.at = slot.name
  elseif code ~= "FAILED_PRECONDITION" then
    error(message, 0)
  end
end

function ops.detach(self, slot, compute)
  for _, disk in ipairs(self.disks) do
    if disk.at == slot.name then
      disk.at, disk.maybe = nil, slot.name
      must(compute, "DetachDisk", { disk_id = disk.id, vm_id = slot.id })
      if disk.maybe == slot.name then disk.maybe = nil end
      return
    end
  end
end

local NAMES = { "create", "create", "fork", "fork", "destroy", "stop", "start",
  "start", "mark", "mark", "attach", "attach", "detach", "hibernate", "wake",
  "wake", "rename", "label", "save", "restore", "restore", "point", "back",
  "back" }

-- Client i works: n operations, or until the service is lost.
function model:work(i, compute, n)
  local slots = self.clients[i]
  for _ = 1, n do
    local name = NAMES[math.random(#NAMES)]
    local ok, e = pcall(ops[name], self, slots[math.random(#slots)], compute,
      slots)
    if not ok and e == "lost" then return end
    if not ok then
      error(("client %d, %s: %s"):format(i, name, tostring(e)), 0)
    end
    self.done = self.done + 1
    boxd.sleep(0)
  end
end

-- Checking. Uncertain states are certain from then on.

local function settle_slot(slot, vm)
  local state = vm and vm.status or "absent"
  if state ~= slot.state and state ~= slot.maybe then
    error(("%s is %s, not %s%s"):format(slot.name, state, slot.state,
      slot.maybe and " or " .. slot.maybe or ""), 0)
  end
  slot.state, slot.maybe, slot.id = state, nil, vm and vm.vm_id
  if not vm then
    slot.maybe_called, slot.maybe_label = nil, nil
    return
  end
  local label = vm.labels and vm.labels.n
  assert(vm.name == slot.called or vm.name == slot.maybe_called,
    ("%s is called %s"):format(slot.called, vm.name))
  assert(label == slot.label or label == slot.maybe_label,
    ("%s is labelled %s, not %s"):format(slot.called, label, slot.label))
  slot.called, slot.maybe_called = vm.name, nil
  slot.label, slot.maybe_label = label, nil
end

local function check_mark(slot, compute)
  local ok, reply = pcall(compute.call, compute, "DownloadFile",
    { vm_id = slot.id, path = MARK })
  local mark = ok and reply.data or nil
  if mark ~= slot.mark and mark ~= slot.maybe_mark then
    error(("the file of %s has %s, not %s"):format(slot.name, mark or
      tostring(reply), slot.mark or "nothing"), 0)
  end
  slot.mark, slot.maybe_mark = mark, nil
end

local function check_disk(disk, info)
  local attachment = info.attachments[1]
  local at = slot_name(attachment and attachment.vm_name)
  if at ~= disk.at and at ~= disk.maybe
    and not (at and disk.wanted and disk.wanted[at])
    and not (at == nil and disk.maybe) then
    error(("disk %s is at %s, not at %s"):format(disk.id, at or "none",
      disk.at or "none"), 0)
  end
  disk.at, disk.maybe, disk.wanted = at, nil, nil
end

local function check_saved(saved, compute)
  local reply = ask(compute, "GetSnapshot", { name = saved.name })
  local version, maybe = reply and reply.snapshot.version or 0, saved.maybe
  if maybe and version == saved.version + 1 then
    saved.version, saved.mark, saved.label = version, maybe.mark, maybe.label
  end
  assert(version == saved.version, ("%s has version %d, not %d"):format(
    saved.name, version, saved.version))
  saved.maybe = nil
end

-- How many captures there are to be.
function model:captures(compute)
  local n = #compute:call("ListSnapshots").snapshots
  for _, vm in ipairs(compute:call("ListVms").vms) do
    n = n + #compute:call("ListCheckpoints", { vm = vm.vm_id }).checkpoints
  end
  for _, slots in ipairs(self.clients) do
    if slots.saved then check_saved(slots.saved, compute) end
  end
  return n
end

function model:check(compute)
  local vms, boxes = {}, {}
  for _, vm in ipairs(compute:call("ListVms").vms) do
    local name = slot_name(vm.name)
    assert(not vms[name], "two boxes of slot " .. name)
    vms[name] = vm
  end
  for _, slots in ipairs(self.clients) do
    for _, slot in ipairs(slots) do
      settle_slot(slot, vms[slot.name])
      if slot.state ~= "absent" then boxes[#boxes + 1] = slot end
      if slot.state == "running" then check_mark(slot, compute) end
      vms[slot.name] = nil
    end
  end
  assert(next(vms) == nil, "there is a box that nobody made: "
    .. tostring((next(vms))))
  local disks = compute:call("ListDisks").disks
  assert(#disks == #self.disks, "disks are lost, or too many")
  for i, disk in ipairs(self.disks) do check_disk(disk, disks[i]) end
  return #boxes
end

return model
