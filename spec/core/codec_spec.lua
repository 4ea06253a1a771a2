-- Tables to wire bytes and back, for every message of the contract, held
-- against protoc as an independent party.

local serve = require "boxd.serve"
local boxd = require "boxd"

-- The contract: messages[name] = list of { number, name, type, label }.
local function contract()
  local messages = {}
  for line in io.lines "spec/support/contract.tsv" do
    local message, number, name, type, label =
      line:match "^field\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)"
    if message then
      messages[message] = messages[message] or {}
      if number ~= "0" then
        table.insert(messages[message],
          { number = tonumber(number), name = name, type = type, label = label })
      end
    end
  end
  return messages
end

local MESSAGES = contract()

local SCALARS = {
  string = { "h\u{E9} \u{1F600} '\"\\\n", "a" },
  bytes = { "\0\255\r\n\128", "b" },
  bool = { true, false },
  uint32 = { 0xFFFFFFFF, 1 },
  uint64 = { math.maxinteger, 2 },
  int32 = { -0x80000000, 0x7FFFFFFF },
  int64 = { math.mininteger, math.maxinteger },
  double = { -1.25e300, 0.1 },
}

local function is_oneof(field)
  return field.label:find "^oneof" ~= nil
end

-- One value of the field's type; pick is 1 or 2.
local sample

local function scalar(field, pick)
  local values = SCALARS[field.type]
  if values then return values[pick] end
  return sample(field.type, pick)
end

-- A table with every field of the message set (one member of each oneof).
function sample(message, pick)
  local value, oneofs = {}, {}
  for _, field in ipairs(assert(MESSAGES[message], message)) do
    if field.label == "map" then
      value[field.name] = { k1 = "v1", ["k \u{E9}"] = "" }
    elseif field.label == "repeated" then
      value[field.name] = { scalar(field, 1), scalar(field, 2), scalar(field, 1) }
    elseif not is_oneof(field) or not oneofs[field.label] then
      oneofs[field.label] = is_oneof(field)
      value[field.name] = scalar(field, pick)
    end
  end
  return value
end

-- What the empty message reads as.
local function defaults(message)
  local zero = { bytes = "", bool = false, uint32 = 0, uint64 = 0, int32 = 0,
    int64 = 0, double = 0.0 }
  local value = {}
  for _, field in ipairs(MESSAGES[message]) do
    if field.label == "map" or field.label == "repeated" then
      value[field.name] = {}
    elseif field.label == "" then
      value[field.name] = zero[field.type]
    end
  end
  return value
end

local function trip(message, value)
  return serve.decode(message, serve.encode(message, value))
end

local function refused(message, value, ...)
  local ok, err = pcall(serve.encode, message, value)
  assert.is_false(ok)
  assert.is_true(boxd.is_error(err, boxd.InvalidArgumentError), tostring(err))
  for _, part in ipairs { ... } do
    assert.is_truthy(err.message:find(part, 1, true),
      ("%q does not hold %q"):format(err.message, part))
  end
end

-- Runs protoc with the input in a file; its output.
local function protoc(mode, message, input)
  local name = os.tmpname()
  local file = assert(io.open(name, "wb"))
  file:write(input)
  file:close()
  local pipe = assert(io.popen(
    ("protoc -Iproto --%s=boxd.api.v1.%s proto/boxd.proto < %s")
    :format(mode, message, name)))
  local output = pipe:read "a"
  local ok = pipe:close()
  os.remove(name)
  assert.is_true(ok)
  return output
end

