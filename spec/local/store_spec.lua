-- boxd.local.store

local store = require "boxd.local.store"

describe("the store of records", function()
  local dir

  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
  end)
  after_each(function() os.execute("rm -rf " .. dir) end)

  -- As another process would see it.
  local function again(s)
    s.lock:close()
    return store.open(dir)
  end

  it("returns stored records in order", function()
    local s = store.open(dir)
    for _, id in ipairs { "z", "a", "m" } do s:put("kind", id, { id = id }) end
    s = again(s)
    local ids = {}
    for i, record in ipairs(s:list "kind") do ids[i] = record.id end
    assert.same({ "z", "a", "m" }, ids)
    s:put("kind", "b", { id = "b" })
    assert.equal("b", s:list("kind")[4].id)
    s:remove("kind", "z")
    s:remove("kind", "z")
    assert.is_nil(again(s):all("kind").z)
  end)

  it("changes fields, and takes them away", function()
    local s = store.open(dir)
    local record = { id = "r", a = 1, b = true, list = { "x" } }
    s:put("kind", "r", record)
    s:update("kind", record, { a = 2, b = false, c = "new" })
    s:update("kind", record, { list = store.NONE }, true)
    local read = again(s):all("kind").r
    for _, r in ipairs { record, read } do
      assert.equal(2, r.a)
      assert.is_false(r.b)
      assert.equal("new", r.c)
      assert.is_nil(r.list)
    end
  end)

  it("changes nothing in memory that it can't write", function()
    local s = store.open(dir)
    local record = { id = "r", a = 1 }
    s:put("kind", "r", record)
    os.execute("rm -r " .. dir .. "/kind")
    local ok, e = pcall(s.update, s, "kind", record, { a = 2 })
    assert.is_false(ok)
    assert.matches("^INTERNAL: the state can't be kept: .*kind", tostring(e))
    assert.equal(1, record.a)
    assert.error(function() s:put("kind", "q", { id = "q" }) end)
    assert.is_nil(s:all("kind").q)
  end)

  it("is for one at a time", function()
    local s = store.open(dir)
    assert.error_matches(function() store.open(dir) end,
      "another service uses " .. dir:gsub("%p", "%%%0"))
    again(s)
  end)

  it("names a file that is damaged, and drops one half written", function()
    local s = store.open(dir)
    s:put("kind", "r", { id = "r" })
    local f = assert(io.open(dir .. "/kind/q.json.new", "w"))
    f:write "{"
    f:close()
    s = again(s)
    assert.is_nil(s:all("kind").q)
    assert.is_nil(io.open(dir .. "/kind/q.json.new"))
    f = assert(io.open(dir .. "/kind/r.json", "w"))
    f:close()
    s = again(s)
    assert.error_matches(function() s:all "kind" end, "r.json is damaged")
  end)
end)
