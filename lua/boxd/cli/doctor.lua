-- boxdlua --doctor: looks at everything between a script and its boxes, one
-- line a check, and says what to do where one fails. Prints no key or token.

local boxd = require "boxd"
local contract = require "boxd.cli.contract"
local core = require "boxd.core"
local probe = require "boxd.cli.probe"

local SECONDS = 5        -- for one answer of the network
local DAYS_ENOUGH = 14   -- that a certificate should have left
local EXCHANGE_SECONDS = 10

local doctor = { failed = 0 } -- and ca_file, of --ca-file

-- A check's line; kind: "ok", "skip" or "fail".
local function say(kind, name, fmt, ...)
  local text = select("#", ...) > 0 and fmt:format(...) or fmt
  if kind == "fail" then doctor.failed = doctor.failed + 1 end
  print(("%-4s  %-15s  %s"):format(kind, name, (text:gsub("%s+", " "))))
  return kind == "ok"
end

local function message_of(e)
  return boxd.is_error(e) and e.message or tostring(e)
end

local function env(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local function is_this_machine(host)
  return host == "localhost" or host == "::1" or host:find "^127%." ~= nil
end

-- The endpoint.

local function check_endpoint()
  local ok, found = pcall(core.addresses, {})
  if not ok then
    return say("fail", "endpoint", "%s; set BOXD_API_URL to https://host:port",
      message_of(found)) and nil
  end
  local from = core.provided() and "of the embedded service"
    or env "BOXD_BASE_URL" and "from BOXD_BASE_URL"
    or env "BOXD_API_URL" and "from BOXD_API_URL" or "the default"
  local open = not found.tls and not is_this_machine(found.host)
    and ": plaintext, so that tokens can be read on the way; use https://"
    or ""
  say("ok", "endpoint", "%s (%s)%s", found.api_url, from, open)
  return found
end

-- The variable that says where the service is; nil: none, it is the default.
local function naming()
  if core.provided() then return nil end
  return env "BOXD_BASE_URL" and "BOXD_BASE_URL"
    or env "BOXD_API_URL" and "BOXD_API_URL"
end

local function check_name(at)
  local named = naming()
  local addresses, why = probe.resolve(at.host)
  if not addresses then
    say("fail", "name", "%s is not found: %s; check %sthis machine's DNS "
      .. "(/etc/resolv.conf)", at.host, why, named
        and "the spelling of " .. named .. ", and " or "")
    return nil
  end
  say("ok", "name", "%s is %s", at.host, table.concat(addresses, ", "))
  return addresses
end

local function check_connection(at, addresses)
  local reasons, named = {}, naming()
  for _, address in ipairs(addresses or {}) do
    local start = boxd.now()
    local socket, why = probe.connect(address, at.port, SECONDS)
    if socket then
      say("ok", "connection", "%s port %s answers after %.1f ms", address,
        at.port, (boxd.now() - start) * 1000)
      return socket
    end
    reasons[#reasons + 1] = address .. ": " .. why
  end
  if #reasons == 0 then
    say("skip", "connection", "no address")
    return nil
  end
  say("fail", "connection", "no answer on port %s (%s); %s", at.port,
    table.concat(reasons, "; "), is_this_machine(at.host)
      and "start it with: boxdlua --serve"
      or (named and "check the port in " .. named .. ", and " or "check ")
        .. "firewalls on the way")
end

local function check_ca_file()
  if not doctor.ca_file then return end
  local ok, why = probe.roots(doctor.ca_file)
  if ok then return end
  say("fail", "ca-file", "%s: --ca-file takes a file of PEM certificates", why)
end

local function check_tls(at, socket)
  if not at.tls then return say("skip", "TLS", "plaintext") end
  if not socket then return say("skip", "TLS", "no connection") end
  local trusted, none = probe.roots(doctor.ca_file)
  if not trusted then return say("fail", "TLS", "%s", none) end
  local found, why = probe.certificate(socket, at.host, SECONDS, doctor.ca_file)
  if not found then
    return say("fail", "TLS", "%s; if this port is plaintext, say "
      .. "%s", why, (at.api_url:gsub("^https", "http")))
  end
  local whose = ("%s, issued by %s"):format(found.subject, found.issuer)
  if found.problem then
    return say("fail", "TLS", "the certificate (%s) is not trusted: %s; check "
      .. "the host's name and this machine's clock and ca-certificates; for an "
      .. "authority of your own give Compute its ca_file, and --doctor its "
      .. "--ca-file", whose, found.problem)
  end
  if not found.http2 then
    return say("fail", "TLS", "it speaks no HTTP/2, which gRPC needs: is "
      .. "something else on this port?")
  end
  return say("ok", "TLS", "%s, ends in %d days%s", whose, found.days,
    found.days < DAYS_ENOUGH and ": it should be renewed soon" or "")
end

-- Credentials.

local function check_credentials()
  local ok, found = pcall(core.credentials, {})
  if not ok then
    return say("fail", "credentials", "%s", message_of(found)) and nil
  end
  if core.provided() then
    say("ok", "credentials", "an API key of the embedded service")
  elseif not found.machine then
    say("ok", "credentials", "%s, from %s",
      found.token and "a token" or "an API key", found.from)
  else
    say("ok", "credentials", "perhaps those of the boxd machine this is")
  end
  return found
end

local function left(seconds)
  if seconds < 120 then return ("%d seconds"):format(seconds) end
  if seconds < 7200 then return ("%d minutes"):format(seconds // 60) end
  return ("%d hours"):format(seconds // 3600)
end

local HINTS = {
  [401] = "the key is unknown there, revoked or expired: make a new one",
  [404] = "nothing is there: check BOXD_EXCHANGE_URL",
  [429] = "asked too often: wait a minute",
}

-- User names, passwords and queries are not shown.
local function without_secrets(url)
  return (url:gsub("//[^/@]*@", "//"):gsub("%?.*", ""))
end

-- A key for one service is of no use at another's exchange.
local function where_to_exchange()
  local named = env "BOXD_BASE_URL" and "BOXD_BASE_URL"
    or env "BOXD_API_URL" and "BOXD_API_URL"
  if named and not env "BOXD_EXCHANGE_URL" then
    return named .. " is set: set BOXD_EXCHANGE_URL where keys are exchanged "
      .. "elsewhere"
  end
  return "check BOXD_EXCHANGE_URL"
end

-- Does the answer say that keys are exchanged elsewhere?
local function is_elsewhere(ok, answer)
  if not ok then return tostring(answer):find "resolve host" ~= nil end
  local status = answer.status
  return status == 404 or status == 405 or status >= 300 and status < 400
end

-- Takes the answer to an exchange apart: the token, or nil after a line.
local function judge_exchange(url, response)
  if response.status ~= 200 then
    return say("fail", "exchange", "%s answers with HTTP status %d; %s", url,
      response.status, HINTS[response.status]
        or where_to_exchange() .. ", or try again later") and nil
  end
  local ok, answer = pcall(boxd.json.decode, response.body)
  if not ok or type(answer) ~= "table" or type(answer.token) ~= "string"
    or type(answer.expires_at) ~= "number" then
    return say("fail", "exchange", "%s does not answer with a token: check "
      .. "BOXD_EXCHANGE_URL", url) and nil
  end
  local rest = math.floor(answer.expires_at - os.time())
  if rest <= 0 then
    say("fail", "exchange", "the token has ended %s before it was made: check "
      .. "this machine's clock", left(-rest))
  else
    say("ok", "exchange", "%s gives a token for %s", url, left(rest))
  end
  return answer.token
end

-- The credentials to go on with; nil: none.
local function check_exchange(at, credentials)
  if not credentials then
    say("skip", "exchange", "no credentials")
    return nil
  end
  if not credentials.api_key then
    say("skip", "exchange", credentials.token and "a token needs none"
      or "the machine's gateway is asked instead")
    return credentials
  end
  local url, ok, response
  for _, candidate in ipairs(at.exchange_urls) do
    url = without_secrets(candidate)
    ok, response = pcall(core.request_privately, {
      url = candidate, method = "POST", timeout = EXCHANGE_SECONDS,
      ca_file = doctor.ca_file, max_redirects = 0,
      headers = { ["Content-Type"] = "application/json" },
      body = boxd.json.encode { api_key = credentials.api_key },
    })
    if not is_elsewhere(ok, response) then break end
  end
  if not ok then
    return say("fail", "exchange", "%s: %s; %s", url, message_of(response),
      where_to_exchange()) and nil
  end
  local token = judge_exchange(url, response)
  return token and { token = token }
end

-- Calls.

local function open(at, credentials)
  return boxd.Compute { api_url = at.named and at.api_url or nil, token = credentials.token,
    ca_file = doctor.ca_file, max_retries = 0, timeout = SECONDS }
end

local function check_whoami(c)
  local start = boxd.now()
  local ok, me = pcall(c.whoami, c)
  if ok then
    return say("ok", "whoami", "%s%s, after %.1f ms", me.user_id or "(no id)",
      me.display_name and " (" .. me.display_name .. ")" or "",
      (boxd.now() - start) * 1000)
  end
  return say("fail", "whoami", "%s%s", message_of(me),
    boxd.is_error(me, boxd.AuthenticationError)
      and "; the token or key is not of this service: check "
        .. (naming() or "BOXD_BASE_URL") .. " and BOXD_EXCHANGE_URL together"
      or "")
end

local function some(names)
  local shown = table.concat(names, ", ", 1, math.min(#names, 4))
  return #names > 4 and shown .. ", …" or shown
end

local function check_contract(c)
  local found, why, unknown =
    contract.compare(c, SECONDS)
  if not found then
    return say(unknown and "skip" or "fail", "contract", unknown
      and "the server offers no reflection" or "reflection: " .. why)
  end
  local parts = {}
  local function part(names, fmt)
    if #names > 0 then
      parts[#parts + 1] = fmt:format(#names) .. " (" .. some(names) .. ")"
    end
  end
  part(found.lacks, "the server lacks %d RPCs that we know")
  part(found.lacks_fields, "lacks %d fields")
  part(found.beyond, "has %d RPCs beyond ours")
  part(found.beyond_fields, "has %d fields beyond ours")
  return say("ok", "contract", #parts == 0 and "the server's is ours"
    or table.concat(parts, "; "))
end

-- Boxes on this machine.

local function check_sandbox()
  for _, line in ipairs(probe.sandbox()) do
    say(line.ok and "ok" or line.needed and "fail" or "skip", line.name,
      "%s%s", line.text, line.ok and "" or line.needed
        and " (boxdlua --local can't run without it)" or "")
  end
end

local function check_calls(at, connected, credentials)
  -- A machine's gateway may name another service than the default.
  local elsewhere = credentials and credentials.machine and not at.named
  if not (connected or elsewhere) or not credentials then
    local why = connected and "no token" or "no connection"
    say("skip", "whoami", why)
    say("skip", "contract", why)
    return
  end
  local c <close> = open(at, credentials)
  if check_whoami(c) then
    check_contract(c)
  else
    say("skip", "contract", "no answers")
  end
end

-- The way to the service: is it reached?
local function check_way(at)
  if at.proxy then
    return say("ok", "proxy", "%s: calls and the exchange of keys go through "
      .. "it by CONNECT; NO_PROXY exempts hosts", without_secrets(at.proxy))
  end
  local socket = check_connection(at, check_name(at))
  return socket and (check_tls(at, socket) or not at.tls)
end

-- ca_file: roots to trust instead of the system's, or nil. Returns whether all
-- went well.
return function(ca_file)
  doctor.ca_file = ca_file
  check_ca_file()
  local at = check_endpoint()
  local connected = at and check_way(at)
  local credentials = check_credentials()
  if at then
    check_calls(at, connected, check_exchange(at, credentials))
  end
  check_sandbox()
  return doctor.failed == 0
end
