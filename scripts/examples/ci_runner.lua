-- A CI runner: a build in a box that begins where the last green one ended.
-- Ends with the build's exit code.
--   boxdlua scripts/examples/ci_runner.lua [folder [command]]

local folder = arg[1] or "."
local command = arg[2] or "make test"
local GOLDEN = "ci-golden" -- the snapshot that builds begin with

local c <close> = boxd.Compute {}

-- Boxes of runs that were killed count against the quota, and are billed.
for _, name in ipairs(c.box:sweep { prefix = "ci-", older_than = 2 * 3600 }) do
  print("swept: " .. name)
end

-- The first run of all has no snapshot, and takes a plain box.
local function golden()
  local ok, e = pcall(c.snapshot.wait_until_ready, c.snapshot, GOLDEN)
  if ok then return GOLDEN end
  if boxd.is_error(e, boxd.NotFoundError) then return nil end
  error(e, 0)
end

local box <close> = c.box:temporary {
  name = ("ci-%x-%x"):format(os.time(), math.random(0xffff)),
  from_snapshot = golden(),
}
box:wait_until_ready()

-- Only what differs from the last green build travels. Without `delete`, what
-- that build made is kept: objects, caches.
local sync = box:sync_to(folder, "work", { exclude = { ".git/" } })
print(("%d files sent, %d are there"):format(sync.sent, sync.unchanged))

-- A job runs on while the connection breaks; keep_awake: a silent build is no
-- idle box.
local job = box:job("build", command, { cwd = "work", env = { CI = "true" },
  keep_awake = true })
for line in job:lines() do print("build | " .. line) end
local code = job:wait()

if code ~= 0 then
  local tail = job:output { stderr = true, from = -2000 }
  io.stderr:write(("the build ended with exit code %d; its errors end so:\n%s")
    :format(code, tail))
  os.exit(code) -- destroys the box, too
end

-- Green: the next build begins here. A snapshot has the jobs of its box, and a
-- job that has ended is not run again, so this one goes first.
job:remove()
box:exec("sync")
c.snapshot:wait_until_ready(c.snapshot:create(box, GOLDEN))
print("promoted to " .. GOLDEN)
