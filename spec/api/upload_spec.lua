-- box:upload: files and folders that go to a box as streams.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"
local serve = require "boxd.serve"
local transfer = require "spec.support.transfer"

local failure = scripted.failure
local taker = transfer.taker
local MIB = 1 << 20

describe("files", function()
  local here = transfer.folder()
  local write = here.write

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
      assert(os.execute(("mkfifo %s/pipe"):format(here.path)))
      for _, name in ipairs { here.path .. "/pipe", "/dev/zero", "/dev/tty" } do
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
      assert.equal(2, s:box():upload(here.path, "/f", { timeout = 5 }))
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
      local pipe = here.path .. "/pipe"
      assert(os.execute(("mkfifo %s && (echo x > %s &)"):format(pipe, pipe)))
      assert.matches("regular file", failure(box.upload, box, pipe, "/d").message)
      os.remove(pipe)
      assert.matches("No such file",
        failure(box.upload, box, here.path .. "/none", "/d").message)
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
end)
