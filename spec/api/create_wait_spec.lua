-- create, fork, temporary and c.snapshot:create with `wait = true`.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"

local failure, refused = scripted.failure, scripted.refused

-- Exec of a service whose boxes answer from look `n` on.
local function answers(n)
  return function(_, call)
    n = n - 1
    if n > 0 then return call:finish("UNAVAILABLE", "its shell is not up") end
    call:send { exit_code = 0 }
    call:finish()
  end
end

local MADE = { vm_id = "vm1", name = "web", status = "starting" }

-- A service whose boxes have each of the statuses for a look, the last for good.
local function start(statuses, more)
  local handlers = { CreateVm = MADE, CreateVmFromSnapshot = MADE, ForkVm = MADE,
    SetDeleteAfter = {}, DestroyVm = {}, Exec = answers(1) }
  handlers.GetVm = function()
    local status = #statuses > 1 and table.remove(statuses, 1) or statuses[1]
    return { vm_id = "vm1", name = "web", status = status }
  end
  for rpc, handler in pairs(more or {}) do handlers[rpc] = handler end
  return scripted.start(handlers, { max_retries = 0 })
end

-- GetSnapshot: each of the states for a look, the last for good.
local function snapshots(states)
  return function()
    local state = #states > 1 and table.remove(states, 1) or states[1]
    state.snapshot_id, state.name = "s-1", "s"
    return { snapshot = state }
  end
end

local function rpcs(s)
  local list = {}
  for i, one in ipairs(s.seen) do list[i] = one.rpc end
  return table.concat(list, " ")
end

