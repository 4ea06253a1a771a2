-- Following a job while what lies between fails: connections cut at every
-- message, streams that the service ends, boxes that do not answer; and much output.
-- BOXD_EVERYDAY=1 (make everyday) has 10 GiB of it.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local failure = require("spec.support.raised").with_class
local follow = require "boxd.internal.job.follow"
local perl = require "boxd.internal.perl"
local process = require "spec.support.process"
local program = require "spec.support.program"
local job_program = require "boxd.internal.job.program"
local support = require "spec.support.service"

local MIB = os.getenv "BOXD_EVERYDAY" and 10240 or 192 -- of output
local PEAK = (os.getenv "ASAN_OPTIONS" and 400 or 128) * 1024 -- KiB

-- Lines of 1 MiB: a counter, and a hole in the file, so that it takes no room.
local MUCH = [[
local c <close> = boxd.Compute {}
local box, MIB = c.box:get "follow", tonumber(arg[1])
local job = box:job("much", ([=[perl -e 'open my $f, "+<", "/proc/self/fd/1" or die;
  for my $i (1 .. %d) { my $end = $i << 20; sysseek $f, $end - 1048576, 0;
  syswrite $f, sprintf "%%015d", $i; sysseek $f, $end - 1, 0; syswrite $f, "\n" }']=])
  :format(MIB))
local rest, n = ("\0"):rep((1 << 20) - 16), 0
for line, _, at in job:lines() do
  n = n + 1
  assert(line == ("%015d"):format(n) .. rest, n)
  assert(at == n << 20, n)
end
assert(job:wait() == 0)
local status = io.open "/proc/self/status":read "a"
print(n, status:match "VmHWM:%s+(%d+)")]]

describe("a job of a real box is followed", function()
  local service, compute = support.of_block()
  local box
  setup(function() box = compute.box:create "follow" end)

  it("to its last byte where the connection is cut at every message", function()
    local relay = process.start { "/usr/bin/python3", "spec/support/relay.py",
      service.api_url:match ":(%d+)", "cut" }
    local c <close> = service:connect { api_key = service.api_key,
      api_url = "http://127.0.0.1:" .. relay:line() }
    -- Single lines, then many at once, and one without its end.
    local job = box:job("cut", "i=0; while [ $i -lt 200 ]; do i=$((i + 1)); echo $i; "
      .. "echo $i >&2; sleep 0.02; done; seq 201 60000; printf rest")
    local far = require "boxd.box".new(c, { vm_id = box.id }):get_job "cut"
    local counts, rest = { stdout = 0, stderr = 0 }, {}
    for line, output in far:lines { stderr = true } do
      local n = counts[output] + 1
      if line == tostring(n) then counts[output] = n else rest[#rest + 1] = line end
    end
    assert.same({ stdout = 60000, stderr = 200 }, counts)
    assert.same({ "rest" }, rest)
    assert.equal(0, far:wait())
    assert.equal(0, job:wait())
    os.execute("kill " .. relay.pid)
    local cuts = 0
    for line in relay.stdout:lines() do
      assert.equal("cut", line)
      cuts = cuts + 1
    end
    relay:stop()
    assert.is_true(cuts > 8, cuts) -- after each of the eight
  end)

  it("through much output, each byte once, in little memory", function()
    local path = program.file(MUCH)
    local result = program.lua { path, tostring(MIB), env = {
      BOXD_API_URL = service.api_url, BOXD_API_KEY = service.api_key,
      BOXD_EXCHANGE_URL = service.exchange_url } }
    os.remove(path)
    assert.equal("", result.err)
    local lines, peak = result.out:match "^(%d+)\t(%d+)\n$"
    assert.equal(tostring(MIB), lines, result.out)
    assert.is_true(tonumber(peak) < PEAK, peak)
    box:get_job "much":remove()
  end)
end)

describe("where commands outlive their call, a follower", function()
  local _, compute = support.of_block { "--exec-survives" }
  local box
  setup(function()
    box = compute.box:create "follow"
    follow.limits.life = 1
  end)
  teardown(function() follow.limits.life = 120 end)

  local function none_is_left()
    support.eventually(function()
      return box:sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c '[p]erl - '")
        .stdout == "0\n"
    end, 20)
  end

  it("that is left leaves nothing in the box, read or not", function()
    local job = box:job("left", "while :; do echo x; sleep 0.01; done")
    local function begin(of)
      local next_line, _, _, open = of:lines()
      local _open <close> = open
      return next_line()
    end
    for _ = 1, 3 do begin(job) end
    local much = box:job("much", "exec yes")
    begin(much)
    much:kill()
    none_is_left()
    job:kill()
  end)

  it("goes on where its program in the box has ended after its time", function()
    local job = box:job("long", "for i in $(seq 300); do echo $i; sleep 0.01; done")
    local n = 0
    for line in job:lines() do
      n = n + 1
      assert.equal(tostring(n), line)
    end
    assert.equal(300, n)
    assert.equal(0, job:wait())
    none_is_left()
  end)
end)

-- A box that answers as `follow` does there, from OUTPUT: reply(call, from) ends each
-- stream as it likes. The job's other calls answer that it runs.
local OUTPUT = ("0123456789\n"):rep(50)

local function fields(list)
  local parts = {}
  for i = 1, #list, 2 do
    parts[#parts + 1] = ("%s %d\n%s\n"):format(list[i], #list[i + 1], list[i + 1])
  end
  return table.concat(parts)
end

local function record(status)
  return fields { "name", "j", "command", "c", "status", status, "started", "1",
    "mark", "m", "pid", "9", "code", "0", "ended", "2" }
end

local function scripted_job(reply)
  local s = calls.start { Exec = function(call)
    local parts, arguments = {}, {}
    for chunk in function() return call:recv() end do parts[#parts + 1] = chunk.data end
    local text = table.concat(parts)
    for name, value in perl.fields(text:match "\n__END__\n(.*)$") do
      arguments[name] = value
    end
    if arguments.op == "follow" then
      return reply(call, math.tointeger(arguments.out))
    end
    call:send { data = record "running" }
    call:send { exit_code = 0 }
    call:finish()
  end }
  return s, s.box:get_job "j"
end

local function frame(letter, data) return ("%s %d\n%s"):format(letter, #data, data) end

describe("the follower of a job", function()
  local before = {}
  setup(function()
    for k, v in pairs(follow.limits) do before[k] = v end
    follow.limits.pause = 0.01
  end)
  teardown(function()
    for k, v in pairs(before) do follow.limits[k] = v end
  end)
  after_each(calls.settled)

  local function read_all(job)
    local parts = {}
    for line, _, at in job:lines() do
      parts[#parts + 1] = line .. "\n"
      assert.equal(#parts * 11, at)
    end
    return table.concat(parts)
  end

  -- Seven bytes a stream, of a frame that would have more; then the end.
  local function in_pieces(finish)
    return function(call, from)
      if from >= #OUTPUT then
        call:send { data = frame("a", tostring(from)) .. frame("z", record "exited") }
        call:send { exit_code = 0 }
        return call:finish()
      end
      call:send { data = frame("a", tostring(from))
        .. frame("o", OUTPUT:sub(from + 1)):sub(1, #"o 550\n" + 7) }
      finish(call)
    end
  end

  for name, finish in pairs {
    ["without an exit code"] = function(call) call:finish() end,
    ["as its host goes"] = function(call) call:finish("UNAVAILABLE", "gone") end,
    ["by an internal error"] = function(call) call:finish("INTERNAL", "gone") end,
    ["by an unknown error"] = function(call) call:finish("UNKNOWN", "gone") end,
    ["with an exit code of another command"] = function(call)
      call:send { exit_code = 137 }
      call:finish()
    end,
  } do
    it("goes on after a stream that ends " .. name, function()
      local _s <close>, job = scripted_job(in_pieces(finish))
      assert.equal(OUTPUT, read_all(job))
      assert.equal("exited", job.status)
    end)
  end

  it("goes on where a stream is silent, and the service keeps it open", function()
    follow.limits.silence = 0.03
    local _s <close>, job = scripted_job(in_pieces(function(call)
      call:wait_cancelled()
    end))
    assert.equal(OUTPUT, read_all(job))
    follow.limits.silence = before.silence
  end)

  it("gives up after a time without an answer, and says so", function()
    follow.limits.silence, follow.limits.give_up = 0.05, 0.3
    for _, answer in ipairs {
      function(call) call:wait_cancelled() end,
      function(call) call:finish("UNAVAILABLE", "the host is gone") end,
    } do
      local _s <close>, job = scripted_job(answer)
      local began = boxd.now()
      local e = failure("ConnectionError", read_all, job)
      assert.matches("no answer from the box for 0.3 s", e.message, 1, true)
      assert.is_true(boxd.now() - began >= 0.3)
      failure("ConnectionError", job.wait, job)
      failure("TimeoutError", job.wait, job, { timeout = 0.1 })
    end
    follow.limits.silence, follow.limits.give_up = before.silence, before.give_up
  end)

  it("rests between tries where each stream ends at once", function()
    follow.limits.pause, follow.limits.give_up = before.pause, 1
    local s <close>, job = scripted_job(function(call, from)
      call:send { data = frame("a", tostring(from)) }
      call:finish()
    end)
    failure("ConnectionError", read_all, job)
    assert.is_true(#s.taken < 12, #s.taken)
    follow.limits.pause, follow.limits.give_up = 0.01, before.give_up
  end)

  it("ends at once with an error that no retry would change", function()
    local _s <close>, job = scripted_job(function(call)
      call:finish("NOT_FOUND", "no box")
    end)
    failure("NotFoundError", read_all, job)
    local _gone <close>, other = scripted_job(function(call)
      call:send { data = frame("g", "") }
      call:send { exit_code = 0 }
      call:finish()
    end)
    failure("NotFoundError", read_all, other)
  end)

  -- The box's side: a silent stream is dropped after 30 minutes, so none is silent.
  it("hears from the box every 10 s of its clock", function()
    local home = os.tmpname()
    os.remove(home)
    local path = program.file("BEGIN { my $t = CORE::time; "
      .. "*CORE::GLOBAL::time = sub () { $t += 4 } }\n" .. perl.input(job_program,
        { op = "follow", name = "j", mark = "m", out = 0, follow = 1, life = 9999 }))
    assert(os.execute(("mkdir -p %s/.boxd/jobs/j; cd %s/.boxd/jobs/j && : > out && "
      .. "echo c > command && { sleep 1 & } && printf 'pid %%s %%s\nsupervisor 1 "
      .. "1\nboot %%s:%%s\nstarted 1\nmark m\n' $! $(cut -d' ' -f22 /proc/$!/stat) "
      .. "$(cat /proc/sys/kernel/random/boot_id) $(cut -d' ' -f22 /proc/1/stat) "
      .. "> process"):format(home, home)))
    local result = program.run { "perl", "-", stdin = io.open(path):read "a",
      env = { HOME = home } }
    os.remove(path)
    os.execute("rm -rf " .. home)
    assert.equal("", result.err)
    local beats = select(2, result.out:gsub("h 0\n", ""))
    assert.is_true(beats >= 3, result.out)
    assert.matches("z %d+\n", result.out)
  end)
end)
