-- JSON web tokens, signed with HS256.

local boxd = require "boxd"
local crypto = require "boxd.serve".crypto

local jwt = {}

local HEADER = crypto.base64url '{"alg":"HS256","typ":"JWT"}'

--- The token that says the claims, a table. key: bytes.
function jwt.sign(key, claims)
  local body = HEADER .. "." .. crypto.base64url(boxd.json.encode(claims))
  return body .. "." .. crypto.base64url(crypto.hmac(key, body))
end

--- The claims of a token that was signed with the key, expired or not; nil for any
--- other text.
function jwt.claims(key, token)
  local head, body, mac = token:match "^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$"
  mac = mac and crypto.unbase64url(mac)
  if not mac or head ~= HEADER then return nil end
  if not crypto.equal(mac, crypto.hmac(key, head .. "." .. body)) then
    return nil
  end
  local ok, claims = pcall(boxd.json.decode, crypto.unbase64url(body) or "")
  return ok and type(claims) == "table" and claims or nil
end

return jwt
