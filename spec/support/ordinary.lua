-- An ordinary user for specs of boxes: folders of its own, a copy of the tree
-- that it can read, wherever ours is, and spec files run as it.

local program = require "spec.support.program"
local serve = require "boxd.serve"

local ordinary = { USER = "nobody", GROUP = "nogroup" }
ordinary.__index = ordinary

--- A folder that the user owns; in: below which one, a path.
function ordinary.folder(within)
  local folder = os.tmpname()
  os.remove(folder)
  if within then folder = within .. "/" .. folder:match "[^/]+$" end
  assert(os.execute("mkdir -m 700 " .. folder))
  if serve.sys.getuid() == 0 then
    assert(os.execute(("chown %s:%s %s"):format(ordinary.USER, ordinary.GROUP,
      folder)))
  end
  return folder
end

--- Words that run a command as it.
function ordinary.words()
  return { "setpriv", "--reuid", ordinary.USER, "--regid", ordinary.GROUP,
    "--clear-groups" }
end

--- `cache`, which its boxes fill with 20,000 files, in memory where that is, as a
--- disk takes many seconds; and `tree`; to be removed.
function ordinary.new()
  local memory = os.execute "test -w /dev/shm" and "/dev/shm" or nil
  local self = setmetatable({ cache = ordinary.folder(memory),
    tree = ordinary.folder() }, ordinary)
  assert(os.execute(("chmod 755 %s && cp -r spec .busted %s && cp %s %s/boxdlua")
    :format(self.tree, self.tree, program.boxdlua, self.tree)))
  return self
end

function ordinary:remove()
  os.execute(("rm -rf %s %s"):format(self.cache, self.tree))
end

--- Runs spec files as it, with that home: as program.run. `before` is the words
--- of a command that root runs the rest by.
function ordinary:specs(home, before, ...)
  local busted = io.popen("command -v busted"):read()
  local args = { env = { HOME = home, TMPDIR = home,
    XDG_CACHE_HOME = self.cache, BOXD_ROUNDS = "10",
    BOXDLUA = self.tree .. "/boxdlua" } }
  table.move(before, 1, #before, 1, args)
  local command = { "sh", "-c", 'cd "$0" && exec "$@"', self.tree,
    self.tree .. "/boxdlua", busted, "--ignore-lua", "-o", "plainTerminal", ... }
  for _, list in ipairs { ordinary.words(), command } do
    table.move(list, 1, #list, #args + 1, args)
  end
  return program.run(args)
end

return ordinary
