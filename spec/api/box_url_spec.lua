-- A box's url and its proxies.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"

local failure, refused = scripted.failure, scripted.refused

describe("a box's url", function()
  local function url(reply)
    local s <close> = scripted.start { GetVm = reply, ListVms = { vms = { reply } } }
    local box = s.c.box:get "vm1"
    assert.equal(box.url, s.c.box:list()[1].url)
    assert.equal(box.url, boxd.json.decode(boxd.json.encode(box)).url)
    return box.url
  end

  it("is made of its domain by get and list, always with a scheme", function()
    assert.equal("https://web.boxd.sh",
      url { vm_id = "vm1", access_domain = "web.boxd.sh" })
    assert.equal("http://127.0.0.1:4000",
      url { vm_id = "vm1", access_domain = "127.0.0.1:4000" })
    assert.equal("http://x.example",
      url { vm_id = "vm1", access_domain = "http://x.example" })
    assert.is_nil(url { vm_id = "vm1" })
  end)

  it("has a scheme where create gives none, and outlives a refresh", function()
    local s <close> = scripted.start {
      GetVm = { vm_id = "vm1", name = "web" },
      RenameVm = { name = "new" } }
    local box = s:box { vm_id = "vm1", url = "web.boxd.sh" }
    assert.equal("https://web.boxd.sh", box.url)
    assert.equal("https://web.boxd.sh", box:refresh().url)
    s.handlers.GetVm = { vm_id = "vm1", access_domain = "two.boxd.sh" }
    assert.equal("https://two.boxd.sh", box:refresh().url)
    box:rename "new"
    assert.is_nil(box.url) -- until it is read again
    s.handlers.GetVm = { vm_id = "vm1", access_domain = "new.boxd.sh" }
    assert.equal("https://new.boxd.sh", box:refresh().url)
  end)
end)

describe("a box's proxies", function()
  local LIST = { proxies = {
    { name = "default", vm_name = "web", domain = "web.boxd.sh", port = 8000,
      is_default = true },
    { name = "api", vm_name = "web", domain = "127.0.0.1:40000", port = 3001 },
    { name = "new", vm_name = "web" } } }

  it("are listed with their URLs", function()
    local s <close> = scripted.start { ListProxies = LIST }
    local list = s:box():proxies()
    assert.same({ vm = "vm1", vm_name = "web" }, s:request "ListProxies")
    assert.same({ "default", "web", "web.boxd.sh", 8000, true,
      "https://web.boxd.sh" }, { list[1].name, list[1].vm_name,
      list[1].domain, list[1].port, list[1].is_default, list[1].url })
    assert.equal("http://127.0.0.1:40000", list[2].url)
    assert.is_false(list[2].is_default)
    assert.is_nil(list[3].url)
  end)

  it("are made, changed and deleted by the box's name", function()
    local s <close> = scripted.start {
      CreateProxy = function(request)
        return { name = request.name, vm_name = request.vm_name,
          domain = "api.web.boxd.sh", port = request.port }
      end,
      SetProxyPort = {}, DeleteProxy = {},
    }
    local box = s:box()
    local proxy = box:create_proxy("api", 3001)
    assert.same({ name = "api", vm_name = "web", domain = "api.web.boxd.sh",
      port = 3001, is_default = false, url = "https://api.web.boxd.sh" }, proxy)
    assert.equal(0, box:create_proxy("auto").port)
    assert.equal(0, box:create_proxy("auto", { timeout = 9 }).port)
    assert.equal(3, box:create_proxy("auto", 3, { timeout = 9 }).port)
    box:set_proxy_port(3000)
    assert.same({ vm = "vm1", vm_name = "web", port = "3000" }, s:request "SetProxyPort")
    box:set_proxy_port(3000, { timeout = 9 })
    assert.same({ vm = "vm1", vm_name = "web", port = "3000" }, s:request "SetProxyPort")
    box:set_proxy_port(0, "api", { timeout = 9 })
    assert.same({ vm = "vm1", vm_name = "web", port = "0", name = "api" },
      s:request "SetProxyPort")
    box:set_proxy_port("auto", "api")
    assert.equal("auto", s:request "SetProxyPort".port)
    box:delete_proxy "api"
    assert.equal("api", s:request "DeleteProxy".name)
    for _, rpc in ipairs { "CreateProxy", "DeleteProxy" } do
      assert.same({ "vm1", "web" }, { s:request(rpc).vm, s:request(rpc).vm_name })
    end
  end)

  it("have ports", function()
    local s <close> = scripted.start {}
    local box = s:box()
    for _, port in ipairs { -1, 65536 } do
      assert.equal("InvalidArgumentError",
        failure(box.create_proxy, box, "a", port).class)
      assert.equal("InvalidArgumentError",
        failure(box.set_proxy_port, box, port).class)
    end
    assert.matches("#2 to 'create_proxy' %(integer expected, got string",
      refused(box.create_proxy, box, "a", "80"))
    assert.matches("#1 to 'set_proxy_port' %(integer or \"auto\" expected, got",
      refused(box.set_proxy_port, box, "80"))
    assert.matches("#1 to 'create_proxy'", refused(box.create_proxy, box))
    assert.matches("#2 to 'set_proxy_port'",
      refused(box.set_proxy_port, box, 80, 80))
    assert.matches("#1 to 'delete_proxy'", refused(box.delete_proxy, box))
    assert.equal(1, s:count())
  end)

  it("have publish say that nothing listens, as a box says after 1.5 s", function()
    local s <close> = scripted.start { SetProxyPort = {},
      ListProxies = { proxies = { { is_default = true,
        domain = "http://127.0.0.1:1" } } },
      Exec = function(_, call)
        boxd.sleep(1.5)
        call:send { exit_code = 1 }
        call:finish()
      end }
    local e = failure(s:box().publish, s:box(), 8124, { timeout = 0.3 })
    assert.equal("TimeoutError", e.class)
    assert.matches("; nothing listens on port 8124 of the box$", e.message)
  end)
end)
