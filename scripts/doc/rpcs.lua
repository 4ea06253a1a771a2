-- The table of all RPCs in proto/README.md: what calls each, and whether the embedded
-- service answers it. Made of the contract, of the annotations and of the
-- embedded service's own tables:
--
--   boxdlua scripts/doc/rpcs.lua

local types = require "scripts.doc.types"

local rpcs = {}

-- { name =, stream = is one side of it a stream? }, in the contract's order.
function rpcs.contract()
  local out = {}
  for line in io.lines "proto/boxd.proto" do
    local name, rest = line:match "^  rpc (%w+)(%b())"
    if name then
      local reply = line:match "returns (%b())"
      out[#out + 1] = { name = name, stream =
        (rest .. (reply or "")):find "%(stream " ~= nil }
    end
  end
  return out
end

-- How a script writes an object of a class.
local function holders(items)
  local out = { Compute = "c", Box = "box", Disk = "d", Files = "box.files" }
  for _, item in ipairs(items) do
    local service = item.kind == "class" and item.text:match "^(c%.[%w_]+)"
    if service then out[item.name:gsub("^boxd%.", "")] = service end
  end
  return out
end

-- RPC -> list of the methods that make it, "c.box:create"; box.files only where
-- a box itself has none.
function rpcs.methods()
  local items, out = types.read(types.files), {}
  local holder = holders(items)
  for _, item in ipairs(items) do
    local first = item.kind == "function" and holder[item.class]
    if first and not (item.class == "Files" and item.name ~= "rename") then
      for _, name in ipairs(item.rpc) do
        out[name] = out[name] or {}
        table.insert(out[name], first .. ":" .. item.name)
      end
    end
  end
  return out
end

-- Does the embedded service answer it, other than by UNIMPLEMENTED?
function rpcs.embedded(name)
  local there = require "boxd.local.rpcs"
  local absent = require "boxd.local.unimplemented"
  local handler = there.unary[name] or there.stream[name]
  return handler ~= nil and handler ~= absent[name]
end

-- The table's lines.
function rpcs.lines()
  local methods = rpcs.methods()
  local out = { "| RPC | by | embedded |", "|---|---|---|" }
  for _, rpc in ipairs(rpcs.contract()) do
    local by = rpc.stream and "`c:stream` only" or "`c:call` only"
    if methods[rpc.name] then
      by = "`" .. table.concat(methods[rpc.name], "`, `") .. "`"
    end
    out[#out + 1] = ("| %s | %s | %s |"):format(rpc.name, by,
      rpcs.embedded(rpc.name) and "yes" or "no")
  end
  return out
end

if arg and arg[0] and arg[0]:find "scripts/doc/rpcs%.lua$" then
  print(table.concat(rpcs.lines(), "\n"))
end

return rpcs
