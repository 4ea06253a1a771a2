-- Downloading one file of a box: streamed, whole or not at all, and never
-- readable by others than it is in the box.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local resource = require "boxd.internal.resource"
local special = require "boxd.internal.special"
local transfer = require "boxd.internal.transfer"
core.internal()

local download = {}

local NEW = tonumber("666", 8) -- without what the umask takes

-- What a download fills: the file beside `dest`, so that renaming it is atomic,
-- and which only its owner may read as yet. Its name, the file, and the mode of
-- a file in its place. A device or pipe gets no name and is written to itself:
-- renaming a file over it would remove it.
local function open_part(dest)
  local there = core.stat(dest)
  if there and there.kind == "folder" then
    check.invalid("can't write the local file %s: it is a folder", dest)
  elseif there and there.kind == "other" then
    return nil, special.open(dest)
  end
  local part = ("%s.%d-%d.part"):format(dest, os.time(), math.random(1 << 30))
  local ok, message = core.make_private(part)
  local f
  if ok then f, message = io.open(part, "wb") end
  if not f then
    if ok then os.remove(part) end
    check.invalid("can't write the local file %s: %s", dest,
      message:sub(1, #part) == part and message:sub(#part + 3) or message)
  end
  return part, f, there and there.mode
end

local function check_written(ok, name, message)
  if ok then return ok end
  check.invalid("can't write the local file %s: %s", name, message)
end

-- The next piece of a stream: its bytes and how many the file is said to have;
-- nil at the end.
local function next_piece(stream, f, name)
  if getmetatable(f) == special then
    local chunk = stream:recv()
    if not chunk then return nil end
    f:write(chunk.data)
    return #chunk.data, chunk.total_size
  end
  local chunk, n = stream:recv_file(f)
  if chunk then return n, chunk.total_size end
  check_written(not n, name, n)
  return nil
end

-- The file in one message: of 0.1's services, and where a stream is in doubt.
local function whole(self, source, opts)
  return resource.call(self, "DownloadFile",
    { vm_id = self.id, path = source }, opts).data
end

-- Puts the stream's data into f, called `name`: bytes, and how many it is said to
-- have.
local function receive_stream(self, source, f, name, opts, tell)
  local stream <close> = core.stream(self, "DownloadFileStream",
    { vm_id = self.id, path = source }, opts.timeout)
  local done, total = 0, 0
  for n, size in function() return next_piece(stream, f, name) end do
    done, total = done + n, math.max(total, size)
    tell(done, total)
  end
  return { done, total }
end

-- Puts the file into f, called `name`: bytes, and how many it is said to have.
local function receive(self, source, f, name, opts, tell)
  local begun = false
  local came = transfer.choose(self, "DownloadFileStream", function()
    return receive_stream(self, source, f, name, opts, function(done, total)
      begun = true
      tell(done, total)
    end)
  end, function()
    if begun then
      core.raise("InternalError", "the server ended the download of " .. source
        .. " with UNIMPLEMENTED, in its middle", "DownloadFileStream")
    end
    local data = whole(self, source, opts)
    check_written(f:write(data))
    tell(#data, #data)
    return { #data, #data }
  end)
  return came[1], came[2]
end

-- Files that the kernel makes as they are read report a wrong size: the bytes
-- received of one are complete if a single message has as many.
-- Returns the bytes, which are put into f where the stream had none of them.
local function check_size(self, source, f, done, total, opts)
  local made = source:find "^/proc/" or source:find "^/sys/"
  if done >= total and not (done == 0 and made) then return done end
  local ok, data = pcall(whole, self, source, opts)
  if not ok and not (boxd.is_error(data) and data.method) then
    error(data, 0) -- what ended the waiting
  elseif ok and done == 0 then
    check_written(f:write(data))
    return #data
  elseif not ok and done == total or ok and #data == done then
    return done
  end
  core.raise("InternalError", ("the download of %s ended after %d of %d "
    .. "bytes"):format(source, done, total), "DownloadFileStream")
end

-- The mode for a file in whose place one of mode `there` is: of others than the
-- owner none may read or write it who could not before.
local function limited(mode, there)
  if not there then return mode end
  local others = there & 54 -- 066
  return mode & (448 | others | (others & 36) >> 2) -- 0700, 044
end

-- The mode to give; mode: what the file has in the box, nil: not known.
local function mode_for(mode, asked, there)
  if asked then return asked end
  return limited(mode or there or NEW & ~core.umask(), there)
end

local function put_in_place(part, f, dest, mode)
  local ok, message = f:close()
  if ok and part then ok, message = core.set_mode(part, mode) end
  if ok and part then ok, message = os.rename(part, dest) end
  check_written(ok, dest, message)
end

-- The part, empty again.
local function reopen(part, f, dest)
  f:close()
  return check_written(io.open(part, "wb"), dest, "it is gone")
end

local function sum_of(part, f, dest)
  check_written(f:flush(), dest, "its bytes can't be written out")
  local written <close> = check_written(io.open(part, "rb"), dest, "it is gone")
  return transfer.sum(written)
end

-- Streams one file; bytes. It appears under its name only when it is whole.
-- find_mode() -> the mode in the box, or nil; asked: the mode that is to be.
function download.file(self, source, dest, opts, tell, find_mode, asked)
  local part, f, there = open_part(dest)
  local done = false
  local _cleanup <close> = setmetatable({}, { __close = function()
    if io.type(f) ~= "closed file" then f:close() end
    if part and not done then os.remove(part) end
  end })
  if opts.verify and not part then
    check.invalid("download: verify is for files, and %s is none", dest)
  end
  local mode = part and mode_for(find_mode(), asked, there)
  local fresh = true
  local bytes = transfer.verified(self, source, opts, function()
    if not fresh then f = reopen(part, f, dest) end
    fresh = false
    local n, total = receive(self, source, f, dest, opts, tell)
    n = check_size(self, source, f, n, total, opts)
    return n, opts.verify and sum_of(part, f, dest)
  end)
  put_in_place(part, f, dest, mode)
  done = true
  return bytes
end

--- The bytes of a file.
function download.bytes(self, source, opts)
  local sink = core.bytes()
  local bytes, total = receive(self, source, sink, source, opts,
    function(_, size) sink:reserve(size) end)
  check_size(self, source, sink, bytes, total, opts)
  return sink:take()
end

return download
