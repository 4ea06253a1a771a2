-- What this machine can do for boxes, as they say before they are made; and
-- that an ordinary user's boxes keep the promises of root's.
-- Runs first: it runs all of the specs of spawn again, as an ordinary user.

local ordinary = require "spec.support.ordinary"
local program = require "spec.support.program"
local sandbox = require "spec.support.sandbox"
local serve = require "boxd.serve"

local small_box = [[
local sandbox = require "spec.support.sandbox"
local boxes = sandbox.new()
if not boxes or not boxes.spawner:ready():find("memory: limited", 1, true) then
  print "no limit"
else
  local box = boxes:start("small", { memory = 64 << 20 })
  local r = boxes:run(box, "head -c 200000000 /dev/zero | tail | wc -c")
  assert(r.out ~= "200000000\n", "it took it")
  print(boxes:output(box, "echo fine"))
end
if boxes then boxes:close() end
]]

describe("boxes", function()
  it("keep to the limits that the doctor names", function()
    local boxes, why = sandbox.new()
    if not boxes then return pending("no boxes here: " .. why) end
    local _close <close> = setmetatable({}, { __close = function()
      boxes:close()
    end })
    local said = assert(boxes.spawner:ready())
    local doctor = program.lua { "--local", "--doctor" }.out
    for _, what in ipairs { "processes", "memory" } do
      local group = said:find(what .. ": limited for each box", 1, true)
      assert.equal(group ~= nil, doctor:find(what
        .. " limit%s+for each box, by a control group") ~= nil, doctor)
    end
  end)

  it("end a program that takes more memory than they have, where they can",
    function()
      -- By a small process, as the service is one: its memory counts
      -- for the first process of a box, which is to last.
      local r = program.lua { "-e", small_box }
      if r.out == "no limit\n" then
        return pending "memory is not limited here, as boxes say"
      end
      assert.same({ out = "fine\n", err = "", status = 0 }, r)
    end)
end)

-- Where the machine, here a user namespace, has no more of what boxes are made of.
local exhausted = [[
local boxd = require "boxd"
local sandbox = require "spec.support.sandbox"
local boxes = assert(sandbox.new())
local why, number = {}, 0
for i = 1, 8 do
  number = number + 1
  local made = boxd.spawn(boxes.spawner.start, boxes.spawner,
    { dir = boxes:dir "none", hostname = "none" })
  -- Asked of the box that is being made, it is answered when that fails.
  number = number + 1
  boxd.with_timeout(10, boxes.spawner.exec, boxes.spawner, number - 1,
    { command = "true" })
  why[i] = select(2, made:join())
end
boxes:close()
io.write(why[8])
]]

describe("boxes of an ordinary user", function()
  -- Its cache takes seconds to fill: it is filled once.
  local home, user

  setup(function() user = ordinary.new() end)
  teardown(function() user:remove() end)
  before_each(function() home = ordinary.folder() end)
  after_each(function() os.execute("rm -rf " .. home) end)

  -- What program.run takes to run a command as the user.
  local function as_user(...)
    local args = serve.sys.getuid() == 0 and ordinary.words() or {}
    args.env = { HOME = home, TMPDIR = home, XDG_CACHE_HOME = user.cache }
    return table.move({ ... }, 1, select("#", ...), #args + 1, args)
  end

  -- Lua code under a user namespace with none of a kind of namespaces left.
  local function without(kind, code)
    local args = as_user()
    local words = ("timeout -k 1 30 unshare -U -r sh -c"):gmatch "%S+"
    for word in words do args[#args + 1] = word end
    table.move({ ("echo 0 >/proc/sys/user/max_%s_namespaces || exit 9; "
      .. "cd %s && exec \"$@\""):format(kind, user.tree), "sh",
      user.tree .. "/boxdlua", "-e", code }, 1, 5, #args + 1, args)
    return program.run(args)
  end

  it("are refused where there are no user namespaces", function()
    local r = without("user", [[print(select(2,
      require "boxd.serve".spawner(os.getenv "HOME" .. "/state"):ready()))]])
    if r.status == 1 and r.err:find("unshare", 1, true) then
      return pending "no user namespaces here at all"
    end
    assert.equal(0, r.status, r.err)
    assert.truthy(r.out:find("need user namespaces", 1, true), r.out)
  end)

  it("fail, and are done with, where there are no network namespaces",
    function()
      local r = without("net", exhausted)
      if r.status == 1 and r.err:find("unshare", 1, true) then
        return pending "no user namespaces here at all"
      end
      assert.equal("cannot make the box's namespaces: No space left on device",
        r.out, r.err)
    end)

  it("are as root's: nothing gets out, nothing is left", function()
    if serve.sys.getuid() ~= 0 then
      return pending "these specs run as an ordinary user already"
    end
    local r = user:specs(home, {}, "spec/sandbox/escape_spec.lua",
      "spec/sandbox/spawn_spec.lua", "spec/sandbox/spawn_files_spec.lua",
      "spec/sandbox/spawn_ends_spec.lua")
    local _, rootless = r.out:gsub(": this user has no ids for root\n", "")
    local _, initless = r.out:gsub("no boxes here: %-%-init systemd: ", "")
    rootless = rootless + initless
    assert.truthy(r.out:find(" 0 failures / 0 errors / " .. rootless
      .. " pending", 1, true), r.out .. r.err)
    assert.equal(0, r.status)
    assert.is_true(tonumber(r.out:match "(%d+) successes") > 100)
  end)

  -- The last one: the others use the files that it removes.
  it("leave nothing in the user's cache after --clean", function()
    local made = program.run(as_user(user.tree .. "/boxdlua", "-e", [[
      local s = require "boxd.serve".spawner(os.getenv "HOME" .. "/state")
      if not s:ready() then os.exit(3) end
      print(os.execute((arg[0]) .. " --clean"))
      s:stop() os.execute "rm -rf $HOME/state"]]))
    if made.status == 3 then return pending "no boxes for users here" end
    assert.equal("nil\texit\t1\n", made.out, made.err)
    assert.matches("a service of local boxes uses " .. user.cache, made.err)
    local clean = as_user(user.tree .. "/boxdlua", "--clean")
    local r = program.run(clean)
    assert.equal("removed " .. user.cache .. "/boxd\n", r.out, r.err)
    assert.equal(0, r.status)
    assert.falsy(os.execute("test -e " .. user.cache .. "/boxd"))
    r = program.run(clean)
    assert.equal("local boxes have nothing in the cache\n", r.out)
    assert.equal(0, r.status)
  end)
end)
