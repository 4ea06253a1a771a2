-- Each RPC of the contract with every field of its messages set, to a server
-- that is not ours and back: nothing is lost, changed or added, either way.

local boxd = require "boxd"
local recorder = require "spec.support.recorder"

-- The contract: rpcs in its order, and fields by message.
local RPCS, FIELDS, rpc_count = {}, {}, 0
for line in io.lines "spec/support/contract.tsv" do
  local kind, a, b, c, d, e = line:match
    "^(%l+)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)"
  if kind == "rpc" then
    rpc_count = rpc_count + 1
    RPCS[#RPCS + 1] = { name = a, input = b:gsub("^stream ", ""),
      output = c:gsub("^stream ", ""), sends = b:find "^stream " ~= nil,
      receives = c:find "^stream " ~= nil }
  elseif kind == "field" then
    FIELDS[a] = FIELDS[a] or {}
    if b ~= "0" then
      table.insert(FIELDS[a], { name = c, number = tonumber(b), type = d,
        label = e })
    end
  end
end

-- Ranges that a number must come through whole; JSON, which the server reports
-- with, holds 2^53.
local NUMBERS = {
  int32 = { -2147483648, 2147483647 }, uint32 = { 1, 4294967295 },
  int64 = { -9007199254740991, 9007199254740991 },
  uint64 = { 1, 9007199254740991 }, double = { -0.5, 1.25e10 },
}

local filled

-- A value of a field that is not its default; `turn` is 1 or 2.
local function value(message, field, turn)
  if FIELDS[field.type] then return filled(field.type, turn) end
  if NUMBERS[field.type] then return NUMBERS[field.type][turn] end
  if field.type == "bool" then return true end
  local text = ("%s.%s %d"):format(message, field.name, turn)
  return field.type == "bytes" and text or text .. " \u{e9}\u{1f980}"
end

-- A message with all its fields set; of a oneof, the one whose turn it is.
function filled(message, turn)
  local out, in_oneof = {}, 0
  for _, field in ipairs(FIELDS[message] or error(message)) do
    if field.label == "repeated" then
      out[field.name] = { value(message, field, 1), value(message, field, 2) }
    elseif field.label == "map" then
      out[field.name] = { one = message .. field.name, two = "", [""] = "x" }
    elseif field.label:find "^oneof" then
      in_oneof = in_oneof + 1
      if in_oneof == turn then out[field.name] = value(message, field, turn) end
    else
      out[field.name] = value(message, field, turn)
    end
  end
  return out
end

-- Makes the call; the replies that came.
local function exchange(c, rpc, requests)
  if not (rpc.sends or rpc.receives) then
    return { c:call(rpc.name, requests[1]) }
  end
  local replies = {}
  if not rpc.sends then
    for reply in c:stream(rpc.name, requests[1]) do
      replies[#replies + 1] = reply
    end
    return replies
  end
  local stream <close> = c:stream(rpc.name)
  for _, request in ipairs(requests) do stream:send(request) end
  stream:half_close()
  for reply in function() return stream:recv() end do
    replies[#replies + 1] = reply
  end
  return replies
end

describe("every RPC, with all fields set,", function()
  local server, c

  setup(function()
    server = recorder.start()
    c = boxd.Compute { api_url = server.url, token = "test.jwt" }
  end)
  teardown(function()
    c:close()
    server:stop()
  end)

  for turn = 1, 2 do
    it("goes to another's server and back: " .. turn, function()
      local script, wanted, got = {}, {}, {}
      for _, rpc in ipairs(RPCS) do
        local requests = { filled(rpc.input, turn) }
        if rpc.sends then requests[2] = filled(rpc.input, 3 - turn) end
        local replies = { filled(rpc.output, turn) }
        if rpc.receives then replies[2] = filled(rpc.output, 3 - turn) end
        local steps = { { "half_close" } }
        for _, reply in ipairs(replies) do
          steps[#steps + 1] = { "send", reply }
        end
        script[rpc.name] = { { steps = steps } }
        wanted[rpc.name] = { requests = requests, replies = replies }
      end
      server:script(script)
      for _, rpc in ipairs(RPCS) do
        got[rpc.name] = { replies =
          exchange(c, rpc, wanted[rpc.name].requests) }
      end
      local calls = server:calls()
      assert.equal(rpc_count, #calls)
      for _, call in ipairs(calls) do
        got[call.method].requests = call.messages
      end
      for name, both in pairs(wanted) do
        assert.same(both.requests, got[name].requests, name .. ": requests")
        assert.same(both.replies, got[name].replies, name .. ": replies")
      end
    end)
  end

  it("is all 129, and both kinds of stream", function()
    local kinds = {}
    for _, rpc in ipairs(RPCS) do
      kinds[tostring(rpc.sends) .. tostring(rpc.receives)] = true
    end
    assert.equal(129, rpc_count)
    assert.same({ falsefalse = true, falsetrue = true, truefalse = true,
      truetrue = true }, kinds)
  end)
end)
