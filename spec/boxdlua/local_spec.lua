local program = require "spec.support.program"
local lua = program.lua

-- The service's process is our only child; the folder holds its state only.
local show_child = [[
local file = assert(io.open("/proc/thread-self/children"))
print(file:read("n"))
file:close()
]]

local show_registry = [[
local registry = debug.getregistry()
for _, name in ipairs { "api_url", "exchange_url", "api_key" } do
  print(registry["boxd.local." .. name])
end
]]

describe("--local", function()
  local folder

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
  end)

  after_each(function() os.execute("rm -rf " .. folder) end)

  local function run(args)
    args.env = args.env or {}
    args.env.TMPDIR = folder
    return lua(args)
  end

  local function left()
    local list = io.popen("ls -A " .. folder)
    local names = list:read("a")
    list:close()
    return names
  end

  local function alive(pid)
    local status = io.open("/proc/" .. pid .. "/status")
    if not status then return false end
    local state = status:read("a"):match("State:%s*(%a)")
    status:close()
    return state ~= "Z" and state ~= "X"
  end

  -- For an end without a waiter: within 10 s.
  local function gone(pid)
    for _ = 1, 500 do
      if not alive(pid) and left() == "" then return true end
      os.execute("sleep 0.02")
    end
    return false
  end

  it("passes --exec-survives and --limits on to its service", function()
    local script = [[
      local box = boxd.Compute().box:create()
      local p = box:sh("echo $$; exec sleep 77", { stream = true })
      local pid = p:lines()()
      p:close()
      local ends, gone = boxd.now() + 4, false
      while not gone and boxd.now() < ends do
        gone = not box:sh("kill -0 " .. pid).success
        boxd.sleep(0.05)
      end
      print(gone)]]
    for survives, options in pairs { ["false"] = { "--exec-survives", "--limits",
      "none" }, ["true"] = {} } do
      local result = program.run { program.boxdlua, "--local", "-e", script,
        table.unpack(options) }
      assert.equal(survives .. "\n", result.out, result.err)
    end
  end)

  it("hands the service's address to the module", function()
    local result = run { "--local", "-e", show_registry }
    assert.equal("", result.err)
    assert.truthy(result.out:find("^http://127%.0%.0%.1:%d+\n"
      .. "http://127%.0%.0%.1:%d+/api/v1/auth/token\nbxd_%w+\n$"), result.out)
    assert.equal(0, result.status)
  end)

  it("is also BOXD_LOCAL=1, but not 0 or empty", function()
    local function url(value)
      return run({ "-e", show_registry, env = { BOXD_LOCAL = value } }).out
    end
    assert.truthy(url("1"):find("^http://"))
    assert.equal("nil\nnil\nnil\n", url("0"))
    assert.equal("nil\nnil\nnil\n", url(""))
  end)

  it("leaves stdin and stdout to the script", function()
    local result = run { "--local", "-", stdin = "print(io.read('l'))\n" }
    assert.equal("nil\n", result.out)
    assert.equal("", result.err)
  end)

  it("is gone, with its state, however the script ends", function()
    for _, ending in ipairs { "", "error 'x'", "os.exit(3)",
      "os.exit(3, false)", "boxd.spawn(os.exit, 3) boxd.sleep(60)" } do
      local result = run { "--local", "-e", show_child .. ending }
      local pid = tonumber(result.out)
      assert.truthy(pid, result.err)
      assert.falsy(alive(pid), ending)
      assert.equal("", left(), ending)
    end
  end)

  it("is gone, with its state, where its user has no home", function()
    local result = run { "--local", "-e",
      "io.write(boxd.Compute{}.box:create 'x':exec('id', '-un').stdout)",
      env = { HOME = "/none", XDG_CACHE_HOME = "" } }
    assert.equal("boxd\n", result.out)
    assert.is_nil(result.err:find("removed", 1, true), result.err)
    assert.equal("", left())
  end)

  it("is gone after a signal that cannot be handled", function()
    local result = run { "--local", "-e",
      show_child .. "io.stdout:flush() os.execute('kill -9 $PPID')" }
    assert.equal(128 + 9, result.status)
    assert.truthy(gone(tonumber(result.out)))
  end)

  it("is gone after SIGTERM", function()
    local result = run { "--local", "-e",
      show_child .. "io.stdout:flush() os.execute('kill $PPID') boxd.sleep(60)" }
    assert.equal(128 + 15, result.status)
    assert.truthy(gone(tonumber(result.out)))
  end)

  it("reports why it cannot start, and runs nothing", function()
    local result = lua { "--local", "-e", "print 'ran'",
      env = { TMPDIR = folder .. "/missing" } }
    assert.equal("", result.out)
    assert.truthy(result.err:find("--local: cannot make a folder in TMPDIR", 1,
      true), result.err)
    assert.equal(1, result.status)
  end)

  it("does not start for -v alone", function()
    assert.equal(0, lua({ "--local", "-v",
      env = { TMPDIR = folder .. "/missing" } }).status)
  end)

  -- In a mount namespace of its own, in another root made of this one's folders.
  local function in_chroot(folders, ...)
    local script = ([[
      set -e
      mount -t tmpfs none %s
      cd %s
      for d in %s; do mkdir -p ./$d; mount --rbind /$d ./$d; done
      for d in bin lib lib64 sbin; do ln -s usr/$d $d; done
      mkdir -m 1777 tmp
      exec chroot . "$@"]]):format(folder, folder, folders)
    local binary = io.popen("realpath " .. program.boxdlua):read()
    local repository = binary:match "^/(.*)/build/"
    script = script:gsub("for d in ", "for d in " .. repository .. " ", 1)
    return program.run { "unshare", "-m", "sh", "-c", script, "sh", binary, ... }
  end

  local root = require "boxd.serve".sys.getuid() == 0

  it("says why boxes can't be made in a chroot", function()
    if not root then return pending "a chroot takes root" end
    local result = in_chroot("usr etc proc dev sys", "--local", "-e", "")
    assert.matches("cannot make a user namespace: Operation not permitted "
      .. "%(none can be made in a chroot", result.err)
    result = in_chroot("usr etc proc dev sys", "--doctor")
    assert.matches("fail  user namespaces  refused: a chroot has none", result.out)
    assert.is_nil(result.out:find "fail  proc")
  end)

  it("says what keeps the service from starting before it can say so itself",
    function()
      if not root then return pending "a chroot takes root" end
      assert.matches("^boxdlua: cannot open /dev/null: No such file or directory\n",
        in_chroot("usr etc proc", "--local", "-e", "").err)
    end)
end)
