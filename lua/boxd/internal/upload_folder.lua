-- Uploading a folder of this machine: its regular files, empty folders, and
-- which files may be executed, as far as the contract carries it. All of it is
-- looked through before anything is sent.

local core = require "boxd.core"
local check = require "boxd.internal.check"
core.internal()

local upload_folder = {}

local ARGUMENT_BYTES = 64 << 10 -- of paths in one command

local function refuse(name, why)
  check.invalid("can't upload %s: %s", name, why)
end

local WHY = { link = "it is a symbolic link, which the service can't make: "
  .. "leave it out, or send an archive and unpack it in the box",
  other = "it is neither a file nor a folder" }

local function entries(folder)
  local list, message = core.folder(folder)
  if not list then refuse(folder, message) end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

-- Lists a folder, by names below the top: files, and the folders
-- that no file of theirs will make, outer ones first. True if it has files.
local function look(found, top, below)
  local has_files, here = false, #found.folders + 1
  table.insert(found.folders, here, below)
  for _, entry in ipairs(entries(top .. below)) do
    local name = below .. "/" .. entry.name
    if WHY[entry.kind] then refuse(top .. name, WHY[entry.kind]) end
    if not utf8.len(entry.name) then
      refuse(top .. name, "its name is not UTF-8")
    end
    if entry.kind == "folder" then
      has_files = look(found, top, name) or has_files
    else
      has_files = true
      table.insert(found.files, { name = name,
        executable = entry.executable })
    end
  end
  if has_files then table.remove(found.folders, here) end
  return has_files
end

-- Makes a folder, which may be there.
local function make(self, dest, opts)
  local ok, e = pcall(self.mkdir, self, dest, { timeout = opts.timeout })
  if not ok and (type(e) ~= "table" or e.code ~= "ALREADY_EXISTS") then
    error(e, 0)
  end
end

-- The contract has no field for modes: a command says which files are programs.
local function make_executable(self, list, opts)
  local function run(arguments)
    arguments[#arguments + 1] = { timeout = opts.timeout }
    local result = core.exec(self, "chmod", "+x", "--",
      table.unpack(arguments))
    if not result.success then
      core.raise("BoxdError", "the files were uploaded, but chmod refused to "
        .. "make them executable: " .. result.stderr)
    end
  end
  local arguments, bytes = {}, 0
  for _, name in ipairs(list) do
    if bytes > 0 and bytes + #name > ARGUMENT_BYTES then
      run(arguments)
      arguments, bytes = {}, 0
    end
    arguments[#arguments + 1] = name
    bytes = bytes + #name
  end
  if bytes > 0 then run(arguments) end
end

-- send(local_path, dest, opts) sends one file -> bytes; all of them.
function upload_folder.upload(self, source, dest, opts, send)
  local found, bytes, programs = { files = {}, folders = {} }, 0, {}
  local top = #source > 1 and source:gsub("/+$", "") or source
  dest = #dest > 1 and dest:gsub("/+$", "") or dest
  look(found, top, "")
  for _, file in ipairs(found.files) do
    bytes = bytes + send(top .. file.name, dest .. file.name, opts)
    if file.executable then programs[#programs + 1] = dest .. file.name end
  end
  for _, name in ipairs(found.folders) do make(self, dest .. name, opts) end
  make_executable(self, programs, opts)
  return bytes
end

return upload_folder
