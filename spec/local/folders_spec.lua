-- boxd.local.folders: folders of boxes, and paths that move, are copied and
-- removed, as the box sees them and never beyond it.

local support = require "spec.support.service"

local refused = support.refused

describe("folders of the embedded service", function()
  local service, compute = support.of_block()
  local box

  setup(function() box = compute.box:create "f" end)

  local function call(rpc, request)
    request.vm_id = request.vm_id or box.id
    return compute:call(rpc, request)
  end

  local function sh(command)
    local result = box:sh(command)
    assert.equal("", result.stderr)
    return result.stdout
  end

  local function list(path)
    local by_name = {}
    local reply = call("ListDir", { path = path })
    for _, entry in ipairs(reply.entries) do by_name[entry.name] = entry end
    return by_name, #reply.entries, reply.truncated
  end

  local function move(rpc, from, to)
    return call(rpc, { old_path = from, new_path = to })
  end

  it("are listed as ls does", function()
    local before = os.time()
    sh [[mkdir -p /root/l/sub; printf 12345 > /root/l/f; chmod 640 /root/l/f
      ln -s /nowhere /root/l/link; printf x > /root/l/.hidden
      chmod 4755 /root/l/.hidden; chmod 1777 /root/l/sub; mkfifo /root/l/p
      touch -d @86400 /root/l/f]]
    local found, n, truncated = list "/root/l"
    assert.equal(5, n)
    assert.is_false(truncated)
    assert.equal("-rw-r-----", found.f.permissions)
    assert.equal(5, found.f.size_bytes)
    assert.is_false(found.f.is_dir)
    assert.equal(86400, found.f.modified_at)
    assert.is_true(found.f.added_at >= before - 1)
    assert.equal("drwxrwxrwt", found.sub.permissions)
    assert.is_true(found.sub.is_dir)
    assert.equal(0, found.sub.size_bytes)
    assert.equal("l", found.link.permissions:sub(1, 1))
    assert.is_false(found.link.is_dir)
    assert.equal("-rwsr-xr-x", found[".hidden"].permissions)
    assert.equal("p", found.p.permissions:sub(1, 1))
    assert.truthy(list "l".f) -- at home
    assert.truthy(list "/".etc.is_dir)
  end)

  it("are listed as far as the bound", function()
    sh "mkdir /root/many && cd /root/many && seq 10000 | xargs touch"
    local _, n, truncated = list "/root/many"
    assert.equal(10000, n)
    assert.is_false(truncated)
    sh "touch /root/many/more"
    _, n, truncated = list "/root/many"
    assert.equal(10000, n)
    assert.is_true(truncated)
  end)

  it("are listed whatever they are named", function()
    sh [[mkdir /root/odd; cd /root/odd
      touch "$(printf 'a\377\300b')" "$(printf 'n\nl')" 'ü' ' -rf'
      touch "$(printf '\355\240\200')"]]
    local found, n = list "/root/odd"
    assert.equal(5, n)
    assert.truthy(found["n\nl"] and found["ü"] and found[" -rf"])
    assert.truthy(found["a\u{FFFD}\u{FFFD}b"])
  end)

  it("say what can't be listed", function()
    assert.matches("/root/none", refused("NOT_FOUND", list, "/root/none"))
    refused("NOT_FOUND", list, "/etc/passwd")
    refused("INVALID_ARGUMENT", call, "ListDir", {})
    refused("NOT_FOUND", call, "ListDir", { vm_id = "nobody", path = "/" })
  end)

  it("are made with their parents, once or twice", function()
    call("Mkdir", { path = "/srv/a/b/c" })
    call("Mkdir", { path = "/srv/a/b/c/" })
    call("Mkdir", { path = "rel/d" })
    assert.equal("755 root\n", sh "stat -c '%a %U' /srv/a/b/c")
    assert.equal("755 root\n", sh "stat -c '%a %U' /root/rel/d")
    sh "touch /srv/a/file"
    assert.matches("/srv/a/file", refused("ALREADY_EXISTS", call, "Mkdir",
      { path = "/srv/a/file" }))
    refused("NOT_FOUND", call, "Mkdir", { path = "/srv/a/file/x" })
  end)

  it("move, over nothing", function()
    sh "mkdir -p /root/m/d; echo 1 > /root/m/d/f; echo 2 > /root/m/other"
    move("RenamePath", "/root/m/d", "/root/m/e")
    assert.equal("1\n", box:read_file "/root/m/e/f")
    assert.matches("/root/m/other", refused("ALREADY_EXISTS", move,
      "RenamePath", "/root/m/e/f", "/root/m/other"))
    assert.equal("2\n", box:read_file "/root/m/other")
    refused("NOT_FOUND", move, "RenamePath", "/root/m/none", "/root/m/x")
    refused("NOT_FOUND", move, "RenamePath", "/root/m/e", "/root/none/x")
    refused("INVALID_ARGUMENT", move, "RenamePath", "/root/m", "/root/m/e/m")
    refused("INVALID_ARGUMENT", call, "RenamePath", { old_path = "/root/m" })
  end)

  it("move between file systems, and out of the system's own", function()
    sh "ln -s passwd /etc/link; mkdir /run/here"
    sh "echo x > /run/here/f; chmod 600 /run/here/f"
    move("RenamePath", "/run/here", "/root/from-run")
    assert.equal("600\n", sh "stat -c %a /root/from-run/f")
    assert.equal("", sh "ls /run | grep '^here$' || true")
    local before = sh "cd /etc/pam.d && ls | sort"
    move("RenamePath", "/etc/pam.d", "/etc/pam.e")
    assert.equal(before, sh "cd /etc/pam.e && ls | sort")
    assert.is_false(box:exec("test", "-e", "/etc/pam.d").success)
  end)

  it("are copied with modes, links, times and contents", function()
    sh [[mkdir -p /root/c/d; echo data > /root/c/d/f; ln /root/c/d/f /root/c/h
      ln -s d/f /root/c/s; ln -s /etc/passwd /root/c/out; chmod 751 /root/c/d/f
      touch -d @86400 /root/c/d/f; chmod 700 /root/c/d; mkfifo /root/c/p]]
    move("CopyPath", "/root/c", "/root/copy")
    assert.equal("751 2 86400\n", sh "stat -c '%a %h %Y' /root/copy/d/f")
    assert.equal("700\n", sh "stat -c %a /root/copy/d")
    assert.equal("d/f\n/etc/passwd\n",
      sh "readlink /root/copy/s /root/copy/out")
    assert.equal("fifo\n", sh "stat -c %F /root/copy/p")
    sh "echo changed > /root/copy/d/f"
    assert.equal("data\n", box:read_file "/root/c/d/f")
    move("CopyPath", "/root/c/d/f", "/srv/alone")
    assert.equal("data\n", box:read_file "/srv/alone")
    move("CopyPath", "/root/c/s", "/root/link")
    assert.equal("d/f\n", sh "readlink /root/link")
    refused("ALREADY_EXISTS", move, "CopyPath", "/root/c", "/root/copy")
    refused("INVALID_ARGUMENT", move, "CopyPath", "/root/c", "/root/c/d/again")
    refused("INVALID_ARGUMENT", move, "CopyPath", "/", "/root/all")
    refused("NOT_FOUND", move, "CopyPath", "/root/none", "/root/x")
  end)

  it("are copied from the system's own, whatever its owner", function()
    move("CopyPath", "/etc/apt", "/root/apt")
    assert.equal(sh "cd /etc/apt && find . | sort",
      sh "cd /root/apt && find . | sort")
    move("CopyPath", "/usr/bin/env", "/root/env")
    assert.equal("hi\n", sh "/root/env echo hi")
  end)

  it("are removed with their contents, without following links", function()
    sh [[mkdir -p /root/d/deep/er /root/keep; echo x > /root/d/deep/er/f
      echo kept > /root/keep/f; ln -s /root/keep /root/d/link
      ln -s /root/keep /root/alone]]
    call("DeletePath", { path = "/root/d" })
    assert.is_false(box:exec("test", "-e", "/root/d").success)
    call("DeletePath", { path = "/root/alone/" }) -- the link, not its target
    assert.is_false(box:exec("test", "-L", "/root/alone").success)
    assert.equal("kept\n", box:read_file "/root/keep/f")
    refused("NOT_FOUND", call, "DeletePath", { path = "/root/d" })
    refused("INVALID_ARGUMENT", call, "DeletePath", { path = "/root/keep/." })
    refused("INVALID_ARGUMENT", call, "DeletePath",
      { path = "/root/keep/../" })
    assert.equal("kept\n", box:read_file "/root/keep/f")
  end)

  it("stay where they are what the box is made of, or a disk", function()
    local disk = compute:call("CreateDisk",
      { name = "d", size_bytes = 1 << 20 })
    call("AttachDisk", { disk_id = disk.disk_id, mount_path = "/mnt/a b" })
    sh "echo kept > '/mnt/a b/f'; echo beside > /mnt/beside"
    sh "ln -s /mnt /root/way; ln -s / /root/top"
    for _, path in ipairs { "/", "//", "/usr", "/etc/", "/proc", "/dev",
      "/mnt", "/mnt/a b", "/root/way/a b", "/root/../mnt", "/root/top/mnt",
      "/root/top/usr" } do
      refused("FAILED_PRECONDITION", call, "DeletePath", { path = path })
      local code = (path:find "^/+$") and "INVALID_ARGUMENT"
        or "FAILED_PRECONDITION"
      refused(code, move, "RenamePath", path, "/root/moved")
    end
    refused("FAILED_PRECONDITION", move, "CopyPath", "/mnt", "/root/mnt")
    assert.equal("kept\nbeside\n", sh "cat '/mnt/a b/f' /mnt/beside")
    move("CopyPath", "/mnt/a b", "/root/of-disk")
    assert.equal("kept\n", box:read_file "/root/of-disk/f")
    move("RenamePath", "/mnt/a b/f", "/root/off-disk")
    assert.equal("kept\n", box:read_file "/root/off-disk")
    assert.equal(0, (select(2, list "/mnt/a b")))
    call("DetachDisk", { disk_id = disk.disk_id })
    call("DeletePath", { path = "/mnt" })
  end)

  it("leave a read-only disk alone", function()
    local disk = compute:call("CreateDisk",
      { name = "ro", size_bytes = 1 << 20 })
    call("AttachDisk", { disk_id = disk.disk_id, mount_path = "/ro",
      read_only = true })
    refused("FAILED_PRECONDITION", call, "Mkdir", { path = "/ro/x" })
    refused("FAILED_PRECONDITION", move, "CopyPath", "/etc/passwd", "/ro/p")
    call("DetachDisk", { disk_id = disk.disk_id })
  end)

  it("lead through links in the box, never out of it", function()
    local outside = service.folder .. "/outside"
    assert(os.execute("mkdir " .. outside .. " && echo x > " .. outside
      .. "/f"))
    sh("mkdir /root/t")
    for i, way in ipairs { outside, "/proc/1/root" .. outside,
      ("../"):rep(40) .. outside, "/proc/self/root" .. outside } do
      local link = "/root/t/l" .. i
      sh(("ln -s '%s' %s"):format(way, link))
      local ok, reply = pcall(call, "ListDir", { path = link })
      assert.is_true(not ok or #reply.entries == 0)
      pcall(call, "Mkdir", { path = link .. "/made" })
      pcall(call, "DeletePath", { path = link .. "/f" })
      pcall(move, "RenamePath", link .. "/f", "/root/t/got" .. i)
      pcall(move, "CopyPath", link .. "/f", "/root/t/got" .. i)
      pcall(move, "CopyPath", "/etc/passwd", link .. "/put")
      assert.is_false(box:exec("test", "-e", "/root/t/got" .. i).success)
      call("DeletePath", { path = link .. "/" })
    end
    local f <close> = assert(io.popen("ls -A " .. outside))
    assert.equal("f\n", f:read "a")
  end)

  it("go to a box whole, with programs, and come back alike", function()
    local here = service.folder .. "/here"
    assert(os.execute(([[mkdir -p %s/in/empty && cd %s && printf 1 > a &&
      printf 22 > in/run && chmod 755 in/run]]):format(here, here)))
    for i, opts in ipairs { {}, { timeout = 30 } } do
      local told, back = 0, ("%s-%d"):format(here, i)
      opts.progress = function() told = told + 1 end
      assert.equal(3, box:upload(here, "/root/whole", opts))
      assert.equal(3, box:download_folder("/root/whole", back, opts))
      assert.equal(4, told)
      assert.is_true(os.execute(("diff -r %s %s && test -x %s/in/run"):format(
        here, back, back)))
    end
    sh "ln -s a /root/whole/link"
    assert.matches("whole/link\": it is a symbolic link",
      refused(nil, box.download_folder, box, "/root/whole", here .. "-3"))
    assert.is_nil(io.open(here .. "-3"))
  end)

  it("do not show the process that lists them", function()
    for _, path in ipairs { "/proc/self/fd", "/proc/self/cwd",
      "/proc/thread-self/fd" } do
      refused("PERMISSION_DENIED", list, path)
    end
  end)

  it("resume a suspended box, and refuse a stopped one", function()
    box:suspend()
    call("Mkdir", { path = "/root/resumed" })
    assert.equal("running", compute.box:get(box.id).status)
    box:stop()
    refused("FAILED_PRECONDITION", list, "/root")
    box:start()
    assert.truthy(list "/root".resumed)
  end)

  it("were served without a fault", function()
    assert.is_nil(service:errors():find("traceback", 1, true),
      service:errors())
  end)
end)
