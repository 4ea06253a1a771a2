-- Downloading a folder of a box: its files and folders, with their permission
-- bits. All of it is looked through before anything is written. The
-- names come from the service: none of them leads out of the folder they are
-- written to, as long as no other process changes it meanwhile.

local core = require "boxd.core"
local check = require "boxd.internal.check"
core.internal()

local download_folder = {}

local NAMES_MAX = 64 << 20 -- bytes of names to keep, and what keeping one takes
local NAME_BYTES = 64
local OWNER = tonumber("700", 8)

local function refuse(name, why)
  check.invalid("can't download %s: %s", check.show(name), why)
end

local ARCHIVE = ": leave it out, or pack it in the box and download the archive"
local WHY = { l = "it is a symbolic link" .. ARCHIVE,
  p = "it is a pipe", s = "it is a socket", b = "it is a device",
  c = "it is a device" }

local BITS = { r = 4, w = 2, x = 1, s = 1, t = 1 }

-- The mode of "-rwxr-xr-x", or of the number as text; nil: not told.
local function mode_of(permissions)
  local digits = permissions:match "^%d*([0-7][0-7][0-7])$"
  if digits then return tonumber(digits, 8) end
  if not permissions:find "^.[r-][w-][xsS-][r-][w-][xsS-][r-][w-][xtT-]" then
    return nil
  end
  local mode = 0
  for at = 2, 10, 3 do
    local sum = 0
    for letter in permissions:sub(at, at + 2):gmatch "%l" do
      sum = sum + BITS[letter]
    end
    mode = mode << 3 | sum
  end
  return mode
end

-- A name that stands for itself in its folder, once.
local function check_name(folder, name, seen)
  if name == "" or name == "." or name == ".." or name:find "[/\0]" then
    core.raise("InternalError", ("the service lists a file of %s under a name "
      .. "that none has: %s"):format(check.show(folder), check.show(name)),
      "ListDir")
  elseif seen[name] then
    core.raise("InternalError", ("the service lists %s twice in %s"):format(
      check.show(name), check.show(folder)), "ListDir")
  end
  seen[name] = true
end

-- A name that is not UTF-8 comes with this character in place of what no message
-- can carry; one that has the character itself is there.
local function check_text(self, name, opts)
  local ok, result = pcall(core.exec, self, "test", "-e", name,
    { timeout = opts.timeout, killable = false })
  if not ok then error(result, 0) end
  if not result.success then
    refuse(name, "its name in the box is not UTF-8" .. ARCHIVE)
  end
end

-- Lists one folder, by names below the top.
local function look(self, found, top, below, opts)
  local folder, seen = top .. below, {}
  local entries, truncated = self:list_dir(
    folder == "" and "/" or folder, { timeout = opts.timeout })
  if truncated then
    refuse(folder, "the service lists only a part of it" .. ARCHIVE)
  end
  for _, entry in ipairs(entries) do
    local short, permissions = entry.name or "", entry.permissions or ""
    if short:find("\u{FFFD}", 1, true) then
      check_text(self, folder .. "/" .. short, opts)
    end
    check_name(folder, short, seen)
    local name, why = below .. "/" .. short, WHY[permissions:sub(1, 1)]
    if why then refuse(top .. name, why) end
    found.room = found.room - #name - NAME_BYTES
    if found.room < 0 then
      refuse(top, "it has too many files" .. ARCHIVE)
    elseif entry.is_dir then
      table.insert(found.folders, name)
    else
      table.insert(found.files, name)
    end
    found.modes[name] = mode_of(permissions)
  end
end

-- Outer folders come before inner ones.
local function look_through(self, top, opts)
  local found = { folders = { "" }, files = {}, modes = {}, room = NAMES_MAX }
  local at = 1
  while found.folders[at] do
    look(self, found, top, found.folders[at], opts)
    at = at + 1
  end
  return found
end

local function fail_local(name, message)
  check.invalid("can't write the local %s: %s", name, message)
end

-- Makes a folder, which may exist and then keeps its mode; below the top it must
-- not be a link to one. True if it was made: its owner may write in it.
local function make(dest, below, mode)
  local name = dest .. below
  local kind = core.kind(name)
  if kind == "folder" or below == "" and core.folder(name) then return false end
  if kind then
    fail_local("folder " .. name, kind == "link"
      and "a symbolic link is in its place" or "a file is in its place")
  end
  local ok, message = core.make_folder(name, mode and mode | OWNER)
  if not ok then fail_local("folder " .. name, message) end
  return true
end

local function check_place(name)
  local kind = core.kind(name)
  if kind == "link" or kind == "other" then
    fail_local("file " .. name, kind == "link"
      and "a symbolic link is in its place" or "no file is in its place")
  end
end

local function write(found, top, dest, progress, fetch)
  local made = {}
  for _, name in ipairs(found.folders) do
    local mode = found.modes[name]
    if make(dest, name, mode) and mode then table.insert(made, 1, name) end
  end
  for _, name in ipairs(found.files) do
    check_place(dest .. name)
    progress.bytes = progress.bytes
      + fetch(top .. name, dest .. name, found.modes[name])
    progress.files = progress.files + 1
  end
  for _, name in ipairs(made) do -- inner ones first
    local ok, message = core.set_mode(dest .. name, found.modes[name])
    if not ok then fail_local("folder " .. dest .. name, message) end
  end
end

-- fetch(path, local_path, mode or nil) downloads one file -> bytes; all of them.
function download_folder.download(self, source, dest, opts, fetch)
  local top = source:gsub("/+$", "")
  dest = #dest > 1 and dest:gsub("/+$", "") or dest
  local found = look_through(self, top, opts)
  local progress = { files = 0, bytes = 0 }
  local ok, e = pcall(write, found, top, dest, progress, fetch)
  if ok then return progress.bytes end
  if type(e) == "table" and e.message then
    e.message = ("%s (%d of %d files are in %s)"):format(e.message,
      progress.files, #found.files, dest)
  end
  error(e, 0)
end

return download_folder
