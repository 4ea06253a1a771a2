-- Files to and from a box: whole ones, and streams.

local boxd = require "boxd"
local serve = require "boxd.serve"
local scripted = require "spec.support.scripted"

local failure, refused = scripted.failure, scripted.refused
local MIB = 1 << 20

describe("files", function()
  local folder

  before_each(function()
    local pipe = assert(io.popen "mktemp -d")
    folder = pipe:read()
    pipe:close()
  end)

  after_each(function() os.execute("rm -rf " .. folder) end)

  local function write(name, data)
    local f = assert(io.open(folder .. "/" .. name, "wb"))
    assert(f:write(data))
    f:close()
    return folder .. "/" .. name
  end

  local function read(name)
    local f = io.open(folder .. "/" .. name, "rb")
    if not f then return nil end
    local data = f:read "a"
    f:close()
    return data
  end

  local function names()
    local pipe, list = assert(io.popen("ls -A " .. folder)), {}
    for name in pipe:lines() do list[#list + 1] = name end
    pipe:close()
    return list
  end

  -- Takes an upload in; `seen` gets its chunks' sizes, first message and data.
  local function taker(seen)
    return function(first, call)
      seen.first, seen.sizes = first, {}
      local parts, message = {}, first
      repeat
        seen.sizes[#seen.sizes + 1] = #message.data
        parts[#parts + 1] = message.data
        message = call:recv()
      until not message
      seen.data = table.concat(parts)
      return { bytes_written = #seen.data }
    end
  end

  describe("box:write_file and box:read_file", function()
    it("move bytes", function()
      local s <close> = scripted.start { UploadFile = {},
        DownloadFile = { data = "\0\xff\r\n" } }
      local box = s:box()
      assert.is_nil(box:write_file("a\0\xff", "/f"))
      assert.same({ vm_id = "vm1", path = "/f", data = "a\0\xff" },
        s:request "UploadFile")
      box:write_file("", "/empty")
      assert.equal("", s:request("UploadFile").data)
      assert.equal("\0\xff\r\n", box:read_file "/f")
      assert.same({ vm_id = "vm1", path = "/f" }, s:request "DownloadFile")
      s.handlers.DownloadFile = {}
      assert.equal("", box:read_file "/empty")
    end)

    it("take a boxd.path for a local file", function()
      local s <close> = scripted.start { UploadFile = {} }
      local name = write("local", "x\0y")
      s:box():write_file(boxd.path(name), "/f")
      assert.equal("x\0y", s:request("UploadFile").data)
    end)

    it("name the fault of a local file", function()
      local s <close> = scripted.start {}
      local box = s:box()
      local name = folder .. "/none"
      local e = failure(box.write_file, box, boxd.path(name), "/f")
      assert.equal("InvalidArgumentError", e.class)
      assert.equal("can't read the local file " .. name
        .. ": No such file or directory", e.message)
      e = failure(box.write_file, box, boxd.path(folder), "/f")
      assert.matches("Is a directory", e.message)
    end)

    it("say that a file of the box is not there", function()
      local s <close> = scripted.start { DownloadFile = function(_, call)
        call:finish("NOT_FOUND", "/f: no such file")
      end }
      local box = s:box()
      local e = failure(box.read_file, box, "/f")
      assert.same({ "NotFoundError", "DownloadFile", "/f: no such file" },
        { e.class, e.method, e.message })
    end)

    it("refuse data longer than a message before sending it", function()
      local s <close> = scripted.start {}
      local box = s:box()
      local e = failure(box.write_file, box, ("x"):rep(65 * MIB), "/f")
      assert.equal("InvalidArgumentError", e.class)
      assert.matches("64 MiB", e.message)
      assert.matches("stream", e.message)
      assert.equal(1, s:count())
    end)

    it("take 60 MiB both ways", function()
      local data = ("0123456789abcdef"):rep(60 * MIB // 16)
      local s <close> = scripted.start { UploadFile = {},
        DownloadFile = { data = data } }
      local box = s:box()
      box:write_file(data, "/f")
      assert.is_true(s:request("UploadFile").data == data)
      assert.is_true(box:read_file "/f" == data)
    end)

    it("take no short write for a whole file, and 0 for no count", function()
      local s <close> = scripted.start { UploadFile = { bytes_written = 3 } }
      local box = s:box()
      local e = failure(box.write_file, box, "12345", "/f")
      assert.same({ "InternalError", "UploadFile" }, { e.class, e.method })
      assert.matches("3 of the 5 bytes", e.message)
      box:write_file("123", "/f")
      s.handlers.UploadFile = { bytes_written = 0 }
      box:write_file("12345", "/f")
    end)

    it("read no pipe, no device and nothing that is too long", function()
      local s <close> = scripted.start {}
      local box = s:box()
      assert(os.execute(("mkfifo %s/pipe && truncate -s 1T %s/huge"):format(
        folder, folder)))
      for name, why in pairs { [folder .. "/pipe"] = "not a regular file",
        ["/dev/zero"] = "not a regular file", [folder .. "/huge"] = "64 MiB" } do
        local e = failure(box.write_file, box, boxd.path(name), "/f")
        assert.equal("InvalidArgumentError", e.class)
        assert.matches(why, e.message)
      end
    end)

    it("are streams above 1 MiB, and for every read", function()
      local seen, data = {}, ("0123456789abcdef"):rep(MIB // 16) .. "more"
      local s <close> = scripted.start { UploadFileStream = taker(seen),
        DownloadFileStream = function(_, call)
          call:send { data = data:sub(1, 5), total_size = #data }
          call:send { data = data:sub(6), total_size = #data }
          call:finish()
        end }
      local box = s:box()
      box:write_file(data, "/f")
      assert.same({ "/f", #data, true, { MIB, 4 } }, { seen.first.path,
        seen.first.total_size, seen.data == data, seen.sizes })
      box:write_file(boxd.path(write("big", data)), "/g")
      assert.same({ "/g", #data, true }, { seen.first.path,
        seen.first.total_size, seen.data == data })
      assert.is_true(box:read_file "/f" == data)
      assert.equal(0, s:count "UploadFile" + s:count "DownloadFile")
      assert.equal(0, s:count "Exec")
    end)

    it("are checked: a short stream is an error", function()
      local written, total
      local s <close> = scripted.start {
        UploadFileStream = function(_, call)
          while call:recv() do end -- luacheck: ignore 542
          return { bytes_written = written }
        end,
        DownloadFileStream = function() return { data = "12345",
          total_size = total } end,
        DownloadFile = { data = "123456789" } }
      local box = s:box()
      written = 4096
      local e = failure(box.write_file, box, ("x"):rep(MIB + 1), "/f")
      assert.same({ "InternalError", "UploadFileStream" }, { e.class, e.method })
      written = 0 -- it can't say
      box:write_file(("x"):rep(MIB + 1), "/f")
      total = 9
      e = failure(box.read_file, box, "/f")
      assert.same({ "InternalError", "DownloadFileStream" }, { e.class, e.method })
      assert.matches("5 of 9 bytes", e.message)
      for _, size in ipairs { 0, 5 } do
        total = size
        assert.equal("12345", box:read_file "/f")
      end
    end)

    it("are single messages for a service without streams, asked once", function()
      local data = ("x"):rep(MIB + 1)
      local function lacks(_, call) call:finish("UNIMPLEMENTED", "no such RPC") end
      local s <close> = scripted.start { UploadFile = {},
        DownloadFile = { data = "y" }, UploadFileStream = lacks,
        DownloadFileStream = lacks, GetVm = { vm_id = "vm1" } }
      local box = s:box()
      for _ = 1, 3 do
        box:write_file(data, "/f")
        box:upload(write("up", data), "/u")
        assert.equal("y", box:read_file "/f")
        box:download("/f", folder .. "/down")
      end
      assert.is_true(s:request("UploadFile").data == data)
      assert.equal("y", read "down")
      assert.same({ 1, 1, 6, 6 }, { s:count "UploadFileStream",
        s:count "DownloadFileStream", s:count "UploadFile",
        s:count "DownloadFile" })
      local other = boxd.Compute { api_url = s.address, token = scripted.TOKEN }
      other.box:get("vm1"):read_file "/f" -- another Compute asks for itself
      assert.equal(2, s:count "DownloadFileStream")
    end)

    it("verify by the box's sha256sum, and repeat once", function()
      local sums = {}
      local s <close> = scripted.start { UploadFile = {},
        DownloadFileStream = { data = "abc", total_size = 3 },
        Exec = function(request, call)
          assert.equal("export LC_ALL=C; sha256sum -- /f", request.command)
          call:send { data = table.remove(sums, 1) .. "  /f\n" }
          call:finish()
        end }
      local box = s:box()
      local good, bad = boxd.sha256 "abc", boxd.sha256 "other"
      local options = { verify = true }
      for _, move in ipairs { function() box:write_file("abc", "/f", options) end,
        function() assert.equal("abc", box:read_file("/f", options)) end } do
        for _, list in ipairs { { good }, { bad, good } } do
          sums = list
          move()
          assert.equal(0, #sums)
        end
        sums = { bad, bad }
        assert.equal("InternalError", failure(move).class)
      end
      assert.equal(5, s:count "UploadFile")
      sums = { "no sum" }
      assert.matches("can't verify /f", failure(box.write_file, box, "abc", "/f",
        options).message)
    end)

    it("want strings", function()
      local s <close> = scripted.start {}
      local box = s:box()
      assert.matches("#1 to 'write_file' %(string expected, got table",
        refused(box.write_file, box, {}, "/f"))
      assert.matches("#2 to 'write_file' %(string expected, got nil",
        refused(box.write_file, box, "x"))
      assert.matches("#1 to 'read_file'", refused(box.read_file, box, 5))
    end)
  end)

  describe("box:upload", function()
    it("takes 0 for the answer of a server that can't count", function()
      local s <close> = scripted.start { UploadFileStream = function(first, call)
        taker {}(first, call)
        return { bytes_written = 0 }
      end }
      assert.equal(5, s:box():upload(write("five", "12345"), "/d"))
    end)

    it("holds up no task for a pipe or a device", function()
      local s <close> = scripted.start {}
      local box = s:box()
      assert(os.execute(("mkfifo %s/pipe"):format(folder)))
      for _, name in ipairs { folder .. "/pipe", "/dev/zero", "/dev/tty" } do
        local e = failure(boxd.with_timeout, 5, box.upload, box, name, "/d")
        assert.equal("InvalidArgumentError", e.class)
      end
    end)

    it("does not take a short write for a whole file", function()
      local s <close> = scripted.start { UploadFileStream = function(first, call)
        taker {}(first, call)
        return { bytes_written = 3 }
      end }
      local e = failure(s:box().upload, s:box(), write("five", "12345"), "/d")
      assert.equal("InternalError", e.class)
      assert.matches("wrote 3 of the 5 bytes", e.message)
    end)

    it("sends chunks of 1 MiB, the first with where they go", function()
      local seen, data = {}, ("x"):rep(2 * MIB + 5)
      local s <close> = scripted.start { UploadFileStream = taker(seen) }
      local steps = {}
      local n = s:box():upload(write("big", data), "/dest", {
        progress = function(done, total) steps[#steps + 1] = { done, total } end })
      assert.equal(#data, n)
      assert.same({ MIB, MIB, 5 }, seen.sizes)
      assert.same({ "vm1", "/dest", #data },
        { seen.first.vm_id, seen.first.path, seen.first.total_size })
      assert.is_true(seen.data == data)
      assert.same({ { MIB, #data }, { 2 * MIB, #data }, { #data, #data } },
        steps)
    end)

    it("has one time for all files of a folder", function()
      write("a", "1")
      write("b", "2")
      local ends, take = {}, taker {}
      local s <close> = scripted.start { UploadFileStream = function(first, call)
        ends[#ends + 1] = call.deadline
        boxd.sleep(0.2)
        return take(first, call)
      end }
      assert.equal(2, s:box():upload(folder, "/f", { timeout = 5 }))
      assert.is_true(ends[2] - ends[1] < 0.12, ends[2] - ends[1])
    end)

    it("sends one chunk of an empty file", function()
      local seen = {}
      local s <close> = scripted.start { UploadFileStream = taker(seen) }
      assert.equal(0, s:box():upload(boxd.path(write("e", "")), "/dest"))
      assert.same({ 0 }, seen.sizes)
      assert.equal("/dest", seen.first.path)
    end)

    it("never says more than the file had", function()
      local s <close> = scripted.start { UploadFileStream = taker {} }
      local box = s:box()
      for _, growing in ipairs { true, false } do
        local name = write("changing", ("x"):rep(3 * MIB))
        local e = failure(box.upload, box, name, "/dest", {
          progress = function(done)
            if done > MIB then return end
            local f = assert(io.open(name, growing and "ab" or "wb"))
            f:write "y"
            f:close()
          end })
        assert.equal("InvalidArgumentError", e.class)
        assert.matches(growing and "longer" or "ended after", e.message)
      end
    end)

    it("refuses a file that is not regular", function()
      local s <close> = scripted.start { UploadFileStream = taker {} }
      local box = s:box()
      local pipe = folder .. "/pipe"
      assert(os.execute(("mkfifo %s && (echo x > %s &)"):format(pipe, pipe)))
      assert.matches("regular file", failure(box.upload, box, pipe, "/d").message)
      os.remove(pipe)
      assert.matches("No such file",
        failure(box.upload, box, folder .. "/none", "/d").message)
      assert.matches("longer", failure(box.upload, box, "/proc/self/status",
        "/d").message)
    end)

    it("ends the call when progress raises", function()
      local server <close> = serve.listen()
      local told = boxd.spawn(function()
        local call = server:accept()
        local ok, message
        repeat ok, message = pcall(call.recv, call) until not ok or not message
        return message
      end)
      local c <close> = boxd.Compute { api_url = server.address, token = "t" }
      local up = require("boxd.box").new(c, { vm_id = "vm1" })
      local ok, e = pcall(up.upload, up, write("big", ("x"):rep(8 * MIB)), "/d",
        { progress = function() error("enough", 0) end })
      assert.is_false(ok)
      assert.equal("enough", e)
      assert.equal("CancelledError", told:join { timeout = 5 }.class)
    end)

    it("raises what the service says, also in the middle", function()
      local s <close> = scripted.start { UploadFileStream = function(_, call)
        call:finish("RESOURCE_EXHAUSTED", "the disk is full")
      end }
      local box = s:box()
      local e = failure(box.upload, box, write("big", ("x"):rep(8 * MIB)), "/d")
      assert.same({ "QuotaExceededError", "UploadFileStream",
        "the disk is full" }, { e.class, e.method, e.message })
      s.handlers.UploadFileStream = function(_, call)
        while call:recv() do end -- luacheck: ignore 542
        call:finish()
      end
      e = failure(box.upload, box, write("small", "x"), "/d")
      assert.equal("InternalError", e.class)
    end)
  end)

  describe("box:download", function()
    local function sender(chunks, total, status)
      return function(_, call)
        for i, chunk in ipairs(chunks) do
          call:send { data = chunk, total_size = i == 1 and total or 0 }
        end
        call:finish(status or "OK", "cut")
      end
    end

    it("writes the file once it is whole, and reports progress", function()
      local s <close> = scripted.start { DownloadFileStream =
        sender({ "ab\0", "\xff", "c" }, 5) }
      local steps, seen = {}, {}
      local n = s:box():download("/src", folder .. "/dest", {
        progress = function(done, total)
          steps[#steps + 1] = { done, total }
          seen[#seen + 1] = read "dest" or "absent"
        end })
      assert.equal(5, n)
      assert.equal("ab\0\xffc", read "dest")
      assert.same({ { 3, 5 }, { 4, 5 }, { 5, 5 } }, steps)
      assert.same({ "absent", "absent", "absent" }, seen)
      assert.same({ "dest" }, names())
      assert.same({ vm_id = "vm1", path = "/src" },
        s:request "DownloadFileStream")
    end)

    it("writes to a device, and leaves it there", function()
      local s <close> = scripted.start { DownloadFileStream =
        sender({ "ab", "c" }, 3) }
      local pipe = folder .. "/pipe"
      assert(os.execute("mkfifo " .. pipe))
      local reader <close> = assert(io.popen("cat " .. pipe))
      assert.equal(3, s:box():download("/src", pipe))
      assert.equal("abc", reader:read "a")
      assert(os.execute("test -p " .. pipe))
      assert.same({ "pipe" }, names())
    end)

    it("waits for a pipe without holding up others", function()
      local s <close> = scripted.start { DownloadFileStream =
        sender({ ("x"):rep(MIB), "c" }, MIB + 1) }
      local pipe = folder .. "/pipe"
      assert(os.execute("mkfifo " .. pipe))
      local e = failure(boxd.with_timeout, 0.2, s:box().download, s:box(),
        "/src", pipe)
      assert.equal("TimeoutError", e.class)
      local reader <close> = assert(io.popen(("sleep 0.2; exec <%s; sleep 0.3; wc -c")
        :format(pipe)))
      local turns, busy = 0, true
      local other = boxd.spawn(function()
        while busy do turns = turns + 1 boxd.sleep(0.01) end
      end)
      assert.equal(MIB + 1, s:box():download("/src", pipe))
      busy = false
      other:join()
      assert.matches("1048577", reader:read "a")
      assert.is_true(turns > 10, turns)
    end)

    it("takes an empty file, and replaces one", function()
      local s <close> = scripted.start { DownloadFileStream = sender({}, 0) }
      write("dest", "old")
      assert.equal(0, s:box():download("/src", boxd.path(folder .. "/dest")))
      assert.equal("", read "dest")
    end)

    it("leaves nothing of a file that did not come whole", function()
      local s <close> = scripted.start()
      local box = s:box()
      for _, row in ipairs {
        { sender({ "abc" }, 10), "InternalError", "3 of 10" },
        { sender({ "abc" }, 10, "UNAVAILABLE"), "ConnectionError", "cut" },
        { sender({}, 0, "NOT_FOUND"), "NotFoundError", "cut" },
      } do
        s.handlers.DownloadFileStream = row[1]
        write("dest", "old")
        local e = failure(box.download, box, "/src", folder .. "/dest")
        assert.equal(row[2], e.class)
        assert.matches(row[3], e.message)
        assert.equal("old", read "dest")
        assert.same({ "dest" }, names())
      end
      s.handlers.DownloadFileStream = sender({ "abc" }, 3)
      assert.is_false(pcall(box.download, box, "/src", folder .. "/dest",
        { progress = function() error "stop" end }))
      assert.same({ "dest" }, names())
    end)

    it("asks a 0.1 service for the whole file", function()
      local s <close> = scripted.start { DownloadFile = { data = "whole" } }
      local steps = {}
      local n = s:box():download("/src", folder .. "/dest", {
        progress = function(done, total) steps[#steps + 1] = { done, total } end })
      assert.equal(5, n)
      assert.equal("whole", read "dest")
      assert.same({ { 5, 5 } }, steps)
      assert.equal("/src", s:request("DownloadFile").path)
    end)

    it("refuses a place it can't write to, before any call", function()
      local s <close> = scripted.start()
      local box = s:box()
      for dest, why in pairs { [folder .. "/none/x"] = "No such file",
        [folder] = "folder", ["/proc/x"] = "" } do
        local e = failure(box.download, box, "/src", dest)
        assert.equal("InvalidArgumentError", e.class)
        assert.truthy(e.message:find("can't write the local file " .. dest, 1,
          true), e.message)
        assert.falsy(e.message:find(".part", 1, true), e.message)
        assert.matches(why, e.message)
      end
      assert.equal(1, s:count())
    end)

    it("says when the local disk is full", function()
      if not io.open "/dev/full" then return end
      local s <close> = scripted.start { DownloadFileStream =
        sender({ ("x"):rep(MIB) }, MIB) }
      local box = s:box()
      local open = io.open
      local _restore <close> = setmetatable({}, { __close = function()
        io.open = open -- luacheck: ignore
      end })
      io.open = function(name, mode) -- luacheck: ignore
        if name:find "%.part$" then name = "/dev/full" end
        return open(name, mode)
      end
      local e = failure(box.download, box, "/src", folder .. "/dest")
      assert.equal("InvalidArgumentError", e.class)
      assert.matches("dest: No space left on device", e.message)
      assert.same({}, names())
    end)
  end)

  it("want strings for names and a function for progress", function()
    local s <close> = scripted.start {}
    local box = s:box()
    for _, method in ipairs { "upload", "download" } do
      assert.matches("#1 to '" .. method .. "' %(string expected, got nil",
        refused(box[method], box))
      assert.matches("#2 to '" .. method .. "' %(string expected, got number",
        refused(box[method], box, "a", 5))
      assert.matches("'progress' to '" .. method .. "' %(function expected",
        refused(box[method], box, "a", "b", { progress = true }))
      for _, paths in ipairs { { "/etc/hostname\0", "b" }, { "a", "b\0" } } do
        local _, e = pcall(box[method], box, table.unpack(paths))
        assert.matches(method .. ": no file can have a NUL", e.message)
      end
    end
    local _, e = pcall(box.upload, box, "/etc/hostname", "")
    assert.matches("a path in the box expected", e.message)
    _, e = pcall(boxd.path, "/etc/hostname\0")
    assert.matches("path: no file can have a NUL", e.message)
  end)
end)

describe("boxd.path", function()
  it("names a local file, and nothing else is one", function()
    assert.equal("dir/file", tostring(boxd.path "dir/file"))
    assert.matches("bad argument #1 to 'path' %(string expected, got nil",
      refused(boxd.path))
    assert.matches("got table", refused(boxd.path, {}))
    local s <close> = scripted.start {}
    local box = s:box()
    assert.matches("got table",
      refused(box.write_file, box, { path = "/etc/hostname" }, "/f"))
  end)
end)
