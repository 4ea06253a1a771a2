-- How calls end against a server that is not ours: each gRPC status as its
-- class, retries, deadlines, large messages.

local boxd = require "boxd"
local program = require "spec.support.program"
local recorder = require "spec.support.recorder"

local VM = { vm_id = "vm-1", name = "web", status = "running" }
local MIB = 1 << 20

-- API.md's table, by number.
local STATUSES = {
  { "CANCELLED", "CancelledError" }, { "UNKNOWN", "InternalError" },
  { "INVALID_ARGUMENT", "InvalidArgumentError" },
  { "DEADLINE_EXCEEDED", "TimeoutError" }, { "NOT_FOUND", "NotFoundError" },
  { "ALREADY_EXISTS", "ConflictError" },
  { "PERMISSION_DENIED", "PermissionDeniedError" },
  { "RESOURCE_EXHAUSTED", "QuotaExceededError" },
  { "FAILED_PRECONDITION", "ConflictError" }, { "ABORTED", "ConflictError" },
  { "OUT_OF_RANGE", "BoxdError" }, { "UNIMPLEMENTED", "BoxdError" },
  { "INTERNAL", "InternalError" }, { "UNAVAILABLE", "ConnectionError" },
  { "DATA_LOSS", "BoxdError" }, { "UNAUTHENTICATED", "AuthenticationError" },
}

-- Ways of calling: the RPC, the messages before the status, the action.
local WAYS = {
  { "CreateVm", {}, function(s) s.c.box:create() end },
  { "Exec", { { "messages", 1 }, { "send", { data = "some" } },
    { "send", { exit_code = 0 } } }, function(s) s.box:exec("true") end },
  { "Exec", { { "send", { data = "some" } } }, function(s)
    local p = s.box:exec("true", { stream = true })
    for _ in p:iter_stdout() do s.arrived = true end
  end },
  { "Exec", { { "send", { data = "some", is_stderr = true } } }, function(s)
    local p = s.box:exec("true", { stream = true })
    for _ in p:chunks() do s.arrived = true end
  end },
  { "Exec", { { "send", { exit_code = 0 } } }, function(s)
    s.box:exec("true", { stream = true }):wait()
  end },
  { "StreamLogs", { { "send", { data = "some" } } }, function(s)
    for _ in s.box:stream_logs() do s.arrived = true end
  end },
  { "DownloadFileStream", { { "send", { data = "some" } } }, function(s)
    for _ in s.c:stream("DownloadFileStream", { vm_id = "vm-1", path = "f" }) do
      s.arrived = true
    end
  end },
  { "UploadFileStream", { { "half_close" }, { "send", { bytes_written = 0 } } },
    function(s) s.box:upload(s.empty, "/f") end },
}

