-- busted's helper: loads our Lua files before the first spec. busted forgets
-- what a spec file loads, but the module keeps its files, and two
-- copies of a file do not know each other's objects.

local boxd = require "boxd"

for _ in pairs(boxd) do end -- luacheck: ignore 542
local c <close> = boxd.Compute { token = "t" }
for _, name in ipairs { "box", "template", "disk", "domain", "network",
  "token", "api_key" } do
  assert(c[name])
end
