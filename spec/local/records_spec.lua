-- boxd.local.templates, boxd.local.networks and boxd.local.domains.

local support = require "spec.support.service"

local refused = support.refused

describe("records of the embedded service", function()
  local service, compute, call = support.of_block()
  after_each(function() service:empty() end)

  it("are templates that boxes are made from", function()
    local t = compute.template:create { name = "web", image = "debian:12",
      config = { vcpu = 3, memory = "1G" } }
    local list = compute.template:list()
    assert.equal(1, #list)
    assert.equal("web", list[1].name)
    assert.equal("debian:12", list[1].image)
    assert.equal(3, list[1].vcpu)
    assert.equal(1 << 30, list[1].memory_bytes)
    local box = compute.template:create_vm(t, { name = "made",
      config = { memory = "2G" } })
    assert.equal("made\n", box:exec("hostname").stdout)
    local vm = call("GetVm", { vm_id = box.id })
    assert.equal("debian:12", vm.image_ref)
    assert.equal(3, vm.vcpu)
    assert.equal(2 << 30, vm.memory_bytes)
    refused("ALREADY_EXISTS", call, "CreateTemplate",
      { name = "web", image_ref = "x" })
    refused("INVALID_ARGUMENT", call, "CreateTemplate", { image_ref = "x" })
    refused("INVALID_ARGUMENT", call, "CreateTemplate",
      { name = "bad", image_ref = "no image" })
    refused("NOT_FOUND", call, "CreateVmFromTemplate", { template_id = "no" })
    compute.template:delete(t)
    refused("NOT_FOUND", call, "DeleteTemplate", { template_id = t.id })
    assert.equal(0, #compute.template:list())
  end)

  it("gives a box from a template its volumes, whatever else is asked for", function()
    local disk = compute.disk:create("data", "1G")
    local t = call("CreateTemplate", { name = "db", image_ref = "debian:12",
      config = { volumes = { { disk_id = disk.id, mount_path = "/data" } } } })
    local box = compute.template:create_vm(t.template_id, { name = "db",
      config = { memory = "2G" } })
    local at = compute.disk:list()[1].attachments[1]
    assert.same({ box.id, "/data" }, { at.vm_id, at.mount_path })
    box:destroy()
    disk:destroy()
    compute.template:delete(t.template_id)
  end)

  it("are domains that go with their box", function()
    local box = compute.box:create "d"
    compute.domain:bind("App.example.com", box)
    assert.same({ { domain = "app.example.com", vm_id = box.id } },
      { { domain = compute.domain:list()[1].domain,
        vm_id = compute.domain:list()[1].vm_id } })
    compute.domain:bind("app.example.com", box)
    local other = compute.box:create()
    refused("ALREADY_EXISTS", call, "BindDomain",
      { domain = "app.example.com", vm_id = other.id })
    for _, domain in ipairs { "", "x", "a b.com", "-a.com", "a..", "a.com-",
      "127.0.0.1", "10.1" } do
      refused("INVALID_ARGUMENT", call, "BindDomain",
        { domain = domain, vm_id = box.id })
    end
    refused("NOT_FOUND", call, "BindDomain",
      { domain = "b.example.com", vm_id = "nobody" })
    refused("NOT_FOUND", call, "UnbindDomain", { domain = "b.example.com" })
    compute.domain:unbind "app.example.com"
    assert.equal(0, #compute.domain:list())
    compute.domain:bind("app.example.com", box)
    box:destroy()
    assert.equal(0, #compute.domain:list())
  end)

  it("are networks, one of them the default", function()
    local default = compute:whoami().default_network_id
    assert.equal(default, compute.network:list()[1].id)
    local made = compute.network:create "mine"
    local list = compute.network:list()
    assert.equal(2, #list)
    assert.equal(made.id or made, list[2].id)
    assert.not_equal(list[1].subnet, list[2].subnet)
    assert.equal("active", list[2].status)
  end)

  it("are there after a kill", function()
    local box = compute.box:create()
    compute.template:create { name = "t", image = "i" }
    compute.domain:bind("k.example.com", box)
    local networks = #compute.network:list()
    service:restart "KILL"
    assert.equal("t", compute.template:list()[1].name)
    assert.equal("k.example.com", compute.domain:list()[1].domain)
    assert.equal(networks, #compute.network:list())
  end)
end)
