-- What fails in the torture of the embedded service: scenarios of a client in
-- the same process, so that an allocation of either may be the one that fails.
-- As subject.lua; its client's own calls are there.
--
-- (folder) -> run(name) -> text. "canary": a call must be answered, a command
-- run in a box, and what scenarios have left removed; "stop" ends the service.

local folder = ...

-- Output under faults is discarded.
rawset(io, "stdout", assert(io.open(folder .. "/printed", "w")))
rawset(io, "stderr", io.stdout)

local boxd = require "boxd"
local service = require "boxd.local.service"
local sys = require "boxd.serve".sys

local state = folder .. "/service"
sys.mkdir(state, 448)
local opened = service.open { state = state, passing = true,
  listen = "127.0.0.1:0", limits = require "boxd.local.limits".of("none", 20) }
boxd.spawn(opened.run, opened)

local API = "http://" .. opened.server.address
local EXCHANGE = API .. "/api/v1/auth/token"
local KEY = opened.account.default_key
local c = boxd.Compute { api_url = API, exchange_url = EXCHANGE, api_key = KEY,
  max_retries = 0, timeout = 20 }

-- The box that scenarios work in, which each leaves to the next.
local box
local function ready()
  box = c.box:create("base")
  box:wait_until_ready()
  box:write_file("0123456789", "/home/boxd/ten")
  box:sh("mkdir -p tree/a/b; echo x > tree/a/b/c; ln -s c tree/a/b/l")
end
ready()

local scenarios, names = {}, {}
local function scenario(name, act)
  scenarios[name] = act
  names[#names + 1] = name
end

local here = folder .. "/local"
do
  local f <close> = assert(io.open(here, "wb"))
  f:write(("0123456789"):rep(30000))
end

scenario("exchange", function()
  local own <close> = boxd.Compute { api_url = API, exchange_url = EXCHANGE,
    api_key = KEY, max_retries = 0, timeout = 20 }
  return own:whoami().user_id
end)
scenario("HTTP", function()
  return boxd.http.request { url = API .. "/none", method = "POST",
    body = ("x"):rep(5000), timeout = 20 }.status
end)
scenario("create, destroy", function()
  local own = c.box:create("own", { config = { env = { A = "1" } } })
  own:wait_until_ready()
  local out = own:exec("printenv", "A").stdout
  own:destroy()
  return out
end)
scenario("get, list", function()
  return c.box:get(box.id).name .. #c.box:list()
end)
scenario("exec", function()
  return box:sh("echo out; echo err >&2; exit 3")
end)
scenario("exec, stdin", function()
  return #box:exec("cat", { stdin = ("in"):rep(100000) }).stdout
end)
scenario("exec, environment", function()
  return box:exec("printenv", "A", { env = { A = ("a"):rep(100000) },
    cwd = "/tmp" }).exit_code
end)
scenario("exec, long command", function()
  return #box:sh("echo " .. ("x"):rep(150000)).stdout
end)
scenario("exec, terminal", function()
  local p <close> = box:sh("read x; stty size", { stream = true, pty = true,
    cols = 80, rows = 24 })
  p:resize(100, 30)
  p:write("\n")
  return p:wait()
end)
scenario("exec, closed", function()
  local p = box:sh("echo up; sleep 100", { stream = true })
  local first = p:read_stdout()
  p:close()
  return first
end)
scenario("upload, download", function()
  box:upload(here, "/home/boxd/up")
  return (box:download("/home/boxd/up", folder .. "/there"))
end)
scenario("write_file, read_file", function()
  box:write_file("text", "/home/boxd/text")
  return box:read_file("/home/boxd/text")
end)
scenario("file trees", function()
  local files = box.files
  files:copy("/home/boxd/tree", "/home/boxd/other")
  files:rename("/home/boxd/other", "/home/boxd/third")
  local n = #files:list_dir("/home/boxd/third/a/b")
  files:remove("/home/boxd/third")
  return n
end)
scenario("disk", function()
  local disk = c.disk:create("data", "1G")
  disk:attach(box, "/data")
  local code = box:sh("echo x > /data/x").exit_code
  disk:detach(box)
  disk:destroy()
  return code
end)
scenario("proxy", function()
  local p <close> = box:sh("exec python3 -u -m http.server 3000",
    { stream = true })
  if not p:read_stdout() then p:wait() end -- which says what is wrong with it
  local proxy = box:create_proxy("www", 3000)
  return boxd.http.request { url = proxy.url, timeout = 5 }.status
end)
scenario("suspend, resume", function()
  box:suspend()
  box:resume()
  return box:exec("true").exit_code
end)
scenario("stop, start", function()
  box:stop()
  box:start()
  box:wait_until_ready()
  return box:exec("true").exit_code
end)
scenario("fork", function()
  local copy = c.box:fork(box, { name = "copy" })
  copy:wait_until_ready()
  local text = copy:read_file("/home/boxd/ten")
  copy:destroy()
  return text
end)
scenario("rename", function()
  box:rename("other")
  box:rename("base")
  return box:exec("hostname").stdout
end)
scenario("logs", function()
  local n = 0
  for chunk in box:stream_logs() do n = n + #chunk end
  return n >= 0
end)

-- ---- what every point ends with --------------------------------------------

local function works()
  return c:whoami().user_id == "local" and box:exec("true").exit_code == 0
    and box:read_file("/home/boxd/ten") == "0123456789"
end

local function clean()
  box:refresh()
  if box.status == "stopped" then box:start() end
  if box.status == "suspended" then box:resume() end
  if box.name ~= "base" then box:rename "base" end
  for _, proxy in ipairs(box:proxies()) do
    if proxy.name == "www" then box:delete_proxy "www" end
  end
  for _, disk in ipairs(c.disk:list()) do
    for _, a in ipairs(disk.attachments or {}) do disk:detach(a.vm_id) end
    disk:destroy()
  end
  for _, other in ipairs(c.box:list()) do
    if other.id ~= box.id then other:destroy() end
  end
  box:sh("rm -rf /home/boxd/third /home/boxd/other")
end

local function canary()
  assert(works(), "the service gives another answer")
end

local last
local function text(v)
  if type(v) ~= "table" then return tostring(v) end
  local out = {}
  for k, x in pairs(v) do out[#out + 1] = k .. "=" .. text(x) end
  table.sort(out)
  return table.concat(out, ",")
end

local own = {
  list = function() last = table.concat(names, "\n") return last end,
  canary = canary,
  clean = clean,
  settle = function()
    last = nil
    collectgarbage()
    canary()
    boxd.sleep(0.02)
    collectgarbage()
  end,
  result = function() return text(last) end,
  stop = function() opened:close() end,
}

return function(name)
  if own[name] then return own[name]() end
  last = nil
  local ok, result = pcall(scenarios[name])
  if not ok then
    -- Also the service's words for it; but it must have answered.
    local typed = boxd.is_error(result) and result.class ~= "TimeoutError"
    error((typed and "typed: " or "") .. tostring(result), 0)
  end
  last = result
end
