-- Ways out of a box (spec/support/escape.py), which must all fail.

local boxd = require "boxd"
local program = require "spec.support.program"
local sandbox = require "spec.support.sandbox"
local serve = require "boxd.serve"

local TRIES = "spec/support/escape.py"
local PYTHON = "/usr/bin/python3" -- one that boxes see too

local function file(path)
  local f <close> = assert(io.open(path))
  return f:read "a"
end

local function quote(text) return "'" .. text:gsub("'", [['\'']]) .. "'" end

-- Two folders that change places all the time.
local swap_py = [[
import ctypes
libc = ctypes.CDLL(None)
while True:
    libc.renameat2(-100, b"/mnt/a", -100, b"/mnt/b", 2)
]]

-- Targets outside, with their places: a file, a listener, a process.
local outside_py = [[
import os, socket, sys, json
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(64)
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\0boxd-escape-%d" % os.getpid())
abstract.listen(64)
names = ("user", "mnt", "pid", "net", "ipc", "uts")
print(json.dumps({"pid": os.getpid(), "port": listener.getsockname()[1],
    "abstract": "boxd-escape-%d" % os.getpid(),
    "namespaces": {n: os.readlink("/proc/self/ns/" + n) for n in names}}),
    flush=True)
sys.stdin.read()
]]

local tries = sandbox.words(PYTHON .. " " .. TRIES)

-- Who tries in a box, and the words before the command.
local inits = {
  { title = "a box", by = { { "boxd", "" }, { "root, by sudo,", "sudo " } } },
  { title = "a box with systemd", systemd = true,
    by = { { "root, by sudo,", "sudo " },
      { "a service of systemd", "sudo systemd-run --quiet --pipe " } } },
}

