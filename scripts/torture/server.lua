-- What the torture program's client talks to, in a process of its own: every
-- RPC gets the same answer every time. Prints its address; ends with its stdin.

local boxd = require "boxd"
local serve = require "boxd.serve"

local VM = { vm_id = "vm-1", name = "web", image_ref = "ubuntu:24.04",
  public_ip = "10.0.0.1", status = "running", restart_policy = "always",
  disk_bytes = 20 << 30, labels = { tier = "front", team = "blue" } }
local MADE = { vm_id = "vm-2", name = "web", status = "pending",
  boot_time_ms = 12 }
local PROXY = { name = "api", vm_name = "web", domain = "127.0.0.1:4000",
  port = 3000 }

local replies = {
  Whoami = { user_id = "u-1", pubkey_fingerprints = { "SHA256:a", "SHA256:b" },
    default_network_id = "n-1", display_name = "Ada" },
  GetConfig = { default_image = "ubuntu", zone = "fsn1" },
  UpdateVmLabels = { labels = { a = "b" } },
  CreateVm = MADE, ForkVm = MADE, CreateVmFromTemplate = MADE,
  ListVms = { vms = { VM, { vm_id = "vm-9", name = "db" } } },
  SuspendVm = { suspend_us = 900 }, ResumeVm = { resume_us = 800 },
  ListProxies = { proxies = { PROXY, PROXY } }, CreateProxy = PROXY,
  CreateTemplate = { template_id = "t-1", name = "base", status = "ready" },
  ListTemplates = { templates = { { template_id = "t-1",
    image_ref = "alpine" } } },
  CreateDisk = { disk_id = "d-1", name = "data", size_bytes = 1 },
  ListDisks = { disks = { { disk_id = "d-1", attachments = { {
    vm_id = "vm-1" } } } } },
  ListDomains = { domains = { { domain = "a.example", vm_id = "vm-1" } } },
  CreateNetwork = { network_id = "n-1" },
  ListNetworks = { networks = { { network_id = "n-1" } } },
  CreateToken = { token = "eyJ", expires_at = 1893456000 },
  ListTokens = { tokens = { { jti = "j-1", created_at = 1 } } },
  CreateApiKey = { id = "k-1", api_key = "bxk_x", expires_at = 9 },
  ListApiKeys = { keys = { { id = "k-1", name = "ci" } } },
  DownloadFile = { data = ("file "):rep(1000) },
}

local function exit(call, code)
  call:send { exit_code = code }
  call:finish()
end

local function hang(call)
  while not call:cancelled() do boxd.sleep(0.002) end
end

-- By its command: cat echoes its input, hang waits for its end.
local function exec(call)
  local command = call:recv().command
  -- A command with a time is in a line that also ends it in the box.
  if command:find("hang", 1, true) then command = "hang" end
  if command == "cat" then
    for m in call.recv, call do
      if m.stdin then call:send { data = m.data } end
    end
  elseif command == "hang" then
    call:send { data = "up" }
    return hang(call)
  elseif command ~= "true" then
    call:send { data = "one\ntw" }
    call:send { data = "err", is_stderr = true }
    call:send { data = "o\n" .. ("x"):rep(5000) }
  end
  exit(call, command == "true" and 0 or 4)
end

local special = { Exec = exec }

function special.GetVm(call)
  if call:recv().vm_id ~= "vm-1" then
    return call:finish("NOT_FOUND", "no such box")
  end
  call:send(VM)
  call:finish()
end

-- By id alone.
local function of_box(call)
  local id = call:recv().vm_id
  if id == "db" or id == "nobody" then
    return call:finish("NOT_FOUND", "no such box")
  end
  call:send {}
  call:finish()
end
special.AttachDisk, special.DestroyVm = of_box, of_box

function special.UploadFileStream(call)
  local total = 0
  for m in call.recv, call do total = total + #(m.data or "") end
  call:send { bytes_written = total }
  call:finish()
end

function special.DownloadFileStream(call)
  call:recv()
  call:send { total_size = 100005, data = "start" }
  call:send { data = ("d"):rep(100000) }
  call:finish()
end

function special.StreamLogs(call)
  local follow = call:recv().follow
  call:send { data = "a line\n" }
  call:send { data = "another\n" }
  if not follow then return call:finish() end
  hang(call)
end

local function answer(call)
  local c <close> = call
  if special[c.rpc] then return special[c.rpc](c) end
  c:recv()
  c:send(replies[c.rpc] or {})
  c:finish()
end

local server = serve.listen()

-- An exchange of keys at /token; anything else is echoed.
boxd.spawn(function()
  for request in function() return server:request() end do
    if request.path == "/token" then
      request:answer(200, { ["Content-Type"] = "application/json" },
        boxd.json.encode { token = "test.jwt", expires_at = 4102444800 })
    else
      request:answer(200, { ["X-Seen"] = "yes" }, request.body)
    end
  end
end)

boxd.spawn(function()
  for call in function() return server:accept() end do
    boxd.spawn(function()
      -- A client that gives up is what this is about.
      pcall(answer, call)
    end)
  end
end)

print(server.address)
io.stdout:flush()
-- The driver's end is that of its pipe, and then TERM.
pcall(boxd.sleep, 24 * 3600)
os.exit(0)
