-- boxd.json: a value comes out as it went in, or is refused.

local boxd = require "boxd"
local json = boxd.json

local function refused(message, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "accepted")
  assert.is_true(boxd.is_error(err, boxd.InvalidArgumentError), tostring(err))
  assert.is_truthy(err.message:find(message, 1, true),
    ("%q does not hold %q"):format(err.message, message))
end

describe("json.encode", function()
  it("writes scalars", function()
    for text, value in pairs { ["true"] = true, ["false"] = false, ["null"] = json.null,
      ["0"] = 0, ["-1"] = -1, ["9007199254740992"] = 1 << 53,
      ["-9007199254740992"] = -(1 << 53), ["0.5"] = 0.5, ["4"] = 4.0,
      ["\"a\""] = "a", ["\"\""] = "", ["0.1"] = 0.1, ["-0.0"] = -0.0,
      ["\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\u{7F}\u{E9}\u{1F600}\""] =
        "\"\\/\b\f\n\r\t\1\u{7F}\u{E9}\u{1F600}" } do
      assert.equal(text, json.encode(value))
    end
  end)

  it("distinguishes lists from objects and sorts keys", function()
    assert.equal("[1,\"a\",[],{}]", json.encode { 1, "a", json.array {}, {} })
    assert.equal("{}", json.encode {})
    assert.equal("[]", json.encode(json.array {}))
    assert.equal("[]", json.encode(json.array()))
    assert.equal("[null,null]", json.encode { json.null, json.null })
    assert.equal("{\"\":0,\"a\":{\"x\":[true]},\"b\":\"c\",\"\u{E9}\":1}",
      json.encode { b = "c", a = { x = { true } }, ["\u{E9}"] = 1, [""] = 0 })
    local t = { 1 }
    assert.equal(t, json.array(t))
    t[1] = nil
    assert.equal("[]", json.encode(t))
  end)

  it("takes a list with its n, as table.pack and boxd.map give it", function()
    assert.equal("[1,\"a\"]", json.encode(table.pack(1, "a")))
    assert.equal("[2,4]", json.encode(boxd.map({ 1, 2 }, function(i)
      return 2 * i
    end)))
    assert.equal("[true]", json.encode(boxd.gather { function()
      return true
    end }))
    assert.equal("[]", json.encode(boxd.map({}, print)))
    local late = { n = 2 } -- whichever of its keys comes first
    late[2], late[1] = "b", "a"
    assert.equal("[\"a\",\"b\"]", json.encode(late))
    assert.equal("{\"n\":0}", json.encode { n = 0 })
    refused("holes: its n is 3", json.encode, table.pack(1, nil, nil))
    refused("hole", json.encode, table.pack(1, nil, 3))
    refused("hole", json.encode, boxd.map({ 1 }, function() end))
    refused("the key 'n'", json.encode, { 1, n = "1" })
  end)

  it("refuses integers beyond 2^53 instead of altering them", function()
    for _, n in ipairs { (1 << 53) + 1, -(1 << 53) - 1, math.maxinteger, math.mininteger } do
      refused("beyond 2^53", json.encode, n)
      refused("a.b[2]: ", json.encode, { a = { b = { 1, n } } })
    end
  end)

  it("refuses values that JSON lacks", function()
    refused("value: JSON has no NaN", json.encode, 0 / 0)
    refused("x: JSON has no infinity", json.encode, { x = math.huge })
    refused("[1]: JSON has no infinity", json.encode, { -math.huge })
    refused("value: JSON has no function", json.encode, print)
    refused("x: JSON has no userdata", json.encode, { x = io.stdout })
    refused("JSON has no thread", json.encode, coroutine.create(print))
    refused("boxd.json.null", json.encode, nil)
    assert.has_error(function() json.encode() end)
  end)

  it("refuses NUL and bad UTF-8 in text, keys too", function()
    refused("a[1]: holds a NUL byte", json.encode, { a = { "x\0" } })
    refused("NUL", json.encode, { ["a\0"] = 1 })
    refused("value: not UTF-8 (byte 2)", json.encode, "a\xFF")
    refused("UTF-8", json.encode, { ["\xED\xA0\x80"] = 1 })
  end)

  it("refuses mixed tables, holes and odd keys", function()
    refused("list", json.encode, { 1, x = 2 })
    refused("list", json.encode, { x = 1, [1] = 2 })
    refused("list", json.encode, { 1, nil, 3 })
    refused("list", json.encode, { [2] = 1 })
    refused("list", json.encode, { [0] = 1 })
    refused("list", json.encode, { [1.5] = 1 })
    refused("list", json.encode, { [true] = 1 })
    refused("list", json.encode, json.array { x = 1 })
    refused("list", json.encode, { [{}] = 1 })
  end)

  it("refuses a table that contains itself, not one that is there twice", function()
    local t = {}
    t.a = { t }
    refused("a[1]: the table contains itself", json.encode, t)
    local shared = { 1 }
    assert.equal("[[1],[1]]", json.encode { shared, shared })
  end)

  it("has a depth in both directions", function()
    local function nested(levels)
      local t = json.array {}
      for _ = 2, levels do t = { t } end
      return t
    end
    local text = ("["):rep(512) .. ("]"):rep(512)
    assert.equal(text, json.encode(nested(512)))
    assert.equal(text, json.encode(json.decode(text)))
    refused("nested deeper", json.encode, nested(513))
    refused("nested too deeply", json.decode, "[" .. text .. "]")
    refused("nested too deeply", json.decode, ("["):rep(1000000))
  end)

  it("refuses to mark a table that has a metatable", function()
    assert.has_error(function() json.array(setmetatable({}, {})) end)
    assert.has_error(function() json.array(1) end)
    local t = json.array {}
    assert.equal(t, json.array(t))
  end)
end)

