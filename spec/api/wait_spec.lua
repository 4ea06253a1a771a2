-- boxd.wait_until and boxd.http.wait.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"

local failure = scripted.failure

describe("boxd.wait_until", function()
  it("returns all results once the first is true", function()
    local n = 0
    local found = table.pack(boxd.wait_until(function()
      n = n + 1
      return n > 3 and "done", n, nil, 5
    end))
    assert.same({ "done", 4, nil, 5, n = 4 }, found)
  end)

  it("takes an error for not yet, and says the last one", function()
    local n = 0
    assert.equal(3, boxd.wait_until(function()
      n = n + 1
      if n < 3 then error "not yet" end
      return n
    end))
    local e = failure(boxd.wait_until, function() error("no moon", 0) end,
      { timeout = 0.1, what = "the night" })
    assert.equal("TimeoutError", e.class)
    assert.equal("the night was not so within 0.1 s: no moon", e.message)
  end)

  it("has its time hold for a function that does not return", function()
    local began = boxd.now()
    local e = failure(boxd.wait_until, function() boxd.sleep(60) end,
      { timeout = 0.1 })
    assert.equal("TimeoutError", e.class)
    assert.is_true(boxd.now() - began < 20)
  end)

  it("ends with a with_timeout around it, not with one in its function",
    function()
      local n = 0
      assert.equal(2, boxd.wait_until(function()
        n = n + 1
        if n < 2 then boxd.with_timeout(0.01, boxd.sleep, 60) end
        return n
      end))
      local e = failure(boxd.with_timeout, 0.1, boxd.wait_until,
        function() return false end)
      assert.matches("with_timeout", e.message)
    end)

  it("is ended by the cancelling of its task", function()
    local task = boxd.spawn(boxd.wait_until, function() return false end)
    task:cancel()
    assert.is_false((pcall(task.join, task)))
    assert.equal("cancelled", task.status)
  end)
end)

describe("boxd.http.wait", function()
  it("says why there is no answer, and refuses a wrong address", function()
    local e = failure(boxd.http.wait,
      { url = "http://127.0.0.1:1/", timeout = 0.1 })
    assert.equal("TimeoutError", e.class)
    assert.matches("Failed to connect", e.message)
    e = failure(boxd.http.wait, { url = "nonsense:" })
    assert.equal("InvalidArgumentError", e.class)
    e = failure(boxd.http.wait, { url = "http://127.0.0.1:1/", status = 7 })
    assert.matches("status is an integer", e.message)
  end)
end)
