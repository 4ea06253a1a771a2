-- Methods of c.box on boxes by their names: there, gone, swept.

local core = require "boxd.core"
local boxd = require "boxd"
local adopt = require "boxd.internal.adopt"
local check = require "boxd.internal.check"
local lifecycle = require "boxd.lifecycle"
local poll = require "boxd.internal.poll"
core.internal()

local TAKEN_MAX = 5 -- tries for a name that is taken by a box one can't see
local AT_ONCE = 8 -- destroyed at a time

local OPTIONS = { "image", "config", "org", "shared", "labels", "networks",
  "isolated", "team", "spec", "from_snapshot", "auto_suspend_timeout",
  "auto_hibernate_timeout", "auto_destroy_timeout", "delete_after",
  "delete_after_cron", "replace_failed", "timeout" }

local methods = {}

local function is(e, name) return boxd.is_error(e, boxd[name]) end

-- The box of that name (not: id), or nil.
local function find(boxes, name, left)
  local ok, found = pcall(boxes.get, boxes, name, poll.one(left))
  if ok then
    return found.name == name and found.status ~= "destroyed" and found or nil
  end
  if not is(found, "NotFoundError") then error(found, 0) end
end

-- A quota's error, with the boxes that hold it.
local function say_holders(boxes, e)
  local ok, list = pcall(boxes.list, boxes, { timeout = 10 })
  if not ok then return end
  local names = {}
  for i, box in ipairs(list) do
    names[i] = ("%s (%s)"):format(box.name or box.id, box.status)
  end
  table.sort(names)
  e.message = ("%s; the boxes there are: %s"):format(e.message,
    table.concat(names, ", "))
end

-- One try to make the box: it, or nil and why there is none yet. state.lost: the
-- answer to an earlier try was.
local function make(boxes, name, create, state, left)
  create.timeout = math.min(left, 60)
  local ok, made = pcall(boxes.create, boxes, name, create)
  if ok then return made end
  if made.code == "ALREADY_EXISTS" then
    state.taken = state.taken + 1
    if state.taken < TAKEN_MAX then return nil, made end
    made.message = made.message .. ": by a box that this key does not see"
  elseif poll.is_lost(made) then
    state.lost = true
    return nil, made
  elseif is(made, "QuotaExceededError") then
    say_holders(boxes, made)
  end
  error(made, 0)
end

-- The box that holds the name has failed: once, it is destroyed.
local function replace(box, state, left)
  if state.replaced[box.id] then return end
  if not state.replace then
    core.raise("BoxdError", ("ensure: box %s is failed, and replace_failed is "
      .. "false"):format(box.name))
  end
  local ok, e = pcall(box.destroy, box, { missing_ok = true,
    timeout = poll.one(left).timeout })
  if not ok and not poll.is_passing(e) then error(e, 0) end
  state.replaced[box.id] = ok
end

-- One look: the box and whether it was made, or false and why not yet.
local function step(boxes, name, create, state, left)
  local box = find(boxes, name, left)
  if not box then
    local made, why = make(boxes, name, create, state, left)
    if made then return made, true end
    return false, why
  end
  if box.status == "failed" then replace(box, state, left) end
  if box.status == "failed" or box.status == "destroying"
    or state.replaced[box.id] then
    return false, "a box that goes has its name"
  end
  return box, state.lost
end

local function copy_without(opts, ...)
  local out = {}
  for k, v in pairs(opts) do out[k] = v end
  for _, name in ipairs { ... } do out[name] = nil end
  return out
end

-- c.box:ensure(name, opts) -> box, created, differences
function methods:ensure(name, opts)
  check.string(1, "ensure", name)
  opts = check.options(2, "ensure", opts, OPTIONS)
  adopt.check(opts)
  local replace_failed = check.field("ensure", opts, "replace_failed", "boolean")
  local limit = opts.timeout or 120
  local create = copy_without(opts, "replace_failed", "timeout")
  local state = { taken = 0, replaced = {}, replace = replace_failed ~= false }
  local ends = boxd.now() + limit
  local box, created = poll.wait({ timeout = limit, name = name,
    late = ("box %s was not there"):format(name) },
    function(left) return step(self, name, create, state, left) end)
  lifecycle.bring_up(box, math.max(ends - boxd.now(), 0.001), not created)
  if created then return box, true, boxd.json.array {} end
  local function left() return math.max(ends - boxd.now(), 0.001) end
  adopt.settle(box, opts, left())
  return box, false, adopt.differences(box, opts, left())
end

local function kept(keep)
  local set = {}
  for _, one in ipairs(keep or {}) do
    if type(one) ~= "string" and core.type(one) ~= "Box" then
      check.invalid("sweep: keep is a list of boxes and their names or ids, not "
        .. "of %s", check.show(one))
    end
    set[type(one) == "string" and one or one.id] = true
  end
  return set
end

-- The boxes that all the options match.
local function matching(self, opts)
  local keep, list = kept(opts.keep), {}
  for _, box in ipairs(self:list { labels = opts.labels,
    timeout = opts.timeout }) do
    local name = box.name or box.id
    local old = not opts.older_than or box.created_at
      and os.time() - box.created_at > opts.older_than
    if old and not keep[name] and not keep[box.id]
      and box.status ~= "destroyed" and box.status ~= "destroying"
      and (not opts.prefix or name:sub(1, #opts.prefix) == opts.prefix) then
      list[#list + 1] = box
    end
  end
  table.sort(list, function(a, b) return (a.name or a.id) < (b.name or b.id) end)
  return list
end

-- c.box:sweep{ prefix=, labels=, older_than=, keep=, dry_run= } -> names
function methods:sweep(opts)
  opts = check.options(1, "sweep", opts,
    { "prefix", "labels", "older_than", "keep", "dry_run", "timeout" })
  local prefix = check.field("sweep", opts, "prefix", "string")
  local labels = check.field("sweep", opts, "labels", "table")
  check.field("sweep", opts, "keep", "table")
  check.field("sweep", opts, "older_than", "number")
  local dry = check.field("sweep", opts, "dry_run", "boolean")
  if (prefix or "") == "" and not (labels and next(labels)) then
    check.invalid("sweep: a prefix or labels expected: without them it would "
      .. "destroy every box")
  end
  local list, names = matching(self, opts), boxd.json.array {}
  for i, box in ipairs(list) do names[i] = box.name or box.id end
  if dry then return names end
  local _, errors = boxd.map(list, function(box)
    box:destroy { missing_ok = true, timeout = opts.timeout }
  end, { limit = AT_ONCE, on_error = "collect" })
  for i in ipairs(list) do
    if errors[i] then error(errors[i], 0) end
  end
  return names
end

return { methods = methods }