describe("json.decode", function()
  it("reads values with their types", function()
    assert.same({ a = { 1, 2.5, "x", true, false }, b = {} },
      json.decode " {\"a\": [1, 2.5, \"x\", true, false],\r\n\t\"b\": {}} ")
    assert.equal(json.null, json.decode "null")
    assert.equal(json.null, json.decode "[null]"[1])
    assert.equal("null", tostring(json.null))
    assert.equal("integer", math.type(json.decode "4"))
    assert.equal("integer", math.type(json.decode "4.0"))
    assert.equal("float", math.type(json.decode "4.5"))
    assert.equal("float", math.type(json.decode "1e300"))
    assert.equal(1 << 53, json.decode "9007199254740992")
    assert.equal(-(1 << 53), json.decode "-9007199254740992")
    assert.equal(0, json.decode "-0")
    assert.equal("\u{E9}\u{1F600}/\"\\\n", json.decode [["\u00e9\ud83d\ude00\/\"\\\n"]])
    assert.equal(2, json.decode "{\"a\":1,\"a\":2}".a)
  end)

  it("refuses integers that a number would lose", function()
    for _, text in ipairs { "9007199254740993", "-9007199254740993", "9223372036854775807",
      "18446744073709551616", ("9"):rep(500), "[1,\n 10000000000000000]" } do
      refused("beyond 2^53", json.decode, text)
    end
    refused("line 2, column 2", json.decode, "[1,\n 10000000000000000]")
    refused("too large", json.decode, "1e999")
    refused("too large", json.decode, "[-1e999]")
  end)

  it("refuses NUL and bad UTF-8", function()
    refused("NUL", json.decode, [["a\u0000b"]])
    refused("NUL", json.decode, [[{"a\u0000":1}]])
    refused("control byte", json.decode, "\"a\0b\"")
    refused("unexpected here", json.decode, "1\0")
    refused("unexpected here", json.decode, "1\0garbage")
    refused("UTF-8", json.decode, "\"\xFF\"")
    refused("UTF-8", json.decode, "\"\xC0\x80\"")
    refused("invalid JSON", json.decode, [["\ud800"]])
    refused("invalid JSON", json.decode, [["\udc00\ud800"]])
    refused("invalid JSON", json.decode, [["\ud800\ud800"]])
    refused("invalid JSON", json.decode, [["\ud800\u12"]])
    assert.equal("\\u0000", json.decode [["\\u0000"]])
  end)

  it("says where text is wrong", function()
    refused("line 1, column 1: unexpected end", json.decode, "")
    refused("line 1, column 4: unexpected here", json.decode, "[1,]")
    refused("line 3, column 1: unexpected here", json.decode, "{\"a\":1,\n\n}")
    refused("line 1, column 4: unexpected here", json.decode, "{} x")
    refused("line 1, column 2: the text has no end", json.decode, "[\"abc")
  end)

  it("refuses text that is not JSON", function()
    for _, text in ipairs { " ", "[", "]", "{", "}", "[1", "[1 2]", "{1:2}", "{\"a\"}",
      "{\"a\":}", "{a:1}", "'a'", "01", "-", "-01", "1.", ".5", "+1", "1e", "1e+", "0x10",
      "1.2.3", "--1", "nul", "nulll", "True", "NaN", "Infinity", "-Infinity", "\"\\x\"",
      "\"\\u12\"", "\"\\u12g4\"", "\"a\nb\"", "\"a\tb\"", "[1]]", "1 2", "// x\n1",
      "[1,]", "[,1]", "{\"a\":1,}", "\u{FEFF}1", "\1 1", "\v1", "1\f", "[\"a\\\"]" } do
      refused("invalid JSON", json.decode, text)
    end
    assert.has_error(function() json.decode(1) end)
  end)

  it("reads its own output", function()
    math.randomseed(9)
    local function value(depth)
      local kind = math.random(depth > 4 and 6 or 8)
      if kind == 1 then return math.random(-(1 << 53), 1 << 53) end
      if kind == 2 then return math.random(2) == 1 end
      if kind == 3 then return json.null end
      if kind == 4 then -- any finite float
        local n = string.unpack("<d", string.pack("<i8", math.random(0)))
        return n == n and math.abs(n) < math.huge and n or 0.25
      end
      if kind == 5 then return (2.0 ^ 53 + 2 * math.random(1000000)) end
      if kind == 6 then
        local s = {}
        for i = 1, math.random(0, 8) do s[i] = utf8.char(math.random(1, 0xD7FF)) end
        return table.concat(s)
      end
      local t = kind == 7 and json.array {} or {}
      for i = 1, math.random(0, 5) do
        t[kind == 7 and i or "k" .. math.random(100)] = value(depth + 1)
      end
      return t
    end
    for _ = 1, 2000 do
      local v = value(1)
      local text = json.encode(v)
      local back = json.decode(text)
      assert.same(v, back)
      assert.equal(text, json.encode(back))
      if math.type(v) == "float" and math.abs(v) > 2 ^ 53 then
        assert.equal("float", math.type(back))
      end
    end
  end)

  it("is right in a locale with another decimal point", function()
    local before = os.setlocale(nil, "numeric")
    local other
    for _, name in ipairs { "de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR" } do
      other = other or os.setlocale(name, "numeric")
    end
    local ok, text, number = pcall(function()
      return json.encode { 0.5, 1e300 }, json.decode "[2.25]"[1]
    end)
    os.setlocale(before, "numeric")
    assert.is_true(ok, text)
    assert.equal("[0.5,1e+300]", text)
    assert.equal(2.25, number)
  end)
end)
