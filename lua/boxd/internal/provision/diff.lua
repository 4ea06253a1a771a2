-- Unified diffs of texts.

local core = require "boxd.core"
local text = require "boxd.internal.provision.text"
core.internal()

local diff = {}

local CELLS_MAX = 1 << 20 -- of the table; beyond, all lines in between differ
local BYTES_MAX = 2 << 20
local AROUND = 3

local function common(a, b)
  local first, last = 0, 0
  local most = math.min(#a, #b)
  while first < most and a[first + 1] == b[first + 1] do first = first + 1 end
  while last < most - first and a[#a - last] == b[#b - last] do last = last + 1 end
  return first, last
end

-- Lengths of the longest common subsequence of a[i..] and b[j..].
local function lengths(a, b, first, last)
  local rows = { [#a - last + 1] = setmetatable({}, { __index = function() return 0 end }) }
  for i = #a - last, first + 1, -1 do
    local row, below = { [#b - last + 1] = 0 }, rows[i + 1]
    for j = #b - last, first + 1, -1 do
      row[j] = a[i] == b[j] and below[j + 1] + 1 or math.max(below[j], row[j + 1])
    end
    rows[i] = row
  end
  return rows
end

-- A list of { sign, line }.
local function edits(a, b)
  local first, last = common(a, b)
  local list = {}
  local function add(sign, line) list[#list + 1] = { sign, line } end
  for i = 1, first do add(" ", a[i]) end
  local i, j, ends_a, ends_b = first + 1, first + 1, #a - last, #b - last
  if (ends_a - first) * (ends_b - first) <= CELLS_MAX then
    local rows = lengths(a, b, first, last)
    while i <= ends_a and j <= ends_b do
      if a[i] == b[j] then
        add(" ", a[i])
        i, j = i + 1, j + 1
      elseif rows[i + 1][j] >= rows[i][j + 1] then
        add("-", a[i])
        i = i + 1
      else
        add("+", b[j])
        j = j + 1
      end
    end
  end
  for k = i, ends_a do add("-", a[k]) end
  for k = j, ends_b do add("+", b[k]) end
  for k = ends_a + 1, #a do add(" ", a[k]) end
  return list
end

-- Ranges of edits with their context.
local function hunks(list)
  local found = {}
  for k, edit in ipairs(list) do
    if edit[1] ~= " " then
      local hunk = found[#found]
      if hunk and k - AROUND <= hunk[2] + 1 then
        hunk[2] = math.min(k + AROUND, #list)
      else
        found[#found + 1] = { math.max(k - AROUND, 1), math.min(k + AROUND, #list) }
      end
    end
  end
  return found
end

local function range(at, count)
  return count == 1 and tostring(at) or ("%d,%d"):format(count == 0 and at - 1 or at,
    count)
end

local function positions(list, stop)
  local old, new = 1, 1
  for k = 1, stop - 1 do
    if list[k][1] ~= "+" then old = old + 1 end
    if list[k][1] ~= "-" then new = new + 1 end
  end
  return old, new
end

local function add_hunk(out, list, first, last)
  local old, new, body = 0, 0, {}
  for k = first, last do
    local sign, line = list[k][1], list[k][2]
    if sign ~= "+" then old = old + 1 end
    if sign ~= "-" then new = new + 1 end
    body[#body + 1] = sign .. line
  end
  local at_old, at_new = positions(list, first)
  out[#out + 1] = ("@@ -%s +%s @@"):format(range(at_old, old), range(at_new, new))
  table.move(body, 1, #body, #out + 1, out)
end

local NO_END = "\\ No newline at end of file"

local function read(s)
  local lines, ended = text.lines(s)
  if not ended then lines[#lines] = lines[#lines] .. "\n" .. NO_END end
  return lines
end

-- The difference of two contents of a file; nil where they are the same.
function diff.unified(path, old, new)
  if old == new then return nil end
  if #old + #new > BYTES_MAX or old:find("\0", 1, true) or new:find("\0", 1, true) then
    return ("%s: binary or large, %d -> %d bytes\n"):format(path, #old, #new)
  end
  local list = edits(read(old), read(new))
  local out = { "--- " .. (old == "" and "/dev/null" or path), "+++ " .. path }
  for _, hunk in ipairs(hunks(list)) do add_hunk(out, list, hunk[1], hunk[2]) end
  return table.concat(out, "\n") .. "\n"
end

return diff
