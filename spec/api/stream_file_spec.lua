-- Between a file and a stream: box:upload and box:download.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"

local function contents(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read "a"
end

local function file_of(data)
  local path = os.tmpname()
  local f <close> = assert(io.open(path, "wb"))
  f:write(data)
  return path
end

-- Bytes in which a piece at a wrong place shows.
local function bytes(n)
  local out = {}
  for i = 1, n // 8 + 1 do out[i] = ("<I8"):pack(i * 0x9E3779B97F4A7C15) end
  return table.concat(out):sub(1, n)
end

-- Runs f(path) with a path that is removed afterwards.
local function with(path, f)
  local _ <close> = setmetatable({}, { __close = function()
    os.remove(path)
  end })
  return f(path)
end

-- A service that sends the messages (tables or bytes) and takes uploads.
local function start(messages, status)
  local got = {}
  return scripted.start {
    DownloadFileStream = function(_, call)
      for _, m in ipairs(messages) do
        if type(m) == "string" then call:send_bytes(m) else call:send(m) end
      end
      call:finish(status)
    end,
    UploadFileStream = function(first, call)
      local total, chunk = 0, first
      while chunk do
        got[#got + 1] = chunk
        total = total + #chunk.data
        chunk = call:recv()
      end
      call:send { bytes_written = total }
      call:finish()
    end,
  }, got
end

local function download(messages)
  local service <close> = start(messages)
  local box = service:box()
  return with(os.tmpname(), function(path)
    local seen = {}
    local n = box:download("/f", path, { progress = function(done, total)
      seen[#seen + 1] = done .. "/" .. total
    end })
    local data = contents(path)
    assert.equal(#data, n)
    return data, seen
  end)
end

describe("box:download", function()
  it("puts pieces of all sizes together", function()
    local data = bytes(3 << 20)
    local messages, at = {}, 1
    for _, size in ipairs { 1, 100, 0, 70000, 1 << 20, 3, 5, 1 << 20 } do
      messages[#messages + 1] =
        { total_size = #data, data = data:sub(at, at + size - 1) }
      at = at + size
    end
    messages[#messages + 1] = { total_size = #data, data = data:sub(at) }
    local got, seen = download(messages)
    assert.equal(boxd.sha256(data), boxd.sha256(got))
    assert.equal("1/" .. #data, seen[1])
    assert.equal(#data .. "/" .. #data, seen[#seen])
  end)

  it("reads fields in any order, twice, and unknown ones", function()
    -- data, then total_size = 3
    assert.equal("abc", (download { "\x12\x03abc\x08\x03" }))
    -- an unknown field 15 before, total_size after
    assert.equal("abc", (download { "\x7A\x01x\x12\x03abc\x08\x03" }))
    -- the last of two counts
    assert.equal("def", (download { "\x12\x03abc\x12\x03def\x08\x03" }))
    assert.equal("", (download { "\x08\x00" }))
    assert.equal("", (download { "" }))
  end)

  it("leaves no file when it ends early", function()
    local service <close> = start({ { total_size = 9, data = "abc" } })
    local box = service:box()
    with(os.tmpname(), function(path)
      os.remove(path)
      local e = scripted.failure(box.download, box, "/f", path)
      assert.is_true(e:is(boxd.InternalError))
      assert.is_nil(io.open(path))
    end)
  end)

  it("refuses an invalid chunk", function()
    local service <close> = start({ "\x12\x7Fabc" })
    local box = service:box()
    with(os.tmpname(), function(path)
      local e = scripted.failure(box.download, box, "/f", path)
      assert.is_true(e:is(boxd.InternalError))
    end)
  end)

  it("says that a disk is full", function()
    local service <close> = start({ { total_size = 1 << 20,
      data = bytes(1 << 20) } })
    local core = require "boxd.core"
    local f <close> = assert(io.open("/dev/full", "wb"))
    local stream <close> = core.stream(service.c, "DownloadFileStream",
      { vm_id = "vm1", path = "/f" })
    local message, why = stream:recv_file(f)
    assert.is_nil(message)
    assert.matches("No space left", why)
  end)
end)

describe("box:upload", function()
  local function upload(data)
    local service <close>, got = start {}
    local box = service:box()
    return with(file_of(data), function(path)
      assert.equal(#data, box:upload(path, "/dest"))
      local out = {}
      for i, chunk in ipairs(got) do out[i] = chunk.data end
      assert.equal(boxd.sha256(data), boxd.sha256(table.concat(out)))
      assert.equal("vm1", got[1].vm_id)
      assert.equal("/dest", got[1].path)
      assert.equal(#data, got[1].total_size)
      return got
    end)
  end

  it("sends files of all sizes whole, in chunks of 1 MiB", function()
    assert.equal(1, #upload "")
    assert.equal(1, #upload "x")
    assert.equal(1, #upload(bytes(127)))
    assert.equal(1, #upload(bytes(128)))
    assert.equal(1, #upload(bytes(1 << 20)))
    assert.equal(2, #upload(bytes((1 << 20) + 1)))
    assert.equal(4, #upload(bytes(3 << 20 | 77)))
  end)

  it("takes bytes of a file in a message that carries data only", function()
    local service <close> = start {}
    local core = require "boxd.core"
    local f <close> = assert(io.open "/dev/zero")
    local stream <close> = core.stream(service.c, "UploadFileStream")
    assert.error_matches(function() stream:send_file({}, f, -1) end, "32 MiB")
    assert.error_matches(function() stream:send_file({}, {}, 1) end, "FILE")
    local e = scripted.failure(stream.send_file, stream, { pth = "x" }, f, 1)
    assert.matches("path", e.message)
    assert.equal(5, stream:send_file({ path = "x" }, f, 5))
    stream:half_close()
    assert.equal(5, stream:recv().bytes_written)
  end)

  it("takes those bytes of a string that it is told", function()
    local service <close>, got = start {}
    local core = require "boxd.core"
    local stream <close> = core.stream(service.c, "UploadFileStream")
    for _, wrong in ipairs { { 4, 0 }, { 1, 3 }, { 1, -1 },
        { 3, math.maxinteger } } do
      assert.error_matches(function()
        stream:send_file({}, "abc", table.unpack(wrong))
      end, "bytes that the string has")
    end
    assert.equal(2, stream:send_file({ path = "x" }, "abc", 2, 1))
    assert.equal(1, stream:send_file({}, "abc", 1))
    assert.equal(0, stream:send_file({}, "abc", 0, 3))
    stream:half_close()
    assert.equal(3, stream:recv().bytes_written)
    assert.same({ "bc", "a", "" }, { got[1].data, got[2].data, got[3].data })
  end)
end)

describe("box:read_file", function()
  it("puts chunks together whatever length is said to come", function()
    local data = bytes(3 << 20 | 77)
    for _, said in ipairs { 0, 1, #data } do
      local service <close> = start { { data = data:sub(1, 1 << 20),
        total_size = said }, { data = data:sub((1 << 20) + 1) } }
      assert.equal(boxd.sha256(data), boxd.sha256(service:box():read_file "/f"))
    end
  end)

  it("raises where fewer bytes come than are said to, however many", function()
    for _, said in ipairs { 64 << 20, 1 << 50, math.maxinteger } do
      local service <close> = start { { data = "abc", total_size = said } }
      local box = service:box()
      local e = scripted.failure(box.read_file, box, "/f")
      assert.is_true(e:is(boxd.InternalError))
      assert.matches("after 3 of " .. said, e.message)
    end
  end)
end)

describe("box:write_file", function()
  it("sends long bytes whole, in chunks of 1 MiB", function()
    local service <close>, got = start {}
    local data = bytes(3 << 20 | 77)
    service:box():write_file(data, "/dest")
    local out = {}
    for i, chunk in ipairs(got) do out[i] = chunk.data end
    assert.equal(boxd.sha256(data), boxd.sha256(table.concat(out)))
    assert.same({ 4, 1 << 20, 77 }, { #out, #out[1], #out[4] })
    assert.equal(#data, got[1].total_size)
  end)
end)
