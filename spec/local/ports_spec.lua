-- boxd.local.ports, boxd.local.domains: ways into boxes beside their proxies.

local boxd = require "boxd"
local program = require "spec.support.program"
local support = require "spec.support.service"
local web = require "spec.support.web"

local refused, serve = support.refused, web.serve

describe("ways into boxes", function()
  local service, compute, call = support.of_block()
  after_each(function() service:empty() end)

  local function get(port, options)
    local all = { url = ("http://127.0.0.1:%d/x?y=1"):format(port),
      timeout = 5 }
    for k, v in pairs(options or {}) do all[k] = v end
    return boxd.http.request(all)
  end

  it("are exposed ports, over reboots and kills, until the box goes",
    function()
      local box = compute.box:create "p"
      serve(box, 3000, "P")
      local made = call("ExposePort", { vm = "p", vm_port = 3000 })
      assert.equal("p", made.vm_name)
      assert.equal(box.id, made.vm_id)
      assert.equal("127.0.0.1", made.dns)
      assert.equal("tcp", made.protocol)
      assert.equal(3000, made.vm_port)
      assert.matches("^P GET /x", get(made.public_port).body)
      -- Again it is the same one.
      assert.equal(made.public_port, call("ExposePort", { vm_id = box.id,
        vm_port = 3000, protocol = "tcp" }).public_port)
      box:reboot()
      assert.is_false((pcall(get, made.public_port)))
      serve(box, 3000, "again")
      assert.matches("^again GET", get(made.public_port).body)
      service:restart "KILL"
      box = compute.box:get "p"
      assert.equal(made.public_port,
        call("ListExposedPorts", { vm = "p" }).forwards[1].public_port)
      serve(box, 3000, "after")
      assert.matches("^after GET", get(made.public_port).body)
      local gone = call("UnexposePort", { vm = "p", vm_port = 3000 }).forward
      assert.equal(made.public_port, gone.public_port)
      assert.is_false((pcall(get, made.public_port)))
      refused("NOT_FOUND", call, "UnexposePort", { vm = "p", vm_port = 3000 })
      made = call("ExposePort", { vm = "p", vm_port = 3000 })
      assert.matches("^after GET", get(made.public_port).body)
      box:destroy()
      assert.is_false((pcall(get, made.public_port)))
      assert.same({}, call("ListExposedPorts").forwards)
    end)

  it("are exposed ports of a few, by TCP", function()
    compute.box:create "few"
    for _, protocol in ipairs { "udp", "both" } do
      assert.matches("TCP only", refused("UNIMPLEMENTED", call, "ExposePort",
        { vm = "few", vm_port = 1, protocol = protocol }))
    end
    refused("INVALID_ARGUMENT", call, "ExposePort",
      { vm = "few", vm_port = 1, protocol = "ip" })
    for _, port in ipairs { 0, 65536 } do
      refused("INVALID_ARGUMENT", call, "ExposePort",
        { vm = "few", vm_port = port })
    end
    refused("NOT_FOUND", call, "ExposePort", { vm = "no", vm_port = 1 })
    for port = 1, 3 do call("ExposePort", { vm = "few", vm_port = port }) end
    refused("RESOURCE_EXHAUSTED", call, "ExposePort",
      { vm = "few", vm_port = 4 })
    assert.equal(3, #call("ListExposedPorts").forwards)
  end)

  it("are domains, by the Host of a request to the service's port", function()
    local box = compute.box:create "d"
    local added = call("AddCustomDomain",
      { vm_id = "d", domain = "App.example.com" }).domain
    assert.equal("app.example.com", added.domain)
    assert.equal("d", added.vm_name)
    assert.equal(box.id, added.vm_id)
    assert.equal("active", added.status)
    local port = tonumber(service.api_url:match ":(%d+)$")
    local headers = { Host = "app.example.com:" .. port }
    assert.equal(503, get(port, { headers = headers }).status)
    serve(box, 8000, "D")
    local reply = get(port, { headers = headers })
    assert.equal(201, reply.status)
    assert.matches("^D GET /x%?y=1 app%.example%.com", reply.body)
    assert.equal("D", reply.headers["x-from"])
    assert.matches(" body$", get(port, { headers = headers, method = "POST",
      body = "body" }).body)
    assert.equal(404, get(port, { headers = { Host = "no.example.com" } })
      .status)
    -- Both eras see it.
    assert.equal("app.example.com", call("GetVm", { vm_id = "d" })
      .custom_domains[1].domain)
    assert.equal("app.example.com", call("ListDomains").domains[1].domain)
    call("BindDomain", { vm_id = "d", domain = "b.example.com" })
    assert.equal(2, #call("ListCustomDomains").domains)
    call("RemoveCustomDomain", { domain = "b.example.com" })
    refused("NOT_FOUND", call, "RemoveCustomDomain",
      { domain = "b.example.com" })
    service:restart "KILL"
    assert.equal("d", call("ListCustomDomains").domains[1].vm_name)
    compute.box:get("d"):destroy()
    assert.same({}, call("ListCustomDomains").domains)
  end)

  it("are domains that pass each Set-Cookie of a box on, in order", function()
    local box = compute.box:create "d"
    call("AddCustomDomain", { vm_id = "d", domain = "c.example.com" })
    serve(box, 8000, "D")
    local answer = program.run { "/usr/bin/python3", "spec/support/raw.py",
      service.api_url:match "//(.*)",
      stdin = "GET / HTTP/1.1\r\nHost: c.example.com\r\n\r\n" }.out
    local cookies = {}
    for name, value in answer:match "^(.-\r\n)\r\n"
      :gmatch "\n([%w-]+): ([^\r]*)" do
      if name:lower() == "set-cookie" then cookies[#cookies + 1] = value end
    end
    assert.same({ "b=2; Path=/", "a=1; Path=/" }, cookies)
  end)

  -- As today's clients find the exchange: same host, same port.
  it("leave the exchange where clients derive it from the gRPC address",
    function()
      local reply = boxd.http.request { method = "POST",
        url = service.api_url .. "/api/v1/auth/token",
        body = boxd.json.encode { api_key = service.api_key } }
      assert.equal(200, reply.status)
      local token = boxd.json.decode(reply.body).token
      local c <close> = service:connect { token = token }
      assert.equal("local", c:whoami().user_id)
    end)
end)
