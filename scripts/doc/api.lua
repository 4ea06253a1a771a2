-- Writes the API reference, in Markdown, from the annotations of these files, or
-- of all:
--   lua5.4 scripts/doc/api.lua [files] > build/doc/api.md
-- Sections are in the files' order. Every type of ours leads to its section.

package.path = "./?.lua;" .. package.path

local types = require "scripts.doc.types"

local items = types.read(#arg > 0 and arg or types.files)

-- How an object of a class is called in examples.
local OBJECT = { Compute = "c", Boxes = "c.box", Templates = "c.template",
  Disks = "c.disk", Domains = "c.domain", Networks = "c.network",
  Tokens = "c.token", ApiKeys = "c.api_key", Box = "box", Disk = "disk",
  ExecProcess = "p", ExecStdin = "p.stdin", Task = "task", Error = "e",
  Json = "boxd.json", Http = "boxd.http" }

local function short(name) return (name:gsub("^boxd%.", "")) end

local sections = {}
for _, item in ipairs(items) do
  if item.kind == "class" then sections[short(item.name)] = true end
end

local function owner(class) return OBJECT[class] or class:lower() end

-- Text with its types as code, which in a table may hold no |.
local function code(text) return "`" .. text:gsub("|", "\\|") .. "`" end

-- A type, with links to the types it names.
local function linked(text)
  local links, seen = {}, {}
  for name in text:gmatch "boxd%.(%u%w*)" do
    if sections[name] and not seen[name] then
      seen[name] = true
      links[#links + 1] = ("[%s](#%s)"):format(name, name:lower())
    end
  end
  local plain = text:gsub("boxd%.(%u)", "%1")
  if #links == 1 and plain == links[1]:match "%[(.-)%]" then return links[1] end
  local out = code(plain)
  return #links > 0 and out .. " (" .. table.concat(links, ", ") .. ")" or out
end

local function cell(text) return (text:gsub("|", "\\|")) end

local function write_rows(title, rows)
  if #rows == 0 then return end
  print("\n| " .. title .. " | type | |\n|---|---|---|")
  for _, row in ipairs(rows) do
    print(("| %s | %s | %s |"):format(
      row.name and code(row.name .. (row.optional and "?" or "")) or "",
      linked(row.type), cell(row.text)))
  end
end

local function arguments(item)
  local names = {}
  for _, p in ipairs(item.params) do
    names[#names + 1] = p.name .. (p.optional and "?" or "")
  end
  return table.concat(names, ", ")
end

local function write_function(item)
  local name = owner(item.class) .. item.mark .. item.name
  print(("\n### %s\n\n`%s(%s)`"):format(name, name, arguments(item)))
  for _, overload in ipairs(item.overloads) do
    local list = overload:match "^fun%((.*)%)"
      :gsub("self: [%w.]+,? ?", ""):gsub(": [%w.]+", "")
    print(("or `%s(%s)`"):format(name, list))
  end
  if item.text ~= "" then print("\n" .. item.text) end
  write_rows("argument", item.params)
  write_rows("result", item.returns)
  local facts = {}
  if item.raises then facts[1] = "Raises: " .. item.raises end
  if item.rpc.text then facts[#facts + 1] = "RPC: " .. item.rpc.text end
  if #facts > 0 then print("\n" .. table.concat(facts, "\n\n")) end
end

local function write_class(item)
  local name = short(item.name)
  print("\n## " .. name)
  if item.text ~= "" then print("\n" .. item.text) end
  if #item.parents > 0 then
    local parents = {}
    for i, parent in ipairs(item.parents) do parents[i] = linked(parent) end
    print("\nHas also what these have: " .. table.concat(parents, ", ") .. ".")
  end
  write_rows("field", item.fields)
end

print [[
# boxd for Lua: API reference

Made by `make doc` from lua/boxd/types/, which editors read too. Times are
seconds, sizes bytes, timestamps Unix seconds, unless a line says otherwise; `?`
marks what may be left out or nil. "RPC" is the call a method makes, as
proto/boxd.proto has it; "today" marks what the service has added since 0.1.

What a call raises stands at it; beyond that every call may raise
`AuthenticationError`, `TimeoutError`, `ConnectionError`, `CancelledError` and
`InternalError`, and `InvalidArgumentError` for an unknown option or a refused
value. A wrong type is an ordinary error of Lua.]]

-- A class, then its methods, wherever they stand.
for _, class in ipairs(items) do
  if class.kind == "class" then
    write_class(class)
    for _, item in ipairs(items) do
      if item.kind == "function" and item.class == short(class.name) then
        write_function(item)
      end
    end
  end
end
