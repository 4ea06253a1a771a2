-- boxd.local.files: files of boxes, whole and streamed.

local boxd = require "boxd"
local support = require "spec.support.service"

local with_root = support.with_root(it, pending)

local refused = support.refused
local MIB = 1 << 20

describe("files of the embedded service", function()
  -- With one heap for all threads, as their own heaps keep free memory.
  local service, compute, call = support.of_block {
    under = { "env", "MALLOC_ARENA_MAX=1" } }
  local box

  setup(function() box = compute.box:create "f" end)

  local function upload(path, data)
    return call("UploadFile", { vm_id = box.id, path = path, data = data })
  end

  it("verifies each transfer by the sums in the box", function()
    local data = ("0123456789"):rep(300000)
    box:write_file(data, "sum me", { verify = true, mode = "600" })
    assert.is_true(box:read_file("sum me", { verify = true }) == data)
    assert.matches("^Linux version", box:read_file "/proc/version")
    local name = os.tmpname()
    assert.equal(#data, box:download("sum me", name, { verify = true }))
    assert.equal(#data, box:upload(name, "again", { verify = true }))
    os.remove(name)
    assert.is_true(box:read_file "again" == data)
  end)

  it("come back as they went, parents made", function()
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local data = table.concat(bytes):rep(1000)
    assert.equal(#data, upload("/home/boxd/new/er/file", data).bytes_written)
    assert.equal(data, box:read_file "/home/boxd/new/er/file")
    assert.equal("644 boxd\n", box:sh("stat -c '%a %U' /home/boxd/new/er/file").stdout)
    assert.equal("755\n", box:sh("stat -c %a /home/boxd/new/er").stdout)
    assert.equal(0, upload("/home/boxd/empty", "").bytes_written)
    assert.equal("", box:read_file "/home/boxd/empty")
  end)

  it("start at home where the path is relative", function()
    box:write_file("rel", "sub/rel")
    assert.equal("rel", box:read_file "/home/boxd/sub/rel")
    assert.equal("rel", box:read_file "sub/rel")
  end)

  it("keep the mode of a file that is written over", function()
    box:sh "echo x > /home/boxd/run; chmod 750 /home/boxd/run"
    box:write_file("y", "/home/boxd/run")
    assert.equal("750\n", box:sh("stat -c %a /home/boxd/run").stdout)
  end)

  -- The permission bits of paths in the box, as text.
  local function modes(...)
    return box:exec("stat", "-c", "%a", ...).stdout
  end

  local function here(command)
    local pipe <close> = assert(io.popen(("cd %s && { %s; }"):format(
      service.folder, command)))
    return pipe:read "a"
  end

  it("keep their permission bits, both ways", function()
    for _, mode in ipairs { "644", "755", "600", "640", "700", "444" } do
      here(("rm -f m back; echo %s > m; chmod %s m"):format(mode, mode))
      assert.equal(4, box:upload(service.folder .. "/m", "/home/boxd/m/" .. mode))
      assert.equal(mode .. "\n", modes("/home/boxd/m/" .. mode))
      box:download("/home/boxd/m/" .. mode, service.folder .. "/back")
      assert.equal(mode .. "\n" .. mode .. "\n", here "stat -c %a back; cat back")
    end
    assert.equal("", box:sh("ls -A /home/boxd/m | grep boxd; true").stdout)
  end)

  it("have the mode that is asked for, as octal digits", function()
    here "echo x > m; chmod 644 m"
    local name = service.folder .. "/m"
    box:upload(name, "/home/boxd/asked", { mode = "600" })
    assert.equal("600\n", modes "/home/boxd/asked")
    box:upload(name, "/home/boxd/asked", { mode = "0755" })
    assert.equal("755\n", modes "/home/boxd/asked")
    box:write_file("x", "/home/boxd/written", { mode = "400" })
    assert.equal("400\n", modes "/home/boxd/written")
    box:download("/home/boxd/asked", name, { mode = "640" })
    assert.equal("640\n", here "stat -c %a m")
    for _, bad in ipairs { 644, "64", "888", "rw", true } do
      assert.matches("octal digits",
        refused(nil, box.upload, box, name, "/home/boxd/no", { mode = bad }))
    end
    assert.is_false(box:exec("test", "-e", "/home/boxd/no").success)
  end)

  it("are no more readable here than the file they replace", function()
    here "echo x > m; chmod 600 m"
    box:write_file("public", "/home/boxd/public")
    box:download("/home/boxd/public", service.folder .. "/m")
    assert.equal("600\npublic", here "stat -c %a m; cat m")
  end)

  it("are readable to others at no time when they are private", function()
    here "head -c 3000000 /dev/zero > m; chmod 600 m"
    box:sh("mkdir -p /home/boxd/watch; chmod 755 /home/boxd/watch")
    local seen = box:sh([[cat > /home/boxd/watch.py <<'X'
import os, sys
def readable(path, bits):
    try:
        return os.stat(path).st_mode & bits
    except OSError:
        return 0
while not os.path.exists("/home/boxd/stop"):
    for root, dirs, files in os.walk("/home/boxd/watch"):
        for f in files:
            if readable(root, 0o011) and readable(root + "/" + f, 0o044):
                print(f, flush=True)
X
python3 /home/boxd/watch.py]], { stream = true })
    for i = 1, 10 do
      box:upload(service.folder .. "/m", "/home/boxd/watch/" .. i)
      box:write_file("secret", "/home/boxd/watch/w" .. i, { mode = "600" })
    end
    box:write_file("", "/home/boxd/stop")
    assert.equal(0, seen:wait())
    assert.is_nil(seen:read_stdout())
  end)

  it("are refused for their own fault, not for a right", function()
    box:sh "ln -s loop /home/boxd/loop; echo x > /home/boxd/file"
    local function class(method, ...)
      local ok, e = pcall(box[method], box, ...)
      return not ok and e.class .. ": " .. e.message
    end
    assert.matches("^InvalidArgumentError.*symbolic links",
      class("read_file", "/home/boxd/loop"))
    assert.matches("^InvalidArgumentError.*/proc/self",
      class("read_file", "/proc/self/status"))
    assert.matches("Not a directory", class("write_file", "x", "/home/boxd/file/x"))
    assert.matches("Not a directory", class("read_file", "/home/boxd/file/x"))
  end)

  with_root("are refused by the same class whatever mode they are to have", function()
    box:sh "mkdir -p /home/boxd/d; echo x > /home/boxd/file"
    local CLASSES = { ["/root/x"] = "PermissionDeniedError",
      ["/etc/x"] = "PermissionDeniedError",
      ["/home/boxd/d"] = "InvalidArgumentError" }
    for path, class in pairs(CLASSES) do
      for _, mode in ipairs { false, "644", "600" } do
        local ok, e = pcall(box.write_file, box, "x", path,
          { mode = mode or nil })
        assert.is_false(ok, path)
        assert.equal(class, e.class, ("%s %s: %s"):format(path, mode, e))
      end
    end
    local ok, e = pcall(box.write_file, box, "x", "/home/boxd/file/x",
      { mode = "600" })
    assert.is_false(ok)
    assert.is_true(e.class == "NotFoundError" or e.class == "ConflictError",
      tostring(e))
    ok, e = pcall(box.mkdir, box, "/root/d", { mode = "700" })
    assert.is_false(ok)
    assert.equal("PermissionDeniedError", e.class)
    ok, e = pcall(box.write_file, box, "x", "/home/boxd/d", { owner = "root" })
    assert.is_false(ok)
    assert.equal("InvalidArgumentError", e.class)
  end)

  it("of a folder keep their modes and links", function()
    here [[rm -rf tree; mkdir -p tree/shut/in tree/open tree/bare; cd tree
      echo 1 > open/a; echo 2 > open/run; chmod 755 open/run
      echo 3 > shut/key; chmod 600 shut/key; echo 4 > shut/in/read
      ln -s open/a link; ln -s nowhere bare/lost; ln -s ../open bare/dir
      chmod 755 . open bare shut/in; chmod 700 shut]]
    assert.equal(8, box:upload(service.folder .. "/tree", "/home/boxd/tree"))
    local list = "find . -printf '%M %p %l\\n' | sort"
    assert.equal(here("cd tree && " .. list):gsub(" %. ", " . "),
      (box:sh("cd /home/boxd/tree && " .. list).stdout))
    box:upload(service.folder .. "/tree", "/home/boxd/tree") -- and once more
    assert.equal(here("cd tree && " .. list),
      box:sh("cd /home/boxd/tree && " .. list).stdout)
    box:sh "cd /home/boxd/tree && rm -r bare link"
    box:download_folder("/home/boxd/tree", service.folder .. "/tree2")
    here "cd tree && rm -r bare link"
    assert.equal(here("cd tree && " .. list), here("cd tree2 && " .. list))
  end)

  it("with names that are not UTF-8 are refused before the first", function()
    box:sh [[mkdir -p /home/boxd/names; cd /home/boxd/names; touch a b; touch "$(printf 'x\377')"]]
    local message = refused(nil, box.download_folder, box, "/home/boxd/names",
      service.folder .. "/names")
    assert.matches("/home/boxd/names/x.*not UTF%-8", message)
    assert.equal("", here "ls names 2>/dev/null; true")
    box:sh [[cd /home/boxd/names; rm x*; touch "$(printf 'y\357\277\275')"]]
    box:download_folder("/home/boxd/names", service.folder .. "/names")
    assert.equal("3\n", here "ls names | wc -l")
  end)

  it("that the kernel makes come whole", function()
    for _, path in ipairs { "/proc/version", "/proc/self/../version",
      "/sys/kernel/mm/transparent_hugepage/enabled" } do
      if box:exec("test", "-r", path).success then
        local bytes = box:exec("cat", path).stdout
        assert.equal(#bytes, box:download(path, service.folder .. "/made"))
        assert.equal(bytes, here "cat made")
        assert.equal(bytes, box:read_file(path))
      end
    end
  end)

  it("are written whole or not at all", function()
    box:write_file("old", "/home/boxd/atomic")
    box:sh [[(while :; do cat /home/boxd/atomic; echo; done) > /home/boxd/seen 2>/home/boxd/err &]]
    for i = 1, 50 do
      box:write_file((i % 2 == 0 and "even" or "odd!"):rep(50000),
        "/home/boxd/atomic")
    end
    box:sh "pkill -f '[w]hile' ; true"
    assert.equal("", box:read_file "/home/boxd/err")
    local kinds = box:sh(
      "awk '{ print length($0), substr($0, 1, 4) }' /home/boxd/seen | sort -u").stdout
    for line in kinds:gmatch "[^\n]+" do
      -- The last one may be cut by the kill.
      local length = tonumber(line:match "^%d+")
      assert.is_true(length == 200000 or length == 3 or length < 200000)
    end
    assert.equal("\n", box:sh("ls -a /home/boxd | grep -c 'atomic.' | tr -d 0").stdout)
  end)

  it("follow links in the box, never out of it", function()
    box:sh [[mkdir -p /home/boxd/t
      ln -sfn /home/boxd/t /home/boxd/dir; ln -sf /var/tmp/boxd-spec /home/boxd/esc
      ln -sf ../../../../../../../../tmp/boxd-spec /home/boxd/up]]
    box:write_file("1", "/home/boxd/dir/f")
    assert.equal("1", box:read_file "/home/boxd/t/f")
    box:write_file("2", "/home/boxd/esc")
    box:write_file("3", "/home/boxd/up")
    assert.equal("2", box:read_file "/var/tmp/boxd-spec")
    assert.equal("3", box:read_file "/tmp/boxd-spec")
    assert.is_nil(io.open "/var/tmp/boxd-spec")
    assert.is_nil(io.open "/tmp/boxd-spec")
    box:sh("ln -sf " .. service.state .. "/secrets /home/boxd/secrets")
    refused("NOT_FOUND", box.read_file, box, "/home/boxd/secrets/signing.json")
  end)

  it("are 64 MiB in one message", function()
    local data = ("m"):rep(64 * MIB - 100)
    assert.equal(#data, upload("/home/boxd/big", data).bytes_written)
    local back = box:read_file "/home/boxd/big"
    assert.equal(#data, #back)
    assert.is_true(data == back)
    box:sh "head -c 67108865 /dev/zero > /home/boxd/bigger"
    assert.matches("DownloadFileStream", refused("RESOURCE_EXHAUSTED", call,
      "DownloadFile", { vm_id = box.id, path = "/home/boxd/bigger" }))
    box:sh "rm /home/boxd/big*"
  end)

  it("stream in the service's constant memory", function()
    local source, target = os.tmpname(), os.tmpname()
    assert(os.execute("head -c 128M /dev/urandom > " .. source))
    local function resident(what)
      local f <close> = assert(io.open("/proc/" .. service.pid .. "/status"))
      return math.tointeger(f:read("a"):match("Vm" .. what .. ":%s*(%d+)"))
    end
    local write <close> = assert(io.open(
      "/proc/" .. service.pid .. "/clear_refs", "w"))
    write:write "5"
    write:flush()
    local before = resident "RSS"
    box:upload(source, "/home/boxd/streamed")
    box:download("/home/boxd/streamed", target)
    local grown = resident "HWM" - before
    assert.is_true(grown < 32 * 1024, grown .. " KiB")
    assert.is_true(os.execute(("cmp %s %s"):format(source, target)))
    box:sh "rm /home/boxd/streamed"
    os.remove(source)
    os.remove(target)
  end)

  it("are not kept when a stream breaks off", function()
    local stream = compute:stream("UploadFileStream", { vm_id = box.id,
      path = "/home/boxd/half", total_size = 100, data = "x" })
    stream:half_close()
    assert.matches("1 bytes came instead of 100",
      refused("INVALID_ARGUMENT", stream.recv, stream))
    local left = compute:stream("UploadFileStream", { vm_id = box.id,
      path = "/home/boxd/half", total_size = 100, data = "x" })
    left:close()
    support.eventually(function()
      return box:sh("ls -A /home/boxd | grep -c half").stdout == "0\n"
    end)
  end)

  it("may be empty in a stream", function()
    local source = os.tmpname()
    box:upload(source, "/home/boxd/none")
    assert.equal("", box:read_file "/home/boxd/none")
    box:download("/home/boxd/none", source)
    local f <close> = assert(io.open(source))
    assert.equal("", f:read "a")
    os.remove(source)
  end)

  it("have a status for each way to go wrong", function()
    local function down(path)
      return call("DownloadFile", { vm_id = box.id, path = path })
    end
    assert.matches("/nope", refused("NOT_FOUND", down, "/nope"))
    refused("NOT_FOUND", down, "/etc/hostname/x")
    refused("INVALID_ARGUMENT", down, "/etc")
    refused("INVALID_ARGUMENT", down, "")
    refused("INVALID_ARGUMENT", upload, "/etc", "x")
    refused("INVALID_ARGUMENT", upload, "/dev/null", "x")
    refused("INVALID_ARGUMENT", upload, "/" .. ("x"):rep(300), "x")
    refused("NOT_FOUND", call, "DownloadFile", { vm_id = "no", path = "/x" })
    refused("INVALID_ARGUMENT", call, "DownloadFile", { path = "/x" })
    box:sh "ln -sf /home/boxd/loop /home/boxd/loop; mkfifo /home/boxd/fifo"
    refused("INVALID_ARGUMENT", down, "/home/boxd/fifo")
    assert.is_true(#box:read_file("/proc/1/status") > 0)
  end)

  it("have the same bytes in a stream, whatever size they are said to have",
    function()
      local there = os.tmpname()
      for _, path in ipairs { "/proc/version", "/proc/filesystems",
        "/sys/kernel/mm/transparent_hugepage/enabled" } do
        local data = box:sh("cat " .. path).stdout
        assert.is_true(#data > 0, path)
        assert.is_true(data == box:read_file(path), path)
        local got, total = {}, nil
        for chunk in compute:stream("DownloadFileStream",
          { vm_id = box.id, path = path }) do
          got[#got + 1], total = chunk.data, total or chunk.total_size
          assert.equal(total, chunk.total_size)
        end
        assert.is_true(data == table.concat(got), path)
        assert.equal(#data, total)
        assert.equal(#data, box:download(path, there))
        local f <close> = assert(io.open(there, "rb"))
        assert.is_true(data == f:read "a", path)
      end
      -- This one changes with the machine.
      assert.is_true(#box:read_file "/proc/kallsyms" > MIB)
      assert.is_true(box:download("/proc/kallsyms", there) > MIB)
      os.remove(there)
    end)

  it("have the same bytes in a folder that is downloaded", function()
    local there = os.tmpname()
    os.remove(there)
    local from = "/sys/kernel/mm/transparent_hugepage"
    box:download_folder(from, there)
    local f <close> = assert(io.open(there .. "/enabled", "rb"))
    assert.equal(box:read_file(from .. "/enabled"), f:read "a")
    os.execute("rm -rf '" .. there .. "'")
  end)

  it("say when a disk is full", function()
    -- The box's /dev is a small one in memory.
    box:sh "sudo mkdir -m 777 /dev/boxd"
    refused("RESOURCE_EXHAUSTED", upload, "/dev/boxd/f", ("x"):rep(2 * MIB))
    assert.equal("", box:sh("ls -A /dev/boxd").stdout)
  end)

  it("refuse a stopped box", function()
    local other = compute.box:create()
    other:stop()
    refused("FAILED_PRECONDITION", other.read_file, other, "/etc/hostname")
    refused("FAILED_PRECONDITION", other.write_file, other, "x", "/home/boxd/x")
    boxd.sleep(0)
  end)
end)
