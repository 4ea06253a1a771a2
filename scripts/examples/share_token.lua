-- A token for a colleague: good for an hour, and taken back when it is not
-- needed any more. Your key stays with you.
--   boxdlua --local scripts/examples/share_token.lua

local c <close> = boxd.Compute {}
local before = {}
for _, token in ipairs(c.token:list()) do before[token.jti] = true end
local made = c.token:create { expires_in = 3600 }
print(("a token that ends in %d minutes"):format(
  math.ceil((made.expires_at - os.time()) / 60)))

-- What the colleague does, with BOXD_TOKEN set to it.
local theirs <close> = boxd.Compute { token = made.token, api_url = c.api_url }
print("with it one is " .. theirs:whoami().user_id)

-- The list does not hold the tokens themselves, which are shown once: the new
-- one is that which was not there.
for _, token in ipairs(c.token:list()) do
  if not before[token.jti] then c.token:revoke(token.jti) end
end

local ok, e = pcall(theirs.whoami, theirs)
assert(not ok and boxd.is_error(e, boxd.AuthenticationError), e)
print("revoked: it is refused from now on")
