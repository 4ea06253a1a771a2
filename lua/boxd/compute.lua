-- boxd.Compute: credentials, endpoint, and the services made of them.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local resource = require "boxd.internal.resource"
core.internal()

local DEFAULT_API_URL = "https://boxd.sh:9443"
local DEFAULT_TARGET = "boxd.sh:9443"
local EXCHANGE_PATH = "/api/v1/auth/token"
local DEFAULT_EXCHANGE_URL = "https://boxd.sh" .. EXCHANGE_PATH
local OPTIONS = { "api_key", "token", "api_url", "exchange_url", "timeout",
  "max_retries", "keepalive", "ca_file" }

local methods = {}

local function url_of(target, tls)
  return (tls and "https://" or "http://") .. target
end

-- c:call(rpc, request [, { timeout= }]): any unary RPC by its name.
function methods:call(rpc, request, opts)
  check.string(1, "call", rpc)
  if request ~= nil and type(request) ~= "table" then
    check.fail(2, "call", "table", request)
  end
  opts = check.options(3, "call", opts, { "timeout" })
  return resource.call(self, rpc, request or {}, opts)
end

-- c:stream(rpc, request [, { timeout= }]): for message in c:stream(...) do.
function methods:stream(rpc, request, opts)
  check.string(1, "stream", rpc)
  if request ~= nil and type(request) ~= "table" then
    check.fail(2, "stream", "table", request)
  end
  opts = check.options(3, "stream", opts, { "timeout" })
  local stream = core.stream(self, rpc, request, opts.timeout)
  return stream, nil, nil, stream
end

core.methods("boxd.Compute", methods)

-- Empty strings count as absent.
local function present(s) return s ~= "" and s or nil end

local function text_option(opts, name)
  local v = check.field("Compute", opts, name, "string")
  if v and v:find("\0", 1, true) then
    check.invalid("Compute: %s has a NUL in it", name)
  end
  return present(v)
end

local function env(name) return present(os.getenv(name)) end

-- Where credentials come from, in API.md's order.
local function credentials(opts, provided)
  local token, key = text_option(opts, "token"), text_option(opts, "api_key")
  if token then return { token = token } end
  if key then return { api_key = key } end
  if provided then return { api_key = provided.api_key } end
  token, key = env "BOXD_TOKEN", env "BOXD_API_KEY"
  if token then return { token = token } end
  if key then return { api_key = key } end
  if env "BOXD_VM_ID" or env "BOXD_VM_NAME" or env "BOXD_PROXY_ENDPOINT" then
    return { machine = true } -- perhaps: its gateway is asked at the first call
  end
  core.raise("AuthenticationError", "no credentials: give Compute an api_key "
    .. "or a token, or set BOXD_API_KEY or BOXD_TOKEN (boxdlua --local needs "
    .. "none)")
end

-- The service that boxdlua --local has started, for a Compute without api_url.
local function provided_service(opts)
  if text_option(opts, "api_url") then return nil end
  local provided = core.provided()
  if not provided and env "BOXD_LOCAL" and os.getenv "BOXD_LOCAL" ~= "0"
    and not core.is_boxdlua() then
    check.invalid("BOXD_LOCAL is set, but only boxdlua can start the embedded "
      .. "service: run the script with boxdlua, or unset BOXD_LOCAL to reach "
      .. "the real one")
  end
  return provided
end

local function integer_option(opts, name, default, least, most)
  local v = opts[name]
  if v == nil then return default end
  check.field("Compute", opts, name, "number")
  if math.type(v) ~= "integer" or v < least or v > most then
    check.invalid("Compute: %s is an integer from %d to %d", name, least, most)
  end
  return v
end

-- Where the service at an endpoint exchanges keys: a deployed one at its
-- console, app.HOST, over TLS; one at an address or at localhost by itself.
local function derived_exchange_url(endpoint)
  local target = endpoint.target
  local host = target:match "^%[(.*)%]:%d+$" or target:match "^(.*):%d+$"
    or target
  local by_itself = host == "localhost" or host:find "^app%."
    or host:find "^%d+%.%d+%.%d+%.%d+$" or host:find(":", 1, true)
  if by_itself then
    return (endpoint.tls and "https://" or "http://") .. target .. EXCHANGE_PATH
  end
  return "https://app." .. host .. EXCHANGE_PATH
end

local function exchange_url(opts, provided, endpoint)
  local url = text_option(opts, "exchange_url")
    or provided and provided.exchange_url
    or env "BOXD_EXCHANGE_URL"
    or endpoint.target == DEFAULT_TARGET and DEFAULT_EXCHANGE_URL
    or derived_exchange_url(endpoint)
  if not url:find "^https?://[^/]" then
    check.invalid("exchange_url: an http:// or https:// URL expected")
  end
  return url
end

local function keepalive(opts)
  local v = check.field("Compute", opts, "keepalive", "number")
  if v == nil then return 330 end
  if not (v >= 0) then
    check.invalid("Compute: keepalive is a number of seconds, 0 for none")
  end
  return v
end

local module = {}

-- Where a Compute with these options leads: { target, tls, named, api_url,
-- exchange_url }; named: not by default.
function module.addresses(opts)
  local provided = provided_service(opts)
  local url = text_option(opts, "api_url") or provided and provided.api_url
    or env "BOXD_BASE_URL" or env "BOXD_API_URL"
  local endpoint = core.text.endpoint(url or DEFAULT_API_URL)
  return {
    target = endpoint.target, tls = endpoint.tls, named = url ~= nil,
    api_url = url_of(endpoint.target, endpoint.tls),
    exchange_url = exchange_url(opts, provided, endpoint),
  }
end

-- Its { token= }, { api_key= } or { machine=true }; raises without any.
function module.credentials(opts)
  return credentials(opts, provided_service(opts))
end

-- Never touches the network. Raises AuthenticationError without credentials.
function module.Compute(opts)
  opts = check.options(1, "Compute", opts, OPTIONS)
  local addresses = module.addresses(opts)
  local client = module.credentials(opts)
  client.target, client.tls = addresses.target, addresses.tls
  client.exchange_url = addresses.exchange_url
  client.follow = client.machine and not addresses.named
  client.ca_file = text_option(opts, "ca_file")
  client.keepalive = keepalive(opts)
  client.max_retries = integer_option(opts, "max_retries", 2, 0, 4)
  return core.compute_new(client, opts.timeout or 60)
end

return module
