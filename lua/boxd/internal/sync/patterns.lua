-- Patterns of paths to leave out, as .gitignore has them: "*.o" at any depth,
-- "/build" and "a/b" from the top, "tmp/" a folder only, "**" over folders, and
-- "!keep.o" takes back. Of several the last that matches decides.

local core = require "boxd.core"
local check = require "boxd.internal.check"
core.internal()

local patterns = {}

local WILD = { ["*"] = "[^/]*", ["?"] = "[^/]" }

local function escape(text) return (text:gsub("%W", "%%%0")) end

-- A set of characters at `at`: its Lua pattern, and the position after it.
local function read_set(glob, at)
  local negated, inner, stop = glob:match("^%[([!^]?)(%]?[^%]]*)%]()", at)
  if not stop then return "%[", at + 1 end
  return ("[%s%s]"):format(negated ~= "" and "^/" or "",
    inner:gsub("[%%%]%[^]", "%%%0")), stop
end

-- A glob without "**" as a Lua pattern.
local function translate(glob)
  local parts, at = {}, 1
  while at <= #glob do
    local c = glob:sub(at, at)
    if c == "[" then
      parts[#parts + 1], at = read_set(glob, at)
    else
      if c == "\\" and at < #glob then
        at = at + 1
        c = glob:sub(at, at)
        parts[#parts + 1] = escape(c)
      else
        parts[#parts + 1] = WILD[c] or escape(c)
      end
      at = at + 1
    end
  end
  return table.concat(parts)
end

-- The Lua patterns of one: "**/" may stand for no folder at all.
local function expand(glob)
  local before, after = glob:match "^(.-)%*%*/(.*)$"
  if before then
    local list = {}
    for _, rest in ipairs(expand(after)) do
      list[#list + 1] = translate(before) .. rest
      list[#list + 1] = translate(before) .. ".*/" .. rest
    end
    return list
  end
  local start = glob:match "^(.*)/%*%*$"
  return { start and translate(start) .. "/.*" or translate(glob) }
end

local function read(text)
  local negated, glob = text:match "^(!?)(.*)$"
  local only_folder = glob:sub(-1) == "/"
  if only_folder then glob = glob:sub(1, -2) end
  local anchored = glob:find("/", 1, true) ~= nil
  local list = expand((glob:gsub("^/", "")))
  for i, pattern in ipairs(list) do list[i] = "^" .. pattern .. "$" end
  return { take = negated ~= "", folder = only_folder, anchored = anchored,
    list = list }
end

local function matches(rule, path, name, kind)
  if rule.folder and kind ~= "folder" then return false end
  local text = rule.anchored and path or name
  for _, pattern in ipairs(rule.list) do
    if text:find(pattern) then return true end
  end
  return false
end

--- A function of a path (from the top, without "/" before it) and its kind: is
--- it left out? The entries of an excluded folder are not asked for.
function patterns.matcher(method, list)
  local rules = {}
  for i, text in ipairs(list or {}) do
    if type(text) ~= "string" or text == "" or text == "/" then
      check.invalid("%s: exclude is a list of patterns such as \"*.o\", not %s",
        method, check.show(text))
    end
    rules[i] = read(text)
  end
  return function(path, kind)
    local name = path:match ".*/(.*)" or path
    for i = #rules, 1, -1 do
      if matches(rules[i], path, name, kind) then return not rules[i].take end
    end
    return false
  end
end

return patterns
