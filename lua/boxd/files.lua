-- Methods on a box's files: whole ones in one message, large ones as streams,
-- and on folders. A Box has them itself, but for rename; box.files has all.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local download = require "boxd.internal.download"
local download_folder = require "boxd.internal.download_folder"
local modes = require "boxd.internal.modes"
local owners = require "boxd.internal.owners"
local path = require "boxd.path"
local progress = require "boxd.internal.progress"
local resource = require "boxd.internal.resource"
local transfer = require "boxd.internal.transfer"
local upload_folder = require "boxd.internal.upload_folder"
core.internal()

local CHUNK = transfer.CHUNK
local MESSAGE = 64 << 20 -- bytes of the longest message

local files = {}

local function check_paths(name, first, second)
  path.check(1, name, first)
  path.check(2, name, second)
end

-- Sends a file by send(path) -> bytes, by way of a folder of its owner's.
local function send_private(self, dest, mode, opts, send)
  local stage <close>, final = modes.stage(self, dest, opts)
  if not stage then return send(dest) end
  local staged = stage.folder .. "/f"
  local bytes = send(staged)
  modes.place(self, stage, { { mode, staged, final } }, opts)
  return bytes
end

-- Sends a file so that it has the mode, or `asked`; and the owner, if one is asked
-- for.
local function send_with_mode(self, dest, mode, asked, opts, send)
  mode = asked or mode
  if opts.owner then
    return owners.send(self, dest, opts, send, function(staged)
      owners.place(self, staged, dest, mode, opts)
    end)
  end
  if modes.is_private(mode) then
    return send_private(self, dest, mode, opts, send)
  end
  local bytes = send(dest)
  if asked or modes.differs(mode) then
    modes.set(self, { { dest, mode } }, opts, asked)
  end
  return bytes
end

-- The progress of a transfer: opts.progress, or the terminal.
local function progress_option(what, opts, name)
  return check.field(what, opts, "progress", "function")
    or progress.transfer(what .. " " .. name)
end

-- Sends the file's chunks; the first one says where they go. A file that is not
-- as long as it was is refused before the service takes it for whole.
local function send_chunks(stream, f, name, first, tell)
  local total, done = first.total_size, 0
  repeat
    local wanted = math.min(CHUNK, total - done)
    local sent = stream:send_file(first, f, wanted)
    if sent == 0 and wanted > 0 then
      check.invalid("can't upload %s: it ended after %d of %d bytes", name,
        done, total)
    end
    done = done + sent
    tell(done, total)
    first = {}
  until done >= total
  if f:read(1) then
    check.invalid("can't upload %s: it is longer than the %d bytes it said",
      name, total)
  end
end

-- Sends f, a file of that size called `source`; bytes.
local function upload_file(self, f, size, source, dest, opts, tell)
  return transfer.choose(self, "UploadFileStream", function()
    local stream <close> =
      core.stream(self, "UploadFileStream", nil, opts.timeout)
    send_chunks(stream, f, source,
      { vm_id = self.id, path = dest, total_size = size }, tell)
    return transfer.finish_upload(stream, source, size)
  end, function()
    local data = path.read(source, MESSAGE)
    local bytes = transfer.send_message(self, data, dest, source, opts)
    tell(bytes, size)
    return bytes
  end)
end

-- Sends one local file: send(to) -> bytes, under the name that it is to have.
local function send_file(self, f, found, dest, asked, opts, send)
  return transfer.verified(self, dest, opts, function()
    local sum = opts.verify and transfer.sum(f)
    f:seek "set"
    return send_with_mode(self, dest, found.mode, asked, opts, send), sum
  end)
end

local function silent() end

-- box:write_file(source, dest, { mode=, owner=, verify= }): source is bytes or
-- boxd.path "local/file".
function files:write_file(source, dest, opts)
  local name = path.name(source)
  if not name then check.string(1, "write_file", source) end
  check.string(2, "write_file", dest)
  opts = check.options(3, "write_file", opts,
    { "timeout", "mode", "owner", "verify" })
  local asked = modes.option("write_file", opts)
  owners.check("write_file", opts)
  transfer.verify_option("write_file", opts)
  opts = resource.within(opts, opts.timeout)
  if not name then
    local sum = opts.verify and boxd.sha256(source)
    transfer.verified(self, dest, opts, function()
      return send_with_mode(self, dest, modes.NEW, asked, opts, function(to)
        return transfer.send(self, source, to, dest, opts)
      end), sum
    end)
    return
  end
  local f <close>, found = path.open(name)
  send_file(self, f, found, dest, asked, opts, function(to)
    if found.size > CHUNK then
      return upload_file(self, f, found.size, name, to, opts, silent)
    end
    return transfer.send(self, path.read(name, MESSAGE), to, name, opts)
  end)
