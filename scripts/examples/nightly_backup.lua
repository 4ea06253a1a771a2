-- Copies a folder of every box with the label backup=nightly to this machine:
-- for cron. Only what changed since the last night travels.
--   boxdlua scripts/examples/nightly_backup.lua [local folder [folder of a box]]

local target, folder = arg[1] or "backups", arg[2] or "data"
assert(os.execute(("mkdir -p '%s'"):format(target:gsub("'", [['\'']]))))

local c <close> = boxd.Compute {}
local fleet = c.box:list { labels = { backup = "nightly" } }

-- What the box runs before it is copied: a database dumps itself, say.
local BEFORE = "if [ -x ~/before-backup ]; then exec ~/before-backup; fi"

-- What gives a box back the state that the night found it in.
local ASLEEP = { stopped = "down", suspended = "suspend",
  hibernated = "hibernate" }

local function copy(box)
  local verb = ASLEEP[box.status]
  box:up()
  -- It sleeps again, also when the copy fails.
  local _asleep <close> = setmetatable({}, { __close = function()
    if verb then box[verb](box) end
  end })
  box:sh(BEFORE, { check = true })
  -- One that was cut short is completed by the next run.
  local done = box:sync_from(folder, target .. "/" .. box.name,
    { delete = true, timeout = 3600 })
  print(("%s: %d files new, %d as before"):format(box.name, done.sent,
    done.unchanged))
end

-- A box that fails stops no other one; the exit code tells cron.
local _, errors = boxd.map(fleet, copy, { limit = 4, on_error = "collect" })
local failed = 0
for i, box in ipairs(fleet) do
  if errors[i] then
    failed = failed + 1
    io.stderr:write(("%s: %s\n"):format(box.name, tostring(errors[i])))
  end
end
print(("%d of %d boxes are copied"):format(#fleet - failed, #fleet))
os.exit(failed == 0)
