-- What fails in the torture: every public call of the client, one scenario a
-- row. The rows of spec/support/surface.lua, which conformance_spec.lua holds
-- to be all methods, and functions that are not methods of a resource.
--
-- (address, folder) -> run(name) -> text. Names: "list" the scenarios' names,
-- one a line; "canary" a call that must always succeed; "settle" collects;
-- "result" what the last scenario gave, as text; else a scenario, in a task of
-- its own when "task: " comes before its name.

local address, folder = ...

-- Output under faults is discarded.
rawset(io, "stdout", assert(io.open(folder .. "/printed", "w")))
rawset(io, "stderr", io.stdout)

local boxd = require "boxd"
local rows = require "spec.support.rows"
require "spec.support.surface"

local API = "http://" .. address
local c = boxd.Compute { api_url = API, token = "test.jwt", max_retries = 0 }
local subjects = { c = c, box = c.box:get("vm-1"), disk = c.disk:list()[1],
  template = c.template:list()[1] }
local box = subjects.box

local scenarios, names = {}, {}
local function scenario(name, act)
  local key = name
  for i = 2, 99 do
    if not scenarios[key] then break end
    key = name .. " " .. i
  end
  scenarios[key] = act
  names[#names + 1] = key
end

for _, r in ipairs(rows.list) do scenario(r.method, r.act) end

-- What f(...) must raise; another error is passed on.
local function raises(class, f, ...)
  local ok, e = pcall(f, ...)
  if ok then error("nothing was raised", 0) end
  if not boxd.is_error(e, boxd[class]) then error(e, 0) end
  -- How long the call had is not the same each time.
  return { e.class, e.code, e.method,
    (tostring(e):gsub("timeout of [%d.]+ s", "timeout")) }
end

local function collect(...)
  local out = {}
  for a, b in ... do out[#out + 1] = b and a .. "@" .. b or a end
  return out
end

local function started()
  return box:sh("run", { stream = true })
end

scenario("Box.exec", function()
  return box:exec("echo", "two words", { env = { A = "1" }, cwd = "/tmp",
    timeout = 20 })
end)
scenario("Box.exec stdin", function()
  return box:exec("cat", { stdin = ("in"):rep(3000) })
end)
scenario("Box.exec pty", function()
  return box:exec("top", { pty = true, cols = 80, rows = 24 })
end)
scenario("Box.exec timeout", function()
  return raises("TimeoutError", box.exec, box, "hang", { timeout = 0.02 })
end)
scenario("Box.sh", function() return box:sh("a | b") end)
for name, read in pairs {
  read_stdout = function(p) return { p:read_stdout(), p:read_stdout() } end,
  read_stderr = function(p) return { p:read_stderr() } end,
  iter_stdout = function(p) return collect(p:iter_stdout()) end,
  iter_stderr = function(p) return collect(p:iter_stderr()) end,
  chunks = function(p) return collect(p:chunks()) end,
  lines = function(p) return collect(p:lines()) end,
  wait = function(p) return { p:wait { timeout = 20 } } end,
} do
  scenario("Process." .. name, function()
    local p <close> = started()
    local out = read(p)
    out[#out + 1] = p:wait()
    return out
  end)
end
scenario("Process.write", function()
  local p <close> = box:exec("cat", { stream = true })
  p:write("one")
  p.stdin:write("two")
  p:write_eof()
  return table.concat(collect(p:iter_stdout())) .. p:wait()
end)
scenario("Process.resize", function()
  local p <close> = box:sh("hang", { pty = true, stream = true })
  p:resize(100, 30)
  return { p:read_stdout() }
end)
scenario("Process.close", function()
  local p = box:exec("hang", { stream = true })
  local first = p:read_stdout()
  p:close()
  return { first, raises("CancelledError", p.wait, p) }
end)
scenario("Process, nobody's", function()
  return { box:exec("hang", { stream = true }):read_stdout() }
end)

local here = folder .. "/local"
do
  local f <close> = assert(io.open(here, "wb"))
  f:write(("0123456789"):rep(30000))
end

scenario("Box.write_file", function() box:write_file("a\0b", "/f") end)
scenario("Box.write_file path", function()
  box:write_file(boxd.path(here), "/f")
end)
scenario("Box.read_file", function() return box:read_file("/f") end)
scenario("Box.upload", function()
  local seen = {}
  box:upload(here, "/f", { progress = function(done, total)
    seen[#seen + 1] = done .. "/" .. total
  end })
  return seen
end)
scenario("Box.download", function()
  box:download("/f", folder .. "/there")
  local f <close> = assert(io.open(folder .. "/there", "rb"))
  return #f:read "a"
end)
scenario("Box.stream_logs", function() return collect(box:stream_logs()) end)
scenario("Box.stream_logs follow", function()
  local first
  for chunk in box:stream_logs { follow = true } do
    first = chunk
    if first then break end
  end
  return first
end)

scenario("names that are looked up", function()
  subjects.disk:attach("db", "/d")
  c.box:destroy("nobody", { missing_ok = true })
  return subjects.disk.attachments
end)

-- Compute and its credentials; refused values; a closed port.

scenario("Compute, exchange, close", function()
  local own <close> = boxd.Compute { api_url = API, api_key = "bxk_t",
    exchange_url = API .. "/token" }
  return own:whoami()
end)
scenario("Compute.close", function()
  local own = boxd.Compute { api_url = API, token = "t" }
  own:close()
  return raises("CancelledError", own.whoami, own)
end)
scenario("NotFoundError", function()
  return raises("NotFoundError", c.box.get, c.box, "nobody")
end)
scenario("InvalidArgumentError", function()
  return { raises("InvalidArgumentError", c.call, c, "Whoam", {}),
    raises("InvalidArgumentError", c.box.create, c.box, { nam = "x" }),
    raises("InvalidArgumentError", c.call, c, "GetVm", { vm_id = "\xff" }) }
end)
scenario("ConnectionError", function()
  local own <close> = boxd.Compute { api_url = "http://127.0.0.1:1",
    token = "t", max_retries = 0 }
  local e = raises("ConnectionError", own.whoami, own)
  return e[1]
end)

-- The batteries.

scenario("http.request", function()
  local r = boxd.http.request { url = API .. "/x", method = "POST",
    headers = { ["X-A"] = "1" }, body = ("echo"):rep(500), timeout = 20 }
  return { r.status, r.body, r.headers["x-seen"] }
end)
scenario("http.request, refused", function()
  return raises("ConnectionError", boxd.http.request,
    { url = "http://127.0.0.1:1/" })[1]
end)
local DOCUMENT = { list = { 1, 2.5, true, "text\n" }, none = boxd.json.null,
  deep = { { { { "x" } } } }, empty = boxd.json.array {} }
scenario("json", function()
  local text = boxd.json.encode(DOCUMENT)
  return { #text, boxd.json.decode(text) }
end)
scenario("json, refused", function()
  return raises("InvalidArgumentError", boxd.json.decode, "[1, {]")
end)
scenario("sha256, now, BoxConfig", function()
  return { boxd.sha256("abc"), boxd.now() > 0,
    boxd.BoxConfig { vcpu = 1, memory = "1G" } }
end)
scenario("prefix", function()
  local p <close> = started()
  return { boxd.prefix(p, "| ") }
end)

-- Tasks.

scenario("spawn, join, cancel", function()
  local forever = boxd.spawn(function() boxd.sleep(1000) end)
  local one = boxd.spawn(function() return c:whoami().user_id end)
  local got = one:join()
  forever:cancel()
  return { got, raises("CancelledError", forever.join, forever)[1],
    one.status, forever.status }
end)
scenario("gather, map", function()
  return { boxd.gather { function() return c:config().zone end,
    function() return box:exec("true").exit_code end, limit = 1 },
    boxd.map({ 1, 2, 3 }, function(i) return c:whoami().user_id .. i end,
      { limit = 2 }) }
end)
scenario("map, collect", function()
  local _, errors = boxd.map({ 1, 2 }, function(i)
    if i == 2 then c.box:get("nobody") end
  end, { on_error = "collect" })
  if not boxd.is_error(errors[2], boxd.NotFoundError) then
    error(errors[2], 0)
  end
end)
scenario("with_timeout, run, sleep", function()
  return { raises("TimeoutError", boxd.with_timeout, 0.005, boxd.sleep, 1000),
    boxd.run(function() boxd.sleep(0.001) return c:whoami().user_id end) }
end)
scenario("wrap, resume", function()
  return { boxd.spawn(function()
    local out = {}
    for v in boxd.wrap(function()
      for i = 1, 2 do coroutine.yield(c:whoami().user_id .. i) end
    end) do out[#out + 1] = v end
    return table.concat(out)
  end):join() }
end)

local function text(v, depth)
  if type(v) ~= "table" or depth > 8 then
    local kind = type(v)
    return (kind == "string" or kind == "number" or kind == "boolean")
      and kind .. " " .. tostring(v) or kind
  end
  local out = {}
  for k, x in pairs(v) do
    if type(k) ~= "table" then
      out[#out + 1] = tostring(k) .. "=" .. text(x, depth + 1)
    end
  end
  table.sort(out)
  return "{" .. table.concat(out, ",") .. "}"
end

local last
local function canary()
  assert(c:whoami().user_id == "u-1", "the canary got another answer")
end

local own = {
  list = function() return table.concat(names, "\n") end,
  canary = canary,
  settle = function()
    last = nil
    collectgarbage()
    canary()
    collectgarbage()
  end,
  result = function() return text(last, 0) end,
}

return function(name)
  if own[name] then return own[name]() end
  last = nil
  local plain = name:match "^task: (.*)"
  if plain then
    last = boxd.spawn(scenarios[plain], subjects):join()
  else
    last = scenarios[name](subjects)
  end
end
