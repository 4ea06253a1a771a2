-- What writing and reading files share: the streams, which take any length, the
-- calls of one message for services without them, and proof that the bytes
-- that arrived are those sent.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local resource = require "boxd.internal.resource"
core.internal()

local transfer = {}

transfer.CHUNK = 1 << 20 -- bytes of a chunk that is sent
local PIECE = 1 << 20 -- ... and of a local file that is read for its sum

-- The streams that the service of a Compute lacks, by their names.
local lacking = setmetatable({}, { __mode = "k" })

--- Does the error say that the service has no such RPC?
function transfer.is_lacking(e, rpc)
  return boxd.is_error(e) and e.code == "UNIMPLEMENTED" and e.method == rpc
end

--- by_stream(), or where the service lacks its RPC, by_message(); that is
--- remembered, so that it is asked for the stream once.
function transfer.choose(self, rpc, by_stream, by_message)
  local compute = resource.compute(self)
  local known = lacking[compute]
  if known and known[rpc] then return by_message() end
  local ok, result = pcall(by_stream)
  if ok then return result end
  if not transfer.is_lacking(result, rpc) then error(result, 0) end
  lacking[compute] = known or {}
  lacking[compute][rpc] = true
  return by_message()
end

--- What the service says it wrote; 0 means that it can't say.
function transfer.check_count(rpc, name, written, size)
  if written == 0 or written == size then return size end
  core.raise("InternalError", string.format("the server wrote %d of the %d "
    .. "bytes of %s: the file in the box is not whole, send it again", written,
    size, name), rpc)
end

--- Ends an upload's stream: the bytes that it came to.
function transfer.finish_upload(stream, name, size)
  stream:half_close()
  local reply = stream:recv() or core.raise("InternalError",
    "the server ended the upload without an answer", "UploadFileStream")
  stream:recv() -- the status, without which nothing is certain
  return transfer.check_count("UploadFileStream", name, reply.bytes_written, size)
end

-- Bytes as a stream of chunks.
local function stream_bytes(self, data, dest, name, opts)
  local stream <close> =
    core.stream(self, "UploadFileStream", nil, opts.timeout)
  local message = { vm_id = self.id, path = dest, total_size = #data }
  local done = 0
  repeat
    local n = math.min(transfer.CHUNK, #data - done)
    done = done + stream:send_file(message, data, n, done)
    message = {}
  until done >= #data
  return transfer.finish_upload(stream, name, #data)
end

--- Bytes in one message.
function transfer.send_message(self, data, dest, name, opts)
  local reply = resource.call(self, "UploadFile",
    { vm_id = self.id, path = dest, data = data }, opts)
  return transfer.check_count("UploadFile", name, reply.bytes_written, #data)
end

--- Sends bytes to a file called dest: in one message while they are few.
function transfer.send(self, data, dest, name, opts)
  local function by_message()
    return transfer.send_message(self, data, dest, name, opts)
  end
  if #data <= transfer.CHUNK then return by_message() end
  return transfer.choose(self, "UploadFileStream", function()
    return stream_bytes(self, data, dest, name, opts)
  end, by_message)
end

--- The SHA-256 of an open file, from its beginning, where it is then again.
function transfer.sum(f)
  local digest = core.digest()
  f:seek "set"
  for piece in function() return f:read(PIECE) end do
    digest:add(piece)
    boxd.sleep(0)
  end
  f:seek "set"
  return digest:hex()
end

-- The SHA-256 of a file in the box. Root looks at one that its user may not read, as
-- it may have been given to another.
local function sum_in_box(self, path, opts)
  local said
  for _, as in ipairs { {}, { "sudo", "-n" } } do
    local words = table.move({ "sha256sum", "--", path, { timeout = opts.timeout,
      env = { LC_ALL = "C" }, killable = true } }, 1, 4, #as + 1, as)
    local result = core.exec(self, table.unpack(words))
    local sum = result.stdout:match "^\\?(%x+) "
    if sum and #sum == 64 then return sum end
    said = said or result.stderr:match "[^\n]+" or "sha256sum gives no sum"
    if not said:find "Permission denied" then break end
  end
  core.raise("BoxdError", ("can't verify %s: %s"):format(path, said), "Exec")
end

--- Does move() -> result, sum; where the file in the box has another sum than
--- that it does so once more.
function transfer.verified(self, path, opts, move)
  if not opts.verify then return (move()) end
  for _ = 1, 2 do
    local result, sum = move()
    if sum_in_box(self, path, opts) == sum then return result end
  end
  core.raise("InternalError", ("%s in the box is not what was sent or read, twice: "
    .. "its SHA-256 differs"):format(path))
end

--- The option, checked.
function transfer.verify_option(method, opts)
  return check.field(method, opts, "verify", "boolean")
end

return transfer
