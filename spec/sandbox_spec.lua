-- What this machine can do for boxes, as they say before they are made; and
-- that what holds for root's boxes holds for an ordinary user's.

local program = require "spec.support.program"
local sandbox = require "spec.support.sandbox"
local serve = require "boxd.serve"

local USER, GROUP = "nobody", "nogroup"
local ROUNDS = "10"

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
      -- By a small process, as the service is one: what it has in memory counts
      -- for the first process of a box, which is to last.
      local r = program.lua { "-e", small_box }
      if r.out == "no limit\n" then
        return pending "memory is not limited here, as boxes say"
      end
      assert.same({ out = "fine\n", err = "", status = 0 }, r)
    end)
end)

describe("boxes of an ordinary user", function()
  local home
  before_each(function()
    home = os.tmpname()
    os.remove(home)
    assert(os.execute("mkdir -m 700 " .. home))
  end)
  after_each(function() os.execute("rm -rf " .. home) end)

  it("are as root's: nothing gets out, nothing is left", function()
    if serve.sys.getuid() ~= 0 then
      return pending "these specs run as an ordinary user already"
    end
    local busted = sandbox.words("command -v busted")[1]
    local as = ("setpriv --reuid %s --regid %s --clear-groups")
      :format(USER, GROUP)
    if not os.execute(("%s test -x '%s' -a -r spec/escape_spec.lua"):format(as,
      program.boxdlua)) then
      return pending(USER .. " can't read this folder")
    end
    assert(os.execute(("chown %s:%s %s"):format(USER, GROUP, home)))
    local args = { env = { HOME = home, TMPDIR = home, BOXD_ROUNDS = ROUNDS } }
    for word in as:gmatch "%S+" do args[#args + 1] = word end
    table.move({ program.boxdlua, busted, "--ignore-lua", "-o",
      "plainTerminal", "spec/escape_spec.lua", "spec/spawn_spec.lua" }, 1, 7,
      #args + 1, args)
    local r = program.run(args)
    assert.truthy(r.out:find " 0 failures / 0 errors / 0 pending", r.out .. r.err)
    assert.equal(0, r.status)
    assert.is_true(tonumber(r.out:match "(%d+) successes") > 100)
  end)
end)
