-- boxd.local.store

local schema = require "boxd.local.schema"
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

  local function put(path, text)
    local f <close> = assert(io.open(dir .. "/" .. path, "w"))
    f:write(text)
  end

  -- What opening raises.
  local function refused()
    local ok, e = pcall(store.open, dir)
    collectgarbage() -- the lock that it took
    assert.is_false(ok)
    return tostring(e)
  end

  it("names a record that lacks what its kind must have, when it opens", function()
    store.open(dir).lock:close()
    for kind in pairs(schema.kinds) do
      if kind ~= "secrets" then
        for _, text in ipairs { "{}", "[]", "[1]", '{"id":1}', '{"id":"other"}' } do
          put(kind .. "/r.json", text)
          assert.matches(kind .. "/r%.json is damaged", refused())
        end
        os.remove(dir .. "/" .. kind .. "/r.json")
      end
    end
    put("tokens/t.json", '{"id":"t","jti":"t","created_at":1,"expires_at":1.5}')
    assert.matches("damaged %(expires_at%)", refused())
    os.remove(dir .. "/tokens/t.json")
    store.open(dir)
  end)

  it("refuses a state of a newer version, and one whose version is damaged",
    function()
      store.open(dir).lock:close()
      put("version", "999\n")
      assert.matches("made by a newer boxdlua %(version 999, here it is 1%)",
        refused())
      put("version", "x")
      assert.matches("version is damaged", refused())
      os.remove(dir .. "/version")
      store.open(dir) -- one of before there was a version
      assert.equal("1\n", io.open(dir .. "/version"):read "a")
    end)

  it("says why its lock can't be had", function()
    store.open(dir).lock:close()
    os.remove(dir .. "/lock")
    assert(os.execute("mkdir " .. dir .. "/lock"))
    assert.matches("can't be used: .*/lock: Is a directory", refused())
    os.execute("rm -r " .. dir .. "; : >" .. dir .. "; chmod 600 " .. dir)
    assert.matches("can't be kept: .*: Not a directory", refused())
  end)
end)
