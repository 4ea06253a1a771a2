-- Methods that are made of several calls, which depend on the results: by
-- "Class.name", the spec that checks their requests.

local composed = {
  ["Boxes.create"] = "spec/api/create_wait_spec.lua",
  ["Snapshots.create"] = "spec/api/create_wait_spec.lua",
  ["Boxes.ensure"] = "spec/api/ensure_spec.lua",
  ["Box.up"] = "spec/api/lifecycle_spec.lua",
  ["Box.down"] = "spec/api/lifecycle_spec.lua",
  ["Box.reboot"] = "spec/api/lifecycle_spec.lua",
  ["Box.publish"] = "spec/support/surface_everyday.lua",
  ["Box.resize"] = "spec/support/surface_everyday.lua",
  ["Box.update_spec"] = "spec/local/specs_spec.lua",
  ["Box.job"] = "spec/local/jobs_spec.lua",
  ["Box.get_job"] = "spec/local/jobs_spec.lua",
  ["Box.jobs"] = "spec/local/jobs_spec.lua",
  ["Box.sync_to"] = "spec/local/sync_spec.lua",
  ["Box.sync_from"] = "spec/local/sync_spec.lua",
  ["Box.forward"] = "spec/local/port_forward_spec.lua",
}

for name, path in pairs(composed) do
  local file <close> = assert(io.open(path), path)
  local method = name:match "%.(.+)$"
  assert(file:read "a":find("[:.]" .. method .. "%f[%W]"),
    path .. " does not call " .. method)
end

return composed
