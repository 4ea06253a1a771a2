-- Uploading a folder of this machine: its files, folders and symbolic links,
-- with their permission bits. All of it is looked through before anything is
-- sent.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local modes = require "boxd.internal.modes"
core.internal()

local upload_folder = {}

local PLAIN = tonumber("755", 8) -- of a folder that the service makes
local OWNER = tonumber("700", 8)

local function refuse(name, why)
  check.invalid("can't upload %s: %s", name, why)
end

local function entries(folder)
  local list, message = core.folder(folder)
  if not list then refuse(folder, message) end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

local function check_entry(name, entry)
  if entry.kind == "other" then
    refuse(name, "it is neither a file nor a folder")
  elseif not utf8.len(entry.name) then
    refuse(name, "its name is not UTF-8")
  elseif entry.target and not utf8.len(entry.target) then
    refuse(name, "what it links to is not UTF-8")
  end
end

-- Lists a folder, by names below the top: files, links, all folders,
-- and those that no file of theirs will make, outer ones first. True if it has
-- files.
local function look(found, top, below, mode)
  local has_files, here = false, #found.empty + 1
  table.insert(found.empty, here, below)
  table.insert(found.folders, { below, mode })
  found.plain = found.plain and mode == PLAIN
  for _, entry in ipairs(entries(top .. below)) do
    local name = below .. "/" .. entry.name
    check_entry(top .. name, entry)
    if entry.kind == "folder" then
      has_files = look(found, top, name, entry.mode) or has_files
    elseif entry.kind == "link" then
      table.insert(found.links, { name, entry.target })
    else
      has_files = true
      table.insert(found.files, { name, entry.mode })
    end
  end
  if has_files then table.remove(found.empty, here) end
  return has_files
end

-- Makes a folder, which may be there.
local function make(self, dest, opts)
  local ok, e = pcall(self.mkdir, self, dest, { timeout = opts.timeout })
  if not ok and (type(e) ~= "table" or e.code ~= "ALREADY_EXISTS") then
    error(e, 0)
  end
end

-- A folder that is there keeps its mode where it is the one that was named, as
-- in box:upload("site", "/tmp").
local MAKE = [[
while [ $# -gt 0 ]; do
  if ! [ -d "$2" ]; then mkdir -p -m "$1" -- "$2"
  elif [ "$3" = inner ]; then chmod -- "$1" "$2"; fi || exit
  shift 3
done]]

local function make_with_modes(self, dest, folders, opts)
  local groups, closed = {}, {}
  for i, folder in ipairs(folders) do
    local path = dest .. folder[1]
    groups[i] = { modes.octal(folder[2] | OWNER), path == "" and "/" or path,
      i == 1 and "top" or "inner" }
    if folder[2] & OWNER ~= OWNER then
      table.insert(closed, 1, { path, folder[2] })
    end
  end
  local ok, e = pcall(modes.batches, self, "can't make the folders", opts,
    { "sh", "-c", MAKE, "sh" }, groups)
  if ok then return closed end
  if modes.is_without_commands(e) then return nil end
  error(e, 0)
end

-- Sends the files: those that others may not read by way of a folder of their
-- owner's. Returns the bytes, and those of the others that need a mode.
local function send_files(self, top, dest, files, asked, opts, send)
  local bytes, private, others = 0, {}, {}
  for _, file in ipairs(files) do
    local name, mode = file[1], asked or file[2]
    if modes.is_private(mode) then
      table.insert(private, { name, mode })
    else
      bytes = bytes + send(top .. name, dest .. name)
      if asked or modes.differs(mode) then
        table.insert(others, { dest .. name, mode })
      end
    end
  end
  if #private == 0 then return bytes, others end
  local stage <close>, _ = modes.stage(self, dest .. "/.boxd-", opts)
  for i, file in ipairs(private) do
    local staged = stage and stage.folder .. "/" .. i or dest .. file[1]
    bytes = bytes + send(top .. file[1], staged)
    private[i] = { file[2], staged, dest .. file[1] }
  end
  if stage then modes.place(self, stage, private, opts) end
  return bytes, others
end

local LINK = [[
while [ $# -gt 0 ]; do
  d=$(dirname -- "$2"); [ -d "$d" ] || mkdir -p -- "$d" || exit
  ln -sfT -- "$1" "$2" || exit
  shift 2
done]]

local function make_links(self, dest, links, opts)
  local groups = {}
  for i, link in ipairs(links) do groups[i] = { link[2], dest .. link[1] } end
  modes.batches(self, "the files are there, but links can't be made", opts,
    { "sh", "-c", LINK, "sh" }, groups)
end

-- send(local_path, dest) sends one file -> bytes; all of them. asked: the mode
-- that all files are to have, or nil.
function upload_folder.upload(self, source, dest, asked, opts, send)
  local found = { files = {}, folders = {}, empty = {}, links = {},
    plain = true }
  local top = #source > 1 and source:gsub("/+$", "") or source
  dest = #dest > 1 and dest:gsub("/+$", "") or dest
  look(found, top, "", core.stat(source).mode)
  local closed = not found.plain
    and make_with_modes(self, dest, found.folders, opts)
  local bytes, others = send_files(self, top, dest, found.files, asked, opts, send)
  if not closed then
    for _, name in ipairs(found.empty) do make(self, dest .. name, opts) end
  end
  modes.set(self, others, opts, asked)
  make_links(self, dest, found.links, opts)
  for _, folder in ipairs(closed or {}) do
    modes.set(self, { folder }, opts, true) -- inner ones first
  end
  return bytes
end

return upload_folder
