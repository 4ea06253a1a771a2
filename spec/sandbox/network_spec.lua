-- The reach of boxes, tried on a pretended machine with addresses, servers and an
-- internet of its own (spec/support/network_world.sh), by programs that attack
-- (spec/support/network_attack.py): as root and as an ordinary user.

local program = require "spec.support.program"
local sandbox = require "spec.support.sandbox"
local serve = require "boxd.serve"

local USER, GROUP = "nobody", "nogroup"
local ROOT = serve.sys.getuid() == 0

-- With a copy of the tree that the user can read, wherever ours is.
local function make_folder(owner)
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute(("mkdir -m 755 %s && cd %s && mkdir -m 700 home"):format(
    folder, folder)))
  assert(os.execute(("cp -r spec %s && cp %s %s/boxdlua"):format(folder,
    program.boxdlua, folder)))
  if owner then assert(os.execute(("chown -R %s %s"):format(owner, folder))) end
  return folder
end

-- Begins all tries. Returns a function that waits for their results, by "WHERE:
-- HOW ADDRESS".
local function attack(user)
  local folder = make_folder(user and user .. ":" .. GROUP)
  local outside = sandbox.words "readlink /proc/self/ns/net /proc/self/ns/mnt"
  local args = { "sh", "-c", 'cd "$0" && exec "$@"', folder, "timeout", "-k", "5",
    "100", "unshare", "-n", "-m",
    "--propagation", "private", env = { HOME = folder .. "/home",
      TMPDIR = folder, XDG_CACHE_HOME = folder .. "/home" } }
  if not ROOT then args[#args + 1] = "-Ur" end
  table.move({ "sh", "spec/support/network_world.sh",
    table.concat(outside, " "), folder, user or "-", "./boxdlua", "--local",
    "spec/support/network_attack.lua", folder }, 1, 9, #args + 1, args)
  local finish = program.begin(args)
  return function()
    local r, results = finish(), {}
    local sweeper <close> = serve.spawner(folder .. "/sweeper")
    if sweeper:ready() then sweeper:remove(folder .. "/home") end
    sweeper:stop()
    os.execute("rm -rf " .. folder)
    for what, how in r.out:gmatch "([^\n]+) (%w+)\n" do results[what] = how end
    results.errors, results.status = r.err, r.status
    return results
  end
end

local WAYS = { "udp", "udp by the device", "tcp", "tcp by the device", "raw udp",
  "raw tcp" }

-- A box of a user without ids for root has no raw sockets.
local function without(results, way)
  return results["box: root"] == "false" and way:find "^raw"
end

-- None of the addresses was reached, whatever the way.
local function refused(results, where, addresses)
  for _, address in ipairs(addresses) do
    for _, way in ipairs(WAYS) do
      local what = ("%s: %s %s"):format(where, way, address)
      local expected = not without(results, way) and "refused" or nil
      assert.equal(expected, results[what], what .. "\n" .. results.errors)
    end
  end
end

local probe, unable = sandbox.new { outgoing = true }
if probe then
  probe:close()
else
  describe("the network of boxes", function()
    pending("cannot be tried here: " .. unable)
  end)
  return
end

describe("the network of", function()
  local begun = {}

  setup(function() -- they run beside one another
    begun.user = attack(ROOT and USER or nil)
    begun.root = ROOT and attack()
  end)

  for name, kind in pairs { ["root's"] = "root",
    ["an ordinary user's"] = "user" } do
    describe(name .. " boxes", function()
      local results

      setup(function() results = begun[kind] and begun[kind]() end)

      -- One spec of it, which is pending where it cannot be.
      local function try(title, check)
        it(title, function()
          if not results then return pending "needs root" end
          if results.errors:find "may not open /dev/net/tun" or
            results.errors:find "/dev/net/tun is missing" then
            return pending(results.errors)
          end
          check()
        end)
      end

      try("reaches the internet, by names too", function()
        for _, how in ipairs { "resolver", "udp 203.0.113.9", "tcp 203.0.113.9",
          "tcp by the device 203.0.113.9", "raw udp 203.0.113.9",
          "raw tcp 203.0.113.9" } do
          local expected = not without(results, how) and "reached" or nil
          assert.equal(expected, results["box: " .. how], results.errors)
        end
      end)

      try("does not reach the machine's loopback", function()
        refused(results, "box", { "127.0.0.1", "127.9.9.9", "0.0.0.0", "::1",
          "::ffff:127.0.0.1" })
      end)

      try("does not reach the machine's other addresses", function()
        refused(results, "box", { "198.51.100.2", "172.17.0.1", "2001:db8:1::2",
          "::ffff:198.51.100.2", "::ffff:172.17.0.1" })
      end)

      try("does not reach an address that the machine gets later", function()
        refused(results, "box later", { "198.51.100.77" })
        assert.equal("reached", results["box later: tcp 203.0.113.9"])
      end)

      try("does not reach the local network by broadcast or multicast", function()
        refused(results, "box", { "198.51.100.255", "255.255.255.255",
          "224.0.0.1" })
      end)

      try("does not reach the cloud's data on the machine", function()
        refused(results, "box", { "169.254.169.254" })
      end)

      try("does not reach its own parts, but for the resolver", function()
        refused(results, "box", { "GATEWAY", "NETWORK.255.1", "NETWORK.255.2",
          "NETWORK.255.3", "NETWORK.255.100" })
      end)

      try("does not reach another box", function()
        refused(results, "box", { "OTHER", "OTHERS GATEWAY", "::ffff:OTHER" })
        assert.equal("0", results["box: hits on the other box"])
      end)

      try("sends nothing under an address that is not the box's", function()
        for _, source in ipairs { "127.0.0.1", "198.51.100.2", "OTHER", "GATEWAY",
          "NETWORK.255.100" } do
          for _, way in ipairs { "raw udp", "raw tcp" } do
            local what = ("box: %s 203.0.113.9 as %s"):format(way, source)
            local expected = not without(results, way) and "refused" or nil
            assert.equal(expected, results[what], what)
          end
        end
        assert.equal("0", results["box: forged packets that left"])
      end)

      try("brings nothing from a stranger to a port that a box uses", function()
        assert.equal("reached", results["box: udp the friend"])
        assert.equal("refused", results["box: udp of the stranger"])
      end)

      try("sends nothing to the machine, be it never answered", function()
        assert.equal("0", results["box: hits on the machine"])
      end)

      try("has connections for others when one takes all that it may", function()
        assert.equal("reached", results["box beside:"], results.errors)
      end)

      try("comes again when its process ends", function()
        assert.equal("reached", results["box again:"], results.errors)
        assert.truthy(results.errors:find("the network of boxes ended, and is "
          .. "started again: slirp4netns was ended by signal 9", 1, true))
        assert.equal(0, results.status)
      end)

      -- The tries find their way where there is no box around them.
      try("refuses tries that reach their targets outside of boxes", function()
        for _, what in ipairs { "tcp 127.0.0.1", "udp 127.0.0.1", "tcp 0.0.0.0",
          "tcp ::1", "tcp ::ffff:127.0.0.1", "udp 198.51.100.2",
          "tcp 172.17.0.1", "tcp 2001:db8:1::2", "tcp 169.254.169.254",
          "udp of the stranger" } do
          assert.equal("reached", results["machine: " .. what], what)
        end
      end)
    end)
  end
end)