for _, init in ipairs(inits) do
describe(init.title, function()
  local process = require "spec.support.process"
  local boxes, why, box, outside, facts, text

  setup(function()
    boxes, why = sandbox.new { outgoing = true, systemd = init.systemd }
    if not boxes then return end
    outside = process.start { PYTHON, "-c", "import signal\n"
      .. outside_py:gsub("sys.stdin.read%(%)", "signal.pause()") }
    facts = boxd.json.decode(outside:line())
    facts.systemd = init.systemd or false
    facts.secret, facts.state = "secret-" .. facts.abstract, boxes.state
    facts.secret_files = { boxes.folder .. "/secret", boxes.state .. "/secret" }
    for _, path in ipairs(facts.secret_files) do
      local f <close> = assert(io.open(path, "w"))
      f:write(facts.secret)
    end
    text = file(TRIES)
    box = boxes:start("escape", { outgoing = true })
    if init.systemd then
      sandbox.eventually(function()
        return boxes:run(box, "systemctl is-system-running").out == "running\n"
      end, 20)
    end
  end)

  teardown(function()
    if outside then outside:stop() end
    if boxes then boxes:close() end
  end)

  -- What came of each try, by its name; or what is wrong with all of them.
  local function results(r)
    local found = setmetatable({}, { __index = function() return r.out .. r.err end })
    for line in r.out:gmatch "[^\n]+" do
      local ok, pair = pcall(boxd.json.decode, line)
      if ok then found[pair[1]] = pair[2] end
    end
    return found
  end

  -- All of them by one user, each in a process of its own.
  local function try_all(as)
    return results(boxes:run(box, ("exec %s%s - %s %s"):format(as, PYTHON,
      quote(boxd.json.encode(facts)), table.concat(tries, " ")), { input = text }))
  end

  local tried = {}
  local function try(name, as)
    tried[as] = tried[as] or try_all(as)
    return tried[as][name]
  end

  local rooted
  local function has_root()
    if rooted == nil then
      rooted = boxes:run(box, "sudo -n true").code == 0
    end
    return rooted
  end

  -- As root, where the box has one; boxd owns all files where it has none.
  local function as_root(command)
    return has_root() and "sudo sh -c " .. quote(command) or command
  end

  it("has more than 30 ways out to be tried", function()
    assert.is_true(#tries >= 30)
  end)

  for _, name in ipairs(tries) do
    for _, by in ipairs(init.by) do
      local who, words = table.unpack(by)
      it(("does not let %s out by %s"):format(who, name), function()
        if not boxes then return pending("no boxes here: " .. why) end
        if words ~= "" and not has_root() then
          return pending "this user has no ids for root"
        end
        assert.equal("refused\n", try(name, words))
      end)
    end
  end

  -- The same tries find their way where there is no box around them.
  local free
  local ways_out = init.systemd and {} or { "path_of_a_file_outside",
    "path_with_dots", "writing_to_a_file_outside", "state_folder_of_the_service",
    "signal_to_a_process_outside", "processes_of_the_machine",
    "namespaces_are_own", "no_filter_of_calls", "mounts_that_give_rights",
    "loopback_of_the_machine", "abstract_sockets", "clone3" }
  for _, name in ipairs(ways_out) do
    it("would let out by " .. name .. " if it were none", function()
      if not boxes then return pending("no boxes here: " .. why) end
      free = free or results(program.run { PYTHON, TRIES,
        boxd.json.encode(facts), table.unpack(ways_out) })
      assert.matches("^escaped", free[name])
    end)
  end

  it("keeps its files from the machine", function()
    if not boxes then return pending("no boxes here: " .. why) end
    local name = facts.abstract
    for _, folder in ipairs { "/usr", "/etc", "/var/tmp", "/tmp", "/opt" } do
      local path = folder .. "/" .. name
      boxes:output(box, as_root("echo in > " .. path))
      assert.is_nil(io.open(path))
    end
    boxes:output(box, as_root "rm /etc/hostname; echo changed > /etc/profile")
    assert.falsy(file("/etc/profile"):find "^changed")
  end)

  it("reads no file of the machine through a link of its own", function()
    if not boxes then return pending("no boxes here: " .. why) end
    for i, path in ipairs(facts.secret_files) do
      for j, way in ipairs { path, "/proc/1/root" .. path,
        ("../"):rep(40) .. path } do
        local link = ("/home/boxd/l%d%d"):format(i, j)
        boxes:output(box, ("ln -s %s %s"):format(way, link))
        local there = boxes.spawner:file(box, "read", link)
        assert.not_equal(facts.secret, there and sandbox.read(there))
        -- A write through it makes a file in the box, or none.
        local fd, temporary, final = boxes.spawner:file(box, "begin", link)
        if fd then
          fd:write("from the box")
          fd:close()
          boxes.spawner:file(box, "commit", temporary, final)
        end
        assert.equal(facts.secret, file(path))
      end
    end
  end)

  it("mounts no disk over what keeps it in", function()
    if not boxes then return pending("no boxes here: " .. why) end
    for _, target in ipairs { "/", "/proc", "/proc/sys", "/sys", "/dev",
      "/tmp/../proc" } do
      local ok = boxes.spawner:attach(box, boxes.folder, target, false)
      assert.is_nil(ok, target)
    end
  end)

  it("has no mount taken away but a disk's, whatever it does to its path",
    function()
      if not boxes then return pending("no boxes here: " .. why) end
      local disk = boxes.state .. "/disk"
      assert(serve.sys.mkdir(disk, 448))
      boxes:output(box, as_root "mkdir -p /mnt/a/d /mnt/b; ln -s /proc/sys /mnt/b/d")
      local mounts = "cut -d' ' -f5 /proc/self/mountinfo"
      local before = boxes:output(box, mounts)
      local swapping = assert(boxes.spawner:exec(box, {
        command = as_root("exec " .. PYTHON .. " -c " .. quote(swap_py)) }))
      for _ = 1, 50 do
        if boxes.spawner:attach(box, disk, "/mnt/a/d", false) then
          boxd.with_timeout(20, function()
            repeat until boxes.spawner:detach(box, "/mnt/a/d")
          end)
        end
      end
      swapping:signal(9)
      swapping:wait()
      assert.equal(before, boxes:output(box, mounts))
      assert(boxes.spawner:remove(disk))
    end)

  it("is still there, after all of this", function()
    if not boxes then return pending("no boxes here: " .. why) end
    assert.equal("escape", boxes:output(box, "hostname"))
  end)
end)
end
