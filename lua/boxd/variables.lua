-- c.env and c.secret: variables that boxes find in their environment. A secret
-- is never given back. Scopes: "private" (your boxes), "shared" (the boxes of
-- the organisation that are shared), "all"; secrets also "unattached" and
-- "private-unattached" (boxes whose spec names them).

local core = require "boxd.core"
local check = require "boxd.internal.check"
local resource = require "boxd.internal.resource"
core.internal()

local function lister(kind, new)
  return function(self, opts)
    opts = check.options(1, "list", opts, { "org", "timeout" })
    local list = resource.call(self, "ListVars",
      { kind = kind, org = check.field("list", opts, "org", "string") },
      opts).vars
    for i, message in ipairs(list) do list[i] = new(nil, message) end
    return list
  end
end

local function plain(_, message)
  return { name = message.name, value = message.value or "",
    scope = message.scope }
end

local function hidden(_, message)
  return { name = message.name, scope = message.scope,
    domains = message.domains, bound_machines = message.bound_machines }
end

core.methods("boxd.Env", { list = lister("env", plain) })
core.methods("boxd.Secrets", { list = lister("secret", hidden) })
