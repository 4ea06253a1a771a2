-- Holds proto/boxd.proto against the contract, contract.tsv: every call,
-- message and field of the one in the other, and nothing beyond.

local descriptor = require "spec.support.descriptor"

local PROTO = "proto/boxd.proto"

local function read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function run(command)
  local pipe = assert(io.popen(command, "r"))
  local output = pipe:read "a"
  return output, pipe:close() == true
end

-- The contract in the shape of descriptor.rows.
local function contract()
  local rows = { rpcs = {}, messages = {}, fields = {} }
  local seen = {}
  for line in io.lines "spec/support/contract.tsv" do
    local columns = {}
    for column in (line .. "\t"):gmatch "([^\t]*)\t" do
      columns[#columns + 1] = column
    end
    local kind, name = columns[1], columns[2]
    if kind == "rpc" then
      rows.rpcs[#rows.rpcs + 1] = table.concat(columns, "\t", 2, 4)
    elseif kind == "field" then
      if not seen[name] then
        seen[name] = true
        rows.messages[#rows.messages + 1] = name
      end
      if columns[3] ~= "0" then
        rows.fields[#rows.fields + 1] = table.concat(columns, "\t", 2, 6)
      end
    end
  end
  return rows
end

local function compile(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
  local bytes, ok = run(("protoc -I%s --descriptor_set_out=/dev/stdout %s")
    :format(path:match "^(.*)/", path))
  os.remove(path)
  assert(ok, "protoc refuses the file")
  return descriptor.rows(bytes)
end

-- Rows of one list only, each after "missing: " or "beyond: ".
local function differences(want, have)
  local count, out = {}, {}
  for _, row in ipairs(want) do count[row] = (count[row] or 0) + 1 end
  for _, row in ipairs(have) do count[row] = (count[row] or 0) - 1 end
  for row, n in pairs(count) do
    if n ~= 0 then
      out[#out + 1] = (n > 0 and "missing: " or "beyond: ")
        .. row:gsub("\t", " ") .. "\n"
    end
  end
  table.sort(out)
  return table.concat(out)
end

local function all_differences(want, have)
  return differences(want.rpcs, have.rpcs)
    .. differences(want.messages, have.messages)
    .. differences(want.fields, have.fields)
end

-- The text with one plain piece of it replaced; the piece must be there.
local function edit(text, old, new)
  local first, last = text:find(old, 1, true)
  assert(first, "not in the file: " .. old)
  return text:sub(1, first - 1) .. new .. text:sub(last + 1)
end

describe("proto/boxd.proto", function()
  local text, want, have

  setup(function()
    text = read_file(PROTO)
    want, have = contract(), compile(text)
  end)

  it("is boxd.api.v1.BoxdApi in proto3", function()
    assert.equal("proto3", have.syntax)
    assert.equal("boxd.api.v1", have.package)
    assert.equal("BoxdApi", have.service)
  end)

  it("has the 129 calls and 289 messages of the contract", function()
    assert.equal(129, #want.rpcs)
    assert.equal(289, #want.messages)
    assert.equal(129, #have.rpcs)
    assert.equal(289, #have.messages)
  end)

  it("has every call with its messages and streams, and no other", function()
    assert.equal("", differences(want.rpcs, have.rpcs))
  end)

  it("has every message, and no other", function()
    assert.equal("", differences(want.messages, have.messages))
  end)

  it("has every field with number, type and label, and no other", function()
    assert.is_true(#want.fields > 289)
    assert.equal("", differences(want.fields, have.fields))
  end)

  it("documents each call", function()
    local described = 0
    for comment in text:gmatch "\n  // ([^\n]+)\n  rpc " do
      assert.matches("^%u.*%.$", comment)
      described = described + 1
    end
    assert.equal(129, described)
  end)
end)

describe("the comparison with the contract", function()
  local text, want

  setup(function()
    text, want = read_file(PROTO), contract()
  end)

  local edits = {
    { "a number", "string image_ref = 2;", "string image_ref = 3;",
      "missing: CreateVmRequest 2 image_ref string" },
    { "a name", "bool is_stderr = 10;", "bool stderr = 10;",
      "beyond: ExecChunk 10 stderr bool" },
    { "a type", "uint64 suspend_us = 1;", "uint32 suspend_us = 1;",
      "missing: SuspendVmResponse 1 suspend_us uint64" },
    { "a lost optional", "optional int32 exit_code = 3;",
      "int32 exit_code = 3;",
      "missing: MachinePackage 3 exit_code int32 optional" },
    { "an added optional", "uint32 auto_destroy_timeout_secs = 2;",
      "optional uint32 auto_destroy_timeout_secs = 2;",
      "beyond: SrfConfig 2 auto_destroy_timeout_secs uint32 optional" },
    { "a lost repeated", "repeated string cmd = 6;", "string cmd = 6;",
      "missing: CreateVmRequest 6 cmd string repeated" },
    { "a map's value type", "map<string, string> set = 2;",
      "map<string, bytes> set = 2;",
      "beyond: UpdateVmLabelsRequest 2 set map<string,bytes> map" },
    { "a map's key type", "map<string, string> set = 2;",
      "map<int32, string> set = 2;",
      "beyond: UpdateVmLabelsRequest 2 set map<int32,string> map" },
    { "a oneof's name", "oneof kind {", "oneof source {",
      "missing: MachineSpecBase 1 team string oneof kind" },
    { "a field's message", "MachineSpec created_spec = 36;",
      "VmConfig created_spec = 36;",
      "beyond: GetVmResponse 36 created_spec VmConfig" },
    { "a lost field", "  bool follow = 2;", "",
      "missing: StreamLogsRequest 2 follow bool" },
    { "a field too many", "message StopVmResponse {}",
      "message StopVmResponse { bool forced = 1; }",
      "beyond: StopVmResponse 1 forced bool" },
    { "a message too many", "message StopVmResponse {}",
      "message StopVmResponse {} message Extra {}", "beyond: Extra" },
    { "a lost call", "rpc Whoami(WhoamiRequest) returns (WhoamiResponse);",
      "", "missing: Whoami WhoamiRequest WhoamiResponse" },
    { "a call too many", "rpc Whoami(",
      "rpc Who(WhoamiRequest) returns (WhoamiResponse); rpc Whoami(",
      "beyond: Who WhoamiRequest WhoamiResponse" },
    { "a call's reply", "returns (WhoamiResponse)",
      "returns (GetConfigResponse)", "beyond: Whoami WhoamiRequest GetConfig" },
    { "a lost reply stream", "returns (stream LogChunk)",
      "returns (LogChunk)",
      "missing: StreamLogs StreamLogsRequest stream LogChunk" },
    { "a lost request stream", "rpc Exec(stream ExecChunk)",
      "rpc Exec(ExecChunk)", "beyond: Exec ExecChunk stream ExecChunk" },
  }
  for _, case in ipairs(edits) do
    it("notices " .. case[1], function()
      local have = compile(edit(text, case[2], case[3]))
      local found = all_differences(want, have)
      assert.is_truthy(found:find(case[4], 1, true), found)
    end)
  end

  it("refuses what the contract has no rows for", function()
    for _, extra in ipairs {
      "enum Colour { RED = 0; }",
      "message Outer { message Inner {} }",
      "message Old { reserved 1; }",
    } do
      assert.has_error(function() compile(text .. extra) end)
    end
  end)
end)

describe("proto/protoc-c.awk", function()
  -- The copy without what only protoc-c's own options file can explain.
  local function derive(text)
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    assert(file:write(text))
    assert(file:close())
    local copy, ok = run("awk -f proto/protoc-c.awk " .. path .. " 2>/dev/null")
    os.remove(path)
    return copy, ok
  end

  it("keeps every call and field on the wire", function()
    local copy, ok = derive(read_file(PROTO))
    assert.is_true(ok)
    copy = copy:gsub("\nimport [^\n]*", ""):gsub("\n *option [^\n]*", "")
    local have, optionals = compile(copy), 0
    for i, row in ipairs(have.fields) do
      local name, label = row:match "\t%d+\t([%w_]+)\t[^\t]+\t(.*)$"
      if label == "oneof _" .. name then
        have.fields[i] = row:gsub("oneof _.*$", "optional")
        optionals = optionals + 1
      end
    end
    assert.is_true(optionals > 0)
    assert.equal("", all_differences(contract(), have))
  end)

  it("fails on a value that it cannot carry over", function()
    local text = read_file(PROTO)
    for _, case in ipairs {
      { "MachineSpecBase base = 2;", "MachineSpecBase origin = 2;" },
      { "bool follow = 2;", "bool base = 2;" },
      { "  optional int32 exit_code", "  optional\n  int32 exit_code" },
      { "package boxd.api.v1;", "" },
    } do
      local _, ok = derive(edit(text, case[1], case[2]))
      assert.is_false(ok, case[2])
    end
  end)
end)
