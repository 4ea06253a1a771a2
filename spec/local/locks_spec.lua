-- boxd.local.locks

local boxd = require "boxd"
local calls = require "spec.support.calls"
local locks = require "boxd.local.locks"

describe("locks", function()
  after_each(calls.settled)

  it("let one task in at a time, in the order they came", function()
    local l, order, inside = locks.new(), {}, 0
    local tasks = {}
    for i = 1, 10 do
      tasks[i] = boxd.spawn(function()
        local _held <close> = l:take "k"
        inside = inside + 1
        assert(inside == 1)
        boxd.sleep(0.001)
        inside = inside - 1
        order[#order + 1] = i
      end)
    end
    for _, task in ipairs(tasks) do task:join() end
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, order)
    assert.is_false(l:held "k")
  end)

  it("are apart by name, and free when their holder fails", function()
    local l = locks.new()
    local a = l:take "a"
    local task = boxd.spawn(function()
      local _held <close> = l:take "b"
      error("x", 0)
    end)
    assert.is_false((pcall(task.join, task)))
    assert.is_true(l:held "a")
    assert.is_false(l:held "b")
    a:free()
    a:free()
    assert.is_false(l:held "a")
  end)

  it("are handed over to another task, which frees them", function()
    local l = locks.new()
    local other
    do
      local held <close> = l:take "k"
      other = held:hand_over()
    end
    assert.is_true(l:held "k")
    other:free()
    assert.is_false(l:held "k")
  end)

  it("pass over a task that was cancelled as it waited", function()
    local l, got = locks.new(), {}
    local first = l:take "k"
    local function want(i)
      return boxd.spawn(function()
        local _held <close> = l:take "k"
        got[#got + 1] = i
      end)
    end
    local a, b = want(1), want(2)
    a:cancel()
    pcall(a.join, a)
    first:free()
    b:join()
    assert.same({ 2 }, got)
    -- Given already, and cancelled before it ran.
    first = l:take "k"
    local c, d = want(3), want(4)
    first:free()
    c:cancel()
    pcall(c.join, c)
    d:join()
    assert.equal(4, got[#got])
    assert.is_false(l:held "k")
  end)
end)
