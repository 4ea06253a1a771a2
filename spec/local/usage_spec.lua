-- boxd.local.usage: seconds that boxes spent in each state.

local support = require "spec.support.service"

local refused = support.refused

describe("usage of the embedded service", function()
  local service, compute, call = support.of_block()
  after_each(function() service:empty() end)

  it("counts what a box used", function()
    local box = compute.box:create { name = "u", config = { vcpu = 2,
      memory = "2G", disk = "10G" } }
    local function usage(request)
      request = request or {}
      request.vm_id = box.id
      return call("GetVmUsage", request)
    end
    local seconds
    support.eventually(function()
      seconds = usage().usage.seconds
      return seconds.running >= 2
    end)
    box:suspend()
    support.eventually(function()
      seconds = usage().usage.seconds
      return seconds.standby >= 1
    end)
    service:restart "KILL"
    call("HibernateVm", { vm_id = box.id })
    support.eventually(function()
      seconds = usage().usage.seconds
      return seconds.hibernated >= 1
    end)
    call("StopVm", { vm_id = box.id })
    local report = usage()
    local u = report.usage
    assert.equal(call("GetVm", { vm_id = box.id }).created_at,
      report.period_start)
    assert.is_true(u.seconds.running >= 2 and u.seconds.standby >= 1)
    local all = u.seconds.running + u.seconds.standby + u.seconds.hibernated
      + u.seconds.stopped
    -- All but the second in which it was still made, if there was one.
    local period = report.period_end - report.period_start
    assert.is_true(all == period or all == period - 1, all .. " of " .. period)
    assert.near(u.seconds.running * 2 / 3600, u.vcpu_hours, 1e-9)
    assert.near((u.seconds.running + u.seconds.standby) * 2 / 3600,
      u.ram_gib_hours, 1e-9)
    assert.near(all * 10 / 3600, u.disk_gib_hours, 1e-9)
    assert.equal(0, u.cost_micro)
    assert.is_false(u.complete)
    assert.equal("private", u.sharing)
    local past = usage { since = report.period_start + 1,
      ["until"] = report.period_start + 2 }
    assert.is_true(past.usage.complete)
    assert.equal(1, past.usage.seconds.running)
    refused("INVALID_ARGUMENT", usage, { since = 100, ["until"] = 50 })
  end)
end)

describe("boxd.local.usage", function()
  local usage = require "boxd.local.usage"
  local store = require "boxd.local.store"
  local real = os.time

  after_each(function() os.time = real end) -- luacheck: ignore 122

  it("keeps a bounded list of states, and all seconds", function()
    local now = 1000
    os.time = function() return now end -- luacheck: ignore 122
    local record = { id = "vm-1", name = "x", created_at = now,
      status = "pending", vcpu = 1, memory_bytes = 1 << 30,
      disk_bytes = 1 << 30 }
    local function becomes(status, seconds)
      local changes = { status = status }
      usage.note(record, changes)
      for k, v in pairs(changes) do
        record[k] = v ~= store.NONE and v or nil
      end
      now = now + seconds
    end
    for _ = 1, 500 do
      becomes("running", 3)
      becomes("suspended", 2)
      becomes("hibernated", 1)
    end
    becomes("stopped", 7)
    assert.is_true(#record.states <= 128)
    local service = { boxes = { find = function() return record end } }
    local function get(since, last)
      return usage.rpcs.GetVmUsage(service,
        { vm_id = "x", since = since, ["until"] = last }).usage
    end
    assert.same({ running = 1500, standby = 1000, hibernated = 500,
      stopped = 7 }, get(0, 0).seconds)
    assert.same({ running = 3, standby = 2, hibernated = 1, stopped = 7 },
      get(now - 13, now).seconds)
    assert.is_true(get(now - 13, now - 1).complete)
    assert.is_false(get(1006, now - 1).complete) -- some of it is only summed
  end)
end)
