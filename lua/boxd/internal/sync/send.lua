-- Sends files, folders and links to a folder of a box, as one archive that tar
-- there unpacks as it comes.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local list = require "boxd.internal.sync.list"
local silence = require "boxd.internal.sync.silence"
core.internal()

local BLOCK = 512
local PIECE = 256 << 10 -- bytes of a file that are read at a time
local UNPACK = "tar -x -p --no-same-owner --delay-directory-restore "
  .. "--warning=no-timestamp -f - -C "

-- What tar in the box ended with, raised; e: the error of a write, if one failed.
-- A cancellation is not the end of tar.
local function complain(process, e)
  if e and not (boxd.is_error(e) and e.class == "BoxdError") then error(e, 0) end
  local ok, code = pcall(process.wait, process)
  local text = {}
  if ok then
    for data in process:iter_stderr() do text[#text + 1] = data end
  end
  if not ok or code == 0 then error(ok and e or code, 0) end
  core.raise("BoxdError", ("sync: tar in the box ended with exit code %d: %s")
    :format(code, (table.concat(text):gsub("%s+$", ""))))
end

local out = {} -- bytes on their way to the process
out.__index = out

function out:flush()
  if self.size == 0 then return end
  local ok, e = pcall(self.process.write, self.process,
    table.concat(self.parts))
  self.parts, self.size = {}, 0
  if not ok then complain(self.process, e) end
end

function out:add(data)
  self.parts[#self.parts + 1], self.size = data, self.size + #data
  if self.size >= PIECE then self:flush() end
end

-- The bytes of a file, as many as its header says; true: it had fewer.
local function add_bytes(to, f, name, size, tell)
  local left = size
  while left > 0 do
    local data, why = f:read(math.min(left, PIECE))
    if why then check.invalid("can't read the local file %s: %s", name, why) end
    if not data then break end
    to:add(data)
    tell(#data)
    left = left - #data
  end
  local short = left > 0
  while left > 0 do
    local n = math.min(left, PIECE)
    to:add(("\0"):rep(n))
    left = left - n
  end
  to:add(("\0"):rep(-size % BLOCK))
  return short
end

-- A file; nil: it is gone, "changed" or "short": it was written meanwhile.
local function add_file(to, name, path, tell)
  local f, found = core.open(name)
  if not f then
    if not core.kind(name) then return nil end
    check.invalid("can't read the local file %s: %s", name, found)
  end
  local _file <close> = f
  to:add(core.tar_header(path, "0", found.mode, found.size, found.mtime))
  if add_bytes(to, f, name, found.size, tell) then return "short" end
  local now = core.stat(name)
  if now and (now.mtime ~= found.mtime or now.size ~= found.size) then
    return "changed"
  end
  return "sent"
end

local ADD = {
  folder = function(to, entry, path)
    to:add(core.tar_header(path .. "/", "5", entry.mode, 0, entry.mtime))
  end,
  link = function(to, entry, path)
    to:add(core.tar_header(path, "2", 511, 0, entry.mtime, entry.target))
  end,
}

--- Sends the paths of a local folder; `entries` has them. Returns those that
--- were written meanwhile, by path: "changed", or "short" of its stated size.
return function(box, folder, entries, paths, dest, tell, opts)
  local to_dest = list.shell_path(dest)
  local process <close> = box:sh(("mkdir -p -- %s && exec %s"):format(to_dest,
    silence.watched(UNPACK .. to_dest)),
    { stream = true, killable = true, timeout = opts.timeout, user = opts.as })
  local to = setmetatable({ process = process, parts = {}, size = 0 }, out)
  local changed = {}
  for _, path in ipairs(paths) do
    local entry = entries[path]
    if entry.kind == "file" then
      local state = add_file(to, folder .. "/" .. path, path, tell)
      if state ~= "sent" then changed[path] = state end
    else
      ADD[entry.kind](to, entry, path)
    end
  end
  to:add(("\0"):rep(2 * BLOCK))
  to:flush()
  process:write_eof()
  if process:wait() ~= 0 then complain(process) end
  return changed
end
