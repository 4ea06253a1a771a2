-- Whole files to and from a box, and boxd.path.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"
local transfer = require "spec.support.transfer"

local failure, refused = scripted.failure, scripted.refused
local taker = transfer.taker
local MIB = 1 << 20

describe("files", function()
  local here = transfer.folder()
  local write, read = here.write, here.read

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
      local name = here.path .. "/none"
      local e = failure(box.write_file, box, boxd.path(name), "/f")
      assert.equal("InvalidArgumentError", e.class)
      assert.equal("can't read the local file " .. name
        .. ": No such file or directory", e.message)
      e = failure(box.write_file, box, boxd.path(here.path), "/f")
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
        here.path, here.path)))
      for name, why in pairs { [here.path .. "/pipe"] = "not a regular file",
        ["/dev/zero"] = "not a regular file", [here.path .. "/huge"] = "64 MiB" } do
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
        box:download("/f", here.path .. "/down")
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
          assert.matches("export LC_ALL=C; sha256sum -- /f", request.command, 1,
            true)
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