describe("codec", function()
  it("keeps every field of every message", function()
    local count = 0
    for message in pairs(MESSAGES) do
      for pick = 1, 2 do
        local value = sample(message, pick)
        assert.same(value, trip(message, value), message)
      end
      count = count + 1
    end
    assert.is_true(count > 250)
  end)

  it("keeps each field alone, the others at their defaults", function()
    for message, fields in pairs(MESSAGES) do
      assert.same(defaults(message), serve.decode(message, ""), message)
      local full = sample(message, 1)
      for _, field in ipairs(fields) do
        local value = full[field.name]
        if is_oneof(field) then value = scalar(field, 1) end
        local expected = defaults(message)
        expected[field.name] = value
        assert.same(expected, trip(message, { [field.name] = value }),
          message .. "." .. field.name)
      end
    end
  end)

  it("reads an empty message as nothing but defaults", function()
    local vm = serve.decode("GetVmResponse", "")
    assert.is_nil(vm.name)
    assert.is_nil(vm.spec)
    assert.same({}, vm.labels)
    assert.same({}, vm.networks)
    assert.equal(0, vm.vcpu)
    assert.equal("integer", math.type(vm.created_at))
    assert.is_false(vm.isolated)
    assert.equal("", serve.decode("LogChunk", "").data)
  end)

  it("distinguishes an optional set to zero from an unset one", function()
    assert.is_nil(serve.decode("VmConfig", "").idle_ignore_outbound)
    assert.is_false(trip("VmConfig", { idle_ignore_outbound = false })
      .idle_ignore_outbound)
    assert.equal(0, trip("MachinePackage", { exit_code = 0 }).exit_code)
    assert.is_nil(trip("MachinePackage", {}).exit_code)
    assert.equal("", trip("MachineSpecBase", { team = "" }).team)
  end)

  it("takes floats with an integral value as integers", function()
    assert.equal(4, trip("VmConfig", { vcpu = 4.0 }).vcpu)
    assert.equal("integer", math.type(trip("VmConfig", { vcpu = 4.0 }).vcpu))
    refused("VmConfig", { vcpu = 4.5 }, "vcpu", "4.5")
    refused("VmConfig", { vcpu = 0 / 0 }, "vcpu")
    refused("VmConfig", { memory_bytes = 2.0 ^ 63 }, "memory_bytes")
  end)

  it("takes integers within the range of the field only", function()
    refused("VmConfig", { vcpu = -1 }, "vcpu: -1 is not an integer from 0 to 4294967295")
    refused("VmConfig", { vcpu = 1 << 32 }, "vcpu")
    refused("VmConfig", { memory_bytes = -1 }, "memory_bytes")
    refused("ExecChunk", { exit_code = 1 << 31 }, "exit_code")
    refused("ExecChunk", { exit_code = -(1 << 31) - 1 }, "exit_code")
  end)

  it("reads a uint64 from 2^63 on as a negative integer", function()
    local bytes = "\x10\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"
    assert.equal(-1, serve.decode("VmConfig", bytes).memory_bytes)
  end)

  it("converts nothing into another type", function()
    refused("VmConfig", { vcpu = "4" }, "vcpu: expected an integer, got string")
    refused("GetVmRequest", { vm_id = 4 }, "vm_id: expected a string, got number")
    refused("NetworkConfig", { ssh = 1 }, "ssh: expected a boolean, got number")
    refused("LogChunk", { data = true }, "data: expected a string")
    refused("CreateVmRequest", { config = "x" }, "config: expected a table")
    refused("CreateVmRequest", { cmd = "ls" }, "cmd: expected a table (a list)")
    refused("CreateVmRequest", { labels = 1 }, "labels: expected a table (a map)")
  end)

  it("wants text in UTF-8 without NUL and names the field", function()
    local function config(name)
      return { config = { network = { proxies = { { name = "a" },
        { name = name } } } } }
    end
    refused("CreateVmRequest", config "\xFF",
      "config.network.proxies[2].name: not UTF-8")
    refused("CreateVmRequest", config "a\0b",
      "config.network.proxies[2].name: holds a NUL byte")
    refused("CreateVmRequest", { labels = { k = "\xC0\x80" } }, "labels.k")
    refused("CreateVmRequest", { labels = { ["\xFF"] = "v" } }, "labels")
    refused("CreateVmRequest", { cmd = { "a", "\xED\xA0\x80" } }, "cmd[2]")
    assert.equal("\0\xFF", trip("LogChunk", { data = "\0\xFF" }).data)
  end)

  it("names an unknown field and the nearest known one", function()
    refused("CreateVmRequest", { config = { vcup = 1 } },
      "config: unknown field 'vcup' (did you mean 'vcpu'?)")
    refused("GetVmRequest", { zzzz = 1 },
      "GetVmRequest: unknown field 'zzzz': GetVmRequest has none")
    refused("GetVmRequest", { [1] = "x" }, "unknown field '1'")
    refused("GetVmRequest", { ["vm_id\0"] = "x" }, "unknown field 'vm_id\\x00'")
    refused("GetVmRequest", { [("x"):rep(5000)] = 1 }, "unknown field")
  end)

  it("wants sequences where the contract repeats", function()
    refused("CreateVmRequest", { cmd = { "a", nil, "c" } }, "cmd: expected a list")
    refused("CreateVmRequest", { cmd = { "a", x = "c" } }, "cmd", "'x'")
    refused("CreateVmRequest", { cmd = { [0] = "a" } }, "cmd")
    refused("CreateVmRequest", { cmd = { [1.5] = "a" } }, "cmd")
    refused("CreateVmRequest", { cmd = { [2] = "a" } }, "cmd")
    refused("CreateVmRequest", { labels = { "a" } }, "labels: expected string keys")
    assert.same({}, trip("CreateVmRequest", { cmd = {} }).cmd)
    assert.same({ "a", "b" },
      trip("CreateVmRequest", { cmd = table.pack("a", "b") }).cmd)
    refused("CreateVmRequest", { cmd = { "a", n = 2 } }, "cmd", "its n is 2")
  end)

  it("refuses two members of a oneof", function()
    refused("CreateVmRequest", { spec = { base = { team = "", snapshot = "" } } },
      "spec.base.", "together")
  end)

  it("meets a table that contains itself with an error", function()
    local value = {}
    value.config = value
    refused("CreateVmRequest", value, "config: unknown field 'config'")
  end)

  it("has no message that contains itself", function()
    local function depth(message, above)
      assert.is_nil(above[message], message)
      above[message] = true
      local deepest = 0
      for _, field in ipairs(MESSAGES[message]) do
        if MESSAGES[field.type] then
          deepest = math.max(deepest, depth(field.type, above))
        end
      end
      above[message] = nil
      return deepest + 1
    end
    for message in pairs(MESSAGES) do
      assert.is_true(depth(message, {}) < 20)
    end
  end)

  it("sends a map in the order of its keys", function()
    local one, other = {}, {}
    for i = 1, 200 do
      one["k" .. i] = "v" .. i
      other["k" .. 201 - i] = "v" .. 201 - i
    end
    local bytes = serve.encode("CreateVmRequest", { labels = one })
    assert.equal(bytes, serve.encode("CreateVmRequest", { labels = other }))
    local last = ""
    for key in bytes:gmatch "k%d+" do
      assert.is_true(last < key)
      last = key
    end
    assert.equal("k99", last)
  end)

  it("keeps large messages and long lists", function()
    local data = ("\0\1\2\3"):rep(1 << 20)
    assert.equal(data, trip("LogChunk", { data = data }).data)
    local list = {}
    for i = 1, 20000 do list[i] = "item " .. i end
    assert.same(list, trip("CreateVmRequest", { cmd = list }).cmd)
  end)

  it("refuses bytes of another message", function()
    local function broken(message, bytes)
      local ok, err = pcall(serve.decode, message, bytes)
      assert.is_false(ok)
      assert.is_true(boxd.is_error(err, boxd.InternalError), tostring(err))
      assert.is_truthy(err.message:find(message, 1, true))
    end
    broken("GetVmRequest", "\x0A\x05ab") -- shorter than it says
    broken("GetVmRequest", "\x0A") -- no length
    broken("VmConfig", "\x08") -- no value
    broken("VmConfig", "\x08" .. ("\xFF"):rep(11)) -- an endless varint
    broken("GetVmRequest", "\x08\x01") -- a varint where text should be
    broken("CreateVmRequest", "\x42\x02\x08") -- inside a nested message
    broken("GetVmRequest", "\x0A\xFF\xFF\xFF\xFF\x0F")
    broken("GetVmRequest", "\x02\x00") -- a field number 0
    broken("GetVmRequest", "\xFA\xBF\x80\x80\x80\x00\x01y") -- a key of 6 bytes
    broken("VmConfig", "\x22\x02\x0A\x05") -- inside a map's entry
  end)

  it("merges the pieces of a message, empty ones too", function()
    for _, bytes in ipairs { "\x0A\x02\x30\x23\x0A\x00",
      "\x0A\x00\x0A\x02\x30\x23", "\x0A\x00\x0A\x02\x30\x23\x0A\x00" } do
      assert.equal(35,
        serve.decode("GetBillingResponse", bytes).billing.past_due_since)
    end
    assert.same(serve.decode("CreateVmRequest", "B\0").config,
      serve.decode("CreateVmRequest", "B\0B\0").config)
  end)

  it("drops fields that the contract lacks", function()
    assert.equal("x", serve.decode("GetVmRequest", "\xFA\x3F\x01y\x0A\x01x").vm_id)
  end)

  it("survives any bytes", function()
    local bytes = serve.encode("GetVmResponse", sample("GetVmResponse", 1))
    for cut = 0, #bytes do
      pcall(serve.decode, "GetVmResponse", bytes:sub(1, cut))
    end
    math.randomseed(7)
    for _ = 1, 3000 do
      local at = math.random(#bytes)
      local other = bytes:sub(1, at - 1) .. string.char(math.random(0, 255))
        .. bytes:sub(at + 1)
      local ok, value = pcall(serve.decode, "GetVmResponse", other)
      assert.is_true(ok and type(value) == "table"
        or boxd.is_error(value, boxd.InternalError))
    end
  end)

  it("refuses what would unfold into far more memory", function()
    local ok, err = pcall(serve.decode, "ListVmsResponse",
      ("\x0A\x00"):rep(4 << 20))
    assert.is_false(ok)
    assert.is_true(boxd.is_error(err, boxd.InternalError), tostring(err))
  end)

  it("leaks nothing however often it fails", function()
    local function kib(what)
      for line in io.lines "/proc/self/status" do
        local n = line:match("^" .. what .. ":%s+(%d+)")
        if n then return tonumber(n) end
      end
    end
    -- Under AddressSanitizer, which maps terabytes and keeps freed memory,
    -- its leak check at the end of the process has this part.
    if kib "VmSize" > 1 << 30 then return end
    local list = {}
    for i = 1, 5000 do list[i] = "x" end
    list[#list + 1] = "\xFF"
    local function fail(times)
      for i = 1, times do
        assert(not pcall(serve.encode, "CreateVmRequest", { cmd = list }))
        -- Else garbage may grow with what the specs before have left.
        if i % 100 == 0 then collectgarbage() end
      end
    end
    fail(200)
    local before = kib "VmRSS"
    fail(2000)
    assert.is_true(kib "VmRSS" - before < 8192)
  end)

  it("agrees with protoc", function()
    local messages = { "CreateVmRequest", "GetVmResponse", "ExecChunk",
      "MachineSpec", "MachinePackage", "UpdateMachineSpecResponse", "LogChunk",
      "WhoamiResponse", "ListDisksResponse" }
    for _, message in ipairs(messages) do
      for pick = 1, 2 do
        local value = sample(message, pick)
        local text = protoc("decode", message, serve.encode(message, value))
        assert.is_nil(text:find "\n%s*%d+:", message) -- no unknown field
        local bytes = protoc("encode", message, text)
        assert.same(value, serve.decode(message, bytes), message)
      end
    end
  end)

  it("reads what protoc writes from text", function()
    local bytes = protoc("encode", "CreateVmRequest", [[
      name: "web" config { vcpu: 2 srf { auto_suspend_timeout_secs: 0 } }
      labels { key: "a" value: "b" } spec { base { snapshot: "s" } }
    ]])
    local value = serve.decode("CreateVmRequest", bytes)
    assert.equal("web", value.name)
    assert.equal(2, value.config.vcpu)
    assert.equal(0, value.config.srf.auto_suspend_timeout_secs)
    assert.same({ a = "b" }, value.labels)
    assert.equal("s", value.spec.base.snapshot)
    assert.is_nil(value.spec.base.team)
  end)
end)
