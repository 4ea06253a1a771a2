-- Fetches files of a box's folder into a local one. Names come from the box:
-- nothing is written through a link.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local parts = require "boxd.internal.sync.part"
local perl = require "boxd.internal.perl"
local silence = require "boxd.internal.sync.silence"
core.internal()

-- Of each path: "m" it is gone; or "f SIZE SECONDS", as many bytes, and "=", or
-- "!" when it was written meanwhile.
local PROGRAM = [=[
use Fcntl;
my $held = '';
sub say {
  $held .= $_[0];
  if (length $held > 65536) { alarm $a{silence}; put($held); $held = '' }
}
chdir $a{folder} or exit 5;
for my $path (split /\0/, $a{paths}) {
  my $f;
  if (!sysopen $f, $path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK) {
    if ($!{ENOENT} || $!{ELOOP} || $!{ENOTDIR}) { say("m\n"); next }
    print STDERR "$path: $!"; exit 6;
  }
  my @s = stat $f;
  if (!-f _) { say("m\n"); next }
  my ($left, $head) = ($s[7], "f $s[7] $s[9]\n");
  while ($left > 0) {
    my $n = sysread($f, my $data, $left < 262144 ? $left : 262144);
    last unless $n;
    say($head . $data);
    ($left, $head) = ($left - $n, '');
  }
  my $whole = $left == 0 && (stat $f)[9] == $s[9] && (stat _)[7] == $s[7];
  while ($left > 0) {
    my $n = $left < 262144 ? $left : 262144;
    say($head . "\0" x $n);
    ($left, $head) = ($left - $n, '');
  }
  say($head . ($whole ? "=\n" : "!\n"));
}
alarm $a{silence};
put($held . "e\n");
]=]

local input = {} -- bytes of the process's output
input.__index = input

function input:fill()
  local data = self.process:read_stdout()
  if not data then
    local text = {}
    for part in self.process:iter_stderr() do text[#text + 1] = part end
    core.raise("BoxdError", "sync: perl in the box ended early: "
      .. table.concat(text))
  end
  self.data, self.at = self.data:sub(self.at) .. data, 1
end

function input:line()
  while true do
    local stop = self.data:find("\n", self.at, true)
    if stop then
      local line = self.data:sub(self.at, stop - 1)
      self.at = stop + 1
      return line
    end
    self:fill()
  end
end

-- Some of the next `most` bytes.
function input:bytes(most)
  if self.at > #self.data then
    self.data, self.at = "", 1
    self:fill()
  end
  local data = self.data:sub(self.at, self.at + most - 1)
  self.at = self.at + #data
  return data
end

local function must(name, ok, why)
  if not ok then check.invalid("can't write %s: %s", name, why) end
  return ok
end

-- Raises unless its parent is a real folder.
local function check_parent(folder, path, known)
  local parent = path:match "^(.*)/[^/]*$"
  if not parent or known[parent] then return end
  check_parent(folder, parent, known)
  if core.kind(folder .. "/" .. parent) ~= "folder" then
    check.invalid("can't write %s/%s: %s is not a folder", folder, path, parent)
  end
  known[parent] = true
end

local function copy_bytes(from, part, name, size, tell)
  local f <close> = must(name, io.open(part, "wb"))
  local left = size
  while left > 0 do
    local data = from:bytes(left)
    must(name, f:write(data))
    left = left - #data
    tell(#data)
  end
  must(name, f:close())
end

local function read_file(from, folder, path, entry, part, tell)
  local size, seconds = from:line():match "^f (%d+) (-?%d+)$"
  if not size then return "gone" end
  os.remove(part)
  local name = folder .. "/" .. path
  must(name, core.make_private(part))
  copy_bytes(from, part, name, math.tointeger(size), tell)
  local whole = from:line() == "=" and math.tointeger(size) == entry.size
    and entry.mtime // 1000000000 == math.tointeger(seconds)
  must(name, core.set_mode(part, entry.mode))
  must(name, core.set_time(part, whole and entry.mtime or 0))
  must(name, os.rename(part, name))
  return whole and "sent" or "changed"
end

local function make_link(name, entry)
  if core.kind(name) then os.remove(name) end
  must(name, core.link(entry.target, name))
  core.set_time(name, entry.mtime)
end

local function make_folder(name, entry)
  if core.kind(name) == "folder" then
    must(name, core.set_mode(name, entry.mode | 448))
  else
    must(name, core.make_folder(name, entry.mode | 448))
  end
end

-- Folders and links; the files' paths are returned.
local function prepare(folder, entries, paths)
  local known, files = {}, {}
  for _, path in ipairs(paths) do
    local entry, name = entries[path], folder .. "/" .. path
    check_parent(folder, path, known)
    if entry.kind == "folder" then
      make_folder(name, entry)
    elseif entry.kind == "link" then
      make_link(name, entry)
    else
      files[#files + 1] = path
    end
  end
  return files
end

--- Fetches the paths, which `entries` has, into a local folder. Returns those
--- that were written meanwhile or are gone, by path.
return function(box, source, entries, paths, folder, tell, opts)
  local files, changed = prepare(folder, entries, paths), {}
  local part = parts.new(folder)
  local _part <close> = setmetatable({}, { __close = function()
    os.remove(part)
  end })
  local process <close> = perl.start(box, PROGRAM, { folder = source,
    paths = table.concat(files, "\0"), silence = silence.seconds },
    { timeout = opts.timeout, as = opts.as, killable = true })
  local from = setmetatable({ process = process, data = "", at = 1 }, input)
  for _, path in ipairs(files) do
    local state = read_file(from, folder, path, entries[path], part, tell)
    if state ~= "sent" then changed[path] = state end
  end
  if from:line() ~= "e" then
    core.raise("InternalError", "sync: the box sent more than was asked for")
  end
  process:wait()
  for i = #paths, 1, -1 do
    local entry = entries[paths[i]]
    if entry.kind == "folder" then
      local name = folder .. "/" .. paths[i]
      must(name, core.set_mode(name, entry.mode))
    end
  end
  return changed
end
