-- A golden image: a box is prepared once, and what starts from it has all of
-- it at once.
--   boxdlua --local scripts/examples/golden_image.lua

local c <close> = boxd.Compute {}

-- The slow part, done once: packages, data, whatever takes its time.
do
  local golden <close> = c.box:temporary { name = "golden",
    config = { vcpu = 1 } }
  golden:wait_until_ready()
  golden:sh("mkdir -p app && echo 42 > app/model && sync")
  -- It is copied from its box, which must live until then.
  c.snapshot:wait_until_ready(c.snapshot:create(golden, "golden"))
end
local _snapshot <close> = setmetatable({}, { __close = function()
  c.snapshot:delete "golden"
end })

-- A box from it has the files of then, and a life of its own.
local answers = boxd.map({ "worker-1", "worker-2", "worker-3" }, function(name)
  local box = c.box:create(name, { from_snapshot = "golden" })
  local _box <close> = setmetatable({}, { __close = function()
    box:destroy()
  end })
  box:wait_until_ready()
  local before = box:read_file "app/model"
  box:sh("echo changed >> app/model")
  return box:sh("echo $(hostname): $(tr '\\n' ' ' < app/model)").stdout
    .. "of then: " .. before
end)
io.write(table.concat(answers))
