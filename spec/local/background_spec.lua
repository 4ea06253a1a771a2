-- What a command leaves in the background: its output after the shell's end,
-- and that it goes on after the last reader.
-- Runs alone: it depends on pauses of 0.1 s.

local boxd = require "boxd"
local support = require "spec.support.service"

describe("a command's background processes", function()
  local here, compute = support.of_block()
  local box, endless, unread

  -- The end of a command that goes on once its background process has written.
  local BEGUN = " & while grep -sqx 'wchar: 0' /proc/$!/io; do sleep 0.01; done; echo x"

  -- A command that leaves a process which writes n lines, 10 ms apart, and its
  -- longest pause so far into a file.
  local function lines(n)
    return ([[python3 -uc 'import os, time
worst, last = 0, time.monotonic()
for _ in range(%d):
    now = time.monotonic()
    print("y")
    pause, last = time.monotonic() - last, now
    if pause > worst:
        worst = pause
        with open("new", "w") as f: print(pause, file=f)
        os.replace("new", "pause")
    time.sleep(0.01)' &
until [ -e pause ]; do sleep 0.01; done; echo x]]):format(n)
  end

  -- Whether it paused for as long as the service waits, as on a busy machine it may.
  local function has_paused(other)
    return pcall(support.eventually, function()
      return tonumber(other:read_file "pause") >= 0.1
    end)
  end

  -- What takes more than 10 s goes on meanwhile, in a box of its own.
  local function write_on(other)
    local began = boxd.now()
    local r = other:sh(lines(1000000))
    return r.stdout, boxd.now() - began
  end

  -- The first result of some that is `whole`, else the last: a busy machine may make
  -- a writer pause for as long as the service waits.
  local function one_of_some(make, whole)
    local result
    for _ = 1, 4 do
      result = make()
      if result == whole then break end
    end
    return result
  end

  local function read_late(other)
    return one_of_some(function()
      local p = other:sh("head -c 40000000 /dev/zero" .. BEGUN, { stream = true })
      boxd.sleep(11)
      local n = 0
      for data in p:iter_stdout() do n = n + #data end
      assert.equal(0, p:wait())
      return n
    end, 40000002)
  end

  setup(function()
    box = compute.box:create { name = "x" }
    local other = compute.box:create { name = "slow" }
    endless = boxd.spawn(function()
      local text, took = write_on(other)
      return text, took, took > 9.5 or has_paused(other),
        other:exec("pkill", "python3").success
    end)
    unread = boxd.spawn(read_late, other)
  end)

  it("have all of their output sent that comes without a pause", function()
    assert.equal(22888896 + 2, one_of_some(function()
      local r = box:sh("seq 1 3000000" .. BEGUN)
      assert.equal(0, r.exit_code)
      return #r.stdout
    end, 22888896 + 2))
    assert.equal(20001, one_of_some(function()
      local r = box:exec("bash", "-c", [[exec > >(while IFS= read -r l
        do printf "%(%T)T %s\n" -1 "$l"; done) 2>&1
        for i in $(seq 20000); do echo $i; done; echo END]])
      local whole = r.stdout:find " END\n$"
      return whole and select(2, r.stdout:gsub("\n", ""))
    end, 20001))
  end)

  it("have their output on stderr sent too", function()
    assert.equal("1988899 1988895", one_of_some(function()
      local r = box:sh("seq 1 300000 >&2" .. BEGUN .. "; seq 1 300000" .. BEGUN)
      return #r.stdout .. " " .. #r.stderr
    end, "1988899 1988895"))
  end)

  it("are heard out by a service that was held up meanwhile", function()
    local p = box:sh(lines(300), { stream = true })
    local text = { p:read_stdout() }
    for _ = 1, 20 do
      os.execute("kill -STOP " .. here.pid)
      boxd.sleep(0.12)
      os.execute("kill -CONT " .. here.pid)
      boxd.sleep(0.02)
    end
    for data in p:iter_stdout() do text[#text + 1] = data end
    local n = select(2, table.concat(text):gsub("y", ""))
    assert.is_true(n == 300 or has_paused(box), tostring(n))
  end)

  it("delay the result by 0.1 s when they hold the pipe and are quiet",
    function()
      local times = {}
      for i = 1, 5 do
        local began = boxd.now()
        assert.equal("x\n", box:sh("sleep 20 & echo x").stdout)
        times[i] = boxd.now() - began
      end
      table.sort(times)
      assert.is_true(times[1] < 0.2, tostring(times[1]))
      box:exec("pkill", "sleep")
    end)

  it("go on at the next line that they write, in every way out", function()
    for i, how in ipairs {
      "(sleep 0.4; echo late; echo late >&2; echo > /home/boxd/went-on%d) &",
      "setsid sh -c 'sleep 0.4; seq 100000; echo > /home/boxd/went-on%d' &",
      "(sleep 0.4; seq 100000 >&2; echo > /home/boxd/went-on%d) 2>&1 &",
    } do
      box:sh(how:format(i) .. " echo now")
    end
    for i = 1, 3 do
      support.eventually(function()
        return box:exec("test", "-f", "/home/boxd/went-on" .. i).success
      end)
    end
  end)

  it("serve on when they log to the output of a command that is over",
    function()
      box:sh("cd && python3 -m http.server 3000 & sleep 0.5")
      for _ = 1, 3 do
        local r
        support.eventually(function()
          r = box:exec("curl", "-sS", "http://127.0.0.1:3000/")
          return r.success or not r.stderr:find "onnect"
        end)
        assert.matches("Directory listing", r.stdout)
      end
      box:exec("pkill", "python3")
    end)

  it("go on when the client of their command has left", function()
    local p = box:exec("sh", "-c", "setsid sh -c 'echo up; sleep 0.3; "
      .. "seq 100000; echo > /home/boxd/alone' & sleep 100", { stream = true })
    assert.equal("up\n", p:read_stdout())
    p:close()
    support.eventually(function()
      return box:exec("test", "-f", "/home/boxd/alone").success
    end)
  end)

  it("go on when the box's main process has left them behind", function()
    local other = compute.box:create { config = { restart_policy = "never",
      cmd = { "sh", "-c", "(sleep 0.5; seq 3; echo > /home/boxd/on) & echo first" } } }
    support.eventually(function()
      return other:exec("test", "-f", "/home/boxd/on").success
    end)
    support.eventually(function()
      local text = {}
      for part in other:stream_logs() do text[#text + 1] = part end
      return table.concat(text) == "first\n1\n2\n3\n"
    end)
    other:destroy()
  end)

  it("delay the result by 10 s when they go on writing, and no longer",
    function()
      local text, took, to_the_end, still_there = endless:join()
      assert.matches("^y\n", text)
      assert.matches("\nx\n", text)
      assert.is_true(to_the_end and took < 20, tostring(took))
      assert.is_true(still_there)
    end)

  it("have output of more than 10 s sent to a client that waits with reading",
    function()
      assert.equal(40000002, unread:join())
    end)
end)
