-- Box methods on files: whole ones in one message, large ones as streams.

local core = require "boxd.core"
local check = require "boxd.check"
local path = require "boxd.path"
local progress = require "boxd.progress"
local resource = require "boxd.resource"
core.internal()

local CHUNK = 1 << 20 -- bytes of a chunk that is sent

local files = {}

local function check_paths(method, first, second)
  check.string(1, method, first)
  check.string(2, method, second)
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

-- box:read_file(path) -> bytes
function files:read_file(source, opts)
  check.string(1, "read_file", source)
  opts = check.options(2, "read_file", opts, { "timeout" })
  return resource.call(resource.compute(self), "DownloadFile",
    { vm_id = self.id, path = source }, opts).data
end

-- What is told of a transfer: opts.progress, or the terminal.
local function progress_option(method, opts, name)
  return check.field(method, opts, "progress", "function")
    or progress.transfer(method .. " " .. name)
end

-- Sends the file's chunks; the first one says where they go. A file that is not
-- as long as it was is refused before the service takes it for whole.
local function send_chunks(stream, f, name, first, tell)
  local total, done = first.total_size, 0
  repeat
    first.data = f:read(math.min(CHUNK, total - done)) or ""
    if first.data == "" and done < total then
      check.invalid("can't upload %s: it ended after %d of %d bytes", name,
        done, total)
    end
    stream:send(first)
    done = done + #first.data
    tell(done, total)
    first = {}
  until done >= total
  if f:read(1) then
    check.invalid("can't upload %s: it is longer than the %d bytes it said",
      name, total)
  end
end

-- box:upload(local_path, dest, { progress=function(done, total) }) -> bytes
function files:upload(source, dest, opts)
  source = path.name(source) or source
  check_paths("upload", source, dest)
  opts = check.options(3, "upload", opts, { "timeout", "progress" })
  local tell, _shown <close> = progress_option("upload", opts, source)
  local f <close> = path.open(source)
  local size = f:seek "end"
  if not size or size == math.maxinteger then
    check.invalid("can't upload %s: it is no regular file", source)
  end
  f:seek "set"
  local client = resource.client(resource.compute(self))
  local stream <close> = client:stream("UploadFileStream", nil, opts.timeout)
  send_chunks(stream, f, source,
    { vm_id = self.id, path = dest, total_size = size }, tell)
  stream:half_close()
  local reply = stream:recv() or core.raise("InternalError",
    "the server ended the upload without an answer", "UploadFileStream")
  stream:recv() -- the status, without which nothing is certain
  return reply.bytes_written
end

-- The file beside `dest` that a download fills, so that renaming it is atomic.
local function open_part(dest)
  local folder = io.open(dest .. "/.")
  if folder then
    folder:close()
    check.invalid("can't write the local file %s: it is a folder", dest)
  end
  local part = ("%s.%d-%d.part"):format(dest, os.time(), math.random(1 << 30))
  local f, message = io.open(part, "wb")
  if not f then
    check.invalid("can't write the local file %s: %s", dest,
      message:sub(1, #part) == part and message:sub(#part + 3) or message)
  end
  return part, f
end

local function write(f, name, data)
  local ok, message = f:write(data)
  if not ok then
    check.invalid("can't write the local file %s: %s", name, message)
  end
end

-- The chunks of a file; today's stream, or 0.1's single message.
local function chunks(self, source, opts)
  local request = { vm_id = self.id, path = source }
  local client = resource.client(resource.compute(self))
  local stream = client:stream("DownloadFileStream", request, opts.timeout)
  local ok, first = pcall(stream.recv, stream)
  if ok then
    return function()
      local chunk = first
      first = chunk and stream:recv()
      return chunk
    end, stream
  end
  stream:close()
  if first.code ~= "UNIMPLEMENTED" then error(first, 0) end
  local data = files.read_file(self, source, { timeout = opts.timeout })
  local whole = { data = data, total_size = #data }
  return function()
    local chunk = whole
    whole = nil
    return chunk
  end
end

-- box:download(path, local_path, { progress= }) -> bytes. The file appears
-- under its name only when it is whole.
function files:download(source, dest, opts)
  dest = path.name(dest) or dest
  check_paths("download", source, dest)
  opts = check.options(3, "download", opts, { "timeout", "progress" })
  local tell, _shown <close> = progress_option("download", opts, source)
  local part, f = open_part(dest)
  local done, total, whole = 0, 0, false
  local _cleanup <close> = setmetatable({}, { __close = function()
    if io.type(f) == "file" then f:close() end
    if not whole then os.remove(part) end
  end })
  local next_chunk, _stream <close> = chunks(self, source, opts)
  for chunk in next_chunk do
    write(f, dest, chunk.data)
    done, total = done + #chunk.data, math.max(total, chunk.total_size)
    tell(done, total)
  end
  if done < total then
    core.raise("InternalError", ("the download of %s ended after %d of %d "
      .. "bytes"):format(source, done, total))
  end
  local ok, message = f:close()
  if ok then ok, message = os.rename(part, dest) end
  if not ok then
    check.invalid("can't write the local file %s: %s", dest, message)
  end
  whole = true
  return done
end

return files
