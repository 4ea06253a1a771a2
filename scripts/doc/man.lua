-- Writes the manual page boxd(3), in mdoc, from the annotations:
--   lua5.4 scripts/doc/man.lua > build/doc/boxd.3

package.path = "./?.lua;" .. package.path

local types = require "scripts.doc.types"

local items = types.read(types.files)

local function short(text) return (text:gsub("boxd%.(%u)", "%1")) end

local function escaped(text) return (text:gsub("\\", "\\e"):gsub("`", "")) end

-- Text for roff: a sentence a line, and no line that is a macro.
local function plain(text)
  text = escaped(short(text)):gsub("(%S%S[.?!]) +", "%1\n")
    :gsub("\n\n+", "\n.Pp\n")
  return (("\n" .. text):gsub("\n'", "\n\\&'"):gsub("\n%.%f[^P\n]",
    "\n\\&."):sub(2))
end

-- One argument of a macro.
local function quoted(text)
  return '"' .. escaped(text):gsub('"', "\\(dq") .. '"'
end

local function paragraph(text)
  if text and text ~= "" then print(".Pp\n" .. plain(text)) end
end

-- A line for each parameter, field or result.
local function list(rows)
  if #rows == 0 then return end
  print ".Bl -tag -width Ds -compact"
  for _, row in ipairs(rows) do
    print(".It Va " .. quoted((row.name or "") .. (row.optional and "?" or "")))
    print(plain(row.type) .. (row.text ~= "" and "\n\\(en " .. plain(row.text)
      or ""))
  end
  print ".El"
end

local function results(rows)
  local names = {}
  for _, row in ipairs(rows) do
    names[#names + 1] = short(row.type) .. (row.name and " " .. row.name or "")
      .. (row.text ~= "" and " (" .. row.text .. ")" or "")
  end
  if #names > 0 then paragraph("Returns " .. table.concat(names, ", ") .. ".") end
end

local function describe_function(item)
  local names = {}
  for _, p in ipairs(item.params) do
    names[#names + 1] = p.name .. (p.optional and "?" or "")
  end
  print((".It Sy %s"):format(quoted(item.class .. item.mark .. item.name .. "("
    .. table.concat(names, ", ") .. ")")))
  if item.text ~= "" then print(plain(item.text)) end
  list(item.params)
  results(item.returns)
  if item.raises then paragraph("Raises: " .. item.raises) end
  if item.rpc.text then paragraph("RPC: " .. item.rpc.text) end
end

local function describe_class(class)
  local name = short(class.name)
  print(".Ss " .. quoted(name))
  local text = class.text
  if #class.parents > 0 then
    text = text .. "\n\nIt has also the fields of "
      .. table.concat(class.parents, ", ") .. "."
  end
  if text ~= "" then print(plain((text:gsub("^\n+", "")))) end
  list(class.fields)
  local methods = {}
  for _, item in ipairs(items) do
    if item.kind == "function" and item.class == name then
      methods[#methods + 1] = item
    end
  end
  if #methods == 0 then return end
  print ".Bl -tag -width Ds"
  for _, item in ipairs(methods) do describe_function(item) end
  print ".El"
end

local boxdlua <close> = assert(io.open "src/boxdlua/boxdlua.1")
print(boxdlua:read "l")
print [[
.Dt BOXD 3
.Os
.Sh NAME
.Nm boxd
.Nd client of the boxd service for cloud machines, a module of Lua
.Sh SYNOPSIS
.Bd -literal
local boxd = require "boxd"
local c <close> = boxd.Compute{}
local box = c.box:create("web")
print(box:sh("uname -a").stdout)
box:destroy()
.Ed
.Sh DESCRIPTION
Functions and types, in the order of subjects.
Times are seconds, sizes bytes, timestamps Unix seconds, unless a line says
otherwise; a question mark follows names that may be left out or nil.
.Pp
Every call may raise AuthenticationError, TimeoutError, ConnectionError,
CancelledError and InternalError, and InvalidArgumentError for an unknown option
or a refused value; more is said at each.
A wrong type is an ordinary error of Lua.]]
for _, item in ipairs(items) do
  if item.kind == "class" then describe_class(item) end
end
print [[
.Sh SEE ALSO
.Xr boxdlua 1 ,
.Xr lua 1]]
