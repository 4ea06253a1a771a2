-- The entries of a folder, here and in a box: a table of { kind=, mode=, size=,
-- mtime=, target= } by path from the top. mtime is in nanoseconds. Paths that
-- patterns exclude stay unknown, on both sides.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local failed = require "boxd.internal.failed"
core.internal()

local list = {}

local TURN = 200 -- folders between which other tasks have a turn

--- Those of a local folder; `excluded` is a matcher's. Raises for what can't be
--- read.
function list.here(folder, excluded)
  local all, left, done = {}, { "" }, 0
  while #left > 0 do
    local inner = table.remove(left)
    local entries, why = core.folder(inner == "" and folder
      or folder .. "/" .. inner)
    if not entries and (inner == "" or core.kind(folder .. "/" .. inner)) then
      check.invalid("can't read the local folder %s%s%s: %s", folder,
        inner == "" and "" or "/", inner, why)
    end
    for _, entry in ipairs(entries or {}) do
      local path = inner == "" and entry.name or inner .. "/" .. entry.name
      if not excluded(path, entry.kind) then
        all[path] = entry
        if entry.kind == "folder" then left[#left + 1] = path end
      end
    end
    done = done + 1
    if done % TURN == 0 then boxd.sleep(0) end
  end
  return all
end

local KINDS = { f = "file", d = "folder", l = "link" }
-- From within: find has to come back to where it began, which another user may not.
local FIND = "export LC_ALL=C; if [ -e %s ] || [ -L %s ]; then cd -- %s && "
  .. "exec find . -mindepth 1 -printf '%%y %%m %%s %%T@ %%P\\0%%l\\0'; else echo none; fi"

local function shell_path(path)
  return core.text.quote { path:find "^-" and "./" .. path or path }
end

list.shell_path = shell_path

-- Of a time beyond what an integer has, the first or the last of those.
local function nanoseconds(seconds, rest)
  seconds = math.tointeger(seconds)
  local most = math.maxinteger // 1000000000
  if seconds >= most then return math.maxinteger end
  if seconds <= -most then return math.mininteger end
  return seconds * 1000000000 + math.tointeger((rest .. "000000000"):sub(1, 9))
end

-- A path that leads nowhere else, by itself.
local function check_path(path)
  if path == "" or path:find "^/" or ("/" .. path .. "/"):find "/%.?%.?/" then
    core.raise("InternalError", "the box listed a path that leads out of the "
      .. "folder: " .. check.show(path))
  end
end

-- Is a folder above it left out? The answers are kept.
local function is_hidden(path, excluded, known)
  local parent = path:match "^(.*)/[^/]*$"
  if not parent then return false end
  if known[parent] == nil then
    known[parent] = is_hidden(parent, excluded, known)
      or excluded(parent, "folder")
  end
  return known[parent]
end

local function parse(text, excluded)
  local all, known, at = {}, {}, 1
  while at <= #text do
    local kind, mode, size, seconds, rest, path, target, stop = text:match(
      "^(%a) (%d+) (%d+) (-?%d+)%.?(%d*) ([^\0]*)\0([^\0]*)\0()", at)
    if not kind then
      core.raise("InternalError", "find in the box wrote a line that has "
        .. "another form: " .. check.show(text:sub(at, at + 60)))
    end
    at = stop
    check_path(path)
    kind = KINDS[kind] or "other"
    if not is_hidden(path, excluded, known) and not excluded(path, kind) then
      all[path] = { kind = kind, mode = tonumber(mode, 8) & 511,
        size = math.tointeger(size), mtime = nanoseconds(seconds, rest),
        target = kind == "link" and target or nil }
    end
  end
  return all
end

-- Did find miss only files that went meanwhile? They are not there, as where a
-- killed sync's tar still writes. Its option for that is not for folders.
local function is_whole(result)
  local rest = result.stderr:gsub("find: [^\n]*: No such file or directory\n", "")
  return result.exit_code == 1 and result.stderr ~= "" and rest == ""
end

--- Those of a folder of the box; nil: there is none.
function list.there(box, folder, excluded, opts)
  local q = shell_path(folder)
  local result = box:sh(FIND:format(q, q, q), { timeout = opts.timeout,
    killable = true, user = opts.as })
  if result.stdout == "none\n" then return nil end
  if not result.success and not is_whole(result) then
    failed(("can't read the folder %s of the box"):format(folder), result)
  end
  return parse(result.stdout, excluded)
end

return list