describe("a box that is made with wait = true", function()
  local ways = {
    CreateVm = function(c, o) o.name = "web" return c.box:create(o) end,
    ForkVm = function(c, o) return c.box:fork("vm1", o) end,
    CreateVmFromSnapshot = function(c, o)
      o.from_snapshot = "s"
      return c.box:create("web", o)
    end,
  }

  for rpc, make in pairs(ways) do
    it("answers when " .. rpc .. " returns it", function()
      local s <close> = start({ "starting", "running" },
        { GetSnapshot = snapshots { { status = "ready", version = 1 } },
          Exec = answers(2) })
      local box = make(s.c, { wait = true, auto_suspend_timeout = 0 })
      assert.equal("running", box.status)
      assert.equal("Exec", s.seen[#s.seen].rpc)
      assert.equal(2, s:count "Exec")
      assert.equal(0, s:count "DestroyVm")
      assert.equal(0, s:request(rpc).config.srf.auto_suspend_timeout_secs)
    end)

    it("is destroyed where it is not up in time after " .. rpc, function()
      local s <close> = start({ "starting" },
        { GetSnapshot = snapshots { { status = "ready", version = 1 } } })
      local e = failure(make, s.c, { wait = true, timeout = 0.3 })
      assert.equal("TimeoutError", e.class)
      assert.matches("box web was not ready within", e.message)
      assert.equal("vm1", s:request "DestroyVm".vm_id)
    end)

    it("is destroyed where it fails after " .. rpc, function()
      local s <close> = start({ "starting", "failed" },
        { GetSnapshot = snapshots { { status = "ready", version = 1 } } })
      assert.matches("box web is failed",
        failure(make, s.c, { wait = true }).message)
      assert.equal(1, s:count "DestroyVm")
    end)

    it("is not waited for without it, after " .. rpc, function()
      local s <close> = start { "starting" }
      make(s.c, { wait = false })
      assert.equal(0, s:count "Exec")
    end)
  end

  it("is made of a snapshot once that is ready", function()
    local s <close> = start({ "running" }, { GetSnapshot = snapshots {
      { status = "pending", version = 1 }, { status = "pending", version = 1 },
      { status = "ready", version = 1 } } })
    s.c.box:create("web", { from_snapshot = "s", wait = true })
    assert.equal("GetSnapshot GetSnapshot GetSnapshot CreateVmFromSnapshot "
      .. "GetVm Exec", rpcs(s))
  end)

  it("is not made of a snapshot that fails, or is not ready in time", function()
    local s <close> = start({ "running" }, { GetSnapshot = snapshots {
      { status = "failed", failure_reason = "no space" } } })
    assert.matches("snapshot s has failed: no space", failure(s.c.box.create,
      s.c.box, { from_snapshot = "s", wait = true }).message)
    s.handlers.GetSnapshot = snapshots { { status = "pending", version = 1 } }
    assert.matches("snapshot s was not ready within", failure(s.c.box.create,
      s.c.box, { from_snapshot = "s", wait = true, timeout = 0.3 }).message)
    assert.equal(0, s:count "CreateVmFromSnapshot")
  end)

  it("may be a temporary one", function()
    local s <close> = start { "starting", "running" }
    do
      local box <close> = s.c.box:temporary { wait = true }
      assert.equal("running", box.status)
    end
    assert.equal("CreateVm SetDeleteAfter GetVm GetVm Exec DestroyVm", rpcs(s))
    local late <close> = start { "starting" }
    assert.equal("TimeoutError", failure(late.c.box.temporary, late.c.box,
      { wait = true, timeout = 0.3 }).class)
    assert.equal(1, late:count "DestroyVm")
  end)

  it("has the other options checked as without it", function()
    local s <close> = start { "running" }
    local function create(...) return s.c.box:create(...) end
    assert.matches("bad option 'wait' to 'create' %(boolean expected",
      refused(create, { wait = "yes" }))
    assert.matches("create: unknown option 'imag' %(did you mean 'image'",
      failure(create, { wait = true, imag = "x" }).message)
    assert.matches("timeout must be a positive number",
      failure(create, { wait = true, timeout = 0 }).message)
    assert.matches("bad argument #1 to 'create' %(string expected, got number",
      refused(create, 3, { wait = true }))
    assert.matches("two names", failure(create, "a",
      { name = "b", wait = true }).message)
    assert.equal(0, s:count())
  end)
end)

describe("a snapshot that is made with wait = true", function()
  local MADE_SNAPSHOT = { snapshot_id = "s-1", name = "s", version = 2,
    status = "pending" }

  it("is ready in its new version", function()
    local s <close> = start({ "running" }, { CreateSnapshot = MADE_SNAPSHOT,
      GetSnapshot = snapshots { { status = "ready", version = 1 },
        { status = "pending", version = 2 },
        { status = "ready", version = 2 } } })
    local made = s.c.snapshot:create("web", "s", { wait = true })
    assert.same({ "s-1", "ready", 2 }, { made.id, made.status, made.version })
    assert.equal("CreateSnapshot GetSnapshot GetSnapshot GetSnapshot", rpcs(s))
    assert.same({ vm = "web", name = "s" }, s:request "CreateSnapshot")
    assert.equal("pending", s.c.snapshot:create("web", "s").status)
  end)

  it("is there when an error says that it failed, or was late", function()
    local s <close> = start({ "running" }, { CreateSnapshot = MADE_SNAPSHOT,
      GetSnapshot = snapshots { { status = "ready", version = 1,
        failed_version = 2, failure_reason = "no space" } } })
    local function create(options)
      return s.c.snapshot:create("web", "s", options)
    end
    assert.matches("snapshot s has failed: no space",
      failure(create, { wait = true }).message)
    s.handlers.GetSnapshot = snapshots { { status = "pending", version = 2 } }
    local began = boxd.now()
    assert.equal("TimeoutError",
      failure(create, { wait = true, timeout = 0.3 }).class)
    assert.is_true(boxd.now() - began < 20)
    assert.equal(0, s:count "DeleteSnapshot")
    assert.matches("bad option 'wait' to 'create' %(boolean expected",
      refused(create, { wait = 1 }))
  end)
end)
