-- box:exec and box:sh: requests, results, refused arguments.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"

local failure, refused = scripted.failure, scripted.refused

-- Answers an Exec with chunks { out=, err=, code= } once stdin has ended.
local function answers(...)
  local chunks = { ... }
  return function(request, call)
    local stdin = {}
    if not request.tty then
      for message in function() return call:recv() end do
        stdin[#stdin + 1] = message.data
      end
    end
    request.fed = table.concat(stdin)
    for _, chunk in ipairs(chunks) do
      call:send { data = chunk.out or chunk.err, is_stderr = chunk.err ~= nil,
        exit_code = chunk.code }
    end
    call:finish()
  end
end

describe("box:exec", function()
  it("collects bytes apart, with the exit code", function()
    local s <close> = scripted.start { Exec = answers({ out = "a\0" },
      { err = "\xff" }, { out = "b" }, { code = 3 }) }
    local result = s:box():exec("x")
    assert.equal("a\0b", result.stdout)
    assert.equal("\xff", result.stderr)
    assert.equal(3, result.exit_code)
    assert.is_false(result.success)
    assert.equal("ExecResult(exit_code=3, stdout=3 bytes, stderr=1 bytes)",
      tostring(result))
    s.handlers.Exec = answers {}
    result = s:box():exec("true")
    assert.same({ "", "", 0, true }, { result.stdout, result.stderr,
      result.exit_code, result.success })
  end)

  it("quotes each argument, whatever it holds", function()
    local s <close> = scripted.start { Exec = answers {} }
    local box = s:box()
    local args = { "printf", "%s\\n", "hello world", "", "it's", "$HOME", "*",
      "a\nb", "-n", "ü", "\"", "`id`", "\\", "#", "~", "a=b" }
    box:exec(table.unpack(args))
    local pipe = assert(io.popen("set -f; set -- "
      .. s:request("Exec").command .. "; printf '%s\\n' \"$#\" \"$@\""))
    local text = pipe:read "a"
    pipe:close()
    assert.equal(#args .. "\n" .. table.concat(args, "\n") .. "\n", text)
    box:exec("sleep", 1, 0.5)
    assert.equal("sleep 1 0.5", s:request("Exec").command)
  end)

  it("is at the end of stdin from the start, unless stdin is given", function()
    local s <close> = scripted.start { Exec = answers {} }
    local box = s:box()
    box:exec("cat")
    assert.equal("", s:request("Exec").fed)
    local data = ("x\0\xff"):rep(1 << 20)
    box:exec("cat", { stdin = data })
    assert.is_true(s:request("Exec").fed == data)
    box:exec("cat", { stdin = "" })
    assert.equal("", s:request("Exec").fed)
  end)

  it("puts env and cwd before all of a compound command", function()
    local s <close> = scripted.start { Exec = answers {} }
    local box = s:box()
    local function run(command)
      local pipe = assert(io.popen("exec 2>&1; " .. command))
      local text = pipe:read "a"
      return text, select(3, pipe:close())
    end
    box:sh("pwd; echo $A && echo \"$B\"",
      { cwd = "/usr", env = { A = "1", B = "two  words '$A'" } })
    assert.equal("/usr\n1\ntwo  words '$A'\n", run(s:request("Exec").command))
    box:exec("sh", "-c", "echo $A$PWD", { env = { A = "x" }, cwd = "/" })
    assert.equal("x/\n", run(s:request("Exec").command))
    box:sh("echo not reached", { cwd = "/no/such/folder" })
    local text, code = run(s:request("Exec").command)
    assert.equal(125, code)
    assert.matches("/no/such/folder", text)
    assert.falsy(text:find("not reached", 1, true))
    box:sh("echo  $((1+1)) | cat")
    assert.equal("echo  $((1+1)) | cat", s:request("Exec").command)
  end)

  it("asks for a terminal with pty, of a size", function()
    local s <close> = scripted.start { Exec = answers { code = 0 } }
    local box = s:box()
    box:exec("top", { pty = true, cols = 100, rows = 40 })
    local request = s:request "Exec"
    assert.same({ true, 100, 40 }, { request.tty, request.cols, request.rows })
    box:exec("top", { pty = true })
    request = s:request "Exec"
    assert.same({ true, 0, 0 }, { request.tty, request.cols, request.rows })
    box:exec("top")
    assert.is_false(s:request("Exec").tty)
  end)

  it("gives a process with stream, and interactive implies it", function()
    local s <close> = scripted.start { Exec = answers { out = "x", code = 7 } }
    local box = s:box()
    local p <close> = box:exec("bash", { interactive = true })
    assert.equal("x", p:read_stdout())
    assert.equal(7, p:wait())
    assert.is_true(s:request("Exec").tty)
    assert.equal("boxd.ExecProcess (ended)", tostring(p))
    local q <close> = box:exec("cat", { stream = true, close_stdin = true })
    assert.equal(7, q:wait())
    assert.equal("", s:request("Exec").fed)
    local r <close> = box:sh("cat", { stream = true, stdin = "given" })
    assert.equal(7, r:wait())
    assert.equal("given", s:request("Exec").fed)
    assert.matches("stdin",
      failure(function() r:write "more" end).message)
  end)

  it("raises TimeoutError with the output so far", function()
    local s <close> = scripted.start { Exec = function(_, call)
      call:send { data = "some" }
      call:send { data = "noise", is_stderr = true }
      boxd.sleep(120)
    end }
    local box = s:box()
    local timeout, started, e = 0.15
    repeat -- Its output may take longer to come than the command has.
      timeout, started = timeout * 2, boxd.now()
      e = failure(box.exec, box, "sleep", "9", { timeout = timeout })
    until e.stderr ~= "" or timeout > 30
    assert.is_true(boxd.now() - started < timeout + 20)
    assert.same({ "TimeoutError", "DEADLINE_EXCEEDED", 4, "Exec", "some",
      "noise" }, { e.class, e.code, e.grpc_code, e.method, e.stdout,
      e.stderr })
    assert.equal(("not done within its timeout of %.14g s"):format(timeout), e.message)
  end)

  it("never invents a success", function()
    local s <close> = scripted.start { Exec = function(_, call)
      call:send { data = "half" }
      call:finish("UNAVAILABLE", "the host is gone")
    end }
    local box = s:box()
    local e = failure(box.exec, box, "make")
    assert.equal("ConnectionError", e.class)
    assert.equal("half", e.stdout)
    local p <close> = box:exec("make", { stream = true })
    assert.equal("half", p:read_stdout())
    assert.equal("ConnectionError", failure(p.wait, p).class)
  end)

  it("refuses an invalid command", function()
    local s <close> = scripted.start {}
    local box = s:box()
    for _, f in ipairs {
      function() box:exec() end,
      function() box:exec({}) end,
      function() box:exec { timeout = 5 } end,
      function() box:sh("") end,
      function() box:exec("a\0b") end,
      function() box:sh("a\0b") end,
      function() box:sh("\xff") end,
    } do
      local e = failure(f)
      assert.equal("InvalidArgumentError", e.class)
      assert.is_nil(e.grpc_code)
    end
    assert.matches("#2 to 'exec' %(string expected, got boolean",
      refused(box.exec, box, "ls", true))
    assert.matches("#2 to 'exec' %(string expected, got nil",
      refused(box.exec, box, "rm", nil, "-r"))
    assert.matches("#1 to 'sh' %(string expected, got nil", refused(box.sh, box))
    assert.matches("#1 to 'sh' %(string expected, got table",
      refused(box.sh, box, { "ls" }))
    assert.equal(1, s:count())
  end)

  it("checks its options", function()
    local s <close> = scripted.start {}
    local box = s:box()
    local function bad(opts, pattern)
      for _, method in ipairs { "exec", "sh" } do
        local e = failure(box[method], box, "ls", opts)
        assert.equal("InvalidArgumentError", e.class)
        assert.matches(pattern, e.message)
      end
    end
    bad({ pty = true, close_stdin = true }, "close_stdin")
    bad({ interactive = true, close_stdin = true }, "close_stdin")
    bad({ stdin = "x", close_stdin = true }, "close_stdin")
    bad({ env = { ["A-B"] = "x" } }, "A%-B")
    bad({ env = { [""] = "x" } }, "env")
    bad({ env = { A = true } }, "A = a boolean")
    bad({ env = { "A=1" } }, "env")
    bad({ env = { A = "a\0" } }, "A")
    bad({ cwd = "" }, "cwd")
    bad({ cols = 80.5, pty = true }, "cols")
    bad({ cols = -1, pty = true }, "cols")
    bad({ rows = 1 << 33, pty = true }, "rows")
    bad({ strem = true }, "did you mean 'stream'")
    bad({ evn = {} }, "did you mean 'env'")
    for name, value in pairs { stdin = 1, cwd = 1, env = "A=1", stream = 1,
      pty = "yes", interactive = 1, close_stdin = 1, cols = "80",
      rows = "24" } do
      for _, method in ipairs { "exec", "sh" } do
        assert.matches("bad option '" .. name .. "' to '" .. method .. "'",
          refused(box[method], box, "ls", { [name] = value }))
      end
    end
    assert.equal(1, s:count())
  end)
end)
