-- boxd.local.limits: what boxd.sh limits, limited here.

local support = require "spec.support.service"

local refused = support.refused
local GIB, MIB = 1 << 30, 1 << 20

describe("the embedded service, limited as boxd.sh is,", function()
  local service, compute, call = support.of_block { limits = "production" }
  after_each(function() service:empty() end)

  local function sizes(config)
    local box = call("CreateVm", { config = config })
    local vm = call("GetVm", { vm_id = box.vm_id })
    call("DestroyVm", { vm_id = box.vm_id })
    return { vm.vcpu, vm.memory_bytes // GIB, vm.disk_bytes // GIB }
  end

  it("has four classes of sizes, which either dimension names", function()
    assert.same({ 2, 8, 100 }, sizes())
    for vcpu, gib in pairs { [1] = 4, [2] = 8, [4] = 16, [8] = 32 } do
      assert.same({ vcpu, gib, 100 }, sizes { vcpu = vcpu })
      assert.same({ vcpu, gib, 100 }, sizes { memory_bytes = gib * GIB })
    end
    -- As the first examples have it.
    assert.same({ 2, 8, 100 }, sizes { vcpu = 2, memory_bytes = 4 * GIB })
    for _, config in ipairs { { vcpu = 3 }, { memory_bytes = GIB },
      { vcpu = 16 }, { vcpu = 3, memory_bytes = 8 * GIB } } do
      assert.matches("sizes are 1 vCPU with 4 GiB",
        refused("INVALID_ARGUMENT", sizes, config))
    end
  end)

  it("names its quota and its largest size to who asks", function()
    local billing = call("Whoami").billing
    assert.same({ 50, 8, 32 * GIB },
      { billing.max_vms, billing.vcpu, billing.memory_bytes })
    local own <close> = support.new { "--max-boxes", "7" }
    assert.equal(7, own.compute:call("Whoami").billing.max_vms)
    local free <close> = support.new()
    assert.is_nil(free.compute:call("Whoami").billing)
  end)

  it("takes another size of disk as 100 GiB, and says so once", function()
    assert.same({ 2, 8, 100 }, sizes { disk_bytes = 5 * GIB })
    assert.same({ 2, 8, 100 }, sizes { disk_bytes = 200 * GIB })
    assert.same({ 2, 8, 100 }, sizes { disk_bytes = 100 * GIB })
    local _, said = service:errors():gsub("100 GiB, as on boxd.sh", "")
    assert.equal(1, said)
  end)

  it("resizes by classes", function()
    local box = compute.box:create()
    local reply = call("ResizeVm", { vm_id = box.id, vcpu = 4 })
    assert.same({ 4, 16 * GIB }, { reply.vcpu, reply.memory_bytes })
    refused("INVALID_ARGUMENT", call, "ResizeVm",
      { vm_id = box.id, memory_bytes = GIB })
  end)

  it("restores a snapshot with its own size only", function()
    local box = compute.box:create { config = { vcpu = 1 } }
    support.save(call, { vm = box.id, name = "s" })
    local function restore(config)
      return call("CreateVmFromSnapshot", { snapshot = "s", config = config })
    end
    assert.equal(1, call("GetVm", { vm_id = restore().vm_id }).vcpu)
    restore { vcpu = 1 }
    assert.matches("1x4", refused("INVALID_ARGUMENT", restore, { vcpu = 2 }))
  end)

  it("has 25 API keys and 10 checkpoints a box", function()
    for _ = 2, 25 do compute.api_key:create { name = "k" } end
    assert.matches("^quota exceeded: 25 of 25 API keys",
      refused("RESOURCE_EXHAUSTED", compute.api_key.create, compute.api_key,
        { name = "k" }))
    local box = compute.box:create()
    for i = 1, 10 do
      call("CreateCheckpoint", { vm = box.id, name = "c" .. i })
    end
    assert.matches("^quota exceeded: 10 of 10 checkpoints",
      refused("RESOURCE_EXHAUSTED", call, "CreateCheckpoint",
        { vm = box.id, name = "c11" }))
  end)

  it("ends messages at 4 MiB, which streams do not", function()
    local box = compute.box:create()
    local function upload(bytes)
      return call("UploadFile", { vm_id = box.id, path = "/tmp/f",
        data = ("x"):rep(bytes) })
    end
    upload(4 * MIB - 1024)
    assert.equal(4 * MIB - 1024,
      #call("DownloadFile", { vm_id = box.id, path = "/tmp/f" }).data)
    assert.matches("UploadFileStream",
      refused("RESOURCE_EXHAUSTED", upload, 4 * MIB))
    box:sh "head -c 5000000 /dev/zero > /tmp/big"
    assert.matches("DownloadFileStream", refused("RESOURCE_EXHAUSTED", call,
      "DownloadFile", { vm_id = box.id, path = "/tmp/big" }))
    local path = os.tmpname()
    box:download("/tmp/big", path)
    local f <close> = io.open(path)
    assert.equal(5000000, f:seek "end")
    os.remove(path)
  end)

  it("reserves BOXD_ variables", function()
    assert.matches("reserved", refused("INVALID_ARGUMENT", call, "SetVar",
      { kind = "env", name = "BOXD_TOKEN", value = "x" }))
    call("SetVar", { kind = "env", name = "BOXDX", value = "x" })
    for _, request in ipairs { { env = { { key = "BOXD_X", value = "1" } } },
      { spec = { version = 1, env = { BOXD_X = "1" } } } } do
      assert.matches("BOXD_X.*reserved",
        refused("INVALID_ARGUMENT", call, "CreateVm", request))
    end
  end)

  it("begins names with a letter", function()
    for _, name in ipairs { "1box", "-box", "9" } do
      assert.matches("a letter first", refused("INVALID_ARGUMENT",
        compute.box.create, compute.box, name))
    end
    local box = compute.box:create "b1"
    refused("INVALID_ARGUMENT", call, "RenameVm",
      { vm_id = box.id, new_name = "1b" })
  end)
end)

describe("the number of boxes", function()
  it("is 50 at most, as on boxd.sh", function()
    local quotas = require "boxd.local.limits".of "production"
    quotas:check_count("machines", 49)
    local ok, e = pcall(quotas.check_count, quotas, "machines", 50)
    assert.is_false(ok)
    assert.equal("RESOURCE_EXHAUSTED", e.code)
    assert.matches("^quota exceeded: 50 of 50 machines", e.message)
  end)

  it("and all other quotas are lifted by --limits none", function()
    local quotas = require "boxd.local.limits".of "none"
    quotas:check_count("machines", 1000)
    assert.same({ 3, GIB }, { quotas:size(3, GIB) })
    assert.equal(GIB, quotas:disk(GIB))
  end)
end)
