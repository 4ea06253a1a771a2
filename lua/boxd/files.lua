-- Methods on a box's files: whole ones in one message, large ones as streams,
-- and on folders. A Box has them itself, but for rename; box.files has all.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local download_folder = require "boxd.internal.download_folder"
local path = require "boxd.path"
local progress = require "boxd.internal.progress"
local resource = require "boxd.internal.resource"
local upload_folder = require "boxd.internal.upload_folder"
core.internal()

local CHUNK = 1 << 20 -- bytes of a chunk that is sent

local files = {}

local function check_paths(name, first, second)
  path.check(1, name, first)
  path.check(2, name, second)
end

-- box:write_file(source, dest): source is bytes or boxd.path "local/file".
function files:write_file(source, dest, opts)
  local name = path.name(source)
  if not name then check.string(1, "write_file", source) end
  check.string(2, "write_file", dest)
  opts = check.options(3, "write_file", opts, { "timeout" })
  resource.call(resource.compute(self), "UploadFile", {
    vm_id = self.id, path = dest, data = name and path.read(name) or source,
  }, opts)
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

-- Streams one file; bytes.
local function upload_file(self, source, dest, opts, tell)
  local f <close> = path.open(source)
  local size = f:seek "end"
  if not size or size == math.maxinteger then
    check.invalid("can't upload %s: it is not a regular file", source)
  end
  f:seek "set"
  local stream <close> =
    core.stream(self, "UploadFileStream", nil, opts.timeout)
  send_chunks(stream, f, source,
    { vm_id = self.id, path = dest, total_size = size }, tell)
  stream:half_close()
  local reply = stream:recv() or core.raise("InternalError",
    "the server ended the upload without an answer", "UploadFileStream")
  stream:recv() -- the status, without which nothing is certain
  if reply.bytes_written ~= size then
    core.raise("InternalError", string.format("the server wrote %d of the %d "
      .. "bytes of %s: the file in the box is not whole, upload it again",
      reply.bytes_written, size, source), "UploadFileStream")
  end
  return reply.bytes_written
end

-- box:upload(local_path, dest, { progress=function(done, total) }) -> bytes.
-- A folder goes with all that is in it; the progress is then each file's.
function files:upload(source, dest, opts)
  source = path.name(source) or source
  check_paths("upload", source, dest)
  if dest == "" then check.invalid("upload: a path in the box expected") end
  opts = check.options(3, "upload", opts, { "timeout", "progress" })
  opts = resource.within(opts, opts.timeout)
  local tell, _shown <close> = progress_option("upload", opts, source)
  if core.folder(source) then
    return upload_folder.upload(self, source, dest, opts, function(from, to, o)
      return upload_file(self, from, to, o, tell)
    end)
  end
  return upload_file(self, source, dest, opts, tell)
end

-- The file beside `dest` that a download fills, so that renaming it is atomic.
local function open_part(dest)
  local folder = io.open(dest .. "/.")
  if folder then
    folder:close()
    check.invalid("can't write the local file %s: it is a folder", dest)
  end
  -- A device or a pipe is written to: a file in its place would end it.
  local special = core.is_special(dest)
  local part = special and dest or ("%s.%d-%d.part"):format(dest, os.time(), math.random(1 << 30))
  local f, message = io.open(part, "wb")
  if not f then
    check.invalid("can't write the local file %s: %s", dest,
      message:sub(1, #part) == part and message:sub(#part + 3) or message)
  end
  return not special and part, f
end

local function check_written(ok, name, message)
  if ok then return ok end
  check.invalid("can't write the local file %s: %s", name, message)
end

-- Puts the pieces of a file into f, called `name`, one with each call of the
-- function that is returned: its bytes and how many the file has, nil at the
-- end. Today's stream, or 0.1's single message.
local function pieces(self, source, f, name, opts)
  local request = { vm_id = self.id, path = source }
  local stream = core.stream(self, "DownloadFileStream", request, opts.timeout)
  local ok, chunk, n = pcall(stream.recv_file, stream, f)
  if ok then
    local ahead = true
    return function()
      if not ahead then chunk, n = stream:recv_file(f) end
      ahead = false
      if chunk then return n, chunk.total_size end
      check_written(not n, name, n)
    end, stream
  end
  stream:close()
  if chunk.code ~= "UNIMPLEMENTED" then error(chunk, 0) end
  local data = self:read_file(source, { timeout = opts.timeout })
  return function()
    local whole = data
    data = nil
    if not whole then return nil end
    local written, message = f:write(whole)
    check_written(written, name, message)
    return #whole, #whole
  end
end

-- Streams one file; bytes. It appears under its name only when it is whole.
local function download_file(self, source, dest, opts, tell)
  local part, f = open_part(dest)
  local done, total, whole = 0, 0, false
  local _cleanup <close> = setmetatable({}, { __close = function()
    if io.type(f) == "file" then f:close() end
    if part and not whole then os.remove(part) end
  end })
  local next_piece, _stream <close> = pieces(self, source, f, dest, opts)
  for bytes, size in next_piece do
    done, total = done + bytes, math.max(total, size)
    tell(done, total)
  end
  if done < total then
    core.raise("InternalError", ("the download of %s ended after %d of %d "
      .. "bytes"):format(source, done, total))
  end
  local ok, message = f:close()
  if ok and part then ok, message = os.rename(part, dest) end
  if not ok then
    check.invalid("can't write the local file %s: %s", dest, message)
  end
  whole = true
  return done
end

-- box:download(path, local_path, { progress= }) -> bytes.
function files:download(source, dest, opts)
  dest = path.name(dest) or dest
  check_paths("download", source, dest)
  opts = check.options(3, "download", opts, { "timeout", "progress" })
  opts = resource.within(opts, opts.timeout)
  local tell, _shown <close> = progress_option("download", opts, source)
  return download_file(self, source, dest, opts, tell)
end

-- box:download_folder(path, local_path, { progress= }) -> bytes: a folder with
-- all that is in it, into one that is made or there; the progress is each
-- file's.
function files:download_folder(source, dest, opts)
  dest = path.name(dest) or dest
  check_paths("download_folder", source, dest)
  if source == "" or dest == "" then
    check.invalid("download_folder: two folders expected")
  end
  opts = check.options(3, "download_folder", opts, { "timeout", "progress" })
  opts = resource.within(opts, opts.timeout)
  local tell, _shown <close> =
    progress_option("download_folder", opts, source)
  return download_folder.download(self, source, dest, opts, function(from, to)
    return download_file(self, from, to, opts, tell)
  end)
end

return { methods = files }
