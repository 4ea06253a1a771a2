-- One command on every box there is, their output side by side under their
-- names.
--   boxdlua scripts/examples/run_everywhere.lua uptime

local command = table.concat(arg or {}, " ")
if command == "" then command = "echo $(hostname) is up; uname -r" end

local c <close> = boxd.Compute {}
local boxes, widest = {}, 0
for _, box in ipairs(c.box:list()) do
  if box.status == "running" then
    boxes[#boxes + 1] = box
    widest = math.max(widest, #box.name)
  end
end

local codes = boxd.map(boxes, function(box)
  local process <close> = box:sh(command, { stream = true, timeout = 60 })
  return boxd.prefix(process, ("%-" .. widest .. "s │ "):format(box.name))
end, { limit = 20 })

local failed = 0
for _, code in ipairs(codes) do
  if code ~= 0 then failed = failed + 1 end
end
print(("%d boxes, %d failed"):format(#boxes, failed))
