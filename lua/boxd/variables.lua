-- c.env and c.secret: variables that boxes find in their environment. A secret
-- is never given back. Scopes: "private" (your boxes), "shared" (the boxes of
-- the organisation that are shared), "all"; secrets also "unattached" and
-- "private-unattached" (boxes whose spec names them).

local core = require "boxd.core"
local kinds = require "boxd.kinds"
local method = require "boxd.method"
local resource = require "boxd.resource"
core.internal()

local ORG, SCOPE = { "org", kinds.text }, { "scope", kinds.text }

-- A service's methods; every answer that confirms is returned as text.
local function methods(kind, more)
  local set = { scope = SCOPE, org = ORG, domains = more.domains }
  return method.add({}, {
    set = { "SetVar", { "name", kinds.text }, { "value", kinds.text },
      options = set, reply = "message", fixed = { kind = kind } },
    list = { "ListVars", options = { org = ORG }, fixed = { kind = kind },
      reply = method.records("vars", more.new) },
    delete = { "RemoveVar", { "name", kinds.text }, fixed = { kind = kind },
      options = { scope = SCOPE, org = ORG }, reply = "message" },
    -- move(name, from_scope, to_scope, { org= })
    move = { "SetSecretScope", { "name", kinds.text }, { "from", kinds.text },
      { "to", kinds.text }, options = { org = ORG }, reply = "message" },
  })
end

local function plain(_, message)
  return { name = message.name, value = message.value or "",
    scope = message.scope }
end

local function hidden(_, message)
  return { name = message.name, scope = message.scope,
    domains = message.domains, bound_machines = message.bound_machines }
end

return {
  env = resource.service("Env", methods("env", { new = plain })),
  -- `domains`: the hosts that a secret may be sent to, all of them.
  secret = resource.service("Secrets", methods("secret", { new = hidden,
    domains = { "domains", kinds.texts } })),
}
