-- The leases of temporary boxes, against services in this process. How a busy
-- script keeps its box, and a dead one loses it, is in spec/local/lease_spec.lua.
-- Runs first: its leases last 3 s, and it waits for many.

local boxd = require "boxd"
local eventually = require "spec.support.calls".eventually
local program = require "spec.support.program"
local scripted = require "spec.support.scripted"
local serve = require "boxd.serve"

local failure, refused = scripted.failure, scripted.refused

local SELF = math.tointeger(tonumber(io.open "/proc/self/stat":read "n"))

-- How many threads of this process renew leases.
local function renewers()
  local pipe <close> = assert(io.popen(
    ("cat /proc/%d/task/*/comm 2>/dev/null"):format(SELF)))
  local _, n = pipe:read "a":gsub("boxd%-lease\n", "")
  return n
end

-- A service with a box for each CreateVm: vm1, vm2 ...
local function start(handlers, options)
  local made = 0
  local all = { SetDeleteAfter = { delete_at_ms = 1800000000000 },
    DestroyVm = {}, ForkVm = function(request)
      return { vm_id = "fork", name = "fork", status = "running",
        forked_from = request.source_vm_id }
    end }
  all.CreateVm = function(request)
    made = made + 1
    return { vm_id = "vm" .. made, name = request.name, status = "running" }
  end
  for rpc, handler in pairs(handlers or {}) do all[rpc] = handler end
  return scripted.start(all, options)
end

-- The RPCs that arrived, in order.
local function rpcs(s)
  local list = {}
  for i, one in ipairs(s.seen) do list[i] = one.rpc end
  return table.concat(list, " ")
end

