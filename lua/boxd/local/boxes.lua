-- Boxes: their records, what runs of them, and how they change.
--
-- A record is what survives (store kind "boxes"); a live box is a handle of the
-- spawner, in self.live by id. Changes of one box happen one at a time.

local boxd = require "boxd"
local account = require "boxd.local.account"
local status = require "boxd.local.status"

local fail, random_id = status.fail, account.random_id

local boxes = {}
boxes.__index = boxes

local DEFAULT_IMAGE = "ubuntu:24.04"
local GIB = 1 << 30
local LIMITS = { vcpu = 64, memory = 1 << 40, disk = 1 << 44 }

boxes.DEFAULT_IMAGE = DEFAULT_IMAGE

function boxes.new(store, spawner, options)
  return setmetatable({
    store = store, spawner = spawner, records = store:all "boxes", live = {},
    by_handle = {}, busy = {}, dir = store.dir .. "/files",
    max = options.max_boxes, net_host = options.net == "host",
  }, boxes)
end

-- Looking up: an id or a name.

function boxes:find(id)
  local record = self.records[id]
  if record then return record end
  for _, other in pairs(self.records) do
    if other.name == id then return other end
  end
  fail("NOT_FOUND", "no box '%s'", id)
end

-- By the two fields that name a box in some requests.
function boxes:find_vm(request)
  local name = request.vm or request.vm_name
  if not name then fail("INVALID_ARGUMENT", "vm_name is missing") end
  return self:find(name)
end

function boxes:list() return self.store:list "boxes" end

function boxes:folder(id) return self.dir .. "/" .. id end

-- What a client sees of a record.
function boxes.info(record)
  return {
    vm_id = record.id, name = record.name, image_ref = record.image,
    public_ip = record.public_ip, status = record.status,
    restart_policy = record.restart_policy, disk_bytes = record.disk_bytes,
    auto_suspend_timeout_secs = record.auto_suspend,
    auto_destroy_timeout_secs = record.auto_destroy,
    vcpu = record.vcpu, memory_bytes = record.memory_bytes,
    created_at = record.created_at, boot_time_ms = record.boot_time_ms,
  }
end

-- Checking what is asked for.

local function check_name(self, name)
  if not name then return account.random_id("box-", 4) end
  if #name > 63 or not name:find "^[a-z0-9-]+$" or name:find "^-"
    or name:find "%-$" then
    fail("INVALID_ARGUMENT", "'%s' is no name of a box: 1 to 63 of a-z, 0-9 "
      .. "and '-', no '-' at either end", name)
  end
  for _, other in pairs(self.records) do
    if other.name == name then
      fail("ALREADY_EXISTS", "there is a box named '%s' already", name)
    end
  end
  return name
end

local function check_image(image)
  if not image then return DEFAULT_IMAGE end
  if #image > 255 or not image:find "^[%w][%w._/:@-]*$" then
    fail("INVALID_ARGUMENT", "'%s' is no image reference, such as "
      .. "'ubuntu:24.04'", image)
  end
  return image
end

local function check_size(what, value, default, most)
  if not value or value == 0 then return default end
  if value < 0 or value > most then
    fail("INVALID_ARGUMENT", "%s is beyond the limit of %d", what, most)
  end
  return value
end

local function check_quota(self)
  local n = 0
  for _ in pairs(self.records) do n = n + 1 end
  if n >= self.max then
    fail("RESOURCE_EXHAUSTED", "%d boxes are the limit here: destroy one, or "
      .. "start the service with --max-boxes", self.max)
  end
end

local function check_policy(policy)
  if not policy then return "always" end
  if policy ~= "always" and policy ~= "never" then
    fail("INVALID_ARGUMENT", "restart_policy is 'always' or 'never', not '%s'",
      policy)
  end
  return policy
end

-- Running.

