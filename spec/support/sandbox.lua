-- Boxes straight from the spawner, for specs of boxes themselves: a state folder
-- of their own, and short ways to run a command and to find leftovers.

local boxd = require "boxd"
local busted = require "busted"
local calls = require "spec.support.calls"
local serve = require "boxd.serve"

local sandbox = {}
sandbox.__index = sandbox

sandbox.eventually = calls.eventually

--- The words that a command prints outside of boxes.
function sandbox.words(command)
  local pipe <close> = assert(io.popen(command))
  local list = {}
  for word in pipe:read("a"):gmatch "%S+" do list[#list + 1] = word end
  return list
end

--- A spawner that can make boxes here, with serve.spawner's options; else nil and
--- why not.
function sandbox.new(options)
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir -m 700 " .. folder))
  local self = setmetatable({ folder = folder, state = folder .. "/state" },
    sandbox)
  self.spawner = serve.spawner(self.state, options)
  local limits, why = self.spawner:ready()
  if limits then return self end
  self:close()
  return nil, why
end

--- The boxes of a spec file, closed at its end; nil where none can be made here,
--- which a spec that is pending then says.
function sandbox.of_file(options)
  local boxes, why = sandbox.new(options)
  if boxes then
    busted.teardown(function() boxes:close() end)
    return boxes
  end
  busted.describe("a box", function()
    busted.pending("cannot be made here: " .. why)
  end)
end

-- Box folders have owners that only a spawner may remove.
function sandbox:close()
  self.spawner:stop()
  local sweeper <close> = serve.spawner(self.folder .. "/sweeper")
  if sweeper:ready() then assert(sweeper:remove(self.state)) end
  sweeper:stop()
  os.execute("rm -rf '" .. self.folder .. "'")
end

function sandbox:dir(name) return self.state .. "/" .. name end

--- Starts the box `name`; options as spawner:start has them. Returns its
--- handle and the pid of its first process.
function sandbox:start(name, options)
  local spec = { dir = self:dir(name), hostname = name }
  for k, v in pairs(options or {}) do spec[k] = v end
  return assert(self.spawner:start(spec))
end

function sandbox:kill(box) assert(self.spawner:kill(box)) end

--- Everything up to the end of a descriptor. The end of a terminal is an error.
function sandbox.read(fd)
  local parts = {}
  for part in function() return (fd:read()) end do parts[#parts + 1] = part end
  return table.concat(parts)
end

--- Runs a command: { out=, err=, code= }. `options` as spawner:exec has them,
--- and `input`.
function sandbox:run(box, command, options)
  local spec = { command = command }
  for k, v in pairs(options or {}) do spec[k] = v end
  local c = assert(self.spawner:exec(box, spec))
  local errors = c.stderr and boxd.spawn(sandbox.read, c.stderr)
  local writer = boxd.spawn(function()
    if spec.input then c.stdin:write(spec.input) end
    if not spec.pty then c:end_input() end
  end)
  local result = { out = sandbox.read(c.stdout), code = c:wait() }
  result.err = errors and errors:join()
  writer:join()
  for _, name in ipairs { "stdin", "stdout", "stderr" } do
    if c[name] then c[name]:close() end -- the collector may take its time
  end
  return result
end

--- Its output, without the last newline; it must succeed.
function sandbox:output(box, command)
  local r = self:run(box, command)
  if r.code ~= 0 then
    error(("%s\nended with %d: %s%s"):format(command, r.code, r.out, r.err), 2)
  end
  return (r.out:gsub("\n$", ""))
end

function sandbox:has_root(box) return self:run(box, "sudo -n true").code == 0 end

--- The prefix of a command for root; boxd owns all where the box has none.
function sandbox:sudo(box) return self:has_root(box) and "sudo " or "" end

--- Is process `pid` of this machine there? A zombie is not.
function sandbox.alive(pid)
  local f = io.open("/proc/" .. pid .. "/stat")
  if not f then return false end
  local stat = f:read "a"
  f:close()
  local state = stat and stat:match "%) (%a)"
  return state ~= nil and state ~= "Z" and state ~= "X"
end

--- Every process below `pid`, a list.
function sandbox.below(pid)
  local list, todo = {}, { tostring(pid) }
  while #todo > 0 do
    local at = table.remove(todo)
    for _, child in ipairs(sandbox.words(
      ("cat /proc/%s/task/*/children 2>/dev/null"):format(at))) do
      list[#list + 1], todo[#todo + 1] = child, child
    end
  end
  return list
end

local function name_of(pid)
  local f <close> = io.open("/proc/" .. pid .. "/comm")
  return f and f:read() or ""
end

--- The process that passes on packets of boxes, below `pid`, or nil.
function sandbox.network(pid)
  for _, child in ipairs(sandbox.below(pid)) do
    if name_of(child) == "slirp4netns" then return child end
  end
end

--- A list of processes without those of boxes' network.
function sandbox.without_network(pids)
  local list = {}
  for _, pid in ipairs(pids) do
    if name_of(pid) ~= "slirp4netns" then list[#list + 1] = pid end
  end
  return list
end

--- The names of the devices in the router of the spawner `pid`.
function sandbox.router_devices(pid)
  local enter = serve.sys.getuid() == 0 and "nsenter"
    or "nsenter -U --preserve-credentials -t " .. pid
  return sandbox.words(([[for n in /proc/%d/fd/*; do case $(readlink $n) in
    net:*) exec %s --net=$n ip -o link;; esac; done 2>/dev/null |
    sed 's/^[0-9]*: \([^:@]*\).*//']]):format(pid, enter))
end

--- Fails until none of the processes is there.
function sandbox.all_gone(pids)
  calls.eventually(function()
    for _, pid in ipairs(pids) do
      if sandbox.alive(pid) then return false end
    end
    return true
  end, 10)
end

return sandbox
