-- c.api_key: keys that are exchanged for tokens, shown once when made.

local core = require "boxd.core"
local check = require "boxd.check"
local resource = require "boxd.resource"
core.internal()

local call, compute_of = resource.call, resource.compute

local service = {}

-- c.api_key:create{ name=, expires_in=, org=, kind= } -> { id, api_key,
-- expires_at }; seconds, 0 = never; kind "member" (acts as you) or "org"
function service:create(opts)
  opts = check.options(1, "create", opts,
    { "name", "expires_in", "org", "kind", "timeout" })
  check.integer("create", opts, "expires_in", 0)
  return call(compute_of(self), "CreateApiKey", {
    name = check.field("create", opts, "name", "string"),
    expires_in_secs = opts.expires_in,
    org = check.field("create", opts, "org", "string"),
    kind = check.field("create", opts, "kind", "string"),
  }, opts)
end

service.list = resource.lister("ListApiKeys", "keys")

-- c.api_key:delete(id)
function service:delete(id, opts)
  check.string(1, "delete", id)
  opts = check.options(2, "delete", opts, { "timeout" })
  call(compute_of(self), "DeleteApiKey", { id = id }, opts)
end

return { service = resource.service("ApiKeys", service) }