local function env_of(record, more)
  local env = {}
  for _, v in ipairs(record.env or {}) do
    env[#env + 1] = v.key .. "=" .. (v.value or "")
  end
  for _, v in ipairs(more or {}) do env[#env + 1] = v end
  return env
end

boxes.env_of = env_of

-- The disks that are attached to a box, as mounts.
local function mounts_of(self, record)
  local mounts = {}
  for _, disk in pairs(self.store:all "disks") do
    if disk.vm_id == record.id then
      mounts[#mounts + 1] = { source = self.store.dir .. "/disks.d/" .. disk.id,
        target = disk.mount_path, read_only = disk.read_only }
    end
  end
  return mounts
end

-- Starts the sandbox of a record; its status becomes running.
local function boot(self, record)
  local began = boxd.now()
  local handle, message = self.spawner:start {
    dir = self:folder(record.id), hostname = record.name,
    memory = record.memory_bytes, net_host = self.net_host,
    mounts = mounts_of(self, record),
  }
  if not handle then
    fail("INTERNAL", "the box can't be started: %s", message)
  end
  self.live[record.id] = handle
  self.by_handle[handle] = record.id
  record.boot_time_ms = math.max(1, math.floor((boxd.now() - began) * 1000))
  record.status = "running"
end

-- Ends all of a box's processes.
local function halt(self, record)
  local handle = self.live[record.id]
  if not handle then return end
  self.live[record.id] = nil
  self.by_handle[handle] = nil
  local ok, message = self.spawner:kill(handle)
  if not ok then fail("INTERNAL", "the box can't be stopped: %s", message) end
end

-- The handle of a running box; a suspended one is resumed first.
function boxes:handle(record)
  if record.status == "suspended" then self:resume(record) end
  local handle = self.live[record.id]
  if not handle or record.status ~= "running" then
    fail("FAILED_PRECONDITION", "box '%s' is %s: start it first", record.name,
      record.status)
  end
  return handle
end

local function save(self, record) self.store:put("boxes", record.id, record) end

-- One change of a box at a time.
local function exclusively(self, record, fn)
  while self.busy[record.id] do boxd.sleep(0.002) end
  if not self.records[record.id] and not record.new then
    fail("NOT_FOUND", "no box '%s'", record.name)
  end
  self.busy[record.id] = true
  local _free <close> = setmetatable({}, { __close = function()
    self.busy[record.id] = nil
  end })
  return fn()
end

-- Changes.

local function new_record(self, request)
  check_quota(self)
  local config = request.config or {}
  local srf = config.srf or {}
  return {
    id = random_id("vm-", 6), name = check_name(self, request.name),
    image = check_image(request.image_ref),
    vcpu = check_size("vcpu", config.vcpu, 2, LIMITS.vcpu),
    memory_bytes = check_size("memory", config.memory_bytes, 4 * GIB,
      LIMITS.memory),
    disk_bytes = check_size("disk", config.disk_bytes, 20 * GIB, LIMITS.disk),
    auto_suspend = srf.auto_suspend_timeout_secs or 0,
    auto_destroy = srf.auto_destroy_timeout_secs or 0,
    env = request.env, cmd = request.cmd,
    restart_policy = check_policy(request.restart_policy),
    public_ip = "127.0.0.1", status = "pending", created_at = os.time(),
  }
end

-- Claims the name, makes the box, and only then keeps it.
local function make(self, record, prepare)
  record.new = true
  self.records[record.id] = record
  local kept = false
  local _undo <close> = setmetatable({}, { __close = function()
    if kept then return end
    self.records[record.id] = nil
    halt(self, record)
    self.spawner:remove(self:folder(record.id))
  end })
  exclusively(self, record, function()
    if prepare then prepare() end
    boot(self, record)
    record.new = nil
    save(self, record)
  end)
  kept = true
  return record
end

function boxes:create(request) return make(self, new_record(self, request)) end

function boxes:fork(source, request)
  local record = new_record(self, request)
  record.forked_from = source.id
  for _, key in ipairs { "image", "env", "cmd", "restart_policy" } do
    record[key] = source[key]
  end
  return make(self, record, function()
    local frozen = self.live[source.id]
    if frozen then self.spawner:suspend(frozen) end
    local ok, message = self.spawner:copy(self:folder(source.id),
      self:folder(record.id))
    if frozen and source.status == "running" then
      self.spawner:resume(frozen)
    end
    if not ok then
      fail("INTERNAL", "the box's files can't be copied: %s", message)
    end
  end)
end

function boxes:destroy(record)
  exclusively(self, record, function()
    halt(self, record)
    self.store:remove("boxes", record.id)
    record.status = "destroyed"
    self.spawner:remove(self:folder(record.id))
  end)
end

local function refuse(record, verb)
  fail("FAILED_PRECONDITION", "box '%s' is %s: it can't be %s", record.name,
    record.status, verb)
end

function boxes:start(record)
  exclusively(self, record, function()
    if record.status == "running" then return end
    if record.status == "suspended" then return self:unfreeze(record) end
    boot(self, record)
    save(self, record)
  end)
end

function boxes:stop(record)
  exclusively(self, record, function()
    halt(self, record)
    record.status = "stopped"
    save(self, record)
  end)
end

function boxes:reboot(record)
  exclusively(self, record, function()
    if record.status ~= "running" and record.status ~= "suspended" then
      refuse(record, "rebooted")
    end
    halt(self, record)
    boot(self, record)
    save(self, record)
  end)
end

-- Microseconds that fn took, at least 1.
local function microseconds(fn)
  local began = boxd.now()
  fn()
  return math.max(1, math.floor((boxd.now() - began) * 1e6))
end

function boxes:suspend(record)
  return exclusively(self, record, function()
    if record.status ~= "running" then refuse(record, "suspended") end
    local took = microseconds(function()
      local ok, message = self.spawner:suspend(self.live[record.id])
      if not ok then
        fail("INTERNAL", "the box can't be suspended: %s", message)
      end
    end)
    record.status = "suspended"
    save(self, record)
    return took
  end)
end

-- Under exclusively.
function boxes:unfreeze(record)
  return microseconds(function()
    local ok, message = self.spawner:resume(self.live[record.id])
    if not ok then fail("INTERNAL", "the box can't be resumed: %s", message) end
    record.status = "running"
    save(self, record)
  end)
end

function boxes:resume(record)
  return exclusively(self, record, function()
    if record.status == "running" then return 1 end
    if record.status ~= "suspended" then refuse(record, "resumed") end
    return self:unfreeze(record)
  end)
end

-- Boxes that were up when the service ended come up again, from their files.
function boxes:restore()
  for _, record in pairs(self.records) do
    if record.status == "running" or record.status == "suspended" then
      local ok, e = pcall(boot, self, record)
      if not ok then
        record.status = "failed"
        warn(("box '%s' did not start: %s"):format(record.name, tostring(e)))
      end
      save(self, record)
    end
  end
end

-- A box whose first process died by itself is stopped.
function boxes:watch()
  for handle in function() return self.spawner:gone() end do
    local id = self.by_handle[handle]
    local record = id and self.records[id]
    if record then
      self.by_handle[handle] = nil
      self.live[id] = nil
      record.status = "stopped"
      save(self, record)
    end
  end
end

return boxes
