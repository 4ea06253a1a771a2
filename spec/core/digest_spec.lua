-- boxd.sha256 against the published vectors and sha256sum.

local boxd = require "boxd"

describe("sha256", function()
  it("gives the published digests", function()
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      boxd.sha256 "")
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      boxd.sha256 "abc")
    assert.equal("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
      boxd.sha256(("a"):rep(1000000)))
  end)

  it("agrees with sha256sum on any bytes", function()
    local name = os.tmpname()
    math.randomseed(3)
    for _ = 1, 10 do
      local bytes = {}
      for i = 1, math.random(0, 300) do bytes[i] = string.char(math.random(0, 255)) end
      bytes = table.concat(bytes)
      local file = assert(io.open(name, "wb"))
      file:write(bytes)
      file:close()
      local pipe = assert(io.popen("sha256sum < " .. name))
      assert.equal(pipe:read "a":match "^%x+", boxd.sha256(bytes))
      pipe:close()
    end
    os.remove(name)
  end)

  it("takes strings only", function()
    assert.has_error(function() boxd.sha256(1) end,
      "bad argument #1 to 'sha256' (string expected, got number)")
    assert.has_error(function() boxd.sha256() end,
      "bad argument #1 to 'sha256' (string expected, got no value)")
  end)
end)
