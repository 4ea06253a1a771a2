-- Files of boxes: whole ones and streams, always written beside and renamed.

local status = require "boxd.local.status"

local fail = status.fail

local ENOENT, EACCES, EEXIST, ENOTDIR, EISDIR, EINVAL = 2, 13, 17, 20, 21, 22
local ENOSPC, ENAMETOOLONG, ELOOP, EROFS = 28, 36, 40, 30

local CODES = {
  [ENOENT] = "NOT_FOUND", [ENOTDIR] = "NOT_FOUND", [EISDIR] = "INVALID_ARGUMENT",
  [EINVAL] = "INVALID_ARGUMENT", [EEXIST] = "ALREADY_EXISTS",
  [ENAMETOOLONG] = "INVALID_ARGUMENT", [ELOOP] = "INVALID_ARGUMENT",
  [EACCES] = "PERMISSION_DENIED", [EROFS] = "FAILED_PRECONDITION",
  [ENOSPC] = "RESOURCE_EXHAUSTED",
}

local CHUNK = 1 << 20

local files = {}

local function refuse(message, errno)
  fail(CODES[errno] or "INTERNAL", "%s", message)
end

local function locate(service, request)
  if not request.vm_id then fail("INVALID_ARGUMENT", "vm_id is missing") end
  if not request.path then fail("INVALID_ARGUMENT", "path is missing") end
  return service.boxes:handle(service.boxes:find(request.vm_id)), request.path
end

-- Writes a file from a function that gives its parts; all of it or nothing.
local function write(service, handle, path, next_part)
  local spawner = service.spawner
  local fd, temporary, final = spawner:file(handle, "begin", path)
  if not fd then refuse(temporary, final) end
  local whole = false
  local _undo <close> = setmetatable({}, { __close = function()
    fd:close()
    if not whole then spawner:file(handle, "remove", temporary) end
  end })
  local written = 0
  for part in next_part do
    local ok, message, errno = fd:write(part)
    if not ok then refuse(message, errno) end
    written = written + #part
  end
  local ok, message, errno = spawner:file(handle, "commit", temporary, final)
  if not ok then refuse(message, errno) end
  whole = true
  return { bytes_written = written }
end

function files.upload(service, request)
  local handle, path = locate(service, request)
  local data = request.data
  return write(service, handle, path, function()
    local part = data
    data = nil
    return part
  end)
end

function files.upload_stream(service, call)
  local chunk = call:recv()
  if not chunk then fail("INVALID_ARGUMENT", "the first chunk is missing") end
  local handle, path = locate(service, chunk)
  local total, done = chunk.total_size, 0
  local reply = write(service, handle, path, function()
    local data = chunk and chunk.data
    chunk = chunk and call:recv()
    if data then
      done = done + #data
    elseif done < total then
      fail("INVALID_ARGUMENT", "%d bytes came instead of %d", done, total)
    end
    return data
  end)
  call:send(reply)
end

-- At most n bytes, less at the end of the file.
local function read(fd, path, n)
  local parts, left = {}, n
  while left > 0 do
    local part, message, errno = fd:read(left)
    if message then refuse(message, errno) end
    if not part then break end
    parts[#parts + 1] = part
    left = left - #part
  end
  return table.concat(parts)
end

-- The file's descriptor and size.
local function open(service, request)
  local handle, path = locate(service, request)
  local fd, size, errno = service.spawner:file(handle, "read", path)
  if not fd then refuse(size, errno) end
  return fd, size
end

function files.download(service, request)
  local fd, size = open(service, request)
  local _fd <close> = fd
  if size > 64 << 20 then
    fail("RESOURCE_EXHAUSTED", "%s has %d bytes, more than one message holds: "
      .. "use DownloadFileStream", request.path, size)
  end
  return { data = read(fd, request.path, size) }
end

function files.download_stream(service, call)
  local request = call:recv()
  local fd, size = open(service, request or {})
  local _fd <close> = fd
  local done = 0
  repeat
    local data = read(fd, request.path, math.min(CHUNK, size - done))
    done = done + #data
    call:send { data = data, total_size = size }
  until done >= size or data == ""
end

return files
