-- Files of boxes: whole ones and streams, always written beside and renamed.

local boxd = require "boxd"
local serve = require "boxd.serve"
local status = require "boxd.local.status"

local fail = status.fail

local EINVAL = 22
local CHUNK = 1 << 20
local MUCH, REST = 8 << 20, 1 -- bytes, seconds
local MESSAGE = (64 << 20) - 64 -- of data, in a message of 64 MiB

local AROUND = 64 -- bytes of a message that has data

local files = {}

local function refuse(message, errno)
  status.refuse(errno, "%s", message)
end

files.refuse = refuse

-- What a big transfer leaves is collected at once, so that the next one finds a
-- small heap, and goes back to the machine when there has been none for a moment:
-- a service is mostly idle.
local tidy_at
local function tidy(bytes)
  if bytes < MUCH then return end
  collectgarbage()
  local waiting = tidy_at
  tidy_at = boxd.now() + REST
  if waiting then return end
  boxd.spawn(function()
    while boxd.now() < tidy_at do boxd.sleep(REST) end
    tidy_at = nil
    collectgarbage()
    serve.sys.trim_memory()
  end)
end

-- Calls fn(handle, path, record) with the box of a request in use; key: the field that
-- has the path, `path` if it is not given.
local function within(service, request, fn, key)
  key = key or "path"
  if not request.vm_id then fail("INVALID_ARGUMENT", "vm_id is missing") end
  if not request[key] then fail("INVALID_ARGUMENT", "%s is missing", key) end
  local record = service.boxes:find(request.vm_id)
  local _used <close> = service.idle:use(record)
  return fn(service.boxes:handle(record), request[key], record)
end

files.within = within

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
  tidy(written)
  return { bytes_written = written }
end

-- The largest message, as on boxd.sh, with the fields around its data.
local function check_message(service, bytes, instead)
  local most = service.limits.message
  if not most or bytes <= most - AROUND then return end
  fail("RESOURCE_EXHAUSTED", "a message is %d bytes at most: use %s", most,
    instead)
end

function files.upload(service, request)
  check_message(service, #(request.data or ""), "UploadFileStream")
  return within(service, request, function(handle, path)
    local data = request.data
    request.data = nil
    return write(service, handle, path, function()
      local part = data
      data = nil
      return part
    end)
  end)
end

-- The data of a stream's chunks, the first of which is here; raises when there
-- is less than was announced.
local function parts_of(call, chunk)
  local total, done = chunk.total_size, 0
  return function()
    local data = chunk and chunk.data
    chunk = chunk and call:recv()
    if data then
      done = done + #data
    elseif done < total then
      fail("INVALID_ARGUMENT", "%d bytes came instead of %d", done, total)
    end
    return data
  end
end

function files.upload_stream(service, call)
  local first = call:recv()
  if not first then fail("INVALID_ARGUMENT", "the first chunk is missing") end
  call:send(within(service, first, function(handle, path, record)
    return service.boxes.ends:within(record, handle, write, service, handle,
      path, parts_of(call, first))
  end))
end

-- fn(fd, size) with the file of a request open.
local function reading(service, request, fn)
  return within(service, request, function(handle, path)
    local fd, size, errno = service.spawner:file(handle, "read", path)
    if not fd and errno == EINVAL then
      fail("INVALID_ARGUMENT", "%s can't be read: it is a pipe, a socket or a "
        .. "device, or belongs to the process that reads it, as /proc/self does",
        path)
    end
    if not fd then refuse(size, errno) end
    local _fd <close> = fd
    return fn(fd, size)
  end)
end

local function read(fd, n)
  local data, message, errno = fd:read_file(n)
  if not data then refuse(message, errno) end
  return data
end

local function check_room(request, size)
  if size <= MESSAGE then return end
  fail("RESOURCE_EXHAUSTED", "%s has %d bytes or more, more than one message "
    .. "holds: use DownloadFileStream", request.path, size)
end

-- All of a file whose size is not known before it is read, as those of /proc:
-- its parts, one at least, and its bytes.
local function read_parts(request, fd)
  local parts, done = {}, 0
  repeat
    local part = read(fd, CHUNK)
    parts[#parts + 1], done = part, done + #part
    check_room(request, done)
  until #part < CHUNK
  return parts, done
end

function files.download(service, request)
  return reading(service, request, function(fd, size)
    check_room(request, size)
    check_message(service, size, "DownloadFileStream")
    tidy(size)
    local data = size > 0 and read(fd, size)
      or table.concat(read_parts(request, fd))
    check_message(service, #data, "DownloadFileStream")
    return { data = data }
  end)
end

-- Says the size that the contents have: files of /proc and /sys are said to
-- have another.
function files.download_stream(service, call)
  local request = call:recv() or {}
  reading(service, request, function(fd, size)
    local done = 0
    local parts
    if size == 0 then
      parts, size = read_parts(request, fd)
    else
      parts = { read(fd, math.min(CHUNK, size)) }
      if #parts[1] < CHUNK then size = #parts[1] end
    end
    for _, part in ipairs(parts) do
      call:send { data = part, total_size = size }
      done = done + #part
    end
    while done < size do
      local part = read(fd, math.min(CHUNK, size - done))
      if part == "" then break end
      call:send { data = part, total_size = size }
      done = done + #part
    end
    tidy(done)
  end)
end

return files
