-- Tries to reach, from boxes, the pretended machine of network_world.sh, for
-- network_spec.lua: `boxdlua --local spec/support/network_attack.lua FOLDER`
-- prints a line a try, "WHERE: HOW ADDRESS reached|refused".

local boxd = require "boxd"
local sandbox = require "spec.support.sandbox"

local PYTHON = "/usr/bin/python3"
local folder = arg[1]

local function file(path)
  local f <close> = assert(io.open(path))
  return f:read "a"
end

local attack = file "spec/support/network_attack.py"
local servers = file "spec/support/network_servers.py"

-- Five thousand connections, most of them to nowhere.
local flood = [[
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(20000, 25000):
    try:
        s.sendto(b"x", ("203.0.113.9", port))
    except OSError:
        pass
]]

local c <close> = boxd.Compute {}
local box <close> = c.box:temporary { name = "attacker" }
local other <close> = c.box:temporary { name = "other" }

local function address(b)
  return b:sh("ip -4 -o addr show eth0").stdout:match "inet ([%d.]+)"
end

local function next_to(text, by)
  local head, last = text:match "^(.*%.)(%d+)$"
  return head .. math.tointeger(last) + by
end

-- The network is up when the resolver answers.
sandbox.eventually(function()
  return box:sh(PYTHON .. " -c 'import socket; "
    .. "print(socket.gethostbyname(\"somewhere.example\"))'").stdout
    == "203.0.113.9\n"
end, 10)
print "box: resolver reached"

local mine, theirs = address(box), address(other)
local network = mine:match "^%d+%.%d+%."
other:sh(("cat >s.py; %s s.py log internet >/dev/null 2>&1 &")
  :format(PYTHON), { stdin = servers })
sandbox.eventually(function()
  return other:sh("cat /proc/net/tcp").stdout:find ":4A2F 0"
end)

local targets = { "203.0.113.9", "127.0.0.1", "127.9.9.9", "0.0.0.0", "::1",
  "::ffff:127.0.0.1", "198.51.100.2", "172.17.0.1", "2001:db8:1::2",
  "2001:db8:9::9", "::ffff:198.51.100.2", "::ffff:172.17.0.1",
  "198.51.100.255", "255.255.255.255", "224.0.0.1", "169.254.169.254",
  network .. "255.1", network .. "255.2", network .. "255.3",
  network .. "255.100", next_to(mine, -1), theirs, next_to(theirs, -1),
  "::ffff:" .. theirs }
local spoofed = { { "127.0.0.1", "203.0.113.9" },
  { "198.51.100.2", "203.0.113.9" }, { theirs, "203.0.113.9" },
  { next_to(mine, -1), "203.0.113.9" }, { network .. "255.100", "203.0.113.9" },
  { next_to(theirs, -1), theirs }, { "203.0.113.9", theirs } }

local function try(where, run, facts)
  local out = run(facts)
  for line in out:gmatch "[^\n]+" do
    local seen = line:gsub(theirs:gsub("%.", "%%."), "OTHER")
      :gsub(mine:gsub("%.", "%%."), "OWN")
      :gsub(next_to(mine, -1):gsub("%.", "%%."), "GATEWAY")
      :gsub(next_to(theirs, -1):gsub("%.", "%%."), "OTHERS GATEWAY")
      :gsub((network:gsub("%.", "%%.")), "NETWORK.")
    print(where .. ": " .. seen)
  end
end

-- Packets that arrived, answered or not.
local function count(log, pattern)
  local n = 0
  for line in log:gmatch "[^\n]+" do
    if line:find(pattern) then n = n + 1 end
  end
  return n
end

-- Root has raw sockets; where a box has none, nothing there has.
local has_root = box:exec("sudo", "-n", "true").success
print("box: root " .. tostring(has_root))

local function in_box(facts)
  facts.raw = facts.raw and has_root
  local line = { PYTHON, "-c", attack, boxd.json.encode(facts) }
  if has_root then table.insert(line, 1, "sudo") end
  return box:exec(table.unpack(line)).stdout
end

local function outside(facts)
  local path = folder .. "/facts"
  local f <close> = assert(io.open(path, "w"))
  f:write(boxd.json.encode(facts))
  f:close()
  local pipe <close> = assert(io.popen(("exec %s spec/support/network_attack.py "
    .. "\"$(cat %s)\""):format(PYTHON, path)))
  return pipe:read "a"
end

try("box", in_box, { device = "eth0", targets = targets, spoofed = spoofed,
  raw = true, stranger = true })
local log = file(folder .. "/log")
print("box: hits on the machine " .. count(log, "^machine [ut]"))
print("box: forged packets that left " .. count(log, "raw") - (has_root and 1 or 0))
print("box: hits on the other box "
  .. count(other:sh("cat log").stdout, "^internet [ut]"))

try("machine", outside, { device = "eth0", targets = { "203.0.113.9",
  "127.0.0.1", "0.0.0.0", "::1", "::ffff:127.0.0.1", "198.51.100.2",
  "172.17.0.1", "2001:db8:1::2", "2001:db8:9::9", "169.254.169.254" },
  raw = false, stranger = true })

-- An address that comes later.
assert(io.open(folder .. "/add", "w")):close()
sandbox.eventually(function() return io.open(folder .. "/added") end)
boxd.sleep(0.05)
try("box later", in_box, { device = "eth0", targets = { "198.51.100.77",
  "203.0.113.9" }, spoofed = {}, raw = true, stranger = false })

-- More connections than a box may have: the others keep theirs.
local function reaches(b)
  return b:sh(PYTHON .. " -c 'import socket; "
    .. "socket.create_connection((\"203.0.113.9\", 18991), 1)'").exit_code == 0
end

sandbox.eventually(function()
  other:exec(PYTHON, "-c", flood)
  return not reaches(other)
end, 10)
print("box beside: " .. (reaches(box) and "reached" or "refused"))

-- The process outside ends.
local pids = sandbox.words "cat /proc/$PPID/task/*/children"
for _, child in ipairs(pids) do
  for _, pid in ipairs(sandbox.below(child)) do
    local f <close> = io.open("/proc/" .. pid .. "/comm")
    if f and f:read() == "slirp4netns" then os.execute("kill -9 " .. pid) end
  end
end
sandbox.eventually(function()
  return reaches(box)
end, 10)
print "box again: reached"
