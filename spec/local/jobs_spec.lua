-- Jobs in real boxes of the embedded service: they outlive connections.

local boxd = require "boxd"
local failure = require("spec.support.raised").with_class
local process = require "spec.support.process"
local support = require "spec.support.service"

local with_root = support.with_root(it, pending)

describe("box:job", function()
  local service, compute = support.of_block()
  local box

  setup(function() box = compute.box:create "jobs" end)

  local function shell(line)
    local result = box:sh(line)
    assert.equal(0, result.exit_code, result.stderr)
    return result.stdout
  end

  -- Waits for a file of the box.
  local function appears(path)
    support.eventually(function() return box:exec("test", "-e", path).success end)
  end

  -- Another client, by a relay whose connections can be reset.
  local function relayed()
    local relay = process.start { "/usr/bin/python3", "spec/support/relay.py",
      service.api_url:match ":(%d+)" }
    local c = service:connect { api_key = service.api_key,
      api_url = "http://127.0.0.1:" .. relay:line() }
    return relay, c.box:get "jobs"
  end

  local function reset(relay) os.execute("kill -USR1 " .. relay.pid) end

  it("runs a command that is found again with its output and its end", function()
    local job, started = box:job("plain",
      "echo $A $PWD; echo oops >&2; exit 3", { cwd = "/tmp", env = { A = "x y" } })
    assert.is_true(started)
    assert.equal("Job", boxd.type(job))
    assert.equal(3, job:wait())
    assert.same({ "exited", 3, "plain" }, { job.status, job.exit_code, job.name })
    assert.same({ "x y /tmp\n", 9 }, { job:output() })
    assert.same({ "oops\n", 5 }, { job:output { stderr = true } })
    assert.same({ "/tmp\n", 9 }, { job:output { from = -5 } })
    assert.same({ "x", 1 }, { job:output { limit = 1 } })
    local again, anew = box:job("plain", job.command)
    assert.is_false(anew)
    assert.equal(job, again)
    assert.equal(job, box:get_job "plain")
    assert.is_false(job == {} or {} == job)
    assert.equal(1, #box:jobs())
    assert.is_true(job.ended_at >= job.started_at)
    job:remove()
    assert.is_nil(box:get_job "plain")
    failure("NotFoundError", job.refresh, job)
    failure("NotFoundError", job.output, job)
  end)

  it("has files that are read by hand, without secrets", function()
    local job = box:job("files", "test $S = canary && sleep 100",
      { secret_env = { S = "canary" } })
    assert.equal("running", job:refresh().status)
    assert.equal(job.command, shell "cat ~/.boxd/jobs/files/command")
    assert.equal(tostring(job.pid),
      shell("sed -n 's/^pid \\([0-9]*\\) .*/\\1/p' ~/.boxd/jobs/files/process")
        :match "%d+")
    assert.equal("", shell "grep -rl [c]anary ~/.boxd /tmp /dev/shm | grep -v command || :")
    assert.equal("", shell("cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | "
      .. "grep -x [c]anary || :"))
    job:kill()
    assert.same({ "killed", 143 }, { job.status, job.exit_code })
    assert.equal(143, job:wait())
  end)

  it("refuses another command under a running name, and restarts", function()
    local job = box:job("name", "sleep 100")
    assert.matches("sleep 100",
      failure("ConflictError", box.job, box, "name", "sleep 101").message)
    failure("ConflictError", job.remove, job)
    local new, started = box:job("name", "echo new", { restart = true })
    assert.is_true(started)
    assert.equal(0, new:wait())
    assert.equal("new\n", (new:output()))
    failure("NotFoundError", job.wait, job)
    local other, anew = box:job("name", "echo other")
    assert.is_true(anew)
    other:wait()
    assert.equal("other\n", (other:output()))
  end)

  it("refuses what can't run, and leaves no job", function()
    failure("InvalidArgumentError", box.job, box, "x/y", "true")
    failure("InvalidArgumentError", box.job, box, "..", "true")
    failure("InvalidArgumentError", box.job, box, ("x"):rep(65), "true")
    failure("InvalidArgumentError", box.job, box, "x", "")
    failure("InvalidArgumentError", box.job, box, "x", "a\0b")
    failure("InvalidArgumentError", box.job, box, "x", "true", { evn = {} })
    failure("InvalidArgumentError", box.job, box, "x", "true",
      { env = { ["a-b"] = "1" } })
    failure("InvalidArgumentError", box.job, box, "x", "true", { cwd = "/none" })
    assert.is_nil(box:get_job "x")
    assert.has_error(function() return box:job("ok", "true").statsu end,
      "Job has no field or method 'statsu' (did you mean 'status'?)")
  end)

  with_root("refuses a user that the box does not have", function()
    failure("InvalidArgumentError", box.job, box, "x", "true", { user = "none" })
    assert.is_nil(box:get_job "x")
  end)

  it("kills all that it started, also processes that ignore TERM", function()
    local job = box:job("tree", [[
      trap '' TERM
      setsid sh -c 'trap "" TERM; while :; do sleep 7777; done' &
      (setsid sleep 7777 &)
      env -i sleep 7777 &
      touch /tmp/up; while :; do sleep 7777; done]])
    appears "/tmp/up"
    local began = boxd.now()
    job:kill()
    assert.is_true(boxd.now() - began > 4)
    assert.same({ "killed", 137 }, { job.status, job.exit_code })
    assert.equal("", shell("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | "
      .. "grep -o '[s]leep 7777' || :"))
    job:kill() -- nothing is left, and nothing is wrong
  end)

  it("leaves to a command what it runs to end in order", function()
    local job = box:job("orderly", [[
      trap 'sh -c "sleep 0.3; touch /tmp/orderly"; exit 5' TERM
      touch /tmp/begun; while :; do sleep 0.02; done]])
    appears "/tmp/begun"
    job:kill()
    assert.same({ "exited", 5 }, { job.status, job.exit_code })
    assert.equal("", shell "ls /tmp/orderly >/dev/null")
  end)

  with_root("runs as another user, with its state in the same home", function()
    local job = box:job("user", "id -un; echo $HOME; sleep 100",
      { user = "nobody" })
    support.eventually(function() return job:output():find "\n.+\n" end)
    assert.matches("^nobody\n", (job:output()))
    job:kill()
    assert.equal("killed", box:get_job "user".status)
    job:remove()
  end)

  it("sends other signals, and waits with a timeout", function()
    local job = box:job("usr", "trap 'echo got; exit 4' USR1; touch /tmp/usr; "
      .. "while :; do sleep 0.01; done")
    appears "/tmp/usr"
    failure("TimeoutError", job.wait, job, { timeout = 0.05 })
    failure("InvalidArgumentError", job.kill, job, "NONE")
    job:kill "USR1"
    assert.equal(4, job:wait())
    assert.equal("got\n", (job:output()))
  end)

  it("gives each byte once to two followers over broken connections", function()
    local relay, far = relayed()
    local job = box:job("count",
      "seq 1 20000; until test -e /tmp/on; do sleep 0.01; done; seq 20001 40000; "
      .. "echo end >&2; printf rest")
    local counts = { 0, 0 }
    local function follow(which, of)
      for line, output, next in of:lines { stderr = true } do
        if output == "stdout" and line ~= "rest" then
          counts[which] = counts[which] + 1
          assert.equal(counts[which], math.tointeger(line))
        else
          assert.equal(line, output == "stderr" and "end" or "rest")
          assert.equal(line == "end" and 4 or 228898, next)
        end
      end
    end
    local resets = 0
    local task = boxd.spawn(follow, 1, far:get_job "count")
    local other = boxd.spawn(follow, 2, job)
    while task.status == "running" do
      boxd.sleep(0.03)
      resets = resets + 1
      if resets < 20 then reset(relay) end
      if resets == 10 then box:exec("touch", "/tmp/on") end
    end
    task:join()
    other:join()
    relay:stop()
    assert.same({ 40000, 40000 }, counts)
  end)

  it("starts once where the answer is lost", function()
    local relay, far = relayed()
    for i = 1, 5 do
      local task = boxd.spawn(far.job, far, "once" .. i,
        "echo ran >> /tmp/once" .. i)
      boxd.sleep(0.002 * i)
      reset(relay)
      local job, started = task:join()
      assert.is_true(started)
      job:wait()
      assert.equal("ran\n", shell("cat /tmp/once" .. i))
    end
    relay:stop()
  end)

  it("keeps the box awake until the end of the last such job is seen", function()
    box:set_auto_suspend_timeout(300)
    local first = box:job("awake1", "sleep 100", { keep_awake = true })
    local second = box:job("awake2", "sleep 100", { keep_awake = true })
    assert.equal(0, box:refresh().auto_suspend_timeout_secs or 0)
    first:kill()
    assert.equal(0, box:refresh().auto_suspend_timeout_secs or 0)
    second:kill()
    assert.equal(300, box:refresh().auto_suspend_timeout_secs)
    assert.equal("", shell "ls ~/.boxd/jobs/awake*/timers 2>/dev/null || :")
  end)

  it("ends its lines early without ending the job", function()
    local job = box:job("early", "while :; do echo x; sleep 0.01; done")
    do
      local next_line, _, _, open = job:lines()
      local _stream <close> = open
      assert.equal("x", (next_line()))
    end
    assert.equal("running", job:refresh().status)
    assert.matches("^x\n", (job:output()))
    for line in job:lines { follow = false } do assert.equal("x", line) end
    job:kill "KILL"
    assert.equal(137, job:wait())
  end)

  it("is lost when the box was rebooted under it", function()
    local job = box:job("lost", "echo one; sleep 1000")
    support.eventually(function() return (job:output()) ~= "" end)
    local task = boxd.spawn(function()
      local all = {}
      for line in job:lines() do all[#all + 1] = line end
      return all
    end)
    box:reboot()
    box:wait_until_ready()
    assert.same({ "one" }, task:join())
    assert.equal("lost", box:get_job "lost".status)
    assert.matches("rebooted", failure("BoxdError", job.wait, job).message)
    assert.is_true(select(2, box:job("lost", "true", { restart = true })))
  end)
end)
