-- box:download: files that come from a box as streams.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"
local transfer = require "spec.support.transfer"

local failure = scripted.failure
local MIB = 1 << 20

describe("files", function()
  local here = transfer.folder()
  local write, read, names = here.write, here.read, here.names

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
      local n = s:box():download("/src", here.path .. "/dest", {
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
      local pipe = here.path .. "/pipe"
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
      local pipe = here.path .. "/pipe"
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
      assert.equal(0, s:box():download("/src", boxd.path(here.path .. "/dest")))
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
        local e = failure(box.download, box, "/src", here.path .. "/dest")
        assert.equal(row[2], e.class)
        assert.matches(row[3], e.message)
        assert.equal("old", read "dest")
        assert.same({ "dest" }, names())
      end
      s.handlers.DownloadFileStream = sender({ "abc" }, 3)
      assert.is_false(pcall(box.download, box, "/src", here.path .. "/dest",
        { progress = function() error "stop" end }))
      assert.same({ "dest" }, names())
    end)

    it("asks a 0.1 service for the whole file", function()
      local s <close> = scripted.start { DownloadFile = { data = "whole" } }
      local steps = {}
      local n = s:box():download("/src", here.path .. "/dest", {
        progress = function(done, total) steps[#steps + 1] = { done, total } end })
      assert.equal(5, n)
      assert.equal("whole", read "dest")
      assert.same({ { 5, 5 } }, steps)
      assert.equal("/src", s:request("DownloadFile").path)
    end)

    it("refuses a place it can't write to, before any call", function()
      local s <close> = scripted.start()
      local box = s:box()
      for dest, why in pairs { [here.path .. "/none/x"] = "No such file",
        [here.path] = "folder", ["/proc/x"] = "" } do
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
      local e = failure(box.download, box, "/src", here.path .. "/dest")
      assert.equal("InvalidArgumentError", e.class)
      assert.matches("dest: No space left on device", e.message)
      assert.same({}, names())
    end)
  end)
end)
