-- A shell in a box, on this terminal; the box is gone when the shell is.
--   boxdlua --local scripts/examples/shell.lua [name]

local c <close> = boxd.Compute {}
local box <close> = c.box:temporary { name = arg and arg[1] or "shell" }
box:wait_until_ready()
print("exit or Ctrl-D ends it, and the box " .. box.name .. " with it")

local shell <close> = box:exec("bash", "-i", { interactive = true,
  env = { TERM = os.getenv "TERM" or "xterm" } })
local code = boxd.attach(shell)
print("the shell ended with exit code " .. code)
