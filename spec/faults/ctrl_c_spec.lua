-- Ctrl-C while a script is in one of the everyday methods: it ends at once, and
-- leaves what it promises to leave.

local boxd = require "boxd"
local least = require "spec.support.least"
local process = require "spec.support.process"
local program = require "spec.support.program"
local service = require "spec.support.service"

-- Seconds; and of as many commands in a box, whose ends may be waited for. Where
-- others take the processors, what a script that only sleeps takes is added.
local LIMIT, COMMANDS = 0.25, 4
local SLEEPING = "soon() boxd.sleep(60)"

local BEFORE = [[
local folder = arg[1]
local c <close> = boxd.Compute {}
local box = c.box:get "ctrl"
local said
local function up()
  if not said then print "up" io.stdout:flush() end
  said = true
end
local function soon() boxd.spawn(function() boxd.sleep(0.3) up() end) end
]]

-- By name: the script, and a check of the files left there.
local WAYS = {
  sync_to = { "box:sh 'rm -rf to' "
    .. "box:sync_to(folder .. '/big', 'to', { progress = up })",
    function(box, folder)
      box:sync_to(folder .. "/big", "to")
      assert.equal("30000000\n", box:sh("cat to/big | wc -c").stdout)
    end },
  ["sync_to with watch"] = { "soon() box:sync_to(folder .. '/small', 'small', "
    .. "{ watch = true })",
    function(box) assert.equal("small\n", box:read_file "small/f") end },
  sync_from = { "os.execute('rm -rf ' .. folder .. '/back') "
    .. "box:sync_from('from', folder .. '/back', { progress = up })",
    function(box, folder)
      box:sync_from("from", folder .. "/back")
      assert(os.execute(("test \"$(ls -A %s/back)\" = big && test $(stat -c %%s "
        .. "%s/back/big) = 30000000"):format(folder, folder)))
    end },
  ["job:lines"] = { "for _ in box:get_job 'quiet':lines() do up() end" },
  ["job:wait"] = { "soon() box:get_job 'quiet':wait()" },
  ["job:kill"] = { "local j = box:job('stubborn', \"trap '' TERM; echo on; while :; do "
    .. "sleep 0.1; done\") for _ in j:lines() do break end soon() j:kill()",
    function(box) -- what was begun goes on in the box
      assert.equal(137, box:get_job "stubborn":wait { timeout = 20 })
    end },
  publish = { "soon() box:publish(7099, { name = 'none' })",
    function(box)
      assert.equal("none", box:proxies()[2].name)
      box:delete_proxy "none"
    end },
  wait_for_port = { "soon() box:wait_for_port(7099)" },
  forward = { [[
    local f <close> = box:forward(7001)
    os.execute("bash -c 'exec 3<>/dev/tcp/127.0.0.1/" .. f.port
      .. "; printf x >&3; exec sleep 5' >/dev/null 2>&1 &")
    boxd.spawn(function()
      while not box:exec("test", "-e", "served").success do end
      box:exec("rm", "served")
      up()
    end)
    boxd.sleep(60)]] },
}

local STOPPED = [[
  local p <close> = box:sh("sleep 1003", { stream = true, killable = true })
  local _says <close> = setmetatable({}, { __close = function()
    print "closing" io.stdout:flush()
  end })
  os.execute "kill -STOP %d"
  soon()
  p:wait()]]

local SERVER = [[exec perl -MSocket -e 'use strict; $SIG{CHLD} = "IGNORE";
  socket my $s, PF_INET, SOCK_STREAM, 0; setsockopt $s, SOL_SOCKET, SO_REUSEADDR, 1;
  bind $s, pack_sockaddr_in(7001, INADDR_LOOPBACK) or die; listen $s, 300;
  while (accept my $c, $s) { next if fork; while (my $m = sysread $c, my $b, 262144) {
    syswrite $c, $b; open my $f, ">", "served" } exit 0 }']]

service.of_both("Ctrl-C", function(_, here)
  local box, folder

  setup(function()
    box = here.compute.box:create "ctrl"
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute(("mkdir -p %s/big %s/small; head -c 30000000 /dev/zero > %s/big/big; "
      .. "echo small > %s/small/f"):format(folder, folder, folder, folder)))
    box:sh("mkdir from; head -c 30000000 /dev/zero > from/big")
    box:job("quiet", "echo up; sleep 1000")
    box:job("server", SERVER)
    box:wait_for_port(7001)
  end)
  teardown(function() os.execute("rm -rf " .. folder) end)

  local function command_seconds()
    local began = boxd.now()
    box:exec "true"
    return boxd.now() - began
  end

  -- Seconds from the signal to the script's end; of a second one, after the script's
  -- next line, where there is one.
  local function interrupt(script, again)
    local path = program.file(BEFORE .. script)
    local child = process.start { "sh", "-c", '"$@" 2>"$0" & echo $!; wait $!; echo $?',
      path .. ".err", program.boxdlua, path, folder, env = {
        BOXD_API_URL = here.api_url, BOXD_API_KEY = here.api_key,
        BOXD_EXCHANGE_URL = here.exchange_url } }
    local pid = child:line()
    assert.equal("up", child:line())
    boxd.sleep(0.05)
    local began = boxd.now()
    os.execute("kill -INT " .. pid)
    if again then
      assert.equal("closing", child:line())
      boxd.sleep(0.05) -- so that it is no echo of the first one
      began = boxd.now()
      os.execute("kill -INT " .. pid)
    end
    local status = child:line()
    local seconds = boxd.now() - began
    child:stop()
    local f <close> = assert(io.open(path .. ".err"))
    if not again then assert.matches("interrupted %(SIGINT%)", f:read "a") end
    os.remove(path)
    os.remove(path .. ".err")
    assert.equal("130", status)
    return seconds
  end

  -- Commands of ours in the box, but for its jobs: a set.
  local function commands()
    local set = {}
    for line in box:sh([[for p in /proc/[0-9]*; do
      grep -qz ^BOXD_JOB= $p/environ || echo "$p $(tr '\0' ' ' <$p/cmdline)"
      done 2>/dev/null | grep -e ' perl' -e ' tar']]).stdout:gmatch "[^\n]+" do
      set[line:match "%S+"] = line
    end
    return set
  end

  -- Waits until all of them have ended but for those of the set.
  local function no_more_than(before)
    local left
    local ok = pcall(service.eventually, function()
      left = {}
      for key, line in pairs(commands()) do
        if not before[key] then left[#left + 1] = line end
      end
      return #left == 0
    end, 10)
    assert(ok, ok or "left in the box:\n" .. table.concat(left, "\n"))
  end

  it("ends what waits for a service that does not answer, the second time", function()
    local over = least(LIMIT, function()
      local usual = interrupt(SLEEPING)
      local _goes_on <close> = setmetatable({}, { __close = function()
        os.execute("kill -CONT " .. here.pid)
      end })
      return interrupt(STOPPED:format(here.pid), true) - usual
    end)
    assert.is_true(over < LIMIT, over)
  end)

  for name, way in pairs(WAYS) do
    it("ends " .. name .. " at once and keeps its promise", function()
      local before = commands()
      local usual -- not at the first try, which is enough mostly
      local over = least(LIMIT, function()
        usual = usual and interrupt(SLEEPING) or 0
        local late = interrupt(way[1]) - COMMANDS * command_seconds() - usual
        if way[2] then way[2](box, folder) end
        return late
      end)
      assert.is_true(over < LIMIT, over)
      assert.equal("running", box:get_job "quiet".status)
      if not name:find "^job" then
        no_more_than(before)
      end
    end)
  end
end)
