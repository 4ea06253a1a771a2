-- box:sync_to and box:sync_from: a folder made like another one; only what
-- differs travels.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local digests = require "boxd.internal.sync.digests"
local list = require "boxd.internal.sync.list"
local part = require "boxd.internal.sync.part"
local path = require "boxd.path"
local patterns = require "boxd.internal.sync.patterns"
local perl = require "boxd.internal.perl"
local plan = require "boxd.internal.sync.plan"
local progress = require "boxd.internal.progress"
local receive = require "boxd.internal.sync.receive"
local resource = require "boxd.internal.resource"
local send = require "boxd.internal.sync.send"
core.internal()

local PASSES = 3       -- for files that are written while they are read
local WATCH = 0.25     -- seconds between two looks at a local folder
local WATCH_BOX = 1    -- ... of a box, each a round trip
local PAUSE_MAX = 10   -- seconds, after failures of a watch

local sync = {}

local REMOVE = [=[
chdir $a{folder} or exit 5;
my ($done, %open) = (0, split /\0/, $a{open});
chmod oct $open{$_}, $_ or die "$_: $!\n" for keys %open;
for my $path (split /\0/, $a{paths}) {
  lstat $path;
  if (-d _ ? rmdir $path : unlink $path) { $done++ }
  elsif (!$!{ENOTEMPTY} && !$!{EEXIST} && !$!{ENOENT}) {
    print STDERR "$path: $!"; exit 6;
  }
}
print $done;
]=]

