-- boxd.local.files: files of boxes, whole and streamed.

local boxd = require "boxd"
local support = require "spec.support.service"

local refused = support.refused
local MIB = 1 << 20

describe("files of the embedded service", function()
  local service, compute, call = support.of_block()
  local box

  setup(function() box = compute.box:create "f" end)

  local function upload(path, data)
    return call("UploadFile", { vm_id = box.id, path = path, data = data })
  end

  it("come back as they went, parents made", function()
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local data = table.concat(bytes):rep(1000)
    assert.equal(#data, upload("/srv/new/er/file", data).bytes_written)
    assert.equal(data, box:read_file "/srv/new/er/file")
    assert.equal("644 root\n", box:sh("stat -c '%a %U' /srv/new/er/file").stdout)
    assert.equal("755\n", box:sh("stat -c %a /srv/new/er").stdout)
    assert.equal(0, upload("/srv/empty", "").bytes_written)
    assert.equal("", box:read_file "/srv/empty")
  end)

  it("start at home where the path is relative", function()
    box:write_file("rel", "sub/rel")
    assert.equal("rel", box:read_file "/root/sub/rel")
    assert.equal("rel", box:read_file "sub/rel")
  end)

  it("keep the mode of a file that is written over", function()
    box:sh "echo x > /root/run; chmod 750 /root/run"
    box:write_file("y", "/root/run")
    assert.equal("750\n", box:sh("stat -c %a /root/run").stdout)
  end)

  it("are written whole or not at all", function()
    box:write_file("old", "/root/atomic")
    box:sh [[(while :; do cat /root/atomic; echo; done) > /root/seen 2>/root/err &]]
    for i = 1, 50 do
      box:write_file((i % 2 == 0 and "even" or "odd!"):rep(50000),
        "/root/atomic")
    end
    box:sh "pkill -f '[w]hile' ; true"
    assert.equal("", box:read_file "/root/err")
    local kinds = box:sh(
      "awk '{ print length($0), substr($0, 1, 4) }' /root/seen | sort -u").stdout
    for line in kinds:gmatch "[^\n]+" do
      -- The last one may be cut by the kill.
      local length = tonumber(line:match "^%d+")
      assert.is_true(length == 200000 or length == 3 or length < 200000)
    end
    assert.equal("\n", box:sh("ls -a /root | grep -c 'atomic.' | tr -d 0").stdout)
  end)

  it("follow links in the box, never out of it", function()
    box:sh [[mkdir -p /root/t; ln -sfn /root/t /root/dir; ln -sf /etc/boxd-spec /root/esc
      ln -sf ../../../../../../../../tmp/boxd-spec /root/up]]
    box:write_file("1", "/root/dir/f")
    assert.equal("1", box:read_file "/root/t/f")
    box:write_file("2", "/root/esc")
    box:write_file("3", "/root/up")
    assert.equal("2", box:read_file "/etc/boxd-spec")
    assert.equal("3", box:read_file "/tmp/boxd-spec")
    assert.is_nil(io.open "/etc/boxd-spec")
    assert.is_nil(io.open "/tmp/boxd-spec")
    box:sh("ln -sf " .. service.state .. "/secrets /root/secrets")
    refused("NOT_FOUND", box.read_file, box, "/root/secrets/signing.json")
  end)

  it("are 64 MiB in one message", function()
    local data = ("m"):rep(64 * MIB - 100)
    assert.equal(#data, upload("/root/big", data).bytes_written)
    local back = box:read_file "/root/big"
    assert.equal(#data, #back)
    assert.is_true(data == back)
    box:sh "head -c 67108865 /dev/zero > /root/bigger"
    assert.matches("DownloadFileStream", refused("RESOURCE_EXHAUSTED", call,
      "DownloadFile", { vm_id = box.id, path = "/root/bigger" }))
    box:sh "rm /root/big*"
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
    box:upload(source, "/root/streamed")
    box:download("/root/streamed", target)
    local grown = resident "HWM" - before
    assert.is_true(grown < 32 * 1024, grown .. " KiB")
    assert.is_true(os.execute(("cmp %s %s"):format(source, target)))
    box:sh "rm /root/streamed"
    os.remove(source)
    os.remove(target)
  end)

  it("are not kept when a stream breaks off", function()
    local stream = compute:stream("UploadFileStream", { vm_id = box.id,
      path = "/root/half", total_size = 100, data = "x" })
    stream:half_close()
    assert.matches("1 bytes came instead of 100",
      refused("INVALID_ARGUMENT", stream.recv, stream))
    local left = compute:stream("UploadFileStream", { vm_id = box.id,
      path = "/root/half", total_size = 100, data = "x" })
    left:close()
    support.eventually(function()
      return box:sh("ls -A /root | grep -c half").stdout == "0\n"
    end)
  end)

  it("may be empty in a stream", function()
    local source = os.tmpname()
    box:upload(source, "/root/none")
    assert.equal("", box:read_file "/root/none")
    box:download("/root/none", source)
    local f <close> = assert(io.open(source))
    assert.equal("", f:read "a")
    os.remove(source)
  end)

  it("have the statuses of what can go wrong", function()
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
    box:sh "ln -sf /root/loop /root/loop; mkfifo /root/fifo"
    refused("INVALID_ARGUMENT", down, "/root/fifo")
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
    refused("RESOURCE_EXHAUSTED", upload, "/dev/boxd/f", ("x"):rep(2 * MIB))
    assert.equal("", box:sh("ls -A /dev/boxd").stdout)
  end)

  it("refuse a stopped box", function()
    local other = compute.box:create()
    other:stop()
    refused("FAILED_PRECONDITION", other.read_file, other, "/etc/hostname")
    refused("FAILED_PRECONDITION", other.write_file, other, "x", "/root/x")
    boxd.sleep(0)
  end)
end)