-- The warnings of fn, in a list.
local function warnings(fn)
  local real, list = _G.warn, {}
  _G.warn = function(text) list[#list + 1] = text end
  local ok, e = pcall(fn)
  _G.warn = real
  if not ok then error(e, 0) end
  return list
end

local function refuse(code, message)
  return function(_, call) call:finish(code, message or "no") end
end

describe("the lease of a temporary box", function()
  after_each(function()
    eventually(function() return renewers() == 0 end)
  end)

  it("is an hour where none is asked for, set at once after create", function()
    local s <close> = start()
    do
      local box <close> = s.c.box:temporary "a"
      assert.equal("CreateVm SetDeleteAfter", rpcs(s))
      assert.same({ vm_id = "vm1", delete_after_secs = 3600 },
        s:request "SetDeleteAfter")
      assert.equal(1800000000, box.delete_at)
    end
    assert.equal("CreateVm SetDeleteAfter DestroyVm", rpcs(s))
    local _ <close> = s.c.box:temporary { name = "b", lease = 60 }
    assert.equal(60, s:request "SetDeleteAfter".delete_after_secs)
  end)

  it("is set for a box that is restored from a snapshot, too", function()
    local s <close> = start { CreateVmFromSnapshot = { vm_id = "restored" } }
    local _ <close> = s.c.box:temporary("a", { from_snapshot = "s", lease = 9 })
    assert.same({ vm_id = "restored", delete_after_secs = 9 },
      s:request "SetDeleteAfter")
  end)

  it("is none with lease=false, or where the caller says when it ends",
    function()
      local s <close> = start()
      do local _ <close> = s.c.box:temporary { lease = false } end
      assert.equal("CreateVm DestroyVm", rpcs(s))
      do
        local _ <close> = s.c.box:temporary { delete_after = 50 }
        local _ <close> = s.c.box:temporary { delete_after_cron = "0 0 * * *" }
      end
      assert.equal("CreateVm DestroyVm CreateVm SetDeleteAfter CreateVm "
        .. "SetDeleteAfter DestroyVm DestroyVm", rpcs(s))
      assert.equal(0, renewers())
    end)

  it("is false, or an integer of seconds from 3 on", function()
    local s <close> = start()
    for _, v in ipairs { 0, -1, 2, 3.5, 1 << 31 } do
      assert.matches("temporary: lease is false, or an integer of seconds from 3 "
        .. "on, not " .. tostring(v):gsub("%p", "%%%0"),
        failure(s.c.box.temporary, s.c.box, { lease = v }).message)
    end
    for _, v in ipairs { "x", true, {} } do
      assert.matches("bad option 'lease' to 'temporary' %(integer or false "
        .. "expected, got " .. type(v),
        refused(s.c.box.temporary, s.c.box, { lease = v }))
    end
    for name, v in pairs { delete_after = 9, delete_after_cron = "0 0 * * *" } do
      assert.matches("temporary: " .. name .. " does not go with lease",
        failure(s.c.box.temporary, s.c.box, { lease = 9, [name] = v }).message)
    end
    assert.matches("unknown option 'leese' %(did you mean 'lease'%?%)",
      failure(s.c.box.temporary, s.c.box, { leese = 9 }).message)
    assert.matches("unknown option 'lease'",
      failure(s.c.box.create, s.c.box, { lease = 9 }).message)
    assert.equal(0, s:count())
  end)

  it("is asked for twice; failing destroys the box and raises", function()
    local failures = 1
    local s <close> = start { SetDeleteAfter = function(_, call)
      failures = failures - 1
      if failures < 0 then return {} end
      call:finish("INTERNAL", "a moment")
    end }
    do local _ <close> = s.c.box:temporary() end
    assert.equal("CreateVm SetDeleteAfter SetDeleteAfter DestroyVm", rpcs(s))
    failures = 2
    assert.equal("a moment", failure(s.c.box.temporary, s.c.box).message)
    assert.equal(
      ("CreateVm SetDeleteAfter SetDeleteAfter DestroyVm "):rep(2),
      rpcs(s) .. " ")
    assert.equal("vm2", s:request "DestroyVm".vm_id)
  end)

  it("warns once where the service has none, and goes on without", function()
    local list = warnings(function()
      for _ = 1, 2 do
        local s <close> = start { SetDeleteAfter = refuse "UNIMPLEMENTED" }
        for _ = 1, 2 do local _ <close> = s.c.box:temporary() end
        assert.equal(
          "CreateVm SetDeleteAfter DestroyVm CreateVm DestroyVm", rpcs(s))
      end
    end)
    assert.equal(1, #list)
    assert.matches("does not delete a box by itself", list[1])
  end)

  it("is renewed at every third of it, all leases by one thread", function()
    local s <close> = start()
    local began = boxd.now()
    local a <close> = s.c.box:temporary { lease = 3 }
    local b <close> = s.c.box:temporary { lease = 4 }
    local other <close> = boxd.Compute { api_url = s.address, token = "other" }
    local c <close> = other.box:temporary { lease = 5 }
    eventually(function() return s:count "SetDeleteAfter" >= 10 end, 20)
    local took, times = boxd.now() - began, {}
    for _, one in ipairs(s.seen) do
      local r = one.request
      if one.rpc == "SetDeleteAfter" then
        times[r.vm_id] = (times[r.vm_id] or 0) + 1
        assert.equal(r.vm_id == a.id and 3 or r.vm_id == b.id and 4 or 5,
          r.delete_after_secs)
      end
    end
    for id, seconds in pairs { [a.id] = 3, [b.id] = 4, [c.id] = 5 } do
      assert.is_true(times[id] >= 2, id)
      assert.is_true(times[id] <= took / (seconds / 3) + 2, id)
    end
    assert.equal(1, renewers())
  end)

  it("ends with its box, and the thread with the last of them", function()
    local gone, told = {}, 0
    local s <close> = start { SetDeleteAfter = function(request, call)
      if not gone[request.vm_id] then return {} end
      told = told + 1
      call:finish("NOT_FOUND", "no such box")
    end }
    local a <close> = s.c.box:temporary { lease = 3 }
    local b = s.c.box:temporary { lease = 3 }
    gone[a.id] = true
    eventually(function() return told == 1 end)
    local before = s:count "SetDeleteAfter"
    eventually(function() return s:count "SetDeleteAfter" >= before + 3 end)
    assert.equal(1, told)
    b:destroy()
    eventually(function() return renewers() == 0 end)
    before = s:count "SetDeleteAfter"
    local c <close> = s.c.box:temporary { lease = 3 } -- a thread again
    eventually(function() return s:count "SetDeleteAfter" > before + 1 end)
    assert.equal(c.id, s:request "SetDeleteAfter".vm_id)
  end)

  it("goes on once its Compute is closed, until the box ends", function()
    local s <close> = start()
    local c = boxd.Compute { api_url = s.address, token = "t" }
    local box = c.box:temporary { lease = 3 }
    c:close()
    eventually(function() return s:count "SetDeleteAfter" > 2 end)
    do local _ <close> = box end
    assert.equal(1, s:count "DestroyVm")
  end)

  it("ends when the script sets another end of the box", function()
    local s <close> = start()
    local box <close> = s.c.box:temporary { lease = 3 }
    box:set_delete_after(0)
    assert.equal(0, s:request "SetDeleteAfter".delete_after_secs)
    eventually(function() return renewers() == 0 end)
  end)

  it("is not ended by an end that the service refuses", function()
    local s <close> = start { SetDeleteAfter = function(request, call)
      if request.delete_after_secs == 3 then return {} end
      call:finish("INTERNAL", "no")
    end }
    local box <close> = s.c.box:temporary { lease = 3 }
    failure(box.set_delete_after, box, 0)
    local before = s:count "SetDeleteAfter"
    eventually(function() return s:count "SetDeleteAfter" > before end)
  end)

  it("waits for a renewal under way before the script's own end", function()
    local slow, order = false, {}
    local s <close> = start { SetDeleteAfter = function(request)
      if slow and request.delete_after_secs == 3 then
        slow = "begun"
        boxd.sleep(0.4)
      end
      order[#order + 1] = request.delete_after_secs
      return {}
    end }
    local box <close> = s.c.box:temporary { lease = 3 }
    slow = true
    eventually(function() return slow == "begun" end)
    box:set_delete_after(77)
    assert.same({ 3, 3, 77 }, order)
  end)

  it("is not a fork's, whose end is taken back", function()
    local s <close> = start { GetVm = function(request)
      return { vm_id = "vm1", name = request.vm_id, status = "running" }
    end }
    local box <close> = s.c.box:temporary { name = "web", lease = 60 }
    local free <close> = s.c.box:temporary { name = "free", lease = false }
    for _, source in ipairs { box, "web" } do
      s.c.box:fork(source)
      assert.same({ vm_id = "fork", delete_after_secs = 0 },
        s:request "SetDeleteAfter")
    end
    s.c.box:fork(box, { delete_after = 50 })
    assert.same({ vm_id = "fork", delete_after_secs = 50 },
      s:request "SetDeleteAfter")
    local before = s:count "SetDeleteAfter"
    s.c.box:fork(free)
    assert.equal(before, s:count "SetDeleteAfter")
    s.handlers.SetDeleteAfter = refuse("INTERNAL", "not now")
    assert.equal("not now", failure(s.c.box.fork, s.c.box, box).message)
    assert.equal("fork", s:request "DestroyVm".vm_id)
  end)
end)

describe("a lease's renewals", function()
  local server, exchanged, life, seen, refuse_all

  -- A port that exchanges keys, and takes all calls with its last token.
  local function open(address)
    server = serve.listen { address = address }
    local function exchange(request)
      exchanged = exchanged + 1
      request:answer(200, nil, boxd.json.encode { token = "t" .. exchanged,
        user_id = "u", expires_at = os.time() + life })
    end
    local function answer(call)
      call:recv()
      if refuse_all
        or call:metadata "authorization" ~= "Bearer t" .. exchanged then
        return call:finish("UNAUTHENTICATED", "no")
      end
      seen[#seen + 1] = call.rpc
      call:send(call.rpc == "CreateVm" and { vm_id = "vm1" } or {})
      call:finish()
    end
    local here = server
    boxd.spawn(function()
      for request in function() return here:request() end do
        exchange(request)
      end
    end)
    boxd.spawn(function()
      for call in function() return here:accept() end do
        boxd.spawn(answer, call)
      end
    end)
  end

  before_each(function()
    exchanged, life, seen, refuse_all = 0, 3600, {}, false
    open()
  end)

  after_each(function()
    server:close()
    eventually(function() return renewers() == 0 end)
  end)

  local function compute()
    return boxd.Compute { api_url = "http://" .. server.address,
      api_key = "bxd_lease", max_retries = 0 }
  end

  local function await(n)
    eventually(function() return #seen >= n end, 20)
  end

  it("have the token of the script, and make no exchange of their own",
    function()
      local c <close> = compute()
      local _ <close> = c.box:temporary { lease = 3 }
      await(4)
      assert.equal(1, exchanged)
    end)

  it("go on as the token ends, and the script has the new one", function()
    life = 4
    local c <close> = compute()
    local _ <close> = c.box:temporary { lease = 3 }
    eventually(function() return exchanged == 2 end, 20)
    local n = #seen
    await(n + 1)
    c:call("StopVm", { vm_id = "vm1" })
    assert.equal(2, exchanged)
  end)

  it("go on as the service refuses the token", function()
    local c <close> = compute()
    local _ <close> = c.box:temporary { lease = 3 }
    exchanged = 2 -- so that t1 is refused
    local n = #seen
    await(n + 2)
    assert.equal(3, exchanged)
  end)

  it("are tried again while the service is gone", function()
    local c <close> = compute()
    local address = server.address
    local _ <close> = c.box:temporary { lease = 6 }
    server:close()
    boxd.sleep(2.5) -- a renewal has failed
    open(address)
    local n = #seen
    await(n + 2)
  end)

  it("end when the lease is over, which the end of the box warns of", function()
    local result = program.lua { "-W", "-e", [[
      local serve = require "boxd.serve"
      local refusing
      local server <close> = serve.listen()
      boxd.spawn(function()
        for call in function() return server:accept() end do
          call:recv()
          if refusing and call.rpc == "SetDeleteAfter" then
            call:finish("INTERNAL", "it broke")
          else
            call:send(call.rpc == "CreateVm" and { vm_id = "vm1" } or {})
            call:finish()
          end
        end
      end)
      local c <close> = boxd.Compute { api_url = "http://" .. server.address,
        token = "t" }
      local box <close> = c.box:temporary { lease = 3 }
      refusing = true
      boxd.sleep(4.5)]] }
    assert.equal(0, result.status, result.err)
    assert.matches("warning: boxd: the lease of box vm1 %(3 s%) could not be "
      .. "renewed: it broke\n$", result.err)
  end)

  it("are tried again while the key is refused", function()
    local c <close> = compute()
    local _ <close> = c.box:temporary { lease = 3 }
    refuse_all = true
    local before = exchanged
    eventually(function() return exchanged > before end)
    refuse_all = false
    local n = #seen
    await(n + 1)
  end)
end)

-- Runs code in a program of its own that has `c`, a Compute of an address
-- without a service, and core.
local function alone(code, options, env)
  return program.lua { env = env, "-e", ([[
    local boxd, core = require "boxd", require "boxd.core"
    local c = boxd.Compute { token = "t", api_url = "https://127.0.0.1:1", %s }
    %s]]):format(options or "", code) }
end

describe("the thread of leases", function()
  local folder

  setup(function()
    folder = program.sh "mktemp -d":match "%S+"
    program.sh("mkfifo %s/pipe", folder)
    program.sh("cc -shared -fPIC -D_GNU_SOURCE -o %s/slow.so "
      .. "spec/support/slow_unlock.c", folder)
  end)
  teardown(function() program.sh("rm -r %s", folder) end)

  it("renews a lease that begins as the last one ends", function()
    -- A sanitizer has to be loaded first: nothing more can be preloaded.
    local slow = not os.getenv "ASAN_OPTIONS" and folder .. "/slow.so" or nil
    local result = alone([[
      for round = 1, 1500 do
        local first <const> = core.lease(c, "vm", 1000)
        first:finish()
        for _ = 1, round % 600 do end
        local second <const> = core.lease(c, "vm", 1000)
        local late = boxd.now() + 10
        repeat boxd.sleep(0) until second:finish() or boxd.now() > late
        assert(second:finish(), "no thread has it")
      end]], nil, { LD_PRELOAD = slow })
    assert.equal(0, result.status, result.err)
  end)

  it("keeps a program that ends for 10 s at most", function()
    local began = boxd.now()
    local result = alone([[
      local held <const> = core.lease(c, "vm", 3)
      local self = io.open "/proc/self/stat":read "n"
      repeat -- it opens a file of certificates that nothing writes
        boxd.sleep(0.1)
        local waits <close> = io.popen("cat /proc/" .. self .. "/task/*/wchan")
      until waits:read "a":find "wait_for_partner"]],
      ("ca_file = %q"):format(folder .. "/pipe"))
    assert.equal(0, result.status, result.err)
    assert.is_true(boxd.now() - began < 30)
  end)
end)
