-- c.token: JWTs for others, shown once when they are made.

local core = require "boxd.core"
local check = require "boxd.check"
local resource = require "boxd.resource"
core.internal()

local call, compute_of = resource.call, resource.compute

local service = {}

-- c.token:create{ expires_in=0 } -> { token, expires_at }; seconds, 0 = 24 h
function service:create(opts)
  opts = check.options(1, "create", opts, { "expires_in", "timeout" })
  check.integer("create", opts, "expires_in", 0)
  return call(compute_of(self), "CreateToken",
    { expires_in_secs = opts.expires_in }, opts)
end

service.list = resource.lister("ListTokens", "tokens")

-- c.token:revoke(jti)
function service:revoke(jti, opts)
  check.string(1, "revoke", jti)
  opts = check.options(2, "revoke", opts, { "timeout" })
  call(compute_of(self), "RevokeToken", { jti = jti }, opts)
end

return { service = resource.service("Tokens", service) }
