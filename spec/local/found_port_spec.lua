-- Looks for the port of a default proxy, without a service around them.

local boxd = require "boxd"
local found_port = require "boxd.local.found_port"
local serve = require "boxd.serve"

-- A service with one box, whose first process is this one.
local function service_of(record)
  local f <close> = assert(io.open "/proc/self/stat")
  return { boxes = { live = { [record.id] = 1 }, pids = { f:read "n" },
    records = { [record.id] = record }, changed = serve.signal() } }
end

describe("the search for a proxy's port", function()
  local looks, open = {}, io.open
  local task

  local function set_open(f) rawset(io, "open", f) end

  before_each(function()
    looks = {}
    set_open(function(path, ...)
      if path:find "/net/tcp$" then looks[#looks + 1] = boxd.now() end
      return open(path, ...)
    end)
  end)
  after_each(function()
    set_open(open)
    task:cancel()
    pcall(task.join, task)
  end)

  -- Waits for looks after the nth until one is later than its last by so much.
  local function rests(n, seconds)
    local ends = boxd.now() + 60
    repeat
      boxd.sleep(0.01)
      local last = #looks
      if last > n + 1 and looks[last] - looks[last - 1] >= seconds then
        return true
      end
    until boxd.now() > ends
  end

  it("rests longer after each look, until a client uses the box", function()
    local record = { id = "vm-1", status = "running", proxies = { { port = 0 } } }
    local found = found_port.new(service_of(record))
    task = boxd.spawn(found.run, found)
    assert.is_true(rests(0, 1.5), "it looks as often as before")
    local n = #looks
    found:stir(record)
    boxd.wait_until(function() return #looks > n + 1 end)
    assert.is_true(looks[n + 2] - looks[n + 1] < 1.5, "it went on resting")
    assert.is_true(rests(n, 1.5))
  end)
end)
