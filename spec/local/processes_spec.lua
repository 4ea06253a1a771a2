-- boxd.local.processes and boxd.local.logs: a box's main process and the log it
-- writes, through a client.

local boxd = require "boxd"
local support = require "spec.support.service"

local refused = support.refused

describe("the main process of a box", function()
  local service, compute = support.of_block()
  after_each(function() service:empty() end)

  local function create(script, policy, env)
    return compute.box:create { config = { cmd = { "sh", "-c", script },
      restart_policy = policy, env = env } }
  end

  local function log_of(box)
    local text = {}
    for data in box:stream_logs() do text[#text + 1] = data end
    return table.concat(text)
  end

  local function log_has(box, text)
    support.eventually(function() return log_of(box):find(text, 1, true) end)
  end

  it("runs with the box's env, both streams logged", function()
    local box = create("echo \"out $WHO $(pwd)\"; echo err >&2; exec sleep 100",
      nil, { WHO = "me" })
    log_has(box, "out me /home/boxd\n")
    log_has(box, "err\n")
    assert.is_true(box:exec("pgrep", "-f", "[s]leep 100").success)
  end)

  it("gets its arguments as they are", function()
    local box = compute.box:create { config = { restart_policy = "never",
      cmd = { "printf", "<%s>", "a b", "$HOME", "'q'", "" } } }
    log_has(box, "<a b><$HOME><'q'><>")
  end)

  it("starts again when it ends, under 'always' only", function()
    local always, never = create("echo run; exit 3"),
      create("echo run; exit 3", "never")
    log_has(always, "run\nrun\nrun\n")
    assert.equal("run\n", log_of(never))
    assert.equal("running", compute.box:get(never.id).status)
  end)

  it("is none in a box without cmd, whose log has a line a boot", function()
    local box = compute.box:create "quiet"
    log_has(box, "quiet: booted in ")
    local first = log_of(box)
    box:reboot()
    support.eventually(function() return #log_of(box) > #first end)
    assert.matches("^quiet: booted in %d+ ms\nquiet: booted in %d+ ms\n$",
      log_of(box))
  end)

  it("starts again with its box, the log kept", function()
    local box = create "echo started; exec sleep 100"
    log_has(box, "started\n")
    box:reboot()
    log_has(box, "started\nstarted\n")
    box:stop()
    box:start()
    log_has(box, "started\nstarted\nstarted\n")
  end)

  it("runs in a fork, too", function()
    local box = create "echo \"I am $(hostname)\"; exec sleep 100"
    local fork = compute.box:fork(box, { name = "the-fork" })
    log_has(fork, "I am the-fork\n")
    assert.is_nil(log_of(box):find("the-fork", 1, true))
  end)

  it("is cut off when its box stops or reboots, with no time to end", function()
    local box = create("trap 'echo bye > /home/boxd/bye; exit' TERM; echo up; "
      .. "while :; do sleep 0.01; done", "never")
    log_has(box, "up\n")
    box:reboot()
    log_has(box, "up\nup\n")
    box:stop()
    box:start()
    assert.is_false(box:exec("test", "-e", "/home/boxd/bye").success)
  end)

  it("is followed live, up to the box's end", function()
    local box = create("echo first; while ! test -e /home/boxd/go; do sleep 0.01; "
      .. "done; echo second; exec sleep 100", "never")
    log_has(box, "first\n")
    local text, ended = "", false
    local reader = boxd.spawn(function()
      for data in box:stream_logs { follow = true } do text = text .. data end
      ended = true
    end)
    support.eventually(function() return text == "first\n" end)
    box:write_file("", "/home/boxd/go")
    support.eventually(function() return text == "first\nsecond\n" end)
    assert.is_false(ended)
    box:destroy()
    reader:join()
    assert.is_true(ended)
  end)

  it("lets a follower leave", function()
    local box = create "echo up; exec sleep 100"
    local first = box:stream_logs { follow = true }
    assert.equal("up\n", first())
    local reader = boxd.spawn(function()
      for _ in box:stream_logs { follow = true } do end
    end)
    boxd.sleep(0.05)
    reader:cancel()
    pcall(reader.join, reader)
    assert.is_true(box:exec("true").success)
  end)

  it("keeps the newest of much output, two files a box", function()
    local box = create("head -c 5000000 /dev/zero | tr '\\0' x; echo the end",
      "never")
    log_has(box, "the end\n")
    local size = #log_of(box)
    assert.is_true(size >= (1 << 20) and size <= (2 << 20) + (64 << 10), size)
    local list <close> = io.popen("du -sb " .. service.state .. "/logs")
    assert.is_true(list:read("n") < (2 << 20) + (128 << 10))
  end)

  it("has no log of no box", function()
    local stream = compute:stream("StreamLogs", { vm_id = "nobody" })
    refused("NOT_FOUND", stream)
    refused("INVALID_ARGUMENT", (compute:stream("StreamLogs", {})))
  end)

  it("keeps its log when the service is killed, not when the box is gone",
    function()
      local box = create "echo run; exec sleep 100"
      log_has(box, "run\n")
      service:restart "KILL"
      box = compute.box:get(box.id)
      log_has(box, "run\nrun\n")
      box:destroy()
      local list <close> = io.popen("ls " .. service.state .. "/logs | wc -l")
      assert.equal(0, list:read "n")
    end)
end)

describe("the log of a box that is gone", function()
  it("is kept of nothing that comes late", function()
    local sys = require "boxd.serve".sys
    local dir = os.tmpname()
    os.remove(dir)
    local all = require "boxd.local.logs".new(dir)
    local log = all:of { id = "vm-1" }
    log:write "before\n"
    all:gone { id = "vm-1" }
    log:write "after\n"
    assert.same({}, assert(sys.list(dir)))
    assert(os.execute("rm -r " .. dir))
  end)
end)
