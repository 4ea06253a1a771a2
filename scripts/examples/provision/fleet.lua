-- The same over five boxes, of which one fails: boxdlua fleet.lua. The others get
-- done, and the journal lets a later run go on with the one that failed.

local c <close> = boxd.Compute {}
local boxes = boxd.map({ "fleet-1", "fleet-2", "fleet-3", "fleet-4", "fleet-5" },
  function(name)
    local found, box = pcall(c.box.get, c.box, name)
    if not found then box = c.box:create(name) end
    return box:wait_until_ready()
  end)

local ok, e = pcall(boxd.provision, boxes, function(on, box)
  on.file("/etc/motd", { content = "This is " .. box.name .. ".\n" })
  on.command("test ! -e /srv/broken") -- what fails where something is amiss
  on.file("/srv/ready", { content = "yes\n" })
end, { limit = 5, fail_percent = 20, journal = arg[1] or "fleet.journal" })

local reports = ok and e or boxd.is_error(e, boxd.ProvisionError) and e.report
  or error(e, 0)
for _, box in ipairs(boxes) do
  local r = reports[box.name]
  print(("%s: %d changed, %d failed, %d skipped"):format(box.name, r.changed, r.failed,
    r.skipped))
end
if not ok then print(e.message) end
return reports