-- Removes paths of the box's folder; how many there were. open: modes of folders
-- to set before, by path; so below.
local function remove_there(box, folder, paths, open, opts)
  if #paths == 0 and not next(open) then return 0 end
  local modes = {}
  for name, mode in pairs(open) do modes[#modes + 1] = ("%s\0%o"):format(name, mode) end
  return math.tointeger(perl.run(box, "sync", REMOVE, { folder = folder,
    paths = table.concat(paths, "\0"), open = table.concat(modes, "\0") }, nil, opts))
end

local NOT_EMPTY = 39 -- ENOTEMPTY: excluded files are in it

local function remove_here(folder, paths, open)
  local done = 0
  for name, mode in pairs(open) do
    local full = folder .. "/" .. name
    local ok, why = core.set_mode(full, mode)
    if not ok then check.invalid("can't change the mode of %s: %s", full, why) end
  end
  for _, name in ipairs(paths) do
    local ok, why, code = os.remove(folder .. "/" .. name)
    if ok then
      done = done + 1
    elseif code ~= NOT_EMPTY and core.kind(folder .. "/" .. name) then
      check.invalid("can't remove %s", why)
    end
  end
  return done
end

-- The two sides of a sync, each as a source and as a destination.

local to = {}
to.__index = to

function to:source()
  local entries = list.here(self.here, self.excluded)
  for name, entry in pairs(entries) do
    if entry.kind == "other" then
      check.invalid("%s: %s/%s is a pipe, a socket or a device, which does not "
        .. "travel: name it in exclude", self.method, self.here, name)
    end
  end
  return entries
end

function to:dest()
  return list.there(self.box, self.there, self.excluded, self.opts) or {}
end

function to:remove(paths, open)
  return remove_there(self.box, self.there, paths, open, self.opts)
end

function to:transfer(entries, paths, tell)
  return send(self.box, self.here, entries, paths, self.there, tell, self.opts)
end

local from = {}
from.__index = from

function from:source()
  local entries = list.there(self.box, self.there, self.excluded, self.opts)
  if not entries then
    core.raise("NotFoundError", ("%s: the box has no folder %s"):format(
      self.method, self.there))
  end
  for name, entry in pairs(entries) do
    if entry.kind == "other" then
      check.invalid("%s: %s/%s is a pipe, a socket or a device, which does not "
        .. "travel: name it in exclude", self.method, self.there, name)
    end
  end
  return entries
end

function from:dest()
  if core.kind(self.here) == nil then
    if self.dry_run then return {} end
    local ok, why = core.make_folder(self.here)
    if not ok then check.invalid("can't make %s: %s", self.here, why) end
  end
  local entries = list.here(self.here, self.excluded)
  part.take_out(self.here, entries, self.dry_run)
  return entries
end

function from:remove(paths, open) return remove_here(self.here, paths, open) end

function from:transfer(entries, paths, tell)
  return receive(self.box, self.there, entries, paths, self.here, tell,
    self.opts)
end

-- Digests for the files that have the same size on both sides.
local function add_digests(self, source, dest)
  local paths = plan.doubtful(source, dest)
  if #paths == 0 then return end
  local here, there = source, dest
  if getmetatable(self) == from then here, there = dest, source end
  local sums = digests.there(self.box, self.there, paths, self.opts)
  for _, name in ipairs(paths) do
    here[name].digest = digests.here(self.here, name)
    there[name].digest = sums[name]
  end
end

local function report(p)
  return { sent = p.count, deleted = #p.remove, unchanged = p.unchanged,
    bytes = p.bytes }
end

-- Syncs once. Returns the report, and the paths that were written meanwhile.
local function pass(self, source, dest)
  if self.checksum then add_digests(self, source, dest) end
  local p = plan.make(source, dest, self.delete)
  local result = report(p)
  if self.dry_run then return result, {} end
  result.deleted = self:remove(p.remove, p.open)
  if #p.send == 0 then return result, {} end
  local done = 0
  local changed = self:transfer(source, p.send, function(n)
    done = done + n
    self.tell(math.min(done, p.bytes), p.bytes)
  end)
  return result, changed
end

-- As often as files change under it, a few times. Returns the result and what
-- the destination has then; what changed is unknown there.
local function run(self)
  local total
  for i = 1, PASSES do
    local source, dest = self:source(), self:dest()
    local result, changed = pass(self, source, dest)
    if total then
      total.deleted = total.deleted + result.deleted
      total.bytes = total.bytes + result.bytes
    end
    total = total or result
    local short
    for name, state in pairs(changed) do
      source[name] = nil
      short = short or state == "short" and name
    end
    if not next(changed) or (i == PASSES and not short) then
      return total, source
    end
    if i == PASSES then
      core.raise("BoxdError", ("%s: %s became shorter while it was read: it is "
        .. "not whole there, run it again"):format(self.method, short))
    end
  end
end

-- ---- watching ----

local function keep_up(self, known)
  while true do
    local source = self:source()
    local _, changed = pass(self, source, known)
    for name in pairs(changed) do source[name] = nil end
    known = source
    boxd.sleep(self.every)
  end
end

-- Goes on until it is cancelled: over lost connections, too.
local function watch(self)
  local pause = 0.1
  while true do
    local began = boxd.now()
    local ok, e = pcall(function() keep_up(self, select(2, run(self))) end)
    if not ok and not perl.passes(e) then error(e, 0) end
    if boxd.now() - began > PAUSE_MAX then pause = 0.1 end
    boxd.sleep(pause)
    pause = math.min(pause * 2, PAUSE_MAX)
  end
end

local OPTIONS = { "delete", "exclude", "checksum", "dry_run", "progress",
  "watch", "user", "timeout" }

local function folder(method, index, name)
  path.check(index, method, name)
  if name == "" then check.invalid("%s: two folders expected", method) end
  return (name:gsub("(.)/+$", "%1")) -- "/" stays
end

-- Reads the options of a sync, and runs it.
local function start(self, method, opts)
  opts = check.options(3, method, opts, OPTIONS)
  for _, name in ipairs { "delete", "checksum", "dry_run", "watch" } do
    self[name] = check.field(method, opts, name, "boolean")
  end
  self.method = method
  self.excluded = patterns.matcher(method,
    check.field(method, opts, "exclude", "table"))
  self.opts = resource.within(opts, opts.timeout)
  self.opts.as = check.field(method, opts, "user", "string")
  local shown, _shown <close> = progress.transfer(method .. " " .. self.here)
  self.tell = check.field(method, opts, "progress", "function") or shown
  if self.watch then return watch(self) end
  return (run(self))
end

-- box:sync_to(local_dir, dir, { delete=, exclude=, checksum=, dry_run=,
-- progress=, watch=, user= }) -> { sent, deleted, unchanged, bytes }
function sync:sync_to(here, there, opts)
  here = folder("sync_to", 1, path.name(here) or here)
  there = folder("sync_to", 2, there)
  return start(setmetatable({ box = self, here = here, there = there,
    every = WATCH }, to), "sync_to", opts)
end

-- box:sync_from(dir, local_dir, opts), in the other direction
function sync:sync_from(there, here, opts)
  there = folder("sync_from", 1, there)
  here = folder("sync_from", 2, path.name(here) or here)
  return start(setmetatable({ box = self, here = here, there = there,
    every = WATCH_BOX }, from), "sync_from", opts)
end

return sync
