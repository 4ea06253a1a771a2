-- boxd.local.account: keys, tokens, and authentication.

local boxd = require "boxd"
local support = require "spec.support.service"

local refused = support.refused

describe("the embedded service's account", function()
  local service, compute, call = support.of_block()

  local function exchange(body, path, method)
    return boxd.http.request { method = method or "POST", timeout = 10,
      url = path and service.api_url .. path or service.exchange_url,
      body = body }
  end

  local function exchange_key(key)
    return exchange(boxd.json.encode { api_key = key })
  end

  -- What Whoami says to a token, or to no client of ours at all.
  local function whoami(token)
    local client <close> = service:connect { token = token }
    return client:whoami()
  end

  it("exchanges its API key for a JWT of an hour", function()
    local reply = exchange_key(service.api_key)
    assert.equal(200, reply.status)
    local body = boxd.json.decode(reply.body)
    assert.matches("^eyJ[%w_-]+%.[%w_-]+%.[%w_-]+$", body.token)
    assert.is_true(math.abs(body.expires_at - os.time() - 3600) <= 2)
    local me = whoami(body.token)
    assert.equal(body.user_id, me.user_id)
    assert.truthy(me.default_network_id)
  end)

  it("exchanges nothing else", function()
    assert.equal(401, exchange_key("bxk_wrong").status)
    for _, body in ipairs { "", "{", "[]", "{}", '{"api_key":1}', "null" } do
      assert.equal(400, exchange(body).status)
    end
    assert.equal(404, exchange("{}", "/other").status)
    assert.equal(405, exchange(nil, "/api/v1/auth/token", "GET").status)
  end)

  it("refuses every call without a valid token", function()
    local token = boxd.json.decode(exchange_key(service.api_key).body).token
    local head, body, mac = token:match "^(.-)%.(.-)%.(.-)$"
    local other = mac:sub(1, 1) == "A" and "B" or "A"
    for _, bad in ipairs { "x", "a.b.c", head .. "." .. body,
      head .. "." .. body .. "." .. other .. mac:sub(2),
      -- {"alg":"none"}
      "eyJhbGciOiJub25lIn0." .. body .. "." } do
      refused("UNAUTHENTICATED", whoami, bad)
    end
  end)

  it("makes tokens that authenticate until they are revoked", function()
    local made = compute.token:create()
    assert.matches("^eyJ", made.token)
    assert.is_true(math.abs(made.expires_at - os.time() - 86400) <= 2)
    whoami(made.token)
    local list = compute.token:list()
    assert.equal(1, #list)
    assert.equal(made.expires_at, list[1].expires_at)
    compute.token:revoke(list[1].jti)
    assert.matches("revoked", refused("UNAUTHENTICATED", whoami, made.token))
    assert.equal(0, #compute.token:list())
    refused("NOT_FOUND", call, "RevokeToken", { jti = list[1].jti })
  end)

  it("lets a token end at its time", function()
    local made = compute.token:create { expires_in = 1 }
    support.eventually(function()
      local ok, e = pcall(whoami, made.token)
      return not ok and e.message:find "expired"
    end)
    refused("INVALID_ARGUMENT", call, "CreateToken",
      { expires_in_secs = 1 << 60 })
  end)

  it("makes keys, and forgets deleted ones at once, with their tokens",
    function()
      local made = compute.api_key:create { name = "ci" }
      local token = boxd.json.decode(exchange_key(made.api_key).body).token
      whoami(token)
      local found
      for _, key in ipairs(compute.api_key:list()) do
        if key.id == made.id then found = key end
      end
      assert.equal("ci", found.name)
      assert.equal(made.api_key:sub(1, #found.key_prefix), found.key_prefix)
      compute.api_key:delete(made.id)
      assert.equal(401, exchange_key(made.api_key).status)
      refused("UNAUTHENTICATED", whoami, token)
      refused("NOT_FOUND", call, "DeleteApiKey", { id = made.id })
      local short = compute.api_key:create { name = "s", expires_in = 1 }
      support.eventually(function()
        return exchange_key(short.api_key).status == 401
      end)
    end)

  it("knows all of it after a kill", function()
    local token = compute.token:create().token
    local key = compute.api_key:create { name = "kept" }
    local revoked = compute.token:create()
    local n = #compute.token:list()
    compute.token:revoke(compute.token:list()[n].jti)
    local before = service.api_key
    service:restart "KILL"
    assert.equal(before, service.api_key)
    whoami(token)
    assert.equal(200, exchange_key(key.api_key).status)
    refused("UNAUTHENTICATED", whoami, revoked.token)
    assert.equal(n - 1, #compute.token:list())
  end)

  -- Streams: what a client is reading, and a command that it runs.
  local function ends_with(why, end_it, options)
    local client <close> = service:connect(options)
    local box = compute.box:create()
    client:whoami()
    local process = client.box:get(box.id):sh("echo up; sleep 1000",
      { stream = true })
    assert.equal("up\n", process:read_stdout())
    end_it()
    assert.matches(why, refused("UNAUTHENTICATED", process.wait, process))
    support.eventually(function()
      return box:sh("pgrep -c sleep || true").stdout == "0\n"
    end)
    box:destroy()
  end

  it("ends the streams of a token that is revoked", function()
    local made = compute.token:create()
    local list = compute.token:list()
    ends_with("revoked", function()
      compute.token:revoke(list[#list].jti)
    end, { token = made.token })
  end)

  it("ends the streams of an API key that is deleted", function()
    local made = compute.api_key:create { name = "gone" }
    ends_with("deleted", function() compute.api_key:delete(made.id) end,
      { api_key = made.api_key })
  end)

  it("keeps nothing of tokens that have expired", function()
    compute.token:create { expires_in = 1 }
    local function files()
      local list <close> = io.popen("ls " .. service.state .. "/tokens | wc -l")
      return tonumber(list:read "a")
    end
    local n = files()
    support.eventually(function() return #compute.token:list() < n end)
    assert.equal(n - 1, files())
  end)

  it("makes another default key where that was deleted", function()
    local before = service.api_key
    for _, key in ipairs(compute.api_key:list()) do
      if key.name == "default" then compute.api_key:delete(key.id) end
    end
    assert.equal(401, exchange_key(before).status)
    service:restart()
    assert.not_equal(before, service.api_key)
    assert.equal("local", compute:whoami().user_id)
    service:restart()
    assert.equal("local", compute:whoami().user_id)
  end)

  it("keeps its secrets from others", function()
    local list <close> = io.popen("find " .. service.state
      .. " -maxdepth 2 -name '*.json' -perm /077 2>/dev/null")
    assert.equal("", list:read "a")
    local dir <close> = io.popen("stat -c %a " .. service.state)
    assert.equal("700", dir:read())
    local grep <close> = io.popen("grep -l '" .. service.api_key .. "' -r "
      .. service.state .. "/keys")
    assert.equal("", grep:read "a")
  end)
end)

describe("the exchange of the embedded service", function()
  local service = support.of_block { limits = "production" }

  -- One of the 30, while there are any: the end of the block has its token, too.
  setup(function() service.compute:whoami() end)

  local function exchange(key)
    return boxd.http.request { method = "POST", timeout = 10,
      url = service.exchange_url, body = boxd.json.encode { api_key = key } }
  end

  it("answers 30 requests a minute from one address, right or wrong", function()
    assert.equal(200, exchange(service.api_key).status)
    for _ = 3, 30 do assert.equal(401, exchange("bxd_wrong").status) end
    for _, key in ipairs { "bxd_wrong", service.api_key } do
      local reply = exchange(key)
      assert.equal(429, reply.status)
      local wait = math.tointeger(reply.headers["retry-after"])
      assert.is_true(wait >= 1 and wait <= 60)
    end
  end)
end)
