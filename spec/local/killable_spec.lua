-- Commands that can be ended from outside, on a service that ends a command with
-- its call and on one that lets it live.
-- Runs first: KILL comes 5 s after TERM.

local boxd = require "boxd"
local process = require "spec.support.process"
local program = require "spec.support.program"
local support = require "spec.support.service"

local with_root = support.with_root(it, pending)

-- Ways of a process to leave the command that started it. Each runs `live`, which
-- writes its process id to a file named after it and stays.
local WAYS = {
  plain = "live a; true",
  ["a setsid child"] = "setsid sh -c '. ./live.sh; live a' & wait",
  ["a double fork"] = "( (live a) & ) & sleep 60",
  ["a double fork into a session"] =
    "( (setsid sh -c '. ./live.sh; live a' &) & ) ; sleep 60",
  ["a sudo child"] = "sudo sh -c '. ./live.sh; live a'; true",
  ["a command that ignores TERM"] =
    "trap '' TERM; sh -c '. ./live.sh; live a'; sh -c '. ./live.sh; live b'",
  ["a process without its environment"] =
    "env -i PATH=\"$PATH\" sh -c '. ./live.sh; live a'; true",
}

local LIVE = [[live() { sh -c 'echo $$ >"$1.new"; mv "$1.new" "$1"
  while :; do sleep 60; done' sh "$1"; }
]]

support.of_both(nil, function(survives, service)
  local box

  setup(function()
    box = service.compute.box:create()
    box:write_file(LIVE, "live.sh")
  end)

  before_each(function() box:sh "rm -f a b up" end)

  -- Is the process that wrote its id there alive?
  local function alive(name)
    return box:sh(("[ -e %s ] && [ -d /proc/$(cat %s) ]"):format(name, name)).success
  end

  -- A folder of everybody with the script in it.
  local function share(name)
    box:sh(("mkdir -p -m 777 /tmp/%s; cp live.sh /tmp/%s"):format(name, name))
  end

  local function await(name)
    support.eventually(function() return box:sh("test -e " .. name).success end, 20)
  end

  -- Where the service ends commands itself, two show that nothing is lost.
  local ways = survives and WAYS or { plain = WAYS.plain,
    ["a setsid child"] = WAYS["a setsid child"] }

  for name, command in pairs(ways) do
    local on = name:find "sudo" and with_root or it
    on(name .. " ends with the timeout", function()
      local ok, e = pcall(box.sh, box, ". ./live.sh; " .. command,
        { timeout = 0.7 })
      assert.is_false(ok)
      assert.equal("TimeoutError", e.class, tostring(e))
      assert.is_true(box:sh("test -e a").success, "it never began")
      assert.is_false(alive "a")
      assert.is_false(alive "b")
    end)

    on(name .. " ends by kill, in a stream and in a terminal", function()
      local terminals = command:find "trap" and { false } or { false, true }
      for _, pty in ipairs(terminals) do
        box:sh "rm -f a b"
        local p <close> = box:sh(". ./live.sh; " .. command,
          { stream = true, pty = pty, killable = true })
        await "a"
        p:kill()
        assert.is_false(alive "a")
      end
    end)
  end

  with_root("another user's processes end with the timeout", function()
    share "shared"
    for i, way in ipairs { "plain", "a double fork into a session" } do
      local ok, e = pcall(box.sh, box, "cd /tmp/shared; . ./live.sh; "
        .. WAYS[way]:gsub("live a", "live u" .. i),
        { timeout = 0.7, user = "nobody" })
      assert.is_false(ok)
      assert.equal("TimeoutError", e.class, tostring(e))
      assert.is_true(box:sh("test -e /tmp/shared/u" .. i).success)
      assert.is_false(alive("/tmp/shared/u" .. i))
    end
  end)

  it("a process that a command leaves as it ends has the signal, too", function()
    local p <close> = box:sh([[trap "sh -c 'trap \"touch b; exit\" TERM; touch up
      while :; do sleep 0.02; done' & while ! [ -e up ]; do sleep 0.02; done; exit" TERM
      touch a; while :; do sleep 0.02; done]],
      { stream = true, killable = true })
    await "a"
    p:kill()
    assert.is_true(box:sh("test -e b").success, "it had KILL")
  end)

  it("what a command runs to end in order is left to it", function()
    local p <close> = box:sh([[trap 'sh -c "sleep 0.5; touch b"; exit' TERM; touch a
      while :; do sleep 0.02; done]], { stream = true, killable = true })
    await "a"
    p:kill()
    assert.is_true(box:sh("test -e b").success)
  end)

  it("a job of a terminal's shell ends, stopped or not", function()
    local p <close> = box:exec("bash", "-i", { interactive = true,
      killable = true })
    p:write "set -m; . ./live.sh; live a &\n"
    await "a"
    p:write "kill -STOP $!; kill -STOP $(cat a); echo sto''pped\n"
    p:expect "stopped"
    p:kill()
    assert.is_false(alive "a")
  end)

  it("closing a stream ends the command and its children", function()
    local p = box:sh(". ./live.sh; " .. WAYS["a setsid child"],
      { stream = true, killable = true })
    await "a"
    p:close()
    assert.is_false(alive "a")
    local task = boxd.spawn(function()
      box:sh(". ./live.sh; live b", { killable = true })
    end)
    await "b"
    task:cancel()
    pcall(task.join, task)
    assert.is_false(alive "b")
  end)

  local function ends_when_collected(folder, options)
    options.stream, options.killable = true, true
    box:sh("rm -f " .. folder .. "/gc")
    local function forget()
      local p = box:sh("cd " .. folder .. "; . ./live.sh; "
        .. "setsid sh -c '. ./live.sh; live gc' & wait", options)
      await(folder .. "/gc")
      return tostring(p)
    end
    forget()
    collectgarbage()
    support.eventually(function() return not alive(folder .. "/gc") end)
  end

  it("a stream that nothing refers to ends when it is collected", function()
    for _, options in ipairs { {}, { pty = true }, { timeout = 60 } } do
      ends_when_collected("~", options)
    end
  end)

  with_root("another user's stream ends when it is collected, too", function()
    share "gc"
    ends_when_collected("/tmp/gc", { user = "nobody" })
  end)

  it("what the command left behind lives on after its normal end", function()
    box:sh("(setsid sh -c '. ./live.sh; live a' >/dev/null 2>&1 </dev/null &)",
      { timeout = 20 })
    await "a"
    assert.is_true(alive "a")
    box:sh "kill $(cat a)"
  end)

  -- A script in a process of its own: code with `box`, of the Compute with options.
  local function start_client(options, code)
    return process.start { "env", "BOXD_API_URL=" .. service.api_url,
      "BOXD_EXCHANGE_URL=" .. service.exchange_url,
      "BOXD_API_KEY=" .. service.api_key, program.boxdlua, "-e",
      ("box = boxd.Compute(%s).box:get(%q) %s"):format(options, box.id, code) }
  end

  it("the box ends it where the client is gone", function()
    local client = start_client("{}", "box:sh('. ./live.sh; setsid sh -c \". "
      .. "./live.sh; live a\"', { timeout = 2 })")
    await "a"
    client:stop "KILL"
    -- The watch in the box sleeps 3 s longer, and then ends the command.
    box:sh "for p in $(pgrep -fx 'sleep 5.000'); do tail --pid=$p -f /dev/null; done"
    support.eventually(function() return not alive "a" end)
  end)

  it("the end of a script ends it", function()
    local client = start_client("{ killable = true }",
      "p = box:sh('. ./live.sh; live a', { stream = true }) p:wait()")
    await "a"
    client:stop "INT"
    assert.is_false(alive "a")
  end)

  it("nothing of the watch stays after the command", function()
    for _, command in ipairs { "true", "exit 3", "kill -9 $$", "sleep 0.3" } do
      local result = box:sh(command, { timeout = 30 })
      assert.equal("", result.stderr)
      assert.equal(({ ["exit 3"] = 3, ["kill -9 $$"] = 137 })[command] or 0,
        result.exit_code)
    end
    support.eventually(function()
      return not box:sh("grep -lsz '^sleep 3[0-9]' /proc/[0-9]*/cmdline "
        .. "| grep -v self").stdout:find "proc"
    end)
  end)

  it("other signals are sent once, by name and by number", function()
    for signal, shown in pairs { USR1 = "USR1", sigusr2 = "USR2", [1] = "HUP" } do
      local p <close> = box:sh("trap 'echo " .. shown .. "; exit 7' " .. shown
        .. "; echo ready; while :; do sleep 0.05; done",
        { stream = true, killable = true })
      local lines = p:lines()
      assert.equal("ready", lines())
      p:kill(signal)
      assert.equal(shown, lines())
      assert.equal(7, p:wait())
      p:kill(signal) -- it has ended: there is nothing to do
    end
  end)
end)
