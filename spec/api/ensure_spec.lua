-- c.box:ensure and sweep under failure: two creators, lost answers, failed boxes,
-- quotas, names of others.

local scripted = require "spec.support.scripted"

local failure = scripted.failure

-- A service that keeps boxes by name: { vm_id=, status= }. create: what CreateVm does
-- before or in place of making one.
local function service_of(boxes, create)
  local made = 0
  local s
  local function add(name)
    made = made + 1
    boxes[name] = { vm_id = "made" .. made, name = name, status = "running" }
    return boxes[name]
  end
  s = scripted.start {
    GetVm = function(request, call)
      for name, box in pairs(boxes) do
        box.name = name
        if box.vm_id == request.vm_id or name == request.vm_id then return box end
      end
      call:finish("NOT_FOUND", "no box")
    end,
    ListVms = function()
      local vms = {}
      for _, box in pairs(boxes) do vms[#vms + 1] = box end
      return { vms = vms }
    end,
    CreateVm = function(request, call)
      if create and create(call, function() add(request.name) end,
        s:count "CreateVm") then return nil end
      if boxes[request.name] then
        return call:finish("ALREADY_EXISTS", "the name is taken")
      end
      return add(request.name)
    end,
    DestroyVm = function(request, call)
      for name, box in pairs(boxes) do
        if box.vm_id == request.vm_id then
          boxes[name] = nil
          return {}
        end
      end
      call:finish("NOT_FOUND", "no box")
    end,
    WakeVm = function()
      for _, box in pairs(boxes) do box.status = "running" end
      return {}
    end,
    Exec = function(_, call)
      call:send { exit_code = 0 }
      call:finish()
    end,
  }
  return s
end

describe("c.box:ensure", function()
  it("adopts what another makes at the same time", function()
    local s <close> = service_of({}, function(_, add, n)
      if n == 1 then add() end
    end)
    local box, created = s.c.box:ensure("web", { timeout = 5 })
    assert.equal("made1", box.id)
    assert.is_false(created)
  end)

  it("takes a box for its own when the answer to create was lost", function()
    local s <close> = service_of({}, function(call, add)
      add()
      call:finish("UNAVAILABLE", "lost")
      return true
    end)
    local box, created = s.c.box:ensure("web", { timeout = 5 })
    assert.equal("made1", box.id)
    assert.is_true(created)
    assert.equal(1, s:count "CreateVm")
  end)

  it("tries again when create was lost before the service acted", function()
    local s <close> = service_of({}, function(call, _, n)
      if n > 1 then return false end
      call:finish("UNAVAILABLE", "lost")
      return true
    end)
    assert.equal("made1", s.c.box:ensure("web", { timeout = 5 }).id)
    assert.equal(2, s:count "CreateVm")
  end)

  it("replaces a failed box, or raises when it may not", function()
    local s <close> = service_of { web = { vm_id = "old", status = "failed" } }
    local e = failure(s.c.box.ensure, s.c.box, "web", { replace_failed = false })
    assert.matches("box web is failed", e.message, 1, true)
    assert.equal(0, s:count "DestroyVm")
    local box, created = s.c.box:ensure("web", { timeout = 5 })
    assert.equal("made1", box.id)
    assert.is_true(created)
    assert.equal(1, s:count "DestroyVm")
  end)

  it("wakes a hibernated box, and lists what differs", function()
    local s <close> = service_of { web = { vm_id = "old", status = "hibernated",
      vcpu = 2 } }
    local box, created, differences = s.c.box:ensure("web",
      { timeout = 5, config = { vcpu = 4 } })
    assert.equal("running", box.status)
    assert.is_false(created)
    assert.same({ { field = "vcpu", want = 4, have = 2 } }, differences)
  end)

  it("says which boxes hold a quota", function()
    local s <close> = service_of({ db = { vm_id = "a", name = "db",
      status = "hibernated" } }, function(call)
      call:finish("RESOURCE_EXHAUSTED", "50 of 50 machines")
      return true
    end)
    local e = failure(s.c.box.ensure, s.c.box, "web")
    assert.equal("QuotaExceededError", e.class)
    assert.matches("50 of 50 machines; the boxes there are: db (hibernated)",
      e.message, 1, true)
  end)

  it("raises when the name is that of a box it can't see", function()
    local s <close> = service_of({}, function(call)
      call:finish("ALREADY_EXISTS", "the name is taken")
      return true
    end)
    local e = failure(s.c.box.ensure, s.c.box, "web", { timeout = 5 })
    assert.equal("ConflictError", e.class)
    assert.matches("does not see", e.message)
  end)
end)

describe("c.box:sweep", function()
  it("destroys what matches all that is given, and nothing without it", function()
    local s <close> = service_of { a1 = { vm_id = "1", name = "a1",
      status = "running", created_at = 1 }, a2 = { vm_id = "2", name = "a2",
      status = "running", created_at = os.time() }, b = { vm_id = "3", name = "b",
      status = "running", created_at = 1 } }
    assert.equal("InvalidArgumentError",
      failure(s.c.box.sweep, s.c.box, { older_than = 1 }).class)
    local what = { prefix = "a", older_than = 60, dry_run = true }
    assert.same({ "a1" }, s.c.box:sweep(what))
    assert.equal(0, s:count "DestroyVm")
    assert.same({ "a2" }, s.c.box:sweep { prefix = "a", keep = { "a1" } })
    assert.equal("2", s:request "DestroyVm".vm_id)
  end)
end)
