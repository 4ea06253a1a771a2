-- A preview of each pull request, at an address of its own: run at each push,
-- and once more when the pull request is closed.
--   boxdlua scripts/examples/preview.lua 41 [folder]
--   boxdlua scripts/examples/preview.lua 41 closed

local number = tonumber(arg[1])
if not number then
  io.stderr:write("usage: preview.lua NUMBER [folder|closed]\n")
  os.exit(2)
end
local name = ("pr-%d"):format(number)
local folder = arg[2] or "."

local c <close> = boxd.Compute {}

if folder == "closed" then
  c.box:destroy(name, { missing_ok = true })
  print(name .. " is closed")
  return
end

-- Made at the first push, found at the others, woken if it sleeps.
local box, created = c.box:ensure(name, { labels = { kind = "preview" } })
print(name .. (created and " is new" or " is updated"))
-- A pull request that is forgotten takes its box with it.
box:set_delete_after(14 * 86400)

box:sync_to(folder, "site", { delete = true, exclude = { ".git/" } })

-- A job outlives this script. `restart`: the files are new, so is the server.
-- It listens on 0.0.0.0, as proxies don't reach the box's loopback.
box:job("server", "exec python3 -u -m http.server 8080 --bind 0.0.0.0",
  { cwd = "site", restart = true })
box:wait_for_port(8080)
print(box:publish(8080))
