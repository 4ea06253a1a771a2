-- boxd.local.exec: commands in boxes, through a client.

local boxd = require "boxd"
local support = require "spec.support.service"

describe("exec in the embedded service", function()
  local _, compute = support.of_block()
  local box

  setup(function()
    box = compute.box:create { name = "x", config = { env = { SET = "a b" } } }
  end)

  -- Waits until no process of the box has this in its command line. A letter in
  -- brackets keeps the search from finding itself.
  local function gone(text)
    support.eventually(function()
      return not box:exec("pgrep", "-f", text).success
    end)
  end

  it("runs the string by sh, at home, as boxd, with the box's env", function()
    local r = box:sh 'echo "$SET|$HOME|$PWD|$(id -u)|$0"; echo err >&2; exit 7'
    assert.equal("a b|/home/boxd|/home/boxd|1000|sh\n", r.stdout)
    assert.equal("err\n", r.stderr)
    assert.equal(7, r.exit_code)
  end)

  it("takes no command for an option of its shell", function()
    for _, r in ipairs { box:exec "-x", box:sh "-x", box:sh "+x" } do
      assert.equal(127, r.exit_code)
      assert.matches("not found", r.stderr)
    end
  end)

  it("gives the code of a signal as 128 + n, and nothing else", function()
    local r = box:sh "echo before; kill -9 $$"
    assert.equal(137, r.exit_code)
    assert.equal("before\n", r.stdout)
    assert.equal("", r.stderr)
    assert.equal(143, box:sh("kill $$").exit_code)
    assert.equal(127, box:exec("no-such-program").exit_code)
  end)

  it("loses no output of a command that ends at once", function()
    for _ = 1, 50 do
      assert.equal("out\n", box:sh("echo out").stdout)
      assert.equal("err\n", box:sh("echo err >&2").stderr)
    end
    assert.equal(5000000, #box:sh("head -c 5000000 /dev/zero").stdout)
  end)

  it("carries stdin to its end, whatever the bytes", function()
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local data = table.concat(bytes):rep(4000)
    assert.equal(data, box:exec("cat", { stdin = data }).stdout)
    assert.equal("", box:exec("cat").stdout)
  end)

  it("goes on when a command does not read its input", function()
    assert.equal(5, box:exec("sh", "-c", "exit 5",
      { stdin = ("x"):rep(10000000) }).exit_code)
    assert.equal(6, box:sh("exec <&-; sleep 0.1; exit 6",
      { stdin = ("x"):rep(1000000) }).exit_code)
  end)

  it("does not wait for what a command leaves in the background", function()
    local began = boxd.now()
    local r = box:sh "(sleep 100; echo late) & echo now"
    assert.is_true(boxd.now() - began < 30)
    assert.equal("now\n", r.stdout)
    box:sh "pkill -9 sleep; true"
  end)

  it("lets a background process go on after its call", function()
    box:sh "nohup sleep 1234 >/dev/null 2>&1 &"
    assert.is_true(box:exec("pgrep", "-f", "[s]leep 1234").success)
    box:exec("pkill", "-f", "[s]leep 1234")
  end)

  it("kills all of a command's session when its client leaves", function()
    local p = box:exec("sh", "-c", "(trap '' TERM; sleep 7654; :) & "
      .. "trap '' TERM; echo up; sleep 7654; sleep 7655", { stream = true })
    assert.equal("up\n", p:read_stdout())
    p:close()
    gone "[s]leep 765"
  end)

  it("sends TERM first", function()
    local p = box:exec("sh", "-c",
      "trap 'echo termed > /home/boxd/termed; exit' TERM; echo up; "
      .. "while :; do sleep 0.01; done", { stream = true })
    assert.equal("up\n", p:read_stdout())
    p:close()
    support.eventually(function()
      return box:exec("test", "-s", "/home/boxd/termed").success
    end)
  end)

  it("kills a command whose output is unread", function()
    local p = box:exec("sh", "-c", "echo up; exec yes pipe-full",
      { stream = true })
    p:read_stdout()
    p:close()
    gone "[y]es pipe-full"
  end)

  it("has a terminal that is there in the box, and its size", function()
    local p = box:exec("sh", "-c", "tty; stty size; test -t 0 && test -t 2 && "
      .. "echo all; read line; echo \"got $line\"; stty size",
      { pty = true, stream = true, cols = 100, rows = 40 })
    local text = ""
    local function read_until(what)
      while not text:find(what, 1, true) do
        text = text .. assert(p:read_stdout(), text)
      end
    end
    read_until "all"
    assert.matches("^/dev/pts/%d+\r\n40 100\r\nall", text)
    p:resize(132, 50)
    p:write "hello\n"
    read_until "got hello"
    read_until "50 132"
    assert.equal(0, p:wait())
  end)

  it("has 80 by 24 where no size is given, and sends WINCH", function()
    local p = box:exec("sh", "-c",
      "stty size; trap 'echo winch; exit 3' WINCH; echo set; "
      .. "while :; do sleep 0.01; done", { pty = true, stream = true })
    local text = ""
    while not text:find("set", 1, true) do text = text .. p:read_stdout() end
    assert.matches("^24 80\r\n", text)
    p:resize(90, 30)
    assert.equal(3, p:wait())
    for chunk in p:iter_stdout() do text = text .. chunk end
    assert.truthy(text:find("winch", 1, true))
  end)

  it("ends the input of a terminal after an unfinished line, too", function()
    local opts = { pty = true, timeout = 10 }
    local function run(command, stdin)
      return box:sh(command, { pty = true, timeout = 10, stdin = stdin }).stdout
    end
    assert.equal("got:\r\n", box:sh("read x; echo got:$x", opts).stdout)
    assert.equal("abcabc", run("cat", "abc"))
    assert.equal("abc\r\nabc\r\n", run("cat", "abc\n"))
    -- More than the terminal holds while nothing reads: the end waits, too.
    assert.matches("%f[%d]5000%s*$", run("sleep 0.2; wc -l",
      ("line\n"):rep(5000) .. "x"))
    local p = box:sh("cat", { pty = true, stream = true, timeout = 10 })
    p:write "ab"
    p:write "c"
    p:write_eof()
    local text = ""
    for chunk in p:iter_stdout() do text = text .. chunk end
    assert.equal("abcabc", text)
    assert.equal(0, p:wait())
  end)

  it("interrupts the foreground job by the terminal's character", function()
    -- dash loses signals while it starts a program: the job is there first.
    local p = box:exec("sh", "-c", "(echo up; exec sleep 1000); exit 1",
      { pty = true, stream = true })
    assert.truthy(p:read_stdout():find "up")
    p:write "\3"
    assert.equal(130, p:wait())
  end)

  it("loses nothing that is written to a terminal before the end", function()
    for _ = 1, 20 do
      local p = box:exec("sh", "-c", "seq 1 500; echo end",
        { pty = true, stream = true })
      local text = {}
      for chunk in p:iter_stdout() do text[#text + 1] = chunk end
      assert.equal("end\r\n", table.concat(text):sub(-5))
      assert.equal(0, p:wait())
    end
  end)

  it("ends a terminal's input by the half-close", function()
    local p = box:exec("sh", "-c", "cat; echo after", { pty = true,
      stream = true })
    p:write_eof()
    local text = ""
    for chunk in p:iter_stdout() do text = text .. chunk end
    assert.matches("after\r\n$", text)
    assert.equal(0, p:wait())
  end)

  it("runs hundreds at once", function()
    local list = {}
    for i = 1, 300 do list[i] = i end
    local out = boxd.map(list, function(i)
      return box:sh(("sleep 0.2; echo %d; exit %d"):format(i, i % 100))
    end)
    for i, r in ipairs(out) do
      assert.equal(i .. "\n", r.stdout)
      assert.equal(i % 100, r.exit_code)
    end
  end)

  it("refuses a command that it cannot run, and says why", function()
    local function exec(request)
      local chunks <close> = compute:stream("Exec", request)
      chunks:recv()
    end
    assert.matches("command is empty",
      support.refused("INVALID_ARGUMENT", exec, { vm_id = box.id }))
    support.refused("INVALID_ARGUMENT", exec, { command = "true" })
    assert.matches("no box 'nobody'",
      support.refused("NOT_FOUND", exec, { vm_id = "nobody", command = "x" }))
  end)
end)
