-- Every script of scripts/examples, run as a user would, against an embedded
-- service of its own.

local boxd = require "boxd"
local process = require "spec.support.process"
local program = require "spec.support.program"
local terminal = require "spec.support.terminal"

local function sh(fmt, ...)
  local pipe = assert(io.popen(fmt:format(...)))
  local text = pipe:read "a"
  assert(pipe:close(), text)
  return text
end

local FOLDER = "scripts/examples/"

-- An embedded service: the exports for its clients, and a way to end it.
local function serve(state)
  local server = process.start { program.boxdlua, "--serve", "--listen",
    "127.0.0.1:0", "--state", state }
  local env = { _stop = function() server:stop() end }
  for _ = 1, 3 do
    local name, value = server:line():match "^export (%S+)=(.*)$"
    env[name] = value
  end
  return env
end

local function compute(env)
  return boxd.Compute { api_url = env.BOXD_API_URL, api_key = env.BOXD_API_KEY,
    exchange_url = env.BOXD_EXCHANGE_URL }
end

describe("the example", function()
  local folder, here, c

  setup(function()
    folder = sh("mktemp -d"):gsub("\n", "")
    here = serve(folder .. "/here")
    c = compute(here)
  end)

  teardown(function()
    c:close()
    here._stop()
    os.execute("rm -rf " .. folder)
  end)

  -- Whatever a script makes, it takes away.
  after_each(function()
    local left = {}
    for _, box in ipairs(c.box:list()) do
      left[#left + 1] = box.name
      box:destroy() -- the next example is not to blame
    end
    assert.same({}, left)
    assert.equal(0, #c.disk:list())
    assert.equal(0, #c.template:list())
    assert.equal(0, #c:call("ListSnapshots").snapshots)
  end)

  local function environment(more)
    local env = { BOXD_API_URL = here.BOXD_API_URL,
      BOXD_EXCHANGE_URL = here.BOXD_EXCHANGE_URL,
      BOXD_API_KEY = here.BOXD_API_KEY }
    for name, value in pairs(more or {}) do env[name] = value end
    return env
  end

  local function run(name, args, more)
    args = args or {}
    table.insert(args, 1, FOLDER .. name .. ".lua")
    args.env = environment(more)
    local result = program.lua(args)
    assert.equal("", result.err)
    assert.equal(0, result.status)
    return result.out
  end

  it("hello", function()
    assert.matches("created: Box.*live: line 1\nlive: line 2\nlive: line 3\n"
      .. "exit code: 0\nread back: made by a script\nls failed: exit code 2, "
      .. ".*\ndestroyed: hello is destroyed\n$", run "hello")
  end)

  it("web_server", function()
    assert.matches("^serving at http://%S+\nit answers: <h1>It works</h1>\n$",
      run "web_server")
  end)

  it("two_web_apps", function()
    assert.equal("staging: Ada\nproduction: Grace, Edsger\n",
      run "two_web_apps")
  end)

  it("build_matrix", function()
    local out = run "build_matrix"
    assert.matches("build%-1 +%-O0  C +32 bits  FAILED: no such target\n", out)
    assert.matches("build%-8 +%-O2  C.UTF%-8 +64 bits  passed\n6 of 8 passed\n$",
      out)
  end)

  it("golden_image", function()
    assert.equal("worker-1: 42 changed\nof then: 42\n"
      .. "worker-2: 42 changed\nof then: 42\n"
      .. "worker-3: 42 changed\nof then: 42\n", run "golden_image")
  end)

  it("persistent_disk", function()
    assert.equal("the note was kept\nit can't be changed here\n",
      run "persistent_disk")
  end)

  it("site", function()
    assert.equal("labelled: site\ncopy-1 has only copy-1\n"
      .. "copy-2 has only copy-2\nthe site answers: 200\n"
      .. "broken, it answers: 404\nrestored, it answers: 200\n", run "site")
  end)

  it("follow_logs", function()
    assert.equal("log: starting: step 1\nlog: starting: step 2\nseen: step 2\n",
      run("follow_logs", { "step 2" }))
  end)

  it("share_token", function()
    assert.matches("^a token that ends in 60 minutes\nwith it one is local\n"
      .. "revoked: it is refused from now on\n$", run "share_token")
  end)

  it("run_everywhere", function()
    local boxes = { c.box:create "one", c.box:create "three" }
    for _, box in ipairs(boxes) do box:wait_until_ready() end
    local out = run("run_everywhere", { "hostname; [ $(hostname) = one ]" })
    for _, box in ipairs(boxes) do box:destroy() end
    assert.truthy(out:find("one   │ one\n", 1, true), out)
    assert.truthy(out:find("three │ three\n", 1, true), out)
    assert.matches("2 boxes, 1 failed\n$", out)
  end)

  it("shell", function()
    local out, status = terminal.play({ program.boxdlua, FOLDER .. "shell.lua",
      "sh-box", env = environment { TERM = "xterm" } }, {
        { "expect", "sh-box with it\n" }, { "expect", "$ " },
        { "send", "echo $((40 + 2)) $(hostname)\r" },
        { "expect", "42 sh-box" }, { "expect", "$ " },
        { "send", "exit 5\r" },
        { "expect", "the shell ended with exit code 5" }, { "end" } })
    assert.equal(0, status, out)
  end)

  describe("ci_job", function()
    local function job(command)
      local path = program.boxdlua:find "^/" and program.boxdlua
        or os.getenv "PWD" .. "/" .. program.boxdlua
      local here_folder = os.getenv "PWD" .. "/" .. FOLDER
      return program.run { "sh", "-c", ("cd %s && exec %s %sci_job.lua in.tar "
        .. "out/result '%s'"):format(folder, path, here_folder, command),
        env = environment() }
    end

    setup(function()
      sh("cd %s && echo 6 > number && tar cf in.tar number", folder)
    end)

    it("keeps the artifact", function()
      local result = job "mkdir out && echo $(($(cat number) * 7)) | tee out/result"
      assert.equal("", result.err)
      assert.equal("job | 42\nkept result\n", result.out)
      assert.equal("42\n", sh("cat %s/result", folder))
      assert.equal(0, result.status)
    end)

    it("ends as the job does, and leaves nothing", function()
      local result = job "echo broken >&2; exit 3"
      assert.equal("job | broken\n", result.err)
      assert.equal(3, result.status)
    end)

    it("says how it is used", function()
      local result = program.lua { FOLDER .. "ci_job.lua" }
      assert.matches("^usage: ", result.err)
      assert.equal(2, result.status)
    end)
  end)

  describe("ci_runner", function()
    local function build(command)
      return program.lua { FOLDER .. "ci_runner.lua", folder .. "/src", command,
        env = environment() }
    end

    setup(function() sh("mkdir %s/src && echo 6 > %s/src/number", folder, folder) end)

    it("begins where the last green build ended", function()
      finally(function() pcall(c.snapshot.delete, c.snapshot, "ci-golden") end)
      local old = c.box:create "ci-old" -- too young to be swept
      local green = "cat made 2>/dev/null || echo nothing is made; "
        .. "echo 42 > made; sudo -n id -un"
      local result = build(green)
      assert.equal("", result.err)
      assert.equal("1 files sent, 0 are there\nbuild | nothing is made\n"
        .. "build | root\npromoted to ci-golden\n", result.out)
      local red = build "cat made; echo no rule >&2; exit 4"
      assert.equal("0 files sent, 1 are there\nbuild | 42\n", red.out)
      assert.equal("the build ended with exit code 4; its errors end so:\n"
        .. "no rule\n", red.err)
      assert.equal(4, red.status)
      assert.equal(1, c.snapshot:get "ci-golden".version)
      assert.matches("build | 42\n", build(green).out)
      assert.equal(2, c.snapshot:get "ci-golden".version)
      old:destroy()
    end)
  end)

  describe("preview", function()
    it("is made, updated and taken away", function()
      sh("mkdir -p %s/site; echo one > %s/site/index.html", folder, folder)
      local out = run("preview", { "41", folder .. "/site" })
      local url = out:match "^pr%-41 is new\n(http%S+)\n$"
      assert.equal("one\n", boxd.http.request { url = url }.body)
      sh("echo two > %s/site/index.html", folder)
      assert.equal("pr-41 is updated\n" .. url .. "\n",
        run("preview", { "41", folder .. "/site" }))
      assert.equal("two\n", boxd.http.request { url = url }.body)
      for _ = 1, 2 do
        assert.equal("pr-41 is closed\n", run("preview", { "41", "closed" }))
      end
    end)

    it("says how it is used", function()
      local result = program.lua { FOLDER .. "preview.lua", "x" }
      assert.matches("^usage: ", result.err)
      assert.equal(2, result.status)
    end)
  end)

  it("dev_box", function()
    sh("mkdir -p %s/dev; echo one > %s/dev/page", folder, folder)
    local change = ("echo two > %s/dev/page"):format(folder)
    local out, status = terminal.play({ program.boxdlua, FOLDER .. "dev_box.lua",
      folder .. "/dev", env = environment { TERM = "xterm" } }, {
        { "expect", "is port 3000 of the box" }, { "expect", "$ " },
        { "send", "cat page\r" }, { "expect", "one" },
        { "send", "until grep two page; do sleep 0.1; done; echo cha''nged\r" },
        { "run", change }, { "expect", "changed" },
        { "run", ("mkfifo %s/dev/pipe"):format(folder) },
        { "expect", "no longer reach the box: " }, { "expect", "dev/pipe is a pipe" },
        { "expect", "exclude" },
        { "send", "exit 5\r" },
        { "expect", "the shell ended with exit code 5" }, { "end" } })
    assert.equal(0, status, out)
    local box = c.box:get "dev"
    assert.equal("suspended", box.status)
    box:destroy()
  end)

  it("nightly_backup", function()
    local function prepare(name, line)
      local box = c.box:create(name, { labels = { backup = "nightly" } })
      box:sh(line, { check = true })
      return box
    end
    local boxes = {
      prepare("b1", "mkdir data; echo 1 > data/f; echo '#!/bin/sh\necho 2 > data/dump' "
        .. "> before-backup; chmod +x before-backup"),
      prepare("b2", "mkdir data; echo 3 > data/f"), prepare("b3", "true"),
      c.box:create "other" }
    boxes[2]:suspend()
    local function backup(...)
      return program.lua { FOLDER .. "nightly_backup.lua", folder .. "/to", ...,
        env = environment() }
    end
    local result = backup()
    assert.truthy(result.out:find("b1: 2 files new, 0 as before\n", 1, true))
    assert.matches("2 of 3 boxes are copied\n$", result.out)
    assert.matches("^b3: .*no folder data", result.err)
    assert.equal(1, result.status)
    assert.equal("2\n3\n", sh("cat %s/to/b1/dump %s/to/b2/f", folder, folder))
    assert.equal("suspended", boxes[2]:refresh().status)
    boxes[3]:destroy()
    local again = backup()
    assert.equal("", again.err)
    assert.equal(0, again.status)
    assert.truthy(again.out:find("b2: 0 files new, 1 as before\n", 1, true))
    for _, i in ipairs { 1, 2, 4 } do boxes[i]:destroy() end
  end)

  it("migrate", function()
    local there = serve(folder .. "/there")
    local d <close> = compute(there)
    finally(function() there._stop() end)
    for _, name in ipairs { "a", "b" } do
      local box = c.box:create(name)
      box:wait_until_ready()
      box:write_file("of " .. name, "data/file")
    end
    local out = run("migrate", {}, { NEW_API_URL = there.BOXD_API_URL,
      NEW_EXCHANGE_URL = there.BOXD_EXCHANGE_URL,
      NEW_API_KEY = there.BOXD_API_KEY })
    assert.matches("2 boxes moved\n$", out)
    for _, name in ipairs { "a", "b" } do
      assert.equal("of " .. name, d.box:get(name):read_file "data/file")
      c.box:get(name):destroy()
    end
  end)

  it("is here, for each file", function()
    local source = sh "cat spec/docs/examples_spec.lua"
    for name in sh("ls " .. FOLDER):gmatch "([%w_]+)%.lua" do
      assert.truthy(source:find('"' .. name .. '"', 1, true), name)
    end
  end)
end)
