-- Downloading a folder of a box: its files, its folders, and which files may
-- be executed. All of it is looked through before anything is written. The
-- names come from the service: none of them leads out of the folder they are
-- written to, as long as no other process changes it meanwhile.

local core = require "boxd.core"
local check = require "boxd.internal.check"
core.internal()

local download_folder = {}

local NAMES_MAX = 64 << 20 -- bytes of names to keep, and what keeping one takes
local NAME_BYTES = 64

local function refuse(name, why)
  check.invalid("can't download %s: %s", check.show(name), why)
end

local ARCHIVE = ": leave it out, or pack it in the box and download the archive"
local WHY = { l = "it is a symbolic link" .. ARCHIVE,
  p = "it is a pipe", s = "it is a socket", b = "it is a device",
  c = "it is a device" }

-- May its owner execute it? "-rwxr-xr-x", or the number of the mode.
local function is_executable(permissions)
  return permissions:find "^.[r-][w-][xs]" ~= nil
    or permissions:find "^%d*[1357]%d%d$" ~= nil
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
      found.executable[name] = is_executable(permissions) or nil
    end
  end
end

-- Outer folders come before inner ones.
local function look_through(self, top, opts)
  local found = { folders = { "" }, files = {}, executable = {},
    room = NAMES_MAX }
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

-- Makes a folder, which may exist; below the top it must not be a link to one.
local function make(dest, below)
  local name = dest .. below
  local kind = core.kind(name)
  if kind == "folder" or below == "" and core.folder(name) then return end
  if kind then
    fail_local("folder " .. name, kind == "link"
      and "a symbolic link is in its place" or "a file is in its place")
  end
  local ok, message = core.make_folder(name)
  if not ok then fail_local("folder " .. name, message) end
end

local function check_place(name)
  local kind = core.kind(name)
  if kind == "link" or kind == "other" then
    fail_local("file " .. name, kind == "link"
      and "a symbolic link is in its place" or "no file is in its place")
  end
end

local function write(found, top, dest, progress, fetch)
  for _, name in ipairs(found.folders) do make(dest, name) end
  for _, name in ipairs(found.files) do
    check_place(dest .. name)
    progress.bytes = progress.bytes + fetch(top .. name, dest .. name)
    if found.executable[name] then
      local ok, message = core.make_executable(dest .. name)
      if not ok then fail_local("file " .. dest .. name, message) end
    end
    progress.files = progress.files + 1
  end
end

-- fetch(path, local_path) downloads one file -> bytes; all of them.
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
