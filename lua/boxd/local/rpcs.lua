-- The RPCs of the embedded service, a row each: how a request is answered.
-- unary[name](service, request) returns the reply; stream[name](service, call)
-- receives and sends by itself.

local unimplemented = require "boxd.local.unimplemented"
local account = require "boxd.local.account"
local backups = require "boxd.local.backups"
local box_request = require "boxd.local.box_request"
local boxes = require "boxd.local.boxes"
local captures = require "boxd.local.captures"
local checkpoints = require "boxd.local.checkpoints"
local disks = require "boxd.local.disks"
local domains = require "boxd.local.domains"
local exec = require "boxd.local.exec"
local files = require "boxd.local.files"
local folders = require "boxd.local.folders"
local labels = require "boxd.local.labels"
local logs = require "boxd.local.logs"
local networks = require "boxd.local.networks"
local ports = require "boxd.local.ports"
local proxies = require "boxd.local.proxies"
local settings = require "boxd.local.settings"
local snapshots = require "boxd.local.snapshots"
local specs = require "boxd.local.specs"
local status = require "boxd.local.status"
local templates = require "boxd.local.templates"
local usage = require "boxd.local.usage"
local vars = require "boxd.local.vars"

local fail = status.fail

-- A handler that finds the box of a request and passes its record on.
local function on_box(fn)
  return boxes.rpc(function(service, record)
    return fn(service.boxes, record)
  end)
end

-- A verb of boxes, none of which is idempotent, as on boxd.sh: what a box is
-- already can't be asked for, nor anything of one that is starting.
local function verb(already, fn)
  return on_box(function(all, record)
    all:check_phase(record)
    if record.status == already then
      fail("FAILED_PRECONDITION", "box '%s' is %s already", record.name, already)
    end
    return fn(all, record)
  end)
end

local function list(field, items) return { [field] = items } end

local function created(record)
  return { vm_id = record.id, name = record.name, image = record.image,
    public_ip = record.public_ip, url = proxies.url(record),
    status = record.status, boot_time_ms = record.boot_time_ms,
    forked_from = record.forked_from }
end

-- Attaches the volumes that the request for a box names.
local function attach_all(service)
  return function(record, volumes)
    service.disks:attach_all(record, volumes)
  end
end

local function without(message, ...)
  for _, key in ipairs { ... } do message[key] = nil end
  return message
end

local unary = {
  -- Account
  Whoami = function(service)
    return { user_id = account.USER, display_name = account.USER_NAME,
      default_network_id = service.networks.default,
      billing = service.limits:quota() }
  end,
  GetConfig = function()
    return { default_image = boxes.DEFAULT_IMAGE, zone = "local" }
  end,
  CreateToken = function(service, request)
    return service.account:create_token(request.expires_in_secs)
  end,
  ListTokens = function(service)
    return list("tokens", service.account:list_tokens())
  end,
  RevokeToken = function(service, request)
    service.account:revoke_token(request.jti or "")
    return {}
  end,
  CreateApiKey = function(service, request)
    return service.account:create_key(request.name, request.expires_in_secs,
      request.kind, request.org)
  end,
  ListApiKeys = function(service)
    return list("keys", service.account:list_keys())
  end,
  DeleteApiKey = function(service, request)
    service.account:delete_key(request.id or "")
    return {}
  end,

  -- Boxes
  CreateVm = function(service, request)
    local from
    request, from = service.specs:expand(request)
    local record = service.boxes:create(request, attach_all(service), from)
    return without(created(record), "forked_from")
  end,
  CreateVmFromSnapshot = function(service, request)
    local from
    request, from = service.specs:restore(request)
    local record = service.boxes:create(request, attach_all(service), from)
    return without(created(record), "forked_from")
  end,
  ForkVm = function(service, request)
    if not request.source_vm_id then
      fail("INVALID_ARGUMENT", "source_vm_id is missing")
    end
    local source = service.boxes:find(request.source_vm_id)
    captures.say_files_only()
    return created(service.boxes:fork(source, request, attach_all(service),
      specs.forked(source)))
  end,
  GetVm = on_box(function(all, record) return all:shown(record, true) end),
  ListVms = function(service, request)
    box_request.check_org(request.org)
    local fits = labels.selector(request.label_selector)
    local vms = {}
    for _, record in ipairs(service.boxes:list()) do
      if fits(record.labels) then
        vms[#vms + 1] = service.boxes:shown(record)
      end
    end
    return list("vms", vms)
  end,
  StartVm = verb("running", function(all, record) all:start(record) end),
  StopVm = verb("stopped", function(all, record) all:stop(record) end),
  RebootVm = verb(nil, function(all, record) all:reboot(record) end),
  DestroyVm = on_box(function(all, record) all:destroy(record) end),
  SuspendVm = verb("suspended", function(all, record)
    return { suspend_us = all:suspend(record) }
  end),
  ResumeVm = verb("running", function(all, record)
    return { resume_us = all:resume(record) }
  end),
  HibernateVm = verb("hibernated", function(all, record)
    all:hibernate(record)
  end),
  WakeVm = verb("running", function(all, record) all:wake(record) end),

  -- Files
  UploadFile = files.upload,
  DownloadFile = files.download,
}

for _, part in ipairs { disks.rpcs, proxies.rpcs, templates.rpcs,
  networks.rpcs, folders.rpcs, labels.rpcs, settings.rpcs, usage.rpcs,
  snapshots.rpcs, checkpoints.rpcs, domains.rpcs, ports.rpcs, vars.rpcs,
  specs.rpcs, backups.rpcs, unimplemented } do
  for name, handler in pairs(part) do unary[name] = handler end
end

-- Proxies are ports of this machine: there are no nodes they go through.
function unary.ListProxyNodes() return { proxies = {} } end

local stream = {
  Exec = exec, StreamLogs = logs.stream,
  UploadFileStream = files.upload_stream,
  DownloadFileStream = files.download_stream,
  DesktopTunnel = unimplemented.DesktopTunnel,
}

return { unary = unary, stream = stream }
