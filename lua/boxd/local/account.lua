-- Authentication: API keys, the JWTs they are exchanged for, and revocation.

local boxd = require "boxd"
local crypto = require "boxd.serve".crypto
local ids = require "boxd.local.ids"
local jwt = require "boxd.local.jwt"
local limiter = require "boxd.local.limiter"
local log = require "boxd.local.log"
local status = require "boxd.local.status"

local fail = status.fail

local account = {}
account.__index = account

local HOUR = 3600
local LIFETIME_MAX = 100 * 365 * 24 * HOUR
local USER, USER_NAME = "local", "local user"

-- The key that signs tokens, made at the first start.
local function signing_key(store)
  local secrets = store:all "secrets"
  if not secrets.signing then
    store:put("secrets", "signing",
      { key = crypto.base64url(crypto.random(32)) })
  end
  local key = crypto.unbase64url(secrets.signing.key or "")
  if key and #key >= 32 then return key end
  error(("%s/secrets/signing.json is damaged: restore it, or remove it to go on "
    .. "without the tokens it signed"):format(store.dir), 0)
end

-- The first API key is kept readable: clients of this machine use it. Where it was
-- deleted, or is over, there is another one.
local function default_key(self)
  local kept = self.store:all "secrets".default
  local key = kept and kept.api_key and self:find_key(kept.api_key)
  if key and not account.is_over(key) then return kept.api_key end
  local made = self:create_key("default", 0)
  self.store:put("secrets", "default", { api_key = made.api_key, id = made.id })
  return made.api_key
end

-- quotas: the service's limits; exchanges: how many a minute from one address, or
-- nil for any number.
function account.open(store, quotas, exchanges)
  local self = setmetatable({ store = store, limits = quotas, streams = {} },
    account)
  self.exchanges = exchanges and limiter.new(exchanges, 60)
  self.key = signing_key(store)
  self.default_key = default_key(self)
  self:sweep()
  return self
end

-- Expired tokens are of no use.
function account:sweep()
  local now = os.time()
  for jti, record in pairs(self.store:all "tokens") do
    if record.expires_at <= now then self.store:remove("tokens", jti) end
  end
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
  self.limits:check_count("API keys", #self.store:list "keys")
  local secret = ids.new("bxd_", 24)
  local now = os.time()
  local record = {
    id = ids.new("key-"), name = name, created_at = now, kind = kind,
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

-- Streams go on as long as what let them in: the token, or its key.

-- A call that a token has let in, until the result is closed.
function account:hold(claims, call)
  self.streams[call] = claims
  return setmetatable({}, { __close = function() self.streams[call] = nil end })
end

local function end_streams(self, field, value, why)
  for call, claims in pairs(self.streams) do
    if claims[field] == value then call:cancel("UNAUTHENTICATED", why) end
  end
end

local DELETED = "the API key of this token was deleted"
local REVOKED = "this token was revoked"

function account:delete_key(id)
  if not self.store:all("keys")[id] then
    fail("NOT_FOUND", "no API key '%s'", id)
  end
  self.store:remove("keys", id)
  end_streams(self, "key", id, DELETED)
  if id == self.store:all("secrets").default.id then
    log "the default API key was deleted: the next start makes another one"
  end
end

-- nil: there is none.
function account:find_key(secret)
  local hash = boxd.sha256(secret)
  for _, record in pairs(self.store:all "keys") do
    if crypto.equal(record.hash, hash) then return record end
  end
end

function account.is_over(key)
  return key.expires_at > 0 and key.expires_at <= os.time()
end

-- Tokens.

local function too_many(self, peer)
  local seconds = self.exchanges
    and self.exchanges:take(peer:match "^(.*):%d+$" or peer)
  return seconds and math.ceil(seconds)
end

-- The answer of the exchange: status, body, headers. peer: where the request comes
-- from.
function account:exchange(body, peer)
  local wait = too_many(self, peer)
  if wait then
    return 429, { error = ("too many exchanges: try again in %d seconds")
      :format(wait) }, { ["Retry-After"] = tostring(wait) }
  end
  local ok, request = pcall(boxd.json.decode, body)
  local secret = ok and type(request) == "table" and request.api_key
  if type(secret) ~= "string" then
    return 400, { error = "send {\"api_key\": \"...\"}" }
  end
  local record, now = self:find_key(secret), os.time()
  if not record or account.is_over(record) then
    return 401, { error = "invalid or expired API key" }
  end
  if now - record.last_used_at >= 60 then
    self.store:note("keys", record, { last_used_at = now }, true)
  end
  local claims = { sub = USER, iat = now, exp = now + HOUR, key = record.id }
  return 200, { token = jwt.sign(self.key, claims), expires_at = claims.exp,
    user_id = USER }
end

-- The claims of the token in the header; raises UNAUTHENTICATED unless it still
-- counts.
function account:check(authorization)
  local token = authorization and authorization:match "^[Bb]earer (%S+)$"
  if not token then
    fail("UNAUTHENTICATED", "no token: send metadata 'authorization: Bearer "
      .. "<token>', from the exchange of an API key")
  end
  local claims = jwt.claims(self.key, token)
  if not claims then fail("UNAUTHENTICATED", "this token is not valid here") end
  if claims.exp <= os.time() then
    fail("UNAUTHENTICATED", "this token has expired")
  end
  if claims.jti and not self.store:all("tokens")[claims.jti] then
    fail("UNAUTHENTICATED", REVOKED)
  end
  if claims.key and not self.store:all("keys")[claims.key] then
    fail("UNAUTHENTICATED", DELETED)
  end
  return claims
end

function account:create_token(expires_in)
  check_lifetime(expires_in)
  self:sweep()
  local now = os.time()
  local jti = ids.new("tok-", 8)
  local exp = now + (expires_in > 0 and expires_in or 24 * HOUR)
  self.store:put("tokens", jti,
    { id = jti, jti = jti, created_at = now, expires_at = exp })
  local claims = { sub = USER, iat = now, exp = exp, jti = jti }
  return { token = jwt.sign(self.key, claims), expires_at = exp }
end

function account:list_tokens()
  self:sweep()
  local out = {}
  for i, record in ipairs(self.store:list "tokens") do
    out[i] = { jti = record.jti, created_at = record.created_at,
      expires_at = record.expires_at }
  end
  return out
end

function account:revoke_token(jti)
  if not self.store:all("tokens")[jti] then
    fail("NOT_FOUND", "no token '%s'", jti)
  end
  self.store:remove("tokens", jti)
  end_streams(self, "jti", jti, REVOKED)
end

account.USER, account.USER_NAME = USER, USER_NAME

return account
