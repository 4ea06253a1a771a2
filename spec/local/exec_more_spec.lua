-- exec and sh beyond one plain call: another user, a login shell, secrets, output
-- as it comes, exit codes as errors; and p:expect.

local boxd = require "boxd"
local raised = require("spec.support.raised").with_class
local support = require "spec.support.service"

local with_root = support.with_root(it, pending)

describe("exec on the embedded service", function()
  local service = support.of_block()
  local box
  setup(function() box = service.compute.box:create() end)

  with_root("runs a command as another user, with that user's home", function()
    for _, user in ipairs { "root", "nobody" } do
      local home = box:sh("getent passwd " .. user .. " | cut -d: -f6").stdout
      local result = box:sh("id -un; echo $HOME; echo $A; cat",
        { user = user, env = { A = "a b" }, stdin = "fed" })
      assert.equal(user .. "\n" .. home .. "a b\nfed", result.stdout,
        result.stderr)
      assert.equal(0, result.exit_code)
    end
    assert.equal(3, box:sh("exit 3", { user = "nobody" }).exit_code)
    local none = box:exec("true", { user = "never-made" })
    assert.equal(125, none.exit_code)
    assert.matches("no user never%-made", none.stderr)
    for _, bad in ipairs { "", "a b", "$(id)", "-x" } do
      raised("InvalidArgumentError", box.exec, box, "true", { user = bad })
    end
  end)

  with_root("runs a login shell by bash", function()
    local result = box:sh("shopt -q login_shell && echo login $0; echo $A",
      { login = true, env = { A = "1" } })
    assert.equal("login bash\n1\n", result.stdout)
    assert.matches("login", box:exec("bash", "-c", "echo login",
      { login = true, user = "nobody" }).stdout)
  end)

  with_root("gives secrets to the environment of the command alone", function()
    local secrets = { S = "s3cr3t 'x' \"$y\" \\n %d\nline two\n", T = "é" }
    local show = "printf %s \"$S$T\"; grep -las 's3cr[3]t' /proc/[0-9]*/cmdline "
      .. "/dev/shm/.* /tmp/* ~/* 2>/dev/null; cat"
    for _, opts in ipairs { {}, { user = "nobody" }, { login = true },
      { stdin = "more" }, { timeout = 30 }, { killable = true } } do
      opts.secret_env = secrets
      assert.equal(secrets.S .. secrets.T .. (opts.stdin or ""),
        box:sh(show, opts).stdout)
    end
    for _, user in ipairs { false, "nobody" } do
      local p <close> = box:sh("printf %s \"$S\" | od -An -c; ls -A /dev/shm; "
        .. "read line; echo got $line", { stream = true, pty = true,
        user = user or nil, secret_env = { S = "a\nb'" } })
      p:write "ok\n"
      local all = {}
      for data in p:iter_stdout() do all[#all + 1] = data end
      all = table.concat(all)
      assert.matches("a%s+\\n%s+b%s+'", all)
      assert.matches("got ok", all)
      assert.is_nil(all:find("LC_BOXD", 1, true), all)
    end
    local p <close> = box:sh("read a; echo $a $S", { stream = true,
      secret_env = { S = "x" } })
    p:write "first\n"
    assert.equal("first x", p:lines()())
    local e = raised("CommandError", box.sh, box, "echo $S; exit 1",
      { secret_env = { S = "s3cr3t" }, check = true })
    assert.is_nil(tostring(e):find("s3cr3t", 1, true), tostring(e))
    for _, bad in ipairs { { ["a b"] = "" }, { A = 1 }, { A = "\0" }, { "x" } } do
      e = raised("InvalidArgumentError", box.exec, box, "true",
        { secret_env = bad })
      assert.matches("secret_env", e.message)
    end
    for _, call in ipairs { { "sh" }, { "job", "both" } } do
      e = raised("InvalidArgumentError", box[call[1]], box, call[2] or "true",
        call[2] and "true" or { env = { A = "a" }, secret_env = { A = "b" } },
        call[2] and { env = { A = "a" }, secret_env = { A = "b" } })
      assert.matches("A is in env and in secret_env", e.message)
    end
  end)

  it("raises the exit code of a checked command", function()
    local e = raised("CommandError", box.sh, box, "echo o; echo why >&2; exit 4",
      { check = true })
    assert.same({ 4, "o\n", "why\n", "echo o; echo why >&2; exit 4" },
      { e.exit_code, e.stdout, e.stderr, e.command })
    assert.matches("exit code 4: echo o; .*: why", tostring(e))
    assert.is_true(box:exec("true", { check = true }).success)
    local long = "head -c 1000000 /dev/zero | tr '\\0' s; printf '\n%s'; exit 1"
    for said, secrets in pairs { ["the end\n\n"] = {}, ["the end"] = { S = "s" } } do
      e = raised("CommandError", box.sh, box, long:format(said),
        { check = true, secret_env = secrets })
      assert.matches(": the end$", e.message)
    end
    e = raised("CommandError", box.sh, box, long:format "",
      { check = true, secret_env = { S = "s" } })
    assert.matches("%*%*%*%*$", e.message)
    raised("InvalidArgumentError", box.exec, box, "true",
      { check = true, stream = true })
  end)

  it("passes output on as it comes, to a function and to a file", function()
    local seen = {}
    local result = box:sh("echo out; echo err >&2", {
      tee = function(data, stream) seen[stream] = data end })
    assert.same({ stdout = "out\n", stderr = "err\n" }, seen)
    assert.same({ "out\n", "err\n" }, { result.stdout, result.stderr })
    local f <close> = assert(io.tmpfile())
    box:exec("echo", "teed", { tee = f })
    f:seek "set"
    assert.equal("teed\n", f:read "a")
    local ok, e = pcall(box.sh, box, "echo x; sleep 60", {
      tee = function() error("mine", 0) end })
    assert.same({ false, "mine" }, { ok, e })
    local wrong = select(2, pcall(box.exec, box, "true", { tee = 1 }))
    assert.matches("'tee' to 'exec' %(function or file expected, got number",
      wrong)
  end)

  it("keeps the end of long output, and counts the dropped bytes", function()
    local result = box:sh("seq 100000; echo end; echo e >&2",
      { max_output = 10 })
    assert.equal("00000\nend\n", result.stdout)
    assert.equal("e\n", result.stderr)
    assert.equal(588895 + 4 - 10, result.truncated)
    assert.equal(0, box:exec("echo", "x", { max_output = 2 }).truncated)
    assert.equal("", box:exec("echo", "x", { max_output = 0 }).stdout)
    local e = raised("TimeoutError", box.sh, box, "echo some; sleep 60",
      { max_output = 3, timeout = 2 })
    assert.equal("me\n", e.stdout)
    raised("InvalidArgumentError", box.exec, box, "true", { max_output = -1 })
  end)

  it("waits for a pattern of a terminal's or a stream's output", function()
    local p <close> = box:exec("bash", "-i", { interactive = true })
    p:expect "[#$] $"
    p:write "echo a$((1 + 1))b c; echo rest\n"
    assert.same({ "2", "c" }, { p:expect("a(%d)b (c)", { timeout = 20 }) })
    assert.equal("rest", p:expect "rest")
    local e = raised("TimeoutError", p.expect, p, "never", { timeout = 0.05 })
    assert.matches("without \"never\"", e.message)
    p:write "exit\n"
    e = raised("BoxdError", p.expect, p, "never")
    assert.matches("the command ended", e.message)
    local q <close> = box:sh("printf 'one two'; read x; echo three",
      { stream = true })
    assert.equal("one", q:expect "one")
    assert.equal(" two", q:read_stdout()) -- what was not matched is still there
    q:write "\n"
    assert.equal("three", q:lines()())
    assert.is_false(pcall(q.expect, q, "["))
    local ok, why = pcall(boxd.with_timeout, 5, q.expect, q, "x")
    assert.is_false(ok)
    assert.equal("BoxdError", why.class)
  end)
end)
