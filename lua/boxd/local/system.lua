-- This machine's system, which is what runs in every box, whatever image it was
-- asked for with.

local once = require "boxd.local.once"

local FILE = "/etc/os-release"

local system = {}

-- The names that images of the system have: { "ubuntu:24.04", "ubuntu:noble" }.
local function names()
  local f = io.open(FILE)
  if not f then return {} end
  local text = "\n" .. f:read "a"
  f:close()
  local function value(key)
    return text:match("\n" .. key .. '="?([^"\n]*)')
  end
  local out = {}
  for _, key in ipairs { "VERSION_ID", "VERSION_CODENAME" } do
    out[#out + 1] = value "ID" and value(key) and value "ID" .. ":" .. value(key)
  end
  return out
end

-- Where it first matters: says that another system than this image runs.
function system.say_other(image)
  local own = names()
  for _, name in ipairs(own) do
    if image == name then return end
  end
  once("image '%s' is recorded: what runs in every box is this machine's system%s",
    image, own[1] and ", " .. own[1] or "")
end

return system