end

-- box:read_file(path, { verify= }) -> bytes
function files:read_file(source, opts)
  check.string(1, "read_file", source)
  opts = check.options(2, "read_file", opts, { "timeout", "verify" })
  transfer.verify_option("read_file", opts)
  opts = resource.within(opts, opts.timeout)
  return transfer.verified(self, source, opts, function()
    local data = download.bytes(self, source, opts)
    return data, opts.verify and boxd.sha256(data)
  end)
end

-- A folder; of another owner's by way of a folder of ours.
local function upload_all(self, source, dest, asked, opts, tell)
  local function to(target)
    return upload_folder.upload(self, source, target, asked, opts,
      function(from, at)
        local f <close>, found = path.open(from)
        return upload_file(self, f, found.size, from, at, opts, tell)
      end)
  end
  if not opts.owner then return to(dest) end
  return owners.send(self, dest, opts, to, function(staged)
    owners.place_folder(self, staged, dest, opts)
  end)
end

-- box:mkdir(path, { mode=, owner= }), where one of them is given
function files:mkdir(at, opts)
  path.check(1, "mkdir", at)
  local mode = modes.option("mkdir", opts)
  owners.check("mkdir", opts)
  return owners.mkdir(self, at, mode, opts)
end

-- box:upload(local_path, dest, { progress=function(done, total), mode=,
-- owner=, verify= }) -> bytes. A folder goes with all that is in it; the progress is
-- then each file's.
function files:upload(source, dest, opts)
  source = path.name(source) or source
  check_paths("upload", source, dest)
  if dest == "" then check.invalid("upload: a path in the box expected") end
  opts = check.options(3, "upload", opts,
    { "timeout", "progress", "mode", "owner", "verify" })
  local asked = modes.option("upload", opts)
  owners.check("upload", opts)
  transfer.verify_option("upload", opts)
  local tell, _shown <close> = progress_option("upload", opts, source)
  opts = resource.within(opts, opts.timeout)
  if core.folder(source) then
    if opts.verify then
      check.invalid("upload: verify is for one file, and %s is a folder", source)
    end
    return upload_all(self, source, dest, asked, opts, tell)
  end
  local f <close>, found = path.open(source)
  return send_file(self, f, found, dest, asked, opts, function(to)
    return upload_file(self, f, found.size, source, to, opts, tell)
  end)
end

-- box:download(path, local_path, { progress=, mode= }) -> bytes.
function files:download(source, dest, opts)
  dest = path.name(dest) or dest
  check_paths("download", source, dest)
  opts = check.options(3, "download", opts,
    { "timeout", "progress", "mode", "verify" })
  transfer.verify_option("download", opts)
  local asked = modes.option("download", opts)
  local tell, _shown <close> = progress_option("download", opts, source)
  opts = resource.within(opts, opts.timeout)
  return download.file(self, source, dest, opts, tell, function()
    return asked or modes.of(self, source, opts)
  end, asked)
end

-- box:download_folder(path, local_path, { progress=, mode= }) -> bytes: a folder
-- with all that is in it, into one that is made or there; the progress is each
-- file's.
function files:download_folder(source, dest, opts)
  dest = path.name(dest) or dest
  check_paths("download_folder", source, dest)
  if source == "" or dest == "" then
    check.invalid("download_folder: two folders expected")
  end
  opts = check.options(3, "download_folder", opts,
    { "timeout", "progress", "mode" })
  local asked = modes.option("download_folder", opts)
  local tell, _shown <close> =
    progress_option("download_folder", opts, source)
  opts = resource.within(opts, opts.timeout)
  return download_folder.download(self, source, dest, opts,
    function(from, to, mode)
      return download.file(self, from, to, opts, tell, function()
        return asked or mode
      end, asked)
    end)
end

return { methods = files }