describe("against a server that is not ours", function()
  local server, c, s, empty

  setup(function()
    server = recorder.start()
    empty = program.plain_file("")
  end)
  teardown(function()
    server:stop()
    os.remove(empty)
  end)
  before_each(function()
    c = boxd.Compute { api_url = server.url, token = "test.jwt" }
    server:script { GetVm = { { reply = VM } } }
    s = { c = c, box = c.box:get("vm-1"), empty = empty }
  end)
  after_each(function() c:close() end)

  -- What f raises: an error of ours.
  local function raised(f, ...)
    local ok, err = pcall(f, ...)
    assert.is_false(ok, "no error")
    assert.is_true(boxd.is_error(err), tostring(err))
    return err
  end

  -- The attempts that an RPC has been.
  local function attempts()
    return #server:calls()
  end

  for number, status in ipairs(STATUSES) do
    it("raises " .. status[1] .. " as its class", function()
      local text = "na\u{ef}ve % message\n" .. number
      for _, way in ipairs(WAYS) do
        -- A service without the stream is sent the file in one message.
        if status[1] == "UNIMPLEMENTED" and way[1] == "UploadFileStream" then
          goto continue
        end
        s.arrived = #way[2] == 0 or way[2][1][1] ~= "send" or
          not way[2][1][2].data
        -- A Compute remembers which streams its service lacks.
        c:close()
        c = boxd.Compute { api_url = server.url, token = "test.jwt" }
        server:script { GetVm = { { reply = VM } } }
        s.c, s.box = c, c.box:get("vm-1")
        server:script { [way[1]] = {
          { steps = way[2], status = number, message = text } } }
        local err = raised(way[3], s)
        assert.equal(status[2], err.class)
        assert.equal(number, err.grpc_code)
        assert.equal(status[1], err.code)
        assert.equal(way[1], err.method)
        assert.truthy(err.message:find(text, 1, true), err.message)
        assert.is_true(s.arrived, way[1] .. ": what had arrived is lost")
        assert.is_true(err:is(boxd[status[2]]) and err:is(boxd.BoxdError))
        assert.equal(1, attempts())
        ::continue::
      end
    end)
  end

  it("has the exit code of the last chunk that had one", function()
    server:script { Exec = { { steps = { { "send", { exit_code = 7 } },
      { "send", { data = "late" } } } } } }
    local result = s.box:exec("true")
    assert.same({ 7, "late", false },
      { result.exit_code, result.stdout, result.success })
  end)

  it("reads again what could not be reached, at most max_retries times",
    function()
      local down = { status = 14, message = "away" }
      for retries = 0, 4 do
        local some <close> = boxd.Compute { api_url = server.url,
          token = "test.jwt", max_retries = retries }
        server:script { GetVm = { down, down, down, down, down, down } }
        local err = raised(some.box.get, some.box, "vm-1")
        assert.equal("ConnectionError", err.class)
        assert.truthy(err.message:find("away", 1, true), err.message)
        assert.equal(retries + 1, attempts())
      end
      server:script { ListVms = { down, down, { reply = { vms = { VM } } } } }
      assert.equal("web", c.box:list()[1].name)
      assert.equal(3, attempts())
    end)

  it("never repeats what may have had its effect", function()
    local down = { status = 14, message = "away" }
    for _, act in ipairs {
      function() c.box:create() end, function() s.box:exec("true") end,
      function() s.box:destroy() end, function() s.box:write_file("x", "f") end,
      function() c.token:create() end,
    } do
      server:script { CreateVm = { down, {} }, Exec = { down, {} },
        DestroyVm = { down, {} }, UploadFile = { down, {} },
        CreateToken = { down, {} } }
      assert.equal("ConnectionError", raised(act).class)
      assert.equal(1, attempts())
    end
  end)

  it("heeds a server that says when to try again, or not to", function()
    local down = { status = 14, trailers = { ["grpc-retry-pushback-ms"] = "-1" } }
    server:script { GetVm = { down, {} } }
    assert.equal("ConnectionError", raised(c.box.get, c.box, "vm-1").class)
    assert.equal(1, attempts())
    down.trailers["grpc-retry-pushback-ms"] = "700"
    server:script { GetVm = { down, { reply = VM } } }
    local start = boxd.now()
    c.box:get("vm-1")
    assert.truthy(boxd.now() - start >= 0.65, "it did not wait")
    assert.equal(2, attempts())
  end)

  it("reports a create or exec whose server has gone", function()
    for method, act in pairs {
      CreateVm = function(one) one.c.box:create() end,
      Exec = function(one) one.box:exec("true") end,
    } do
      local other = recorder.start()
      local one = { c = boxd.Compute { api_url = other.url, token = "t" } }
      other:script { GetVm = { { reply = VM } },
        [method] = { { steps = { { "messages", 1 }, { "cut" } } } } }
      one.box = one.c.box:get("vm-1")
      local err = raised(act, one)
      one.c:close()
      other:stop()
      assert.equal("ConnectionError", err.class)
      assert.equal(method, err.method)
    end
  end)

  it("makes a timeout the deadline of a unary call", function()
    server:script { GetVm = { { steps = { { "sleep", 30 } } } } }
    local start = boxd.now()
    local err = raised(c.box.get, c.box, "vm-1", { timeout = 0.2 })
    assert.truthy(boxd.now() - start < 20)
    assert.same({ "TimeoutError", 4 }, { err.class, err.grpc_code })
    local deadline = server:calls()[1].deadline
    assert.truthy(deadline > 0 and deadline <= 0.25, deadline)
  end)

  it("cancels an exec at its timeout, and returns the output so far", function()
    server:script { Exec = { { steps = { { "send", { data = "out" } },
      { "send", { data = "err", is_stderr = true } }, { "messages", 9 } } } } }
    local err = raised(s.box.exec, s.box, "sleep", "9", { timeout = 2 })
    assert.same({ "TimeoutError", "out", "err" },
      { err.class, err.stdout, err.stderr })
    assert.is_true(server:calls()[1].cancelled)
  end)

  it("passes messages of 60 MiB both ways", function()
    local big = ("x"):rep(60 * MIB)
    local sum = boxd.sha256(big)
    server:script { UploadFile = { {} }, DownloadFile = {
      { steps = { { "half_close" }, { "fill", 60 * MIB } } } } }
    c:call("UploadFile", { vm_id = "vm-1", path = "/big", data = big })
    assert.equal(sum, boxd.sha256(c:call("DownloadFile",
      { vm_id = "vm-1", path = "/big" }).data))
    assert.same({ bytes = 60 * MIB, sha256 = sum },
      server:calls()[1].messages[1].data)
  end)

  it("says what to do about messages beyond 64 MiB", function()
    server:script { DownloadFile = {
      { steps = { { "half_close" }, { "fill", 65 * MIB } } } } }
    local err = raised(c.call, c, "DownloadFile", { vm_id = "vm-1" })
    assert.truthy(err.message:find("64 MiB", 1, true)
      and err.message:find("download", 1, true), tostring(err))
    server:script()
    err = raised(c.call, c, "UploadFile", { data = ("x"):rep(64 * MIB) })
    assert.equal("InvalidArgumentError", err.class)
    assert.truthy(err.message:find("64 MiB", 1, true), err.message)
    assert.equal(0, attempts())
  end)

  it("takes an argument as it is, whatever it holds", function()
    local words = { "printf", "%s\0", "", "two words", "it's", '"q"', "a\nb\n",
      "$HOME `id`", "*", "-n", "\\", "caf\u{e9}", "~", "#x", "a=b", "\xff\n" }
    words[2] = "%s|"
    server:script { Exec = { { reply = {} } } }
    s.box:exec(table.unpack(words))
    local command = server:calls()[1].messages[1].command
    local result = program.run { "sh", "-c", command }
    assert.equal(table.concat(words, "|", 3) .. "|", result.out)
  end)

  it("gives env and cwd to all of a compound", function()
    server:script { Exec = { { reply = {} } } }
    s.box:sh('pwd; echo "$A" && sh -c \'echo "$A"; pwd\'',
      { env = { A = "two  words" }, cwd = "/usr" })
    local result = program.run { "sh", "-c",
      server:calls()[1].messages[1].command }
    assert.equal("/usr\ntwo  words\ntwo  words\n/usr\n", result.out)
  end)

  it("refuses text that no message can carry, naming the field", function()
    server:script()
    for _, case in ipairs {
      { "name", function(v) c.box:create(v) end },
      { "image_ref", function(v) c.box:create { image = v } end },
      { "vm_id", function(v) c.box:get(v) end },
      { "path", function(v) s.box:read_file(v) end },
      { "cmd", function(v) c.box:create { config = { cmd = { v } } } end },
      { "value",
        function(v) c.box:create { config = { env = { A = v } } } end },
      { "mount_path", function(v)
        c.box:create { config = {
          volumes = { { disk_id = "d", mount_path = v } } } }
      end },
      { "domain", function(v) c.domain:unbind(v) end },
    } do
      for _, text in ipairs { "a\0b", "a\xff", "\xed\xa0\x80", "\xc0\x80" } do
        local err = raised(case[2], text)
        assert.equal("InvalidArgumentError", err.class)
        assert.truthy(err.message:find(case[1], 1, true), err.message)
      end
    end
    local err = raised(s.box.exec, s.box, "echo", "a\0b")
    assert.truthy(err.message:find("argument 2", 1, true), err.message)
    assert.equal(0, attempts())
  end)
end)
