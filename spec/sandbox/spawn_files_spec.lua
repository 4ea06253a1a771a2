-- Boxes through the spawner: their files, disks and ports.

local sandbox = require "spec.support.sandbox"
local serve = require "boxd.serve"

local boxes = sandbox.of_file { outgoing = true }
if not boxes then return end

local run = function(...) return boxes:run(...) end
local output = function(...) return boxes:output(...) end
local eventually = sandbox.eventually

describe("a box", function()
  local box

  setup(function() box = boxes:start "one" end)
  teardown(function()
    boxes:kill(box)
    assert(boxes.spawner:remove(boxes:dir "one"))
  end)

  describe("has files", function()
    local function file(...) return boxes.spawner:file(box, ...) end

    it("written beside, and put in place at once", function()
      local fd, temporary, final = assert(file("begin", "a/b/c.txt"))
      assert(fd:write "some data")
      fd:close()
      assert.equal("/home/boxd/a/b/c.txt", final)
      assert.equal(1, run(box, "test -e a/b/c.txt").code)
      assert(file("commit", temporary, final, 488)) -- 0750
      assert.equal("some data 750 boxd 1", output(box,
        "echo $(cat a/b/c.txt) $(stat -c '%a %U' a/b/c.txt) $(ls -A a/b | wc -l)"))
    end)

    it("read, with their kinds", function()
      output(box, "printf hello > r; chmod 640 r; ln -s r to-r; mkdir -p d; "
        .. "mkfifo pipe")
      local fd, size = assert(file("read", "to-r"))
      assert.equal(5, size)
      assert.equal("hello", sandbox.read(fd))
      local s = file("stat", "r")[1]
      assert.same({ "r", "file", 416, 5 }, { s.name, s.kind, s.mode, s.size })
      local kinds = {}
      for _, entry in ipairs(file("list", "/home/boxd")) do
        kinds[entry.name] = entry.kind
      end
      assert.equal("file", kinds.r)
      assert.equal("link", kinds["to-r"])
      assert.equal("directory", kinds.d)
      assert.equal("fifo", kinds.pipe)
    end)

    it("that a reader cannot be held by, or led astray", function()
      for _, path in ipairs { "pipe", "/dev/null", "/home/boxd", "no/such" } do
        local fd, message = file("read", path)
        assert.is_nil(fd, path)
        assert.truthy(message:find(path, 1, true), message)
      end
    end)

    it("but no path that is too long, nor one of its beginnings", function()
      local folder = "/tmp" .. ("/../tmp"):rep(580) .. ("/"):rep(3)
      for _, operation in ipairs { "begin", "mkdir" } do
        local answer, _, errno = file(operation, folder .. ("n"):rep(40))
        assert.is_nil(answer, operation)
        assert.equal(36, errno) -- ENAMETOOLONG
      end
      assert.equal("", output(box, "ls -A /tmp"))
    end)

    it("copied, renamed and removed", function()
      output(box, "mkdir -p t/u; echo 1 > t/u/f; ln -s f t/u/l; ln -s / top")
      assert(file("copy", "t", "t2"))
      assert(file("rename", "t2/u", "t2/v"))
      assert(file("mkdir", "t3"))
      assert(file("remove", "t"))
      assert(file("remove", "top"))
      assert.equal("1 f gone gone", output(box, "test -d t3; echo "
        .. "$(cat t2/v/f) $(readlink t2/v/l) $(test -e t || echo gone) "
        .. "$(test -e top || echo gone)"))
      assert.equal("0", output(box, "test -e /usr/bin/env; echo $?"))
    end)
  end)

  describe("has a disk", function()
    local disk

    before_each(function()
      disk = boxes.state .. "/disk"
      assert(serve.sys.mkdir(disk, 448))
    end)
    after_each(function() assert(boxes.spawner:remove(disk)) end)

    it("attached and detached while it runs, whose files stay", function()
      assert(boxes.spawner:attach(box, disk, "/data/disk", false))
      output(box, "echo kept > /data/disk/f")
      assert.is_nil(boxes.spawner:attach(box, disk, "/data/disk", false))
      assert(boxes.spawner:detach(box, "/data/disk"))
      assert.equal("", output(box, "ls /data/disk"))
      assert.is_nil(boxes.spawner:detach(box, "/data/disk"))
      assert.is_nil(boxes.spawner:detach(box, "/usr"))
      assert(boxes.spawner:attach(box, disk, "/data/two", false))
      assert.equal("kept", output(box, "cat /data/two/f"))
      assert(boxes.spawner:detach(box, "/data/two"))
    end)

    it("read-only, which nothing in it can undo", function()
      assert(boxes.spawner:attach(box, disk, "/data/ro", false))
      output(box, "echo kept > /data/ro/f; chmod 666 /data/ro/f")
      assert(boxes.spawner:detach(box, "/data/ro"))
      assert(boxes.spawner:attach(box, disk, "/data/ro", true))
      for _, command in ipairs { "echo x >> /data/ro/f", "rm -f /data/ro/f",
        "touch /data/ro/new", "chmod 600 /data/ro/f", "mkdir /data/ro/d",
        "mount -o remount,rw /data/ro", "mount -o remount,rw,bind /data/ro",
        "umount /data/ro", "mount --bind /data/ro /mnt",
        "mv /data/ro /data/rw" } do
        assert.not_equal(0, run(box, command).code, command)
      end
      assert.equal("kept", output(box, "cat /data/ro/f"))
      assert(boxes.spawner:detach(box, "/data/ro"))
    end)

    it("taken away while something uses it", function()
      assert(boxes.spawner:attach(box, disk, "/data/busy", false))
      local c = assert(boxes.spawner:exec(box,
        { command = "exec sleep 1005", cwd = "/data/busy" }))
      assert(boxes.spawner:detach(box, "/data/busy"))
      c:signal(9)
      c:wait()
    end)

    it("that must be there", function()
      local ok, message = boxes.spawner:attach(box, disk .. "/none", "/x", false)
      assert.is_nil(ok)
      assert.truthy(message:find("No such file", 1, true), message)
    end)
  end)

  describe("is reached at a port", function()
    it("of its own, as another box at the same", function()
      local two = boxes:start "two"
      local list = { one = box, two = two }
      local servers, replies = {}, {}
      for name, b in pairs(list) do
        output(b, ("mkdir -p /home/boxd/www; echo this is %s > /home/boxd/www/who")
          :format(name))
        servers[name] = assert(boxes.spawner:exec(b, { cwd = "/home/boxd/www",
          command = "exec /usr/bin/python3 -m http.server 8000 2>&1" }))
      end
      for name, b in pairs(list) do
        local fd
        eventually(function()
          fd = boxes.spawner:connect(b, 8000)
          return fd
        end)
        fd:write "GET /who HTTP/1.0\r\n\r\n"
        replies[name] = sandbox.read(fd):match "this is %a+"
      end
      assert.same({ one = "this is one", two = "this is two" }, replies)
      for _, c in pairs(servers) do
        c:signal(9)
        c:wait()
      end
      assert.is_nil(boxes.spawner:connect(box, 8000))
      boxes:kill(two)
      assert(boxes.spawner:remove(boxes:dir "two"))
    end)
  end)
end)
