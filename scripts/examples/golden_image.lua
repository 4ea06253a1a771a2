-- A golden image: a box is prepared once, and what starts from it has all of
-- it at once.
--   boxdlua --local scripts/examples/golden_image.lua

local c <close> = boxd.Compute {}

-- A template keeps an image and a size, for boxes that are alike.
local template = c.template:create { name = "worker", image = "ubuntu:24.04",
  config = { vcpu = 1, memory = "512M" } }
local _template <close> = setmetatable({}, { __close = function()
  c.template:delete(template)
end })

-- The slow part, done once: packages, data, whatever takes its time.
local golden = c.template:create_vm(template, { name = "golden" })
local _golden <close> = setmetatable({}, { __close = function()
  golden:destroy()
end })
golden:wait_until_ready()
golden:sh("mkdir -p /opt/app && echo 42 > /opt/app/model")

-- A fork has the files of its source, and a life of its own.
local answers = boxd.map({ "worker-1", "worker-2", "worker-3" }, function(name)
  local box = c.box:fork(golden, { name = name })
  local _box <close> = setmetatable({}, { __close = function()
    box:destroy()
  end })
  box:wait_until_ready()
  box:sh("echo changed >> /opt/app/model")
  return box:sh("echo $(hostname): $(tr '\\n' ' ' < /opt/app/model)").stdout
end)
io.write(table.concat(answers))
io.write("golden is as it was: ", golden:read_file "/opt/app/model")
