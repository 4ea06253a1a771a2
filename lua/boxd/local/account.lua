-- Who may call: API keys, the JWTs they are exchanged for, and revocation.

local boxd = require "boxd"
local serve = require "boxd.serve"
local status = require "boxd.local.status"

local crypto, fail = serve.crypto, status.fail

local account = {}
account.__index = account

local HOUR = 3600
local LIFETIME_MAX = 100 * 365 * 24 * HOUR
local USER, USER_NAME = "local", "local user"

function account.random_id(prefix, bytes)
  return prefix .. crypto.random(bytes):gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end)
end

local random_id = account.random_id

-- Opens what the store has; the first start makes the signing key and an API
-- key. The first API key is kept readable: clients of this machine use it.
function account.open(store)
  local self = setmetatable({ store = store }, account)
  local secrets = store:all "secrets"
  if not secrets.signing then
    store:put("secrets", "signing",
      { key = crypto.base64url(crypto.random(32)) })
  end
  if not secrets.default then
    local made = self:create_key("default", 0)
    store:put("secrets", "default", { api_key = made.api_key, id = made.id })
  end
  self.key = crypto.unbase64url(secrets.signing.key)
  self.default_key = secrets.default.api_key
  return self
end

-- Seconds from now on; a uint64 may come as a negative number.
local function check_lifetime(seconds)
  if seconds < 0 or seconds > LIFETIME_MAX then
    fail("INVALID_ARGUMENT", "expires_in_secs is at most %d", LIFETIME_MAX)
  end
  return seconds
end

-- API keys are kept as hashes.

-- kind: "member" acts as the user; "org" is a service's of its own. With one
-- user here both may do the same. org: kept, and shown.
function account:create_key(name, expires_in, kind, org)
  check_lifetime(expires_in)
  kind = kind or "member"
  if kind ~= "member" and kind ~= "org" then
    fail("INVALID_ARGUMENT", "kind is 'member' or 'org', not '%s'", kind)
  end
  local secret = random_id("bxk_", 24)
  local now = os.time()
  local record = {
    id = random_id("key-", 6), name = name, created_at = now, kind = kind,
    org = org,
    key_prefix = secret:sub(1, 8), hash = boxd.sha256(secret),
    expires_at = expires_in > 0 and now + expires_in or 0, last_used_at = 0,
  }
  self.store:put("keys", record.id, record)
  return { id = record.id, api_key = secret, expires_at = record.expires_at }
end

function account:list_keys()
  local out = self.store:list "keys"
  for i, record in ipairs(out) do
    out[i] = { id = record.id, name = record.name, mine = true,
      kind = record.kind or "member", org = record.org, created_by = USER_NAME,
      key_prefix = record.key_prefix, created_at = record.created_at,
      last_used_at = record.last_used_at, expires_at = record.expires_at }
  end
  return out
end

function account:delete_key(id)
  if not self.store:all("keys")[id] then
    fail("NOT_FOUND", "no API key '%s'", id)
  end
  self.store:remove("keys", id)
end

local function find_key(self, secret)
  local hash = boxd.sha256(secret)
  for _, record in pairs(self.store:all "keys") do
    if crypto.equal(record.hash, hash) then return record end
  end
end

-- Tokens.

local HEADER = crypto.base64url '{"alg":"HS256","typ":"JWT"}'

local function sign(self, claims)
  local body = HEADER .. "." .. crypto.base64url(boxd.json.encode(claims))
  return body .. "." .. crypto.base64url(crypto.hmac(self.key, body))
end

-- The answer of the exchange: status, body.
function account:exchange(body)
  local ok, request = pcall(boxd.json.decode, body)
  local secret = ok and type(request) == "table" and request.api_key
  if type(secret) ~= "string" then
    return 400, { error = "send {\"api_key\": \"...\"}" }
  end
  local record = find_key(self, secret)
  local now = os.time()
  if not record or record.expires_at > 0 and record.expires_at <= now then
    return 401, { error = "invalid or expired API key" }
  end
  if now - record.last_used_at >= 60 then
    self.store:note("keys", record, { last_used_at = now }, true)
  end
  local claims = { sub = USER, iat = now, exp = now + HOUR, key = record.id }
  return 200, { token = sign(self, claims), expires_at = claims.exp,
    user_id = USER }
end

local function claims_of(self, token)
  local head, body, mac = token:match "^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$"
  mac = mac and crypto.unbase64url(mac)
  if not mac or head ~= HEADER then return nil end
  local expected = crypto.hmac(self.key, head .. "." .. body)
  if not crypto.equal(mac, expected) then return nil end
  local ok, claims = pcall(boxd.json.decode, crypto.unbase64url(body) or "")
  return ok and claims
end

-- Raises UNAUTHENTICATED unless the header holds a token that still counts.
function account:check(authorization)
  local token = authorization and authorization:match "^[Bb]earer (%S+)$"
  if not token then
    fail("UNAUTHENTICATED", "no token: send metadata 'authorization: Bearer "
      .. "<token>', from the exchange of an API key")
  end
  local claims = claims_of(self, token)
  if not claims then fail("UNAUTHENTICATED", "this token is not valid here") end
  if claims.exp <= os.time() then
    fail("UNAUTHENTICATED", "this token has expired")
  end
  if claims.jti and not self.store:all("tokens")[claims.jti] then
    fail("UNAUTHENTICATED", "this token was revoked")
  end
  if claims.key and not self.store:all("keys")[claims.key] then
    fail("UNAUTHENTICATED", "the API key of this token was deleted")
  end
  return claims
end

function account:create_token(expires_in)
  check_lifetime(expires_in)
  local now = os.time()
  local jti = random_id("tok-", 8)
  local exp = now + (expires_in > 0 and expires_in or 24 * HOUR)
  self.store:put("tokens", jti,
    { id = jti, jti = jti, created_at = now, expires_at = exp })
  return { token = sign(self, { sub = USER, iat = now, exp = exp, jti = jti }),
    expires_at = exp }
end

function account:list_tokens()
  local out, now = {}, os.time()
  for _, record in ipairs(self.store:list "tokens") do
    if record.expires_at > now then
      out[#out + 1] = { jti = record.jti, created_at = record.created_at,
        expires_at = record.expires_at }
    end
  end
  return out
end

function account:revoke_token(jti)
  if not self.store:all("tokens")[jti] then
    fail("NOT_FOUND", "no token '%s'", jti)
  end
  self.store:remove("tokens", jti)
end

account.USER, account.USER_NAME = USER, USER_NAME

return account
