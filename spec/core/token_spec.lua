-- One token for all clients that may share it, and the effects when the service
-- refuses it: against a server in this process, whose port speaks both HTTP, for
-- the exchange, and gRPC.

local boxd = require "boxd"
local process = require "spec.support.process"
local program = require "spec.support.program"
local serve = require "boxd.serve"
local eventually = require("spec.support.calls").eventually

local BUILD = os.getenv "BOXD_BUILD" or "build"

describe("a token", function()
  local server, exchanged, calls, answers, handlers, status

  -- token-1, token-2 ...; `status` answers the exchanges from now on.
  before_each(function()
    server, exchanged, calls, status = serve.listen(), 0, {}, nil
    answers = { life = 3600 }
    handlers = {}
    local function exchange(request, n)
      if answers.before then answers.before() end
      if status then
        request:answer(status, nil, "{}", { ["Retry-After"] = "30" })
      else
        request:answer(200, nil, boxd.json.encode { token = "token-" .. n,
          user_id = "u", expires_at = os.time() + answers.life })
      end
    end
    boxd.spawn(function()
      for request in function() return server:request() end do
        exchanged = exchanged + 1
        boxd.spawn(exchange, request, exchanged)
      end
    end)
    boxd.spawn(function()
      for call in function() return server:accept() end do
        calls[#calls + 1] = call:metadata "authorization"
        boxd.spawn(handlers[call.rpc] or handlers.any, call)
      end
    end)
  end)

  after_each(function() server:close() end)

  local function client(options)
    options = options or {}
    options.api_url = "http://" .. server.address
    options.max_retries = 0
    if not options.token then options.api_key = options.api_key or "bxk_1" end
    return boxd.Compute(options)
  end

  local function answer(call)
    call:recv()
    call:send { user_id = call:metadata "authorization" }
    call:finish()
  end

  -- Answers those with the tokens, and refuses the others.
  local function accept_only(...)
    local good = {}
    for _, token in ipairs { ... } do good["Bearer " .. token] = true end
    return function(call)
      if good[call:metadata "authorization"] then return answer(call) end
      call:finish("UNAUTHENTICATED", "this token is not known")
    end
  end

  it("is shared by the Computes with the same key and exchange", function()
    handlers.any = answer
    local a <close> = client()
    local b <close> = client()
    assert.equal("Bearer token-1", a:whoami().user_id)
    assert.equal("Bearer token-1", b:whoami().user_id)
    boxd.gather { function() return client():whoami() end,
      function() return client():whoami() end }
    assert.equal(1, exchanged)
    local other <close> = client { api_key = "bxk_2" }
    assert.equal("Bearer token-2", other:whoami().user_id)
    local elsewhere <close> = client { exchange_url = "http://"
      .. server.address .. "/other" }
    assert.equal("Bearer token-3", elsewhere:whoami().user_id)
    assert.equal(3, exchanged)
  end)

  it("is shared on when the Compute that exchanged it is closed", function()
    handlers.any = answer
    local b <close> = client()
    do
      local a <close> = client()
      a:whoami()
    end
    collectgarbage()
    collectgarbage()
    assert.equal("Bearer token-1", b:whoami().user_id)
    assert.equal(1, exchanged)
  end)

  it("that is refused is exchanged once, and the call repeated", function()
    handlers.any = accept_only "token-1"
    local c <close> = client()
    assert.equal("Bearer token-1", c:whoami().user_id)
    handlers.any = accept_only "token-2"
    assert.equal("Bearer token-2", c:whoami().user_id)
    assert.equal(2, exchanged)
    assert.same({ "Bearer token-1", "Bearer token-1", "Bearer token-2" }, calls)
  end)

  it("that is refused to many calls is exchanged once for all", function()
    handlers.any = accept_only "token-1"
    local c <close> = client()
    c:whoami()
    handlers.any = accept_only "token-2"
    local jobs = {}
    for i = 1, 50 do jobs[i] = function() return c:whoami().user_id end end
    for _, user in ipairs(boxd.gather(jobs)) do
      assert.equal("Bearer token-2", user)
    end
    assert.equal(2, exchanged)
  end)

  it("is repeated for a call that changes something, too", function()
    local created = 0
    handlers.any = accept_only "token-1"
    function handlers.CreateVm(call)
      if call:metadata "authorization" ~= "Bearer token-2" then
        return call:finish("UNAUTHENTICATED", "expired")
      end
      created = created + 1
      call:recv()
      call:send { vm_id = "vm-1", name = "web", status = "running" }
      call:finish()
    end
    local c <close> = client()
    c:whoami()
    assert.equal("vm-1", c.box:create().id)
    assert.equal(1, created)
  end)

  it("that is refused again ends the call", function()
    handlers.any = accept_only()
    local c <close> = client()
    local ok, e = pcall(c.whoami, c)
    assert.is_false(ok)
    assert.equal("AuthenticationError", e.class)
    assert.equal("UNAUTHENTICATED", e.code)
    assert.equal(2, exchanged)
    assert.equal(2, #calls)
  end)

  it("is not repeated after other errors", function()
    function handlers.any(call) call:finish("PERMISSION_DENIED", "no") end
    local c <close> = client()
    assert.is_false((pcall(c.whoami, c)))
    assert.equal(1, #calls)
  end)

  it("given as such is not exchanged or repeated", function()
    handlers.any = accept_only()
    local c <close> = client { token = "given" }
    local ok, e = pcall(c.whoami, c)
    assert.is_false(ok)
    assert.equal("UNAUTHENTICATED", e.code)
    assert.same({ "Bearer given" }, calls)
    assert.equal(0, exchanged)
  end)

  it("that can't be replaced says why", function()
    handlers.any = accept_only "token-1"
    local c <close> = client()
    c:whoami()
    handlers.any, status = accept_only(), 401
    local ok, e = pcall(c.whoami, c)
    assert.is_false(ok)
    assert.matches("refuses this API key", e.message)
  end)

  it("that is refused is replaced within the call's time", function()
    handlers.any = accept_only "token-1"
    local c <close> = client()
    c:whoami()
    handlers.any, status = accept_only(), 429
    local began = boxd.now()
    local ok, e = pcall(c.whoami, c, { timeout = 0.2 })
    assert.is_false(ok)
    assert.equal("TimeoutError", e.class)
    assert.is_true(boxd.now() - began < 20)
  end)

  it("refused to a stream before its first message is replaced", function()
    handlers.any = accept_only "token-1"
    function handlers.Exec(call)
      if call:metadata "authorization" ~= "Bearer token-2" then
        return call:finish("UNAUTHENTICATED", "expired")
      end
      local first = call:recv()
      call:send { data = first.command .. "\n" }
      call:send { exit_code = 3 }
      call:finish()
    end
    function handlers.StreamLogs(call)
      if call:metadata "authorization" ~= "Bearer token-3" then
        return call:finish("UNAUTHENTICATED", "expired")
      end
      call:recv()
      call:send { data = "line" }
      call:finish()
    end
    local c <close> = client()
    c:whoami()
    local got = {}
    local stream = c:stream("Exec", { command = "ls", vm_id = "b" })
    for message in stream do got[#got + 1] = message end
    assert.equal("ls\n", got[1].data)
    assert.equal(3, got[2].exit_code)
    assert.equal(2, exchanged)
    local line = c:stream("StreamLogs", { vm_id = "b" })()
    assert.equal("line", line.data)
    assert.equal(3, exchanged)
  end)

  it("refused to an exec is replaced, also with a reader that waits", function()
    handlers.any = accept_only "token-1"
    handlers.CreateVm = function(call)
      call:recv()
      call:send { vm_id = "vm-1", name = "web", status = "running" }
      call:finish()
    end
    function handlers.Exec(call)
      if call:metadata "authorization" ~= "Bearer token-2" then
        boxd.sleep(0.05) -- the reader waits by then
        return call:finish("UNAUTHENTICATED", "expired")
      end
      call:recv()
      call:send { data = "out\n" }
      call:send { exit_code = 7 }
      call:finish()
    end
    local c <close> = client()
    c:whoami()
    local p <close> = c.box:create():exec("ls", { stream = true })
    assert.equal("out\n", p:read_stdout())
    assert.equal(7, p:wait())
    assert.equal(2, exchanged)
  end)

  it("refused to a stream that has got a message ends it", function()
    handlers.any = accept_only "token-1"
    function handlers.StreamLogs(call)
      call:recv()
      call:send { data = "line" }
      call:finish("UNAUTHENTICATED", "expired")
    end
    local c <close> = client()
    c:whoami()
    local stream <close> = c:stream("StreamLogs", { vm_id = "b" })
    assert.equal("line", stream().data)
    local ok, e = pcall(stream)
    assert.is_false(ok)
    assert.equal("UNAUTHENTICATED", e.code)
    assert.equal(2, #calls)
    assert.equal(1, exchanged)
  end)

  it("refused to a stream that has sent more ends it", function()
    handlers.any = accept_only "token-1"
    function handlers.UploadFileStream(call)
      call:recv()
      call:recv()
      call:finish("UNAUTHENTICATED", "expired")
    end
    local c <close> = client()
    c:whoami()
    local stream <close> = require "boxd.core".stream(c, "UploadFileStream",
      { vm_id = "b", path = "/f", total_size = 2, data = "a" })
    stream:send { data = "b" }
    local ok, e = pcall(stream.recv, stream)
    assert.is_false(ok)
    assert.equal("UNAUTHENTICATED", e.code)
    assert.equal(1, exchanged)
  end)

  it("refused to a stream that can't be repeated is replaced for the next call",
    function()
      handlers.any = accept_only "token-1"
      function handlers.UploadFileStream(call)
        call:recv()
        call:recv()
        if call:metadata "authorization" ~= "Bearer token-2" then
          return call:finish("UNAUTHENTICATED", "expired")
        end
        call:send { bytes_written = 2 }
        call:finish()
      end
      local c <close> = client()
      c:whoami()
      local function upload()
        local stream <close> = require "boxd.core".stream(c, "UploadFileStream",
          { vm_id = "b", path = "/f", total_size = 2, data = "a" })
        stream:send { data = "b" }
        return stream:recv()
      end
      assert.is_false((pcall(upload)))
      assert.equal(2, upload().bytes_written)
      assert.equal(2, exchanged)
    end)

  it("is cancelled with its call while it is replaced", function()
    handlers.any = accept_only "token-1"
    local c <close> = client()
    c:whoami()
    handlers.any, status = accept_only(), 429
    local task = boxd.spawn(c.whoami, c)
    while exchanged < 2 do boxd.sleep(0.01) end
    task:cancel()
    local ok, e = pcall(task.join, task)
    assert.is_false(ok)
    assert.equal("CancelledError", e.class)
  end)

  it("that is good still is used while exchanges are limited", function()
    answers.life = 2 -- renewed in its last tenth
    handlers.any = answer
    local function used()
      status, exchanged = nil, 0
      local c <close> = client { api_key = "bxk_" .. boxd.now() }
      local token = c:whoami().user_id
      status = 429
      while exchanged < 2 do assert.equal(token, c:whoami().user_id) end
      assert.equal(token, c:whoami().user_id)
      assert.equal(2, exchanged)
    end
    -- A busy machine may let that tenth go by.
    local tries, began, ok, e = 0
    repeat
      tries, began = tries + 1, boxd.now()
      ok, e = pcall(used)
    until ok or tries == 5 or boxd.now() - began < 1.5
    assert.is_true(ok, tostring(e))
  end)

  -- Scripts in Lua with boxd.so, whose host module runs other Lua states.
  describe("of several Lua states", function()
    local folder

    setup(function()
      folder = os.tmpname()
      os.remove(folder)
      assert(os.execute("mkdir -m 700 " .. folder))
      assert(os.execute(("cc -shared -fPIC $(pkg-config --cflags %s) -o "
        .. "%s/host.so spec/support/host.c"):format(program.lua5, folder)))
    end)

    teardown(function() os.execute("rm -rf " .. folder) end)

    -- What the script prints. `whoami` is a chunk that returns the user it is;
    -- the server of this process answers while it runs.
    local function run(code)
      local path = folder .. "/script"
      local f <close> = assert(io.open(path, "w"))
      f:write(([[
        local connect = "local boxd = require 'boxd'\n"
          .. "local c <const> = boxd.Compute{ api_url = '%s',"
          .. "api_key = 'bxk_1', max_retries = 0 }\n"
        local whoami = connect .. "return c:whoami().user_id"
        local host, boxd = require "host", require "boxd"
      ]]):format("http://" .. server.address), code)
      f:flush()
      local child = process.start { "sh", "-c",
        "env $MODULE_ENV " .. program.lua5
          .. " $0 >$0.out 2>&1; mv $0.out $0.done", path,
        env = { LUA_CPATH = folder .. "/?.so;" .. BUILD .. "/?.so;;" } }
      local done
      eventually(function()
        done = io.open(path .. ".done")
        return done
      end)
      local text = done:read("a"):gsub("Bearer ", ""):gsub("\t", " ")
      done:close()
      os.remove(path .. ".done")
      child:stop()
      return text
    end

    it("is shared with a state that comes later", function()
      handlers.any = answer
      assert.equal("token-1 token-1 token-1\n", run [[
        local c = load(connect .. "return c")()
        print(c:whoami().user_id, host.run(whoami), host.run(whoami))
      ]])
      assert.equal(1, exchanged)
    end)

    it("is shared by states that exchange the key at the same time", function()
      handlers.any = answer
      function answers.before() boxd.sleep(0.3) end
      local tries, out = 0 -- One waits a second for the other, no longer.
      repeat
        tries, exchanged = tries + 1, 0
        out = run "print(host.threads(whoami, whoami))"
      until exchanged == 1 or tries == 5
      assert.equal("token-1 token-1\n", out)
    end)

    it("that one of them has replaced is taken by the others", function()
      function handlers.any(call)
        handlers.any = accept_only "token-2"
        answer(call)
      end
      assert.equal("token-1 token-2 token-2\n", run [[
        local c = load(connect .. "return c")()
        local first = c:whoami().user_id
        print(first, host.run(whoami), c:whoami().user_id)
      ]])
      assert.equal(2, exchanged)
      assert.same({ "Bearer token-1", "Bearer token-1", "Bearer token-2",
        "Bearer token-2" }, calls)
    end)

    it("is not waited for where the state that asked for it does not run",
      function()
        handlers.any = answer
        function answers.before()
          io.open(folder .. "/asked", "w"):close()
          eventually(function() return exchanged == 2 end)
        end
        assert.equal("token-2\n", run(([[
          local c = load(connect .. "return c")()
          boxd.spawn(c.whoami, c)
          while not io.open "%s/asked" do boxd.sleep(0.01) end
          print(host.run(whoami))
          os.exit(true, false)
        ]]):format(folder)))
        assert.equal(2, exchanged)
      end)
  end)
end)
