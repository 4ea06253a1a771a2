-- Commands that are left early, where their call doesn't end them and the service or
-- the box is slow: nothing of them stays in the box.

local boxd = require "boxd"
local perl = require "boxd.internal.perl"
local support = require "spec.support.service"

local with_root = support.with_root(it, pending)

describe("where commands outlive their call, nothing stays in a box", function()
  local service, compute = support.of_block { "--exec-survives" }
  local box, folder

  setup(function()
    box = compute.box:create()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute(("mkdir %s; echo text > %s/f"):format(folder, folder)))
  end)
  teardown(function() os.execute("rm -rf " .. folder) end)

  -- The processes of the command line, one a line.
  local function running(line)
    return box:exec("pgrep", "-ax", "-f", line).stdout
  end

  local function ends(line)
    local ok = pcall(support.eventually, function() return running(line) == "" end, 20)
    assert(ok, ok or running(line))
  end

  local function start(line)
    return box:sh(line, { stream = true, killable = true })
  end

  it("where the service is slow to begin what ends a command", function()
    local p = start "sleep 1001"
    support.eventually(function() return running "sleep 1001" ~= "" end)
    os.execute(("kill -STOP %d; { sleep 2; kill -CONT %d; } &"):format(service.pid,
      service.pid))
    p:close()
    ends "sleep 1001"
  end)

  -- Of the next shells that begin in the box one is slow to.
  local function slow_shell()
    box:sh([[printf '#!/bin/bash\nrm /dev/shm/slow 2>/dev/null && sleep 2
exec /bin/dash "$@"\n' >slow; chmod 755 slow; sudo ln -sf $PWD/slow /bin/sh]],
      { check = true })
    return setmetatable({}, { __close = function() box:sh "sudo ln -sf dash /bin/sh" end })
  end

  with_root("where the box is slow to begin the command", function()
    local _shell <close> = slow_shell()
    for i, name in ipairs { "close", "kill" } do
      local line = "sleep 100" .. i + 1
      box:write_file("", "/dev/shm/slow")
      local p <close> = start(line)
      support.eventually(function() return not box:exists "/dev/shm/slow" end)
      p[name](p)
      box:sh "tail --pid=$(pgrep -xf 'sleep 2') -f /dev/null" -- it begins now
      ends(line)
    end
  end)

  it("where the input of a program of ours does not come", function()
    local before = perl.limits.input
    perl.limits.input = 5
    local p <close> = box:sh(perl.command(), { stream = true })
    perl.limits.input = before
    support.eventually(function() return running "perl -" ~= "" end)
    p:write "print 1;\n"
    p:close()
    ends "perl -"
  end)

  -- A program of the box that stops for good where it begins.
  local function stuck(name)
    box:sh(([[printf '#!/bin/bash\ntouch /dev/shm/begun; exec -a "stuck $0" sleep 1000\n' >%s
      chmod 755 %s; sudo mv %s /usr/local/bin]]):format(name, name, name), { check = true })
    return setmetatable({}, { __close = function()
      box:sh("sudo rm -f /dev/shm/begun /usr/local/bin/" .. name .. "; pkill stuck")
    end })
  end

  local WAYS = {
    { "sync_to, as it lists", "find", function() box:sync_to(folder, "there") end },
    { "sync_to, as it compares", "sha256sum", function()
      box:sync_to(folder, "there", { checksum = true })
    end },
    { "sync_to, as it removes", "perl", function()
      box:sync_to(folder, "there", { delete = true, exclude = { "f" } })
    end },
    { "sync_to, as it writes", "tar", function() box:sync_to(folder, "new") end },
    { "sync_from, as it reads", "perl", function()
      box:sync_from("there", folder .. "/back")
    end },
    { "an upload that is verified", "sha256sum", function()
      box:upload(folder .. "/f", "f", { verify = true })
    end },
    { "a secret on its way", "cat", function()
      box:exec("true", { pty = true, secret_env = { S = "x" } })
    end },
    { "a forward", "perl", function()
      local f <close> = box:forward(7001)
      os.execute(("bash -c 'exec 3<>/dev/tcp/127.0.0.1/%d; sleep 3' >/dev/null 2>&1 &")
        :format(f.port))
      boxd.sleep(60)
    end },
    { "boxd.provision", "perl", function()
      boxd.provision(box, function(on) on.command "true" end)
    end },
  }

  for _, way in ipairs(WAYS) do
    local name, program, run = table.unpack(way)
    with_root("by " .. name, function()
      box:sh("mkdir -p there; echo text >there/f; touch there/more; touch -d @1 "
        .. "there/f; touch -d @1 " .. folder .. "/f")
      local _stuck <close> = stuck(program)
      local task = boxd.spawn(run)
      support.eventually(function()
        return box:exists "/dev/shm/begun" or task.status ~= "running" and task:join()
      end, 20)
      task:cancel()
      pcall(task.join, task)
      ends("stuck .*" .. program .. " 1000")
    end)
  end
end)
