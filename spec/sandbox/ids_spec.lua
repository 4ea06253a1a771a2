-- Boxes of an ordinary user to whom the machine gives a range of ids: root is in
-- them, by sudo.
-- Runs first: it runs all of escape_spec again.

local ordinary = require "spec.support.ordinary"
local serve = require "boxd.serve"

describe("boxes of a user with a range of ids", function()
  -- /etc/subuid and /etc/subgid are ours in a mount namespace.
  it("let nothing out, also by sudo", function()
    if serve.sys.getuid() ~= 0 then
      return pending "root alone can give ids to a user"
    end
    if not os.execute "command -v newuidmap >/dev/null" then
      return pending "newuidmap (package uidmap) is missing"
    end
    local user, home = ordinary.new(), ordinary.folder()
    local _gone <close> = setmetatable({}, { __close = function()
      user:remove()
      os.execute("rm -rf " .. home)
    end })
    local ids = home .. "/ids"
    local f <close> = assert(io.open(ids, "w"))
    f:write(user.USER, ":1000000:65536\n")
    f:flush()
    assert(os.execute("chmod 644 " .. ids))
    local r = user:specs(home, { "unshare", "-m", "sh", "-ec",
      'for f in uid gid; do mount --bind "$0" /etc/sub$f; done; exec "$@"', ids },
      "spec/sandbox/escape_spec.lua")
    assert.truthy(r.out:find(" 0 failures / 0 errors", 1, true), r.out .. r.err)
    -- This user has no control group to give to systemd.
    for title in r.out:gmatch "Pending %-> [^\n]*\n([^\n]*)" do
      assert.matches("^a box with systemd", title)
    end
    assert.equal(0, r.status)
    assert.is_true(tonumber(r.out:match "(%d+) successes") > 150)
  end)
end)
