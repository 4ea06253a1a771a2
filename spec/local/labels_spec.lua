-- boxd.local.labels: labels of boxes, and lists narrowed by them.

local support = require "spec.support.service"

local refused = support.refused

describe("labels of the embedded service", function()
  local service, compute, call = support.of_block()
  after_each(function() service:empty() end)

  local function names(...)
    local out = {}
    local request = { label_selector = { ... } }
    for i, vm in ipairs(call("ListVms", request).vms) do out[i] = vm.name end
    return table.concat(out, " ")
  end

  it("are given, changed, and chosen by", function()
    call("CreateVm", { name = "a", labels = { env = "prod", tier = "" } })
    call("CreateVm", { name = "b", labels = { env = "dev" } })
    compute.box:create "c"
    assert.equal("a b c", names())
    assert.equal("a b", names "env")
    assert.equal("a", names "env=prod")
    assert.equal("a", names("env=prod", "tier"))
    assert.equal("a", names "tier=")
    assert.equal("", names("env=prod", "env=dev"))
    local reply = call("UpdateVmLabels", { vm = "b",
      set = { team = "x=y", env = "stage" }, remove = { "none" } })
    assert.same({ team = "x=y", env = "stage" }, reply.labels)
    assert.equal("b", names "team=x=y")
    service:restart "KILL"
    assert.equal("b", names "env=stage")
    call("UpdateVmLabels", { vm = "b", remove = { "env" } })
    assert.equal("a", names "env")
    call("UpdateVmLabels", { vm = "a", set = { only = "1" },
      replace_all = true })
    assert.same({ only = "1" }, call("GetVm", { vm_id = "a" }).labels)
    call("UpdateVmLabels", { vm = "a", replace_all = true })
    assert.equal("", names "only")
  end)

  it("are the source's in a fork, with its own over them", function()
    local box = call("CreateVm", { name = "s",
      labels = { a = "1", b = "2" } })
    local fork = call("ForkVm", { source_vm_id = box.vm_id, name = "f",
      labels = { b = "3", c = "4" } })
    assert.same({ a = "1", b = "3", c = "4" },
      call("GetVm", { vm_id = fork.vm_id }).labels)
    assert.same({ a = "1", b = "2" },
      call("GetVm", { vm_id = box.vm_id }).labels)
  end)

  it("have keys and values of a kind", function()
    local box = compute.box:create "k"
    local function update(request)
      request.vm = box.id
      return call("UpdateVmLabels", request)
    end
    for _, key in ipairs { "", "A", "-a", "a-", "a b", "boxd/x",
      ("k"):rep(64) } do
      refused("INVALID_ARGUMENT", update, { set = { [key] = "v" } })
    end
    for _, value in ipairs { ("v"):rep(257), "a\nb" } do
      refused("INVALID_ARGUMENT", update, { set = { key = value } })
    end
    refused("INVALID_ARGUMENT", update,
      { set = { a = "" }, remove = { "b" }, replace_all = true })
    local many = {}
    for i = 1, 65 do many["k" .. i] = "" end
    refused("INVALID_ARGUMENT", update, { set = many })
    refused("INVALID_ARGUMENT", names, "=x")
    refused("INVALID_ARGUMENT", call, "CreateVm", { labels = { X = "" } })
    refused("NOT_FOUND", call, "UpdateVmLabels", { vm = "nobody" })
    many.k65 = nil
    update { set = many }
  end)
end)
