-- A box to develop in: each file that is saved here is there a moment later, a
-- port of the box is one of this machine, and the terminal has a shell in it.
--   boxdlua scripts/examples/dev_box.lua [folder [port]]

local folder, port = arg[1] or ".", math.tointeger(arg[2] or 3000)
local exclude = { ".git/", "node_modules/" }

local c <close> = boxd.Compute {}
local box = c.box:ensure("dev", { labels = { kind = "dev" } })

-- All files once, so that the shell begins with them; then each change. In a
-- task, which runs while the shell waits for the terminal; what ends it is said
-- there.
box:sync_to(folder, "work", { exclude = exclude })
local watch = boxd.spawn(function()
  local _, e = pcall(box.sync_to, box, folder, "work",
    { watch = true, delete = true, exclude = exclude })
  if boxd.is_error(e, boxd.CancelledError) then return end
  io.stderr:write("\r\nsaved files no longer reach the box: ", tostring(e), "\r\n")
end)
local _watch <close> = setmetatable({}, { __close = function()
  watch:cancel()
end })

-- 127.0.0.1 in the box, too: a server for development mostly listens there.
local forward <close> = box:forward(port)
print(("http://127.0.0.1:%d is port %d of the box"):format(forward.port, port))

local shell <close> = box:exec("bash", { interactive = true, cwd = "work",
  env = { TERM = os.getenv "TERM" or "xterm" } })
local code = boxd.attach(shell)

-- Asleep it costs little, and keeps its processes: the next run wakes it.
box:suspend()
print("the box sleeps; the shell ended with exit code " .. code)
