-- secret_env: where its values must not be found, in the box and here, while
-- commands of all kinds have them. A watcher in the box looks all the time.

local boxd = require "boxd"
local process = require "spec.support.process"
local program = require "spec.support.program"
local service = require "spec.support.service"

-- Two lines, with what shells and printf treat by themselves.
local CANARY = "canary-5e55e11'\"%s\\n $HOME\nsecond-5e55e11\n"
local FOUND = "5e5" .. "5e11"

-- Root in the box: prints the argument lists that have it, as they come.
local WATCHER = [=[
my $canary = '5e5' . '5e11'; my %seen; $| = 1; print "ready\n";
for (;;) {
  for my $file (glob '/proc/[0-9]*/cmdline') {
    open my $f, '<', $file or next;
    local $/;
    my $line = <$f>;
    print "$file: $line\n" if defined $line && $line =~ /$canary/ && !$seen{$file}++;
  }
  select undef, undef, undef, 0.002;
}
]=]

-- Files with it, wherever a command may have written; and where ps shows it.
local LOOK = [[c='5[e]55e11'
grep -rls $c /home /tmp /var/tmp /dev/shm /run /var/log /root /etc /srv
ps axww 2>/dev/null | grep $c | grep -v grep; :]]

-- What has the secret in the end, and what lies in /dev/shm as it starts.
local COMMAND = "printf %s \"$S\" | sha256sum; ls -A /dev/shm; echo end"
local SHOWN = boxd.sha256(CANARY) .. "  -\nend\n"

local WAYS = {
  ["by itself"] = {}, ["with stdin"] = { stdin = "x\n" },
  ["as another user"] = { user = "nobody" }, ["as root"] = { user = "root" },
  ["in a login shell"] = { login = true },
  ["as another user in a login shell"] = { user = "nobody", login = true },
  ["with a timeout"] = { timeout = 30 },
  ["with cwd and env"] = { cwd = "/tmp", env = { A = "1" } },
}

-- A script that makes errors with it, and shows all that it has.
local SCRIPT = [[
local boxd = require "boxd"
local secret = io.open(arg[1]):read "a"
local c = boxd.Compute {}
local box = c.box:get "canary"
local function show(...)
  for _, v in ipairs { ... } do print(v) io.stderr:write(tostring(v), "\n") end
end
local s = { S = secret }
show(select(2, pcall(box.sh, box, "echo \"$S\" >&2; exit 3",
  { secret_env = s, check = true })))
show(select(2, pcall(box.sh, box, "true", { secret_env = { S = secret .. "\0" } })))
show(select(2, pcall(box.sh, box, "true", { secret_env = { ["a-b"] = secret } })))
show(select(2, pcall(box.sh, box, "true", { secret_env = s, tee = 1 })))
show(select(2, pcall(box.sh, box, "true", { secret_env = s, user = "none", check = true })))
show(select(2, pcall(box.sh, box, "sleep 9", { secret_env = s, timeout = 0.2 })))
show(select(2, pcall(box.job, box, "e", "true", { secret_env = s, cwd = "/none" })))
show(select(2, pcall(box.job, box, "e", "true", { secret_env = { S = secret .. "\0" } })))
local job = box:job("e", "sleep 100", { secret_env = s })
show(job, select(2, pcall(box.job, box, "e", "true", { secret_env = s })))
job:kill()
job:remove()
local p <close> = box:sh("sleep 100", { secret_env = s, stream = true, pty = true })
show(p, box)
error(select(2, pcall(box.sh, box, "exit 4", { secret_env = s, check = true })))]]

