-- Data that outlives its box: a disk is written in one, and read in another.
--   boxdlua --local scripts/examples/persistent_disk.lua

local c <close> = boxd.Compute {}

local disk = c.disk:create("notes", "1G")
local _disk <close> = setmetatable({}, { __close = function()
  disk:destroy()
end })

do
  local first <close> = c.box:temporary { name = "writer" }
  first:wait_until_ready()
  disk:attach(first, "/data")
  -- A new disk is root's, where the box has one; commands run as boxd.
  first:sh("{ [ -w /data ] || sudo chown $(id -u):$(id -g) /data; } && "
    .. "echo kept > /data/note", { check = true })
  disk:detach(first)
end

-- The first box is gone by now.
local second <close> = c.box:temporary { name = "reader" }
second:wait_until_ready()
disk:attach(second, "/mnt/notes", { read_only = true })
io.write("the note was ", second:read_file "/mnt/notes/note")

local result = second:sh("echo more >> /mnt/notes/note")
print(result.success and "it can be changed" or "it can't be changed here")
disk:detach(second)
