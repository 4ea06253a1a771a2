-- src/sudo: the sudo of boxes, which is as the sudo that scripts know.

local sandbox = require "spec.support.sandbox"

local boxes = sandbox.of_file()
if not boxes then return end

local box = boxes:start "sudo"
local has_root = boxes:has_root(box)

describe("sudo of a box", function()
  teardown(function() boxes:kill(box) end)
  if not has_root then
    pending "this user has no ids for root"
    return
  end

  local function run(command) return boxes:run(box, command) end
  local function output(command) return boxes:output(box, command) end

  local function fails(command, pattern)
    local r = run(command)
    assert.equal(1, r.code)
    assert.matches(pattern, r.err)
  end

  it("runs a command as the user and the group that are asked for", function()
    assert.equal("0 root 0", output "echo $(sudo id -u) $(sudo id -un) $(sudo id -g)")
    assert.equal("games games", output "echo $(sudo -u games sh -c 'id -un; id -gn')")
    assert.equal("games", output "sudo --user=games id -un")
    assert.equal("games", output "sudo --user games -- id -un")
    assert.equal("4242", output "sudo -u '#4242' id -u")
    assert.equal("boxd games", output "echo $(sudo -g games sh -c 'id -un; id -gn')")
    assert.equal("games boxd", output "echo $(sudo -ugames -g boxd sh -c 'id -un; id -gn')")
  end)

  it("takes rights away where the command is of another user", function()
    assert.equal("no", output "sudo -u games sh -c 'test -r /etc/shadow || echo no'")
    assert.equal("1000 1000 1000",
      output "sudo -u boxd sh -c 'grep ^Uid: /proc/self/status' | awk '{print $2, $3, $4}'")
  end)

  it("refuses users that are not in its group", function()
    fails("sudo -u games sudo -n true", "games is not in the sudoers file")
    output "sudo usermod -aG sudo games"
    assert.equal("root", output "sudo -u games sudo -n id -un")
    output "sudo gpasswd -d games sudo >/dev/null"
  end)

  it("names a user, a group, an option and a command that there is not", function()
    fails("sudo -u nobody-here true", "unknown user nobody%-here")
    fails("sudo -g nobody-here true", "unknown group nobody%-here")
    fails("sudo -Z true", "invalid option %-%- 'Z'.*usage: sudo")
    fails("sudo --zap true", "unrecognized option '%-%-zap'")
    fails("sudo -u", "option %-u needs a value")
    fails("sudo not-a-command", "sudo: not%-a%-command: command not found")
    fails("sudo /etc/passwd", "unable to execute /etc/passwd: Permission denied")
    fails("sudo -D /not/there true", "cannot enter /not/there")
    fails("sudo", "usage: sudo")
  end)

  it("keeps harmless variables, and those that are asked for", function()
    local show = "sh -c 'echo $LANG,$LC_ALL,$MINE,$OTHER,$HOME,$USER,$PATH'"
    local own = "env LANG=l LC_ALL=c MINE=m OTHER=o PATH=/bin:/usr/bin "
    local path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert.equal("l,c,,,/root,root," .. path, output(own .. "sudo " .. show))
    assert.equal("l,c,m,o,/home/boxd,root," .. path, output(own .. "sudo -E " .. show))
    assert.equal("l,c,m,o,/root,root," .. path, output(own .. "sudo -EH " .. show))
    assert.equal("l,c,m,,/root,root," .. path,
      output(own .. "sudo --preserve-env=X,MINE " .. show))
    assert.equal("l,c,,2,/root,root,/mine",
      output(own .. "sudo A=1 OTHER=2 PATH=/mine /bin/" .. show))
  end)

  it("names its caller and its command in the environment", function()
    assert.equal("boxd 1000 1000",
      output "sudo sh -c 'echo $SUDO_USER $SUDO_UID $SUDO_GID'")
    assert.equal("printenv SUDO_COMMAND", output "sudo printenv SUDO_COMMAND")
    assert.equal("/bin/bash", output "echo 'echo $SUDO_COMMAND' | sudo -i")
  end)

  it("runs a shell, with the command as its text", function()
    assert.equal("root /root", output "sudo -i sh -c 'whoami; pwd' | xargs")
    assert.equal("-bash", output "sudo -i echo '$0'")
    assert.equal("a  b;c", output "sudo -s echo 'a  b;c'")
    assert.equal("root", output "echo whoami | sudo -s")
    assert.equal("/usr", output "sudo -D /usr pwd")
  end)

  it("ends as its command does", function()
    assert.equal(7, run("sudo sh -c 'exit 7'").code)
    assert.equal(128 + 15, run("sudo sh -c 'kill $$'").code)
    assert.equal(128 + 9, run("sudo sh -c 'kill -9 $$'").code)
  end)

  it("passes signals on, and ends with the command", function()
    local r = run [[
      sudo sh -c 'trap "echo got; exit 5" TERM; echo ready > /tmp/sudo-ready
        while :; do sleep 0.05; done' & pid=$!
      until [ -s /tmp/sudo-ready ]; do sleep 0.05; done
      sudo kill -TERM $pid
      wait $pid; echo $?]]
    assert.equal("got\n5\n", r.out)
  end)

  it("stops with its command, and goes on with it", function()
    local r = run [[
      sudo sh -c 'kill -STOP $$; exit 4' & pid=$!
      until grep -q 'T (stopped)' /proc/$pid/status; do sleep 0.05; done
      sudo kill -CONT $pid
      wait $pid; echo $?]]
    assert.equal("4\n", r.out)
  end)

  it("ends also where its caller ignores SIGCHLD", function()
    assert.equal(3, run([[exec timeout -k 1 20 python3 -c '
import os, signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execvp("sudo", ["sudo", "sh", "-c", "exit 3"])']]).code)
  end)

  it("leaves a command of -b behind", function()
    output "rm -f /tmp/b; sudo -b sh -c 'sleep 0.2; echo done > /tmp/b'"
    sandbox.eventually(function()
      return run("cat /tmp/b").out == "done\n"
    end)
  end)

  it("answers questions about itself", function()
    assert.equal("(ALL : ALL) NOPASSWD: ALL", output "sudo -n -l")
    assert.matches("^Sudo", (output "sudo -V"))
    assert.matches("^usage: sudo", (output "sudo --help"))
    assert.matches("^usage: sudo", (output "sudo -h"))
    assert.equal("", output "sudo -v && sudo -k && sudo -K")
  end)
end)
