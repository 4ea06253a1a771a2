-- boxd.local.rpcs: every RPC of the 0.1 contract is answered.

local support = require "spec.support.service"

-- name, last: of the RPCs that 0.1 had.
local function contract()
  local out = {}
  for line in io.lines "spec/support/contract.tsv" do
    local name, since = line:match "^rpc\t(%w+)\t[^\t]*\t[^\t]*\t([%d.]+)"
    if since == "0.1.0" or since == "0.1.5" then out[#out + 1] = name end
  end
  return out
end

local STREAMS = { Exec = true, StreamLogs = true, UploadFileStream = true }
local ABSENT = { ListPlans = true, GetBilling = true, ChangeShape = true,
  CreateCheckoutSession = true, CreateBillingPortalSession = true }

describe("RPCs of the embedded service", function()
  local service, compute

  setup(function()
    service = support.new()
    compute = service.compute
  end)
  teardown(function() support.__close(service) end)

  it("are all of the 0.1 contract", function()
    local names = contract()
    assert.equal(48, #names)
    for _, name in ipairs(names) do
      if not STREAMS[name] and not ABSENT[name] then
        local ok, e = pcall(compute.call, compute, name, {})
        assert(ok or e.code ~= "UNIMPLEMENTED" and e.code ~= "INTERNAL",
          name .. ": " .. tostring(e))
      end
    end
  end)

  it("say why there is no billing", function()
    for name in pairs(ABSENT) do
      assert.matches("no billing", support.refused("UNIMPLEMENTED",
        compute.call, compute, name, {}))
    end
  end)

  it("say why there are no organisations and no teams", function()
    for name, why in pairs { ListOrgs = "no organisations",
      SetOrgDomain = "no organisations", CreateTeam = "no teams",
      GetOrgUsage = "no billing", LinkSshKey = "use Exec" } do
      assert.matches(why, support.refused("UNIMPLEMENTED", compute.call,
        compute, name, {}))
    end
    assert.same({}, compute:call("ListProxyNodes", {}).proxies)
    local tunnel = compute:stream "DesktopTunnel"
    tunnel:send { vm_id = "x" }
    assert.matches("no desktops", support.refused("UNIMPLEMENTED",
      tunnel.recv, tunnel))
  end)

  it("tell the zone and the default image", function()
    local config = compute:config()
    assert.equal("ubuntu:24.04", config.default_image)
    assert.equal("local", config.zone)
  end)

  it("were answered without a fault of the service", function()
    assert.is_nil(service:errors():find("traceback", 1, true),
      service:errors())
  end)
end)
