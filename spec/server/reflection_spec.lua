-- Server reflection: questions as bytes in, answers as bytes out.

local process = require "spec.support.process"
local program = require "spec.support.program"
local reflect = require "boxd.serve".reflect

local function varint(n)
  local out = ""
  while n > 127 do
    out = out .. string.char(n & 127 | 128)
    n = n >> 7
  end
  return out .. string.char(n)
end

local function field(number, bytes)
  return varint(number << 3 | 2) .. varint(#bytes) .. bytes
end

-- A message's fields: number -> list of values.
local function parse(bytes)
  local at, out = 1, {}
  local function read()
    local n, shift = 0, 0
    repeat
      local byte = bytes:byte(at)
      n, shift, at = n | (byte & 127) << shift, shift + 7, at + 1
    until byte < 128
    return n
  end
  while at <= #bytes do
    local key = read()
    local value = read()
    if key & 7 == 2 then
      at = at + value
      value = bytes:sub(at - value, at - 1)
    end
    out[key >> 3] = out[key >> 3] or {}
    table.insert(out[key >> 3], value)
  end
  return out
end

local FILE, SYMBOL, EXTENSION, NUMBERS, SERVICES = 3, 4, 5, 6, 7

local function ask(what, text)
  local question = field(1, "host") .. field(what, text)
  local answer = parse(reflect(question))
  assert.same({"host"}, answer[1])
  assert.same({question}, answer[2])
  return answer
end

-- The name of the file that the answer holds.
local function file_of(answer)
  local file = parse(parse(answer[4][1])[1][1])
  assert.same({"boxd.api.v1"}, file[2])
  return file[1][1]
end

local function error_of(answer)
  assert.is_true(answer[4] == nil) -- a file is too long to be shown
  local e = parse(answer[7][1])
  return e[1][1], e[2][1]
end

describe("reflection", function()
  it("lists the services", function()
    local services = parse(ask(SERVICES, "")[6][1])
    assert.same({"boxd.api.v1.BoxdApi"}, parse(services[1][1])[1])
    assert.equal(1, #services[1])
  end)

  it("finds the file by its name", function()
    assert.equal("boxd.proto", file_of(ask(FILE, "boxd.proto")))
    local code, message = error_of(ask(FILE, "none.proto"))
    assert.equal(5, code)
    assert.equal("no file none.proto", message)
  end)

  it("finds the file of a symbol", function()
    for _, symbol in ipairs{"BoxdApi", "BoxdApi.GetVm", "GetVmRequest",
        "GetVmRequest.vm_id", "GetVmResponse.LabelsEntry",
        "GetVmResponse.LabelsEntry.key"} do
      assert.equal("boxd.proto", file_of(ask(SYMBOL, "boxd.api.v1." .. symbol)),
                   symbol)
    end
  end)

  it("knows no other symbol", function()
    for _, symbol in ipairs{"", ".", "boxd", "boxd.api.v1", "boxd.api.v1.",
        "boxd.api.v1.GetVm", "boxd.api.v1.BoxdApi.", "boxd.api.v1.BoxdApi.Get",
        "boxd.api.v1.GetVmRequest.vm_id.x", "BoxdApi", ("a."):rep(1000)} do
      assert.equal(5, (error_of(ask(SYMBOL, symbol))), symbol)
    end
  end)

  it("has no extensions", function()
    assert.equal(5, (error_of(ask(EXTENSION, ""))))
    assert.equal(5, (error_of(ask(NUMBERS, "boxd.api.v1.GetVmRequest"))))
  end)

  it("answers a question it does not know with UNIMPLEMENTED", function()
    assert.equal(12, (error_of(parse(reflect(field(1, "host"))))))
    assert.equal(12, (error_of(parse(reflect(field(9, "x"))))))
  end)

  it("refuses bytes that are not a message", function()
    for _, bytes in ipairs{"\255", "\10", "\10\5abc", "\15",
                           ("\255"):rep(11)} do
      assert.has_error(function() reflect(bytes) end)
    end
  end)

  it("is served in both versions", function()
    local helper = process.start{program.boxdlua, "spec/support/echo.lua"}
    finally(function() helper:stop() end)
    local result = program.run{"/usr/bin/python3", "spec/support/reflect.py",
                               helper:line()}
    assert.equal("", result.err)
    assert.equal(("boxd.api.v1.BoxdApi 2\n"):rep(2), result.out)
  end)
end)
