-- Scripts killed by KILL while they keep a folder the same, at many points: run
-- again, they complete. BOXD_KILLS: how many times, each way.

local boxd = require "boxd"
local process = require "spec.support.process"
local program = require "spec.support.program"
local support = require "spec.support.service"

local KILLS = tonumber(os.getenv "BOXD_KILLS") or 3

local function run(line)
  local f <close> = assert(io.popen("set -e; " .. line))
  return f:read "a"
end

-- All that is below: kinds, modes, sizes, times of files and links, contents.
local LIST = [[cd %s && find . -mindepth 1 \( -type d -printf '%%m %%p\n' -o ]]
  .. [[-printf '%%y %%m %%s %%T@ %%p %%l\n' \) | sort; ]]
  .. [[find . -type f -print0 | sort -z | xargs -0 sha256sum]]

local FILL = [[cd %s; mkdir -p a/b 'n
l' ro; ln -s /etc out; ln -s a/f1 'l
k'; echo x >'n
l/f
g'; i=0; while [ $i -lt 200 ]; do i=$((i + 1)); head -c $((i * 97)) /dev/urandom >a/f$i; done
head -c 4000000 /dev/urandom >big; echo r >ro/r; chmod 555 ro; head -c 1000000 /dev/urandom >z]]

-- Between two runs: other contents of the same size, other kinds, files gone.
local CHANGE = [[cd %s; n=%d; head -c 4000000 /dev/urandom >big; rm -rf a/f$n a/b
if [ $((n %% 2)) = 0 ]; then mkdir a/b; echo $n >a/b/f; else ln -s /tmp a/b; fi
echo $n >>a/f$((n + 100)); chmod 6$((n %% 8))0 a/f150
chmod u+w ro; echo $n >>ro/r; chmod 555 ro; touch -h -d @$n out]]

support.of_both(nil, function(_, service)
  local box, folder

  setup(function()
    box = service.compute.box:create "killed"
    folder = os.tmpname()
    os.remove(folder)
    run(("mkdir -p %s/here %s/back; "):format(folder, folder)
      .. FILL:format(folder .. "/here"))
  end)
  teardown(function() run(("chmod -R u+w %s; rm -rf %s"):format(folder, folder)) end)

  -- The lines of either list that the other one lacks.
  local function same(here)
    local lines, differ = {}, {}
    for line in run(LIST:format(here)):gmatch "[^\n]+" do lines[line] = "here" end
    for line in box:sh(LIST:format "there").stdout:gmatch "[^\n]+" do
      lines[line] = not lines[line] and "there" or nil
    end
    for line, side in pairs(lines) do differ[#differ + 1] = side .. ": " .. line end
    assert.same({}, differ)
  end

  -- Runs the line, with `box`, as a script of its own, which is killed after a part
  -- of the time that a whole run takes.
  local function killed(line, part, whole)
    local script = process.start { program.boxdlua, "-e",
      "local box = boxd.Compute{}.box:get 'killed' print 'go' io.stdout:flush() "
        .. line, env = { BOXD_API_URL = service.api_url,
        BOXD_API_KEY = service.api_key, BOXD_EXCHANGE_URL = service.exchange_url } }
    script:line()
    boxd.sleep(whole * part)
    script:stop "KILL"
  end

  local function timed(fn)
    local began = boxd.now()
    fn()
    return boxd.now() - began
  end

  -- Before the others, whose programs may last longer.
  it("a sync that was killed leaves no program in the box for ever", function()
    box:sh "mkdir there-large; truncate -s 200M there-large/x"
    run(("mkdir %s/large; truncate -s 200M %s/large/x"):format(folder, folder))
    for _, line in ipairs {
      ("box:sync_to('%s/large', 'large', opts)"):format(folder),
      ("box:sync_from('there-large', '%s/large-back', opts)"):format(folder),
    } do
      local script <close> = process.start { program.boxdlua, "-e",
        "require 'boxd.internal.sync.silence'.seconds = 2 "
          .. "local box = boxd.Compute{}.box:get 'killed' "
          .. "local opts = { progress = function() print 'go' io.stdout:flush() "
          .. "boxd.sleep(1000) end } " .. line, env = { BOXD_API_URL = service.api_url,
          BOXD_API_KEY = service.api_key, BOXD_EXCHANGE_URL = service.exchange_url } }
      assert.equal("go", script:line())
      local function programs() return box:sh("pgrep -x 'tar|perl'").stdout end
      support.eventually(function() return programs() ~= "" end)
      script:stop "KILL"
      support.eventually(function() return programs() == "" end, 20)
    end
  end)

  it("a sync_to that was killed completes when it runs again", function()
    local here = folder .. "/here"
    local function sync() box:sync_to(here, "there", { delete = true }) end
    local whole = timed(sync)
    same(here)
    for i = 1, KILLS do
      run(CHANGE:format(here, i))
      if i % 3 == 0 then box:sh "chmod -R u+w there; rm -rf there" end
      killed(("box:sync_to(%q, 'there', { delete = true })"):format(here),
        i / KILLS, whole)
      if i % 2 == 0 then run(CHANGE:format(here, i + 50)) end
      sync()
      same(here)
    end
    -- What the killed ones left behind does not write on.
    boxd.sleep(0.5)
    same(here)
  end)

  it("a sync_from that was killed completes when it runs again", function()
    local back = folder .. "/back"
    local function sync() box:sync_from("there", back, { delete = true }) end
    local whole = timed(sync)
    same(back)
    for i = 1, KILLS do
      box:sh(CHANGE:format("there", i), { check = true })
      killed(("box:sync_from('there', %q, { delete = true })"):format(back),
        i / KILLS, whole)
      sync()
      same(back)
    end
    assert.equal("", run("find " .. back .. " -name '.boxd*'"))
  end)
end)
