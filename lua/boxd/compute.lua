-- boxd.Compute: credentials, endpoint, and the services made of them.

local core = require "boxd.core"
local check = require "boxd.internal.check"
core.internal()

local TEXTS = { "api_key", "token", "api_url", "exchange_url", "ca_file" }
local OPTIONS = { "timeout", "max_retries", "keepalive", "killable",
  table.unpack(TEXTS) }

local function present(s) return s ~= nil and s ~= "" end

-- --local has a service for every Compute without an api_url of its own, but
-- only boxdlua can start it.
local function refuse_local()
  local v = os.getenv "BOXD_LOCAL"
  if present(v) and v ~= "0" and not core.provided()
    and not core.is_boxdlua() then
    check.invalid("BOXD_LOCAL is set, but only boxdlua can start the embedded "
      .. "service: run the script with boxdlua, or unset BOXD_LOCAL to reach "
      .. "the real one")
  end
end

local function text_option(opts, name)
  local v = check.field("Compute", opts, name, "string")
  if v and v:find("\0", 1, true) then
    check.invalid("Compute: %s has a NUL in it", name)
  end
  return v
end

local function max_retries(opts)
  local v = check.field("Compute", opts, "max_retries", "number")
  if v ~= nil and (math.type(v) ~= "integer" or v < 0 or v > 4) then
    check.invalid("Compute: max_retries is an integer from 0 to 4")
  end
  return v
end

local function keepalive(opts)
  local v = check.field("Compute", opts, "keepalive", "number")
  if v ~= nil and not (v >= 0) then
    check.invalid("Compute: keepalive is a number of seconds, 0 for none")
  end
  return v
end

local module = {}

-- Never touches the network. Raises AuthenticationError without credentials.
function module.Compute(opts)
  opts = check.options(1, "Compute", opts, OPTIONS)
  local checked = { max_retries = max_retries(opts),
    keepalive = keepalive(opts) }
  for _, name in ipairs(TEXTS) do checked[name] = text_option(opts, name) end
  if not present(checked.api_url) then refuse_local() end
  return core.compute_new(checked, opts.timeout,
    check.field("Compute", opts, "killable", "boolean"))
end

return module
