-- Private files of the machine: no box of root's service reads them, and its
-- state can be where boxes see the machine.

local boxd = require "boxd"
local serve = require "boxd.serve"
local program = require "spec.support.program"
local support = require "spec.support.service"

local is_root = serve.sys.getuid() == 0

local function unique()
  return ("boxd-spec-%.0f"):format(boxd.now() * 1e6)
end

-- A file or folder of the machine, for a spec.
local function put(path, mode, text)
  assert(os.execute(("mkdir -p \"$(dirname '%s')\""):format(path)))
  if text then
    local f <close> = assert(io.open(path, "w"))
    f:write(text)
  else
    assert(os.execute(("mkdir '%s'"):format(path)))
  end
  assert(os.execute(("chmod %s '%s'"):format(mode, path)))
end

describe("private files of the machine", function()
  local _, compute = support.of_block()
  local box
  local top = unique()
  local places = { "/opt/", "/usr/local/", "/usr/share/", "/var/local/",
    "/etc/", "/var/lib/dpkg/" }

  local function as_root(script)
    return box:exec("sudo", "sh", "-c", script)
  end

  local function each(fn)
    for _, place in ipairs(places) do fn(place .. top) end
  end

  if is_root then
    setup(function()
      each(function(dir)
        put(dir, "755")
        put(dir .. "/before", "600", "secret")
        put(dir .. "/public", "644", "public")
        put(dir .. "/dir", "700")
        put(dir .. "/dir/in", "644", "secret")
        put(dir .. "/group", "640", "secret")
        put(dir .. "/turned", "644", "public")
      end)
      box = compute.box:create()
    end)
    teardown(function()
      each(function(dir) os.execute("rm -rf '" .. dir .. "'") end)
    end)
  end

  local function can_read(path)
    local r = as_root(("cat '%s' || cp '%s' /tmp/c && cat /tmp/c || "
      .. "chmod 777 '%s' && cat '%s'"):format(path, path, path, path))
    if r.stdout == "" then
      assert.is_false((pcall(box.read_file, box, path)))
    end
    return r.stdout ~= ""
  end

  it("are not read in a box of root's, whenever they were made", function()
    if not is_root then return pending "they are root's" end
    local fresh = false
    for round = 1, 2 do
      each(function(dir)
        assert.is_true(can_read(dir .. "/public"), dir)
        for _, name in ipairs { "before", "dir/in", "group" } do
          assert.is_false(can_read(dir .. "/" .. name), dir .. "/" .. name)
        end
        if not fresh then
          put(dir .. "/later", "600", "secret")
          put(dir .. "/later.d", "700")
          put(dir .. "/later.d/in", "644", "secret")
          assert(os.execute(("chmod 600 '%s/turned'"):format(dir)))
        end
        for _, name in ipairs { "later", "later.d/in", "turned" } do
          assert.is_false(can_read(dir .. "/" .. name), dir .. "/" .. name)
        end
        assert.equal("", as_root(("ls '%s/later.d'"):format(dir)).stdout)
      end)
      if round == 1 then box:reboot() end
      fresh = true
    end
  end)

  it("can be replaced in a box, as its packages do", function()
    if not is_root then return pending "they are root's" end
    each(function(dir)
      local r = as_root(([[set -e; cd '%s'; echo new > fresh
        echo own > tmp; mv tmp later; cat later; rm before group -f
        mkdir made; ls made; echo more >> public; cat public]]):format(dir))
      assert.equal("own\npublicmore\n", r.stdout, r.stderr)
    end)
    assert.is_true(as_root("dpkg --configure -a && touch /var/lib/apt/lists/partial/x")
      .success)
  end)
end)

describe("the state of root's service", function()
  local function start(state)
    return program.run { program.boxdlua, "-e", ([[
      local boxd = require "boxd"
      local serve = require "boxd.serve"
      local spawner = serve.spawner("%s")
      local limits, why = spawner:ready()
      if not limits then print(why) os.exit(1) end
      assert(io.open("%s/key", "w")):write("secret"):close()
      local box = assert(spawner:start { dir = "%s/box", hostname = "x" })
      local c = assert(spawner:exec(box, { root = true, command = "cat '%s/key'; ls -A '%s'; "
        .. "echo change > /etc/x && cat /etc/x && ls -d /usr/bin/env" }))
      local out = {}
      for part in function() return c.stdout:read() end do out[#out + 1] = part end
      io.write(table.concat(out))
      spawner:kill(box)
      spawner:remove("%s/box")
      spawner:stop()]]):format(state, state, state, state, state, state) }
  end

  for _, place in ipairs { "/var/lib", "/var/local", "/usr/local", "/opt",
    "/var/tmp" } do
    it("can be below " .. place .. ", and is in no box", function()
      if not is_root then return pending "only root makes a state there" end
      local state = place .. "/" .. unique()
      assert(os.execute("mkdir -m 755 " .. state))
      local r = start(state)
      os.execute("rm -rf " .. state)
      assert.equal("change\n/usr/bin/env\n", r.out, r.err)
    end)
  end

  it("is in no box where a symbolic link leads to it", function()
    if not is_root then return pending "only root makes a state there" end
    local name = unique()
    assert(os.execute(("mkdir -m 755 /opt/%s && ln -s /opt/%s /tmp/%s")
      :format(name, name, name)))
    local r = start("/tmp/" .. name)
    local direct = start("/opt/" .. name)
    os.execute(("rm -rf /opt/%s /tmp/%s"):format(name, name))
    assert.equal("change\n/usr/bin/env\n", r.out, r.err)
    assert.equal("change\n/usr/bin/env\n", direct.out, direct.err)
  end)
end)
