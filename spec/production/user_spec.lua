-- The lines of "Exec" and "Files" in the known facts of boxd.sh as it runs that
-- are about a box's user, which a client or the embedded service can show.

local support = require "spec.support.service"

describe("in a box, as on boxd.sh:", function()
  local service, compute, call = support.of_block()
  local box, rooted

  setup(function()
    box = compute.box:create "us-er"
    rooted = box:sh("sudo -n true").success
  end)

  local function sh(command)
    local r = box:sh(command)
    return r.stdout .. r.stderr
  end

  -- Of boxes whose machine gives them ids for root and groups.
  local function by_root(title, f)
    it(title, function()
      if not rooted then return pending "this user has no ids for root" end
      f()
    end)
  end

  it("the user is boxd, uid 1000, at home in /home/boxd", function()
    assert.equal("boxd\n1000 1000\n/home/boxd\n/home/boxd\n",
      sh "whoami; echo $(id -u) $(id -g); echo $HOME; pwd")
    assert.equal("boxd:x:1000:1000:/home/boxd:/bin/bash\n",
      sh "getent passwd boxd | cut -d: -f1-4,6-")
    assert.equal("/home/boxd /home/boxd boxd boxd\n",
      sh "echo ~ ~boxd $USER $LOGNAME")
    assert.equal("boxd boxd 750\n", sh "stat -c '%U %G %a' /home/boxd")
  end)

  by_root("sudo asks for no password, and boxd is in the group docker",
    function()
      assert.equal("0\nroot\n/tmp\nroot\n", sh [[sudo id -u; sudo whoami
        cd /tmp; sudo pwd; sudo -i whoami]])
      assert.equal("boxd sudo docker\n", sh "id -nG")
      assert.equal("boxd\n", sh "sudo -u boxd whoami")
    end)

  by_root("what is root's can be changed by sudo only", function()
    assert.equal("1\n", sh "touch /etc/made 2>/dev/null; echo $?")
    assert.equal("root\n", sh "sudo touch /etc/made && stat -c %U /etc/made")
  end)

  it("its name is the host's, wherever a program looks", function()
    assert.equal("us-er\nus-er\nus-er\n", sh "hostname; uname -n; cat /etc/hostname")
    assert.matches("us%-er", sh "getent hosts us-er")
  end)

  it("a login shell has a profile", function()
    box:write_file("export FROM_PROFILE=1\n", ".profile.d")
    sh "cat .profile.d >> .profile"
    assert.equal("1 /home/boxd boxd\n",
      sh [[bash -lc 'echo $FROM_PROFILE $HOME $USER']])
    assert.matches("/usr/bin", sh [[bash -lc 'echo $PATH']])
    assert.equal("\n", sh "echo $FROM_PROFILE")
  end)

  it("an upload and its new parents are boxd's", function()
    call("UploadFile", { vm_id = box.id, path = "new/er/f", data = "x" })
    assert.equal("boxd boxd\nboxd boxd\nboxd boxd\n",
      sh "stat -c '%U %G' new new/er new/er/f")
    assert.is_false((pcall(call, "UploadFile",
      { vm_id = box.id, path = "/proc/version", data = "x" })))
  end)

  by_root("an upload for others goes by /tmp and sudo install", function()
    call("UploadFile", { vm_id = box.id, path = "/tmp/conf", data = "x" })
    local refused = pcall(call, "UploadFile",
      { vm_id = box.id, path = "/etc/conf", data = "x" })
    assert.is_false(refused)
    assert.equal("root 600\n", sh ("sudo install -m 600 -o root /tmp/conf "
      .. "/etc/conf && stat -c '%U %a' /etc/conf"))
  end)

  it("a snapshot, a fork and a reboot keep the user", function()
    box:sh "echo mine > kept; sync"
    support.save(call, { vm = box.id, name = "user" })
    local restored = compute.box:create("restored", { from_snapshot = "user" })
    local fork = compute.box:fork(box)
    box:reboot()
    for _, b in ipairs { box, restored, fork } do
      assert.equal("boxd mine boxd\n",
        b:sh("echo $(whoami) $(cat kept) $(stat -c %U kept)").stdout)
    end
    service:empty()
  end)
end)
