-- boxd.local.rpcs: every RPC is answered, or refused with a reason.

local support = require "spec.support.service"

-- The names of the RPCs that 0.1 had, and of all.
local function contract()
  local out, all = {}, {}
  for line in io.lines "spec/support/contract.tsv" do
    local name, since = line:match "^rpc\t(%w+)\t[^\t]*\t[^\t]*\t([%d.]+)"
    if since == "0.1.0" or since == "0.1.5" then out[#out + 1] = name end
    all[#all + 1] = name
  end
  return out, all
end

local STREAMS = { Exec = true, StreamLogs = true, UploadFileStream = true,
  DownloadFileStream = true, DesktopTunnel = true }
local ABSENT = { ListPlans = true, GetBilling = true, ChangeShape = true,
  CreateCheckoutSession = true, CreateBillingPortalSession = true }

describe("RPCs of the embedded service", function()
  local service, compute = support.of_block()

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

  it("are all of today's, or it is said why not", function()
    local _, names = contract()
    local absent = 0
    for _, name in ipairs(names) do
      if not STREAMS[name] then
        local ok, e = pcall(compute.call, compute, name, {})
        assert(ok or e.code ~= "INTERNAL", name .. ": " .. tostring(e))
        if not ok and e.code == "UNIMPLEMENTED" then
          absent = absent + 1
          assert.matches(name .. " is not in the embedded service: .", e.message)
        end
      end
    end
    assert.equal(37, absent) -- organisations, teams, billing, SSH keys
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
    assert.matches("no desktops", support.refused("UNIMPLEMENTED", function()
      tunnel:send { vm_id = "x" } -- it may know already
      tunnel:recv()
    end))
  end)

  it("return the zone and the default image", function()
    local config = compute:config()
    assert.equal("ubuntu:24.04", config.default_image)
    assert.equal("local", config.zone)
  end)

  it("were answered without a fault of the service", function()
    assert.is_nil(service:errors():find("traceback", 1, true),
      service:errors())
  end)
end)
