-- boxd.local.ends: boxes that are destroyed, stopped and rebooted while calls
-- use them.

local boxd = require "boxd"
local support = require "spec.support.service"

local with_root = support.with_root(it, pending)

local MIB = 1 << 20

describe("a box that ends while it is used", function()
  local service, compute, call = support.of_block()

  after_each(function()
    assert.not_matches("boxdlua %-%-serve", service:complaints())
  end)

  -- Whether this says clearly that the box is gone, or has ended.
  local function is_clear(e)
    return boxd.is_error(e) and (e.class == "NotFoundError"
      or e.class == "ConnectionError" or e.message:find("start it", 1, true)
      and not e.message:find("is running", 1, true)
      or e.message:find("is %l+ing: try again"))
  end

  -- Calls of f(box, i), many at once and on and on, until `change` of the box has
  -- been made in the middle of them. Errors that are not clear fail.
  local function under_way(f, change)
    local box = compute.box:create()
    local on, done, tasks = true, 0, {}
    for i = 1, 8 do
      tasks[i] = boxd.spawn(function()
        while on do
          local ok, e = pcall(f, box, i)
          assert(ok or is_clear(e), tostring(e))
          done = done + 1
          if not ok then boxd.sleep(0.001) end
        end
      end)
    end
    while done < 20 do boxd.sleep(0.001) end
    change(box)
    on = false
    for _, task in ipairs(tasks) do task:join() end
    pcall(box.destroy, box)
  end

  local folders = 0
  local uses = {
    ["files are written and read"] = function(box, i)
      box:write_file(("x"):rep(10000), "/home/boxd/f" .. i)
      box:read_file("/home/boxd/f" .. i)
    end,
    ["files are streamed"] = function(box, i)
      local name = "/home/boxd/s" .. i
      box:upload("Makefile", name)
      box:download(name, "/dev/null")
    end,
    ["folders are listed, made and moved"] = function(box)
      folders = folders + 1 -- one may stay where the box ended
      local from, to = "/home/boxd/a" .. folders, "/home/boxd/b" .. folders
      call("Mkdir", { vm_id = box.id, path = from })
      call("ListDir", { vm_id = box.id, path = "/etc" })
      call("RenamePath", { vm_id = box.id, old_path = from, new_path = to })
      call("DeletePath", { vm_id = box.id, path = to })
    end,
    ["commands are run"] = function(box) box:exec "true" end,
    ["it is suspended, resumed and forked"] = function(box, i)
      if i > 2 then return box:exec "true" end
      pcall(box.suspend, box)
      pcall(box.resume, box)
      if i == 1 then compute.box:fork(box):destroy() end
    end,
  }

  for what, use in pairs(uses) do
    it("says so when it is destroyed while " .. what, function()
      under_way(use, function(box) box:destroy() end)
    end)

    it("says so when it is stopped and rebooted while " .. what, function()
      under_way(use, function(box)
        pcall(box.start, box) -- it runs, but after a stop
        box:reboot()
        box:stop()
      end)
    end)
  end

  it("ends a command by NotFoundError or ConnectionError", function()
    for change, class in pairs { destroy = "NotFoundError",
      stop = "ConnectionError", reboot = "ConnectionError" } do
      for _, options in ipairs { {}, { pty = true } } do
        local box = compute.box:create()
        options.stream = true
        local p = box:sh("echo begun; exec sleep 100", options)
        assert.matches("begun", p:read_stdout())
        box[change](box)
        local ok, e = pcall(p.wait, p)
        assert.is_false(ok, change)
        assert.equal(class, e.class, tostring(e))
        pcall(box.destroy, box)
      end
    end
  end)

  it("ends an upload into it at once", function()
    for _, change in ipairs { "destroy", "stop" } do
      local box = compute.box:create()
      local stream <close> = compute:stream("UploadFileStream",
        { vm_id = box.id, path = "/home/boxd/f", total_size = 100 * MIB,
          data = ("x"):rep(MIB) })
      support.eventually(function()
        return box:sh("ls -A | grep -q boxd-").success
      end)
      box[change](box)
      local began = boxd.now()
      local ok, e = pcall(stream.recv, stream)
      assert.is_false(ok)
      assert.equal(change == "destroy" and "NotFoundError" or "ConnectionError",
        e.class, tostring(e))
      assert.is_true(boxd.now() - began < 20)
    end
  end)

  it("answers file calls that a command of it stops", function()
    local box = compute.box:create()
    local p = box:sh("while :; do kill -STOP -1; done", { stream = true })
    for i = 1, 200 do
      boxd.with_timeout(20, function() -- else such a call has no end
        box:write_file("text", "/home/boxd/f" .. i)
        assert.equal("text", box:read_file("/home/boxd/f" .. i))
      end)
    end
    p:close()
    box:destroy()
  end)

  it("has no fault in a folder that is removed while it is filled", function()
    local box = compute.box:create()
    local p = box:sh([[mkdir d
      for k in 1 2 3; do
        (while :; do echo > d/$k.$((i=i+1)) || mkdir -p d; done 2>/dev/null) &
      done; wait]], { stream = true })
    local refused = 0 -- each may take a second, where the loops outrun it
    for _ = 1, 300 do
      local ok, e = pcall(call, "DeletePath", { vm_id = box.id, path = "d" })
      assert(ok or e.class == "NotFoundError" or e.class == "ConflictError",
        tostring(e))
      if not ok and e.class == "ConflictError" then refused = refused + 1 end
      if refused == 5 then break end
    end
    p:close()
    box:destroy()
  end)

  it("removes a large folder whole that is left alone", function()
    local box = compute.box:create()
    box:sh "mkdir d; cd d; seq 2500 | xargs mkdir"
    call("DeletePath", { vm_id = box.id, path = "d" })
    assert.is_false(box:sh("test -e d").success)
    box:destroy()
  end)

  with_root("runs commands still when it has removed its home", function()
    local box = compute.box:create()
    box:sh "sudo rm -rf /home/boxd"
    assert.equal("/\n", box:sh("pwd").stdout)
    assert.equal("/\r\n", box:sh("pwd", { pty = true }).stdout)
    assert.equal("NotFoundError",
      select(2, pcall(box.read_file, box, "some")).class)
    support.refused("PERMISSION_DENIED", box.write_file, box, "text", "some/file")
    box:reboot()
    box:write_file("text", "some/file")
    assert.equal("text", box:read_file "some/file")
    assert.equal("/home/boxd\n", box:sh("pwd").stdout)
    box:destroy()
  end)

  with_root("refuses commands, and says why, when it has no shell", function()
    local box = compute.box:create()
    box:sh [[sudo bash -c "ln -sf loop /bin/loop; rm /bin/sh; ln -s loop /bin/sh"]]
    local message = support.refused("FAILED_PRECONDITION", box.exec, box, "true")
    assert.matches("/bin/sh", message)
    box:destroy()
  end)

  it("refuses an environment that no program can be started with", function()
    local function create(env)
      return compute.box:create { config = { env = env } }
    end
    assert.matches("BIG", support.refused("INVALID_ARGUMENT", create,
      { BIG = ("x"):rep(128 << 10) }))
    local many = {}
    for i = 1, 30 do many["V" .. i] = ("x"):rep(100000) end
    assert.matches("environment", support.refused("INVALID_ARGUMENT", create,
      many))
    local box = create { BIG = ("x"):rep((128 << 10) - 5) }
    assert.equal("131067\n", box:sh("printf %s \"$BIG\" | wc -c").stdout)
    -- What the box has and the variables have add up.
    local function set(i)
      call("SetVar", { kind = "env", name = "W" .. i, value = ("x"):rep(60000) })
    end
    local message
    for i = 1, 40 do
      local ok, e = pcall(set, i)
      if not ok then message = e.code .. ": " .. e.message break end
    end
    assert.matches("^INVALID_ARGUMENT: .*environment", message)
    assert.is_true(box:exec("true").success)
    create({ SMALL = "1" }):destroy()
    for _, var in ipairs(call("ListVars").vars) do
      call("RemoveVar", { kind = "env", name = var.name })
    end
    box:destroy()
  end)

  it("is copied with paths of any length and depth", function()
    local box = compute.box:create()
    local r = box:exec("python3", "-c", [[
import os
os.chdir("/home/boxd")
for i in range(30):
    os.mkdir("n" * 200); os.chdir("n" * 200)
open("a", "w").write("deep"); os.link("a", "b")
os.chdir("/home/boxd")
for i in range(3000):
    os.mkdir("d"); os.chdir("d")
open("bottom", "w").write("bottom")
]])
    assert.is_true(r.success, r.stderr)
    local fork = compute.box:fork(box)
    r = fork:exec("python3", "-c", [[
import os
os.chdir("/home/boxd")
for i in range(30): os.chdir("n" * 200)
print(open("b").read(), os.stat("a").st_nlink)
os.chdir("/home/boxd")
for i in range(3000): os.chdir("d")
print(open("bottom").read())
]])
    assert.equal("deep 2\nbottom\n", r.stdout)
    support.save(call, { vm = box.id, name = "deep" })
    call("DeleteSnapshot", { name = "deep" })
    fork:destroy()
    box:destroy()
  end)
end)
