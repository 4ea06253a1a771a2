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
    sh [[mkdir -p /home/boxd/l/sub; printf 12345 > /home/boxd/l/f; chmod 640 /home/boxd/l/f
      ln -s /nowhere /home/boxd/l/link; printf x > /home/boxd/l/.hidden
      chmod 4755 /home/boxd/l/.hidden; chmod 1777 /home/boxd/l/sub; mkfifo /home/boxd/l/p
      touch -d @86400 /home/boxd/l/f]]
    local found, n, truncated = list "/home/boxd/l"
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
    sh "mkdir /home/boxd/many && cd /home/boxd/many && seq 10000 | xargs touch"
    local _, n, truncated = list "/home/boxd/many"
    assert.equal(10000, n)
    assert.is_false(truncated)
    sh "touch /home/boxd/many/more"
    _, n, truncated = list "/home/boxd/many"
    assert.equal(10000, n)
    assert.is_true(truncated)
  end)

  it("are listed whatever they are named", function()
    sh [[mkdir /home/boxd/odd; cd /home/boxd/odd
      touch "$(printf 'a\377\300b')" "$(printf 'n\nl')" 'ü' ' -rf'
      touch "$(printf '\355\240\200')"]]
    local found, n = list "/home/boxd/odd"
    assert.equal(5, n)
    assert.truthy(found["n\nl"] and found["ü"] and found[" -rf"])
    assert.truthy(found["a\u{FFFD}\u{FFFD}b"])
  end)

  it("name the file that can't be listed", function()
    assert.matches("/home/boxd/none", refused("NOT_FOUND", list, "/home/boxd/none"))
    refused("NOT_FOUND", list, "/etc/passwd")
    refused("INVALID_ARGUMENT", call, "ListDir", {})
    refused("NOT_FOUND", call, "ListDir", { vm_id = "nobody", path = "/" })
  end)

  it("are made once, in a folder that is there", function()
    call("Mkdir", { path = "/home/boxd/a" })
    call("Mkdir", { path = "/home/boxd/a/b/" })
    call("Mkdir", { path = "rel" })
    assert.equal("755 boxd\n", sh "stat -c '%a %U' /home/boxd/a/b")
    assert.equal("755 boxd\n", sh "stat -c '%a %U' /home/boxd/rel")
    sh "touch /home/boxd/a/file"
    for _, there in ipairs { "/home/boxd/a/file", "/home/boxd/a/b", "rel/" } do
      assert.matches(there, refused("ALREADY_EXISTS", call, "Mkdir",
        { path = there }))
    end
    refused("NOT_FOUND", call, "Mkdir", { path = "/home/boxd/a/file/x" })
    refused("NOT_FOUND", call, "Mkdir", { path = "/home/boxd/a/none/x" })
    assert.equal("", sh "ls -d /home/boxd/a/none 2>/dev/null")
  end)

  it("move, over nothing", function()
    sh "mkdir -p /home/boxd/m/d; echo 1 > /home/boxd/m/d/f; echo 2 > /home/boxd/m/other"
    move("RenamePath", "/home/boxd/m/d", "/home/boxd/m/e")
    assert.equal("1\n", box:read_file "/home/boxd/m/e/f")
    assert.matches("/home/boxd/m/other", refused("ALREADY_EXISTS", move,
      "RenamePath", "/home/boxd/m/e/f", "/home/boxd/m/other"))
    assert.equal("2\n", box:read_file "/home/boxd/m/other")
    refused("NOT_FOUND", move, "RenamePath", "/home/boxd/m/none", "/home/boxd/m/x")
    refused("NOT_FOUND", move, "RenamePath", "/home/boxd/m/e", "/home/boxd/none/x")
    refused("INVALID_ARGUMENT", move, "RenamePath", "/home/boxd/m", "/home/boxd/m/e/m")
    refused("INVALID_ARGUMENT", call, "RenamePath", { old_path = "/home/boxd/m" })
  end)

  it("move between file systems, and out of the system's own", function()
    if box:sh("sudo -n chown boxd /etc/pam.d/*").exit_code ~= 0 then
      return pending "the system's files are not root's of this box"
    end
    sh "sudo ln -s passwd /etc/link; mkdir /dev/shm/here"
    sh "echo x > /dev/shm/here/f; chmod 600 /dev/shm/here/f"
    move("RenamePath", "/dev/shm/here", "/home/boxd/from-shm")
    assert.equal("600\n", sh "stat -c %a /home/boxd/from-shm/f")
    assert.equal("", sh "ls /dev/shm | grep '^here$' || true")
    local before = sh "cd /etc/pam.d && ls | sort"
    refused("PERMISSION_DENIED", move, "RenamePath", "/etc/pam.d", "/etc/pam.e")
    sh "sudo chown boxd /etc; sudo chown -R boxd /etc/pam.d"
    move("RenamePath", "/etc/pam.d", "/etc/pam.e")
    sh "sudo chown root /etc"
    assert.equal(before, sh "cd /etc/pam.e && ls | sort")
    assert.is_false(box:exec("test", "-e", "/etc/pam.d").success)
  end)

  it("are copied with modes, links, times and contents", function()
    sh [[mkdir -p /home/boxd/c/d; echo data > /home/boxd/c/d/f; ln /home/boxd/c/d/f /home/boxd/c/h
      ln -s d/f /home/boxd/c/s; ln -s /etc/passwd /home/boxd/c/out; chmod 751 /home/boxd/c/d/f
      touch -d @86400 /home/boxd/c/d/f; chmod 700 /home/boxd/c/d; mkfifo /home/boxd/c/p]]
    move("CopyPath", "/home/boxd/c", "/home/boxd/copy")
    assert.equal("751 2 86400\n", sh "stat -c '%a %h %Y' /home/boxd/copy/d/f")
    assert.equal("700\n", sh "stat -c %a /home/boxd/copy/d")
    assert.equal("d/f\n/etc/passwd\n",
      sh "readlink /home/boxd/copy/s /home/boxd/copy/out")
    assert.equal("fifo\n", sh "stat -c %F /home/boxd/copy/p")
    sh "echo changed > /home/boxd/copy/d/f"
    assert.equal("data\n", box:read_file "/home/boxd/c/d/f")
    move("CopyPath", "/home/boxd/c/d/f", "/home/boxd/single")
    assert.equal("data\n", box:read_file "/home/boxd/single")
    move("CopyPath", "/home/boxd/c/s", "/home/boxd/link")
    assert.equal("d/f\n", sh "readlink /home/boxd/link")
    refused("ALREADY_EXISTS", move, "CopyPath", "/home/boxd/c", "/home/boxd/copy")
    refused("INVALID_ARGUMENT", move, "CopyPath", "/home/boxd/c", "/home/boxd/c/d/again")
    refused("INVALID_ARGUMENT", move, "CopyPath", "/", "/home/boxd/all")
    refused("NOT_FOUND", move, "CopyPath", "/home/boxd/none", "/home/boxd/x")
  end)

  it("are copied from the system's own, whatever its owner", function()
    move("CopyPath", "/etc/apt", "/home/boxd/apt")
    assert.equal(sh "cd /etc/apt && find . | sort",
      sh "cd /home/boxd/apt && find . | sort")
    move("CopyPath", "/usr/bin/env", "/home/boxd/env")
    assert.equal("hi\n", sh "/home/boxd/env echo hi")
  end)

  it("are removed with their contents, without following links", function()
    sh [[mkdir -p /home/boxd/d/deep/er /home/boxd/keep; echo x > /home/boxd/d/deep/er/f
      echo kept > /home/boxd/keep/f; ln -s /home/boxd/keep /home/boxd/d/link
      ln -s /home/boxd/keep /home/boxd/alone]]
    call("DeletePath", { path = "/home/boxd/d" })
    assert.is_false(box:exec("test", "-e", "/home/boxd/d").success)
    call("DeletePath", { path = "/home/boxd/alone/" }) -- the link, not its target
    assert.is_false(box:exec("test", "-L", "/home/boxd/alone").success)
    assert.equal("kept\n", box:read_file "/home/boxd/keep/f")
    refused("NOT_FOUND", call, "DeletePath", { path = "/home/boxd/d" })
    refused("INVALID_ARGUMENT", call, "DeletePath", { path = "/home/boxd/keep/." })
    refused("INVALID_ARGUMENT", call, "DeletePath",
      { path = "/home/boxd/keep/../" })
    assert.equal("kept\n", box:read_file "/home/boxd/keep/f")
  end)

  it("stay where they are what the box is made of, or a disk", function()
    local disk = compute:call("CreateDisk",
      { name = "d", size_bytes = 1 << 20 })
    call("AttachDisk", { disk_id = disk.disk_id, mount_path = "/mnt/a b" })
    sh "echo kept > '/mnt/a b/f'; [ -w /mnt ] || sudo chmod 777 /mnt; echo beside >/mnt/beside"
    sh "ln -s /mnt /home/boxd/way; ln -s / /home/boxd/top"
    for _, path in ipairs { "/", "//", "/usr", "/etc/", "/proc", "/dev",
      "/mnt", "/mnt/a b", "/home/boxd/way/a b", "/home/../mnt", "/home/boxd/top/mnt",
      "/home/boxd/top/usr" } do
      refused("FAILED_PRECONDITION", call, "DeletePath", { path = path })
      local code = (path:find "^/+$") and "INVALID_ARGUMENT"
        or "FAILED_PRECONDITION"
      refused(code, move, "RenamePath", path, "/home/boxd/moved")
    end
    refused("FAILED_PRECONDITION", move, "CopyPath", "/mnt", "/home/boxd/mnt")
    assert.equal("kept\nbeside\n", sh "cat '/mnt/a b/f' /mnt/beside")
    move("CopyPath", "/mnt/a b", "/home/boxd/of-disk")
    assert.equal("kept\n", box:read_file "/home/boxd/of-disk/f")
    move("RenamePath", "/mnt/a b/f", "/home/boxd/off-disk")
    assert.equal("kept\n", box:read_file "/home/boxd/off-disk")
    assert.equal(0, (select(2, list "/mnt/a b")))
    call("DetachDisk", { disk_id = disk.disk_id })
    if box:sh("[ -w / ]").exit_code ~= 0 then -- else all files are boxd's
      refused("PERMISSION_DENIED", call, "DeletePath", { path = "/mnt" })
    end
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
    sh("mkdir /home/boxd/t")
    for i, way in ipairs { outside, "/proc/1/root" .. outside,
      ("../"):rep(40) .. outside, "/proc/self/root" .. outside } do
      local link = "/home/boxd/t/l" .. i
      sh(("ln -s '%s' %s"):format(way, link))
      local ok, reply = pcall(call, "ListDir", { path = link })
      assert.is_true(not ok or #reply.entries == 0)
      pcall(call, "Mkdir", { path = link .. "/made" })
      pcall(call, "DeletePath", { path = link .. "/f" })
      pcall(move, "RenamePath", link .. "/f", "/home/boxd/t/got" .. i)
      pcall(move, "CopyPath", link .. "/f", "/home/boxd/t/got" .. i)
      pcall(move, "CopyPath", "/etc/passwd", link .. "/put")
      assert.is_false(box:exec("test", "-e", "/home/boxd/t/got" .. i).success)
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
      assert.equal(3, box:upload(here, "/home/boxd/whole", opts))
      assert.equal(3, box:download_folder("/home/boxd/whole", back, opts))
      assert.equal(4, told)
      assert.is_true(os.execute(("diff -r %s %s && test -x %s/in/run"):format(
        here, back, back)))
    end
    sh "ln -s a /home/boxd/whole/link"
    assert.matches("whole/link\": it is a symbolic link",
      refused(nil, box.download_folder, box, "/home/boxd/whole", here .. "-3"))
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
    call("Mkdir", { path = "/home/boxd/resumed" })
    assert.equal("running", compute.box:get(box.id).status)
    box:stop()
    refused("FAILED_PRECONDITION", list, "/home/boxd")
    box:start()
    assert.truthy(list "/home/boxd".resumed)
  end)

  it("were served without a fault", function()
    assert.is_nil(service:errors():find("traceback", 1, true),
      service:errors())
  end)
end)
