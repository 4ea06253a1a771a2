-- Random plans over a small world: what a dry run foretells happens, a second run
-- changes nothing, and a run that was killed anywhere and started again ends as
-- one that was not.

local boxd = require "boxd"
local support = require "spec.support.service"
local world = require "spec.support.provision"

local it = support.with_root(it, pending)

local SEED = tonumber(os.getenv "SEED") or 1007
local PLANS = tonumber(os.getenv "PLANS") or 6
local STEPS = 30

local function pick(list) return list[math.random(#list)] end

local PATHS = { "/w/a", "/w/b", "/w/c", "/w/d/e", "/w/d/f", "/w/g" }
local LINES = { "one", "two", "three=1", "three=2", "", "four five" }
local MODES = { "644", "600", "755", "4711" }
local OWNERS = { "root", "games", "www-data:games", ":root" }
local TEXTS = { "", "x", "one\ntwo\n", "\0\1\255", ("long\n"):rep(2000) }

-- A step as a function of `on` and of the steps before.
local MAKE = {
  file = function()
    local path = pick(PATHS)
    local opts = { content = math.random(4) > 1 and pick(TEXTS) or nil,
      mode = pick { nil, pick(MODES) }, owner = pick { pick(OWNERS), nil } }
    if math.random(8) == 1 then opts = { state = "absent" } end
    return function(on) return on.file(path, opts) end
  end,
  directory = function()
    local path = pick { "/w/d", "/w/h/i", "/w/j" }
    local opts = math.random(5) == 1 and { state = "absent" }
      or { mode = pick(MODES), owner = pick(OWNERS) }
    return function(on) return on.directory(path, opts) end
  end,
  link = function()
    local path, target = pick { "/w/k", "/w/l" }, pick { "a", "/w/d", "nowhere" }
    return function(on) return on.link(path, target) end
  end,
  line = function()
    local path, line = pick(PATHS), pick(LINES)
    local opts = pick { {}, { match = "^three=" }, { state = "absent" } }
    return function(on) return on.line(path, line, opts) end
  end,
  block = function()
    local path, name = pick(PATHS), pick { "p", "q" }
    local text = pick { "one", "in a\nblock\n", "" }
    local opts = math.random(4) == 1 and { state = "absent" } or {}
    return function(on) return on.block(path, name, text, opts) end
  end,
  command = function()
    local path = pick { "/w/m", "/w/n" }
    return function(on, before)
      local opts = pick { { creates = path }, { unless = "test -e " .. path } }
      if before and math.random(2) == 1 then opts.on_change = before end
      return on.command("echo made > " .. path, opts)
    end
  end,
  user = function()
    local name, shell = pick { "propa", "propb" }, pick { "/bin/sh", "/bin/false" }
    return function(on) return on.user(name, { shell = shell }) end
  end,
}

local KINDS = { "file", "file", "directory", "link", "line", "line", "line", "block",
  "block", "command" }

-- A plan of steps that provision takes: one that it refuses is left out. The same
-- seed declares the same steps again.
local function plan_of(seed)
  return function(on)
    math.randomseed(seed)
    local before
    on.directory("/w", { mode = "755" })
    for i = 2, STEPS do
      local kind = i == 20 and "user" or pick(KINDS)
      local ok, step = pcall(MAKE[kind](), on, before)
      if ok and math.random(3) == 1 then before = step end
    end
  end
end

local STATE = "ls -lAnR --time-style=+ /w 2>&1 | grep -v ^total; cd /w 2>/dev/null && "
  .. "find . -type f -exec sha256sum {} + | sort; "
  .. "getent passwd propa propb | cut -d: -f1,6,7; ls /var/lib/boxd/provision 2>/dev/null; true"
local CLEAN = "rm -rf /w /var/lib/boxd; for u in propa propb; do "
  .. "userdel $u 2>/dev/null; rm -rf /home/$u; done; true"

-- Something to begin with that is not nothing.
local DISORDER = "mkdir -p /w/d; printf 'one\\nthree=3\\n# BEGIN p\\nold\\n# END p\\nlast' "
  .. "| tee /w/a > /w/b; echo > /w/real; ln -s real /w/c; "
  .. "chmod 600 /w/b; ln -s x /w/k; echo > /w/d/e"

describe("a random plan of provision", function()
  local _, compute = support.of_block()
  local box

  setup(function() box = compute.box:create "property" end)

  local function sh(line) return world.sh(box, line) end

  -- Runs it; a plan that fails must fail in the same way again.
  local function run(seed)
    local ok, result = pcall(boxd.provision, box, plan_of(seed))
    return ok and world.statuses(result) or world.statuses(result.report), ok and result
  end

  local function agrees(foretold, done)
    local a = {}
    for status in done:gmatch "%S+" do a[#a + 1] = status end
    local i = 0
    for status in foretold:gmatch "%S+" do
      i = i + 1
      if a[i] == "failed" or a[i] == "skipped" then return end
      if status ~= "maybe" then assert.equal(status, a[i], "step " .. i) end
    end
  end

  -- Kills the program in the box by SIGKILL, at one of its requests.
  local function cut(seed, at)
    local agent = require "boxd.internal.provision.agent"
    local frame, count = agent.frame, 0
    agent.frame = function(op, ...)
      if op ~= "fact" and op ~= "facts" then
        count = count + 1
        if count == at then return frame("run", "kill -9 $PPID", "", "", "") end
      end
      return frame(op, ...)
    end
    pcall(boxd.provision, box, plan_of(seed)) -- what a condition skips kills nothing
    agent.frame = frame
  end

  for n = 1, PLANS do
    local seed = SEED + n
    it("keeps its promises, " .. n, function()
      local start = seed % 2 == 0 and DISORDER or "true"
      local label = "SEED=" .. seed - 1 .. " PLANS=1"
      sh(CLEAN .. "; " .. start)
      local foretold = world.dry(box, plan_of(seed))
      local done, report = run(seed)
      agrees(foretold, done)
      local after = sh(STATE)
      if not report then return end -- it failed, as it may: the world has more
      local again = run(seed)
      assert.is_nil(again:find "changed", label .. ": " .. again)
      assert.equal(after, sh(STATE), label)
      for k = 1, 3 do
        sh(CLEAN .. "; " .. start)
        local at = 2 + (seed * 7 + k * 31) % 90
        cut(seed, at)
        run(seed)
        assert.equal(after, sh(STATE), label .. ", cut at request " .. at)
        assert.is_nil(run(seed):find "changed", label)
      end
    end)
  end
end)
