-- A program that clears package.loaded and requires boxd again.

local boxd = require "boxd"

describe("requiring boxd again", function()
  local kept
  before_each(function()
    kept = {}
    for name, value in pairs(package.loaded) do kept[name] = value end
  end)
  after_each(function()
    for name, value in pairs(kept) do package.loaded[name] = value end
  end)

  it("keeps the tasks that run", function()
    local ends = 0
    local function work()
      for _ = 1, 5 do boxd.sleep(0.002) end
      ends = ends + 1
      return "done"
    end
    local tasks = {}
    for i = 1, 10 do tasks[i] = boxd.spawn(work) end
    for name in pairs(package.loaded) do
      if name:find "^boxd" then package.loaded[name] = nil end
    end
    local again = require "boxd"
    collectgarbage()
    collectgarbage()
    tasks[11] = again.spawn(work)
    for _, t in ipairs(tasks) do assert.equal("done", t:join()) end
    assert.equal(11, ends)
  end)

  it("drops no task that nothing else holds", function()
    local ends = 0
    for _ = 1, 10 do
      boxd.spawn(function()
        boxd.sleep(0.01)
        ends = ends + 1
      end)
    end
    package.loaded.boxd = nil
    require "boxd"
    collectgarbage()
    collectgarbage()
    boxd.sleep(0.05)
    for _ = 1, 500 do
      if ends == 10 then break end
      boxd.sleep(0.01)
    end
    assert.equal(10, ends)
  end)
end)