service.of_both("a secret", function(_, local_service)
  local box, watcher

  setup(function()
    box = local_service.compute.box:create "canary"
    watcher = box:sh("exec sudo -n perl -", { stdin = WATCHER, stream = true })
    assert.equal("ready\n", watcher:read_stdout())
  end)

  local function clean(text) assert.falsy(text:find(FOUND, 1, true), text) end

  -- Nothing of the box has it, and nothing had, as far as the watcher saw.
  local function nowhere()
    clean(box:exec("sudo", "-n", "sh", "-c", LOOK).stdout)
    local ok, hits = pcall(boxd.with_timeout, 0.05, watcher.read_stdout, watcher)
    assert.is_false(ok, hits)
    assert.equal("TimeoutError", hits.class)
  end

  for name, options in pairs(WAYS) do
    it("is nowhere but in the environment of a command " .. name, function()
      local o = { secret_env = { S = CANARY } }
      for k, v in pairs(options) do o[k] = v end
      local result = box:sh(COMMAND, o)
      assert.equal("", result.stderr)
      assert.equal(SHOWN, result.stdout)
      if not o.stdin then
        o.pty = true
        assert.equal(SHOWN:gsub("\n", "\r\n"), box:sh(COMMAND, o).stdout)
      end
      nowhere()
    end)
  end

  it("reaches a terminal's program that is fed by hand, without an echo", function()
    local p <close> = box:exec("sh", { interactive = true,
      secret_env = { S = CANARY } })
    p:write(COMMAND .. "; exit\n")
    local text = {}
    for data in p:iter_stdout() do text[#text + 1] = data end
    text = table.concat(text)
    assert.truthy(text:find(boxd.sha256(CANARY), 1, true), text)
    clean(text)
    nowhere()
  end)

  for _, user in ipairs { false, "nobody", "root" } do
    it("is nowhere but in the environment of a job" .. (user and " of " .. user
      or ""), function()
      local job = box:job("secret", COMMAND .. "; sleep 0.3",
        { secret_env = { S = CANARY }, user = user or nil })
      nowhere()
      assert.equal(0, job:wait())
      assert.equal(SHOWN, (job:output()))
      nowhere()
      job:remove()
    end)
  end

  it("is in no error, log, trace or line of the service", function()
    local script, secret = program.file(SCRIPT), program.file(CANARY)
    local trace = os.tmpname()
    local result = program.lua { "--trace", trace, script, secret,
      env = { BOXD_API_URL = local_service.api_url, BOXD_LOG = "debug",
        BOXD_API_KEY = local_service.api_key, GRPC_TRACE = "all",
        BOXD_EXCHANGE_URL = local_service.exchange_url } }
    assert.equal(1, result.status, result.err)
    assert.matches("CommandError: exit code 3", result.out)
    assert.matches("ConflictError: job e runs another command", result.out)
    assert.matches("exit code 4", result.err)
    clean(result.out)
    clean(result.err)
    for _, path in ipairs { trace, local_service.folder .. "/errors" } do
      local f <close> = assert(io.open(path))
      clean(f:read "a")
    end
    for _, path in ipairs { script, secret, trace } do os.remove(path) end
    local found = io.popen(("grep -rsl --exclude-dir=proc %s %s"):format(FOUND,
      local_service.state))
    clean(found:read "a")
    assert.is_nil(found:close())
    nowhere()
  end)

  it("is in a file of its owner's that goes by itself where the script is killed",
    function()
      local function left()
        return box:sh("cd /dev/shm; for f in .LC_*; do [ ! -e $f ] || stat -c %a $f; done")
          .stdout
      end
      for i = 1, 20 do
        local script = process.start { program.boxdlua, "-e", ("local b = boxd.Compute"
          .. "{}.box:get 'canary' print 'go' io.stdout:flush() b:sh('sleep 100', "
          .. "{ pty = true, secret_env = { S = %q } })"):format(CANARY), env = {
          BOXD_API_URL = local_service.api_url, BOXD_API_KEY = local_service.api_key,
          BOXD_EXCHANGE_URL = local_service.exchange_url } }
        script:line()
        boxd.sleep(0.005 * i)
        script:stop "KILL"
        if left() ~= "" then break end
      end
      assert.matches("^[600\n]*$", left())
      -- A minute later, which ends here as soon as it begins.
      service.eventually(function()
        box:sh("for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null | "
          .. "grep -qx 'sleep 60 ' && kill ${p#/proc/}; done")
        return left() == ""
      end, 20)
    end)
end)
