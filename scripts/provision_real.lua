-- The examples of provision for real, each twice, in boxes that have systemd and
-- reach Debian's or Ubuntu's packages: `make provision-real`, on the service that
-- the environment names, or with REAL="--local --init systemd". The second run
-- must change nothing. The boxes go in the end.

local EXAMPLES = { { "web", "real-web" }, { "postgres", "real-db" },
  { "app", "real-app" } }

local c <close> = boxd.Compute {}
local failed = false

local function run(name, box)
  arg = { [0] = name, box } -- luacheck: ignore 121
  return dofile("scripts/examples/provision/" .. name .. ".lua")
end

for _, example in ipairs(EXAMPLES) do
  local name, box = table.unpack(example)
  local ok, e = pcall(function()
    print(name)
    run(name, box)
    local again = run(name, box)
    if again.changed > 0 then error("the second run changed something", 0) end
  end)
  if not ok then
    failed = true
    print(name .. " failed: " .. tostring(e))
  end
  local there, made = pcall(c.box.get, c.box, box)
  if there then made:destroy() end
end
os.exit(failed and 1 or 0)
