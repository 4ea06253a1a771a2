-- Works on a store in the folder arg[1] while a system call fails, for
-- fault_system_spec.lua: `boxdlua spec/support/state_fault.lua DIR`. A
-- refused change must have changed nothing, in memory or on disk, and work the
-- next time. The exit status is the result, since output may fail, too.

local boxd = require "boxd"
local store = require "boxd.local.store"

local dir = arg[1]

local function on_disk(id)
  local f = io.open(("%s/things/%s.json"):format(dir, id))
  if not f then return nil end
  local _ <close> = f
  return boxd.json.decode(f:read "a").v
end

local function is_clear(e)
  local text = tostring(type(e) == "table" and e.message or e)
  return #text > 0 and not text:find "attempt to"
end

local function open()
  local ok, s = pcall(store.open, dir)
  if not ok then
    assert(is_clear(s), s)
    s = store.open(dir)
  end
  if not pcall(s.all, s, "things") then s:all "things" end
  return s
end

local s = open()
local refused = 0

-- Does f; when that is refused, `id` is as before, and the second time does it.
local function try(id, f)
  local function now()
    local record = s:all("things")[id]
    return record and record.v
  end
  local before = now()
  local ok, e = pcall(f)
  if ok then return end
  refused = refused + 1
  assert(is_clear(e), tostring(e))
  assert(now() == before, "the record in memory changed")
  assert(on_disk(id) == before, "the record on disk changed")
  f()
end

try("a", function() s:put("things", "a", { id = "a", v = 1 }) end)
try("a", function() s:update("things", s:all("things").a, { v = 2 }) end)
try("b", function() s:put("things", "b", { id = "b", v = 1 }) end)
try("b", function() s:remove("things", "b") end)

assert(on_disk "a" == 2 and on_disk "b" == nil)
s.lock:close()
local again = open()
assert(again:all("things").a.v == 2 and not again:all("things").b)
