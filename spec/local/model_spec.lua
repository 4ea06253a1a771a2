-- The embedded service under twenty clients that work at random, and killed at
-- random moments under them. BOXD_SOAK: how many kills (6).

local boxd = require "boxd"
local model = require "spec.support.model"
local support = require "spec.support.service"

local CLIENTS = 20
local KILLS = tonumber(os.getenv "BOXD_SOAK") or 6

describe("the embedded service under twenty clients", function()
  local service, m

  before_each(function()
    service = support.new()
    m = model.new(service.compute, CLIENTS)
  end)
  after_each(function() support.__close(service) end)

  -- Spawns the clients' work; returns their tasks.
  local function spawn_clients(n)
    local tasks = {}
    for i = 1, CLIENTS do
      tasks[i] = boxd.spawn(function()
        local compute <close> = service:connect()
        m:work(i, compute, n)
      end)
    end
    return tasks
  end

  -- The folders of boxes are those of the list: nothing is left of others.
  local function folders(of)
    local f <close> = io.popen(("ls %s/%s | wc -l"):format(service.state,
      of or "files"))
    return f:read "n"
  end

  it("has everything that clients were answered", function()
    local seed = os.time()
    math.randomseed(seed)
    for _, task in ipairs(spawn_clients(12)) do task:join() end
    local ok, e = pcall(m.check, m, service.compute)
    assert(ok, ("seed %d: %s"):format(seed, tostring(e)))
    assert.equal(e, folders())
    assert.equal(m:captures(service.compute), folders "captures")
    assert.equal(CLIENTS * 12, m.done)
    assert.is_nil(service:complaints():find("boxdlua --serve:", 1, true),
      service:errors())
  end)

  it("comes back from kills with that, and nothing else", function()
    local seed = os.time()
    math.randomseed(seed)
    for kill = 1, KILLS do
      local tasks = spawn_clients(1000)
      boxd.sleep(math.random() * 0.4)
      os.execute("kill -9 " .. service.pid)
      for _, task in ipairs(tasks) do
        local ok, e = pcall(task.join, task)
        assert(ok, ("seed %d, kill %d: %s"):format(seed, kill, tostring(e)))
      end
      service:restart "KILL"
      local ok, e = pcall(m.check, m, service.compute)
      assert(ok, ("seed %d, kill %d: %s"):format(seed, kill, tostring(e)))
      assert.equal(e, folders())
      assert.equal(m:captures(service.compute), folders "captures")
    end
    assert.is_true(m.done > KILLS)
  end)
end)
