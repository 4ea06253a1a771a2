-- Where a Compute has its credentials and endpoints from: argument, environment,
-- the embedded service.

local boxd = require "boxd"
local program = require "spec.support.program"
local scripted = require "spec.support.scripted"

local failure = scripted.failure

local prints = program.prints

describe("credentials come", function()
  -- The bearer that the service sees, with a given environment.
  local function bearer(options, env)
    local script = ([[
      local serve = require "boxd.serve"
      local server = serve.listen()
      boxd.spawn(function()
        for call in function() return server:accept() end do
          call:send { user_id = call:metadata "authorization" }
          call:finish()
        end
      end)
      boxd.spawn(function()
        for request in function() return server:request() end do
          local key = boxd.json.decode(request.body).api_key
          request:answer(200, nil, boxd.json.encode {
            token = "jwt-of-" .. key, expires_at = os.time() + 3600,
            user_id = "u" })
        end
      end)
      local base = "http://" .. server.address
      local c = boxd.Compute { api_url = base,
        exchange_url = base .. "/api/v1/auth/token", %s }
      print(c:whoami().user_id)
      c:close()
      server:close()]]):format(options)
    return prints(script, env)
  end

  local both = { BOXD_TOKEN = "env-token", BOXD_API_KEY = "env-key" }

  it("from the token first", function()
    assert.equal("Bearer arg-token",
      bearer("token = 'arg-token', api_key = 'arg-key'", both))
  end)

  it("then from the key", function()
    assert.equal("Bearer jwt-of-arg-key", bearer("api_key = 'arg-key'", both))
    assert.equal("Bearer jwt-of-arg-key",
      bearer("token = '', api_key = 'arg-key'", both))
  end)

  it("then from the environment, its token first", function()
    assert.equal("Bearer env-token", bearer("", both))
    assert.equal("Bearer env-token", bearer("token = '', api_key = ''", both))
    assert.equal("Bearer jwt-of-env-key",
      bearer("", { BOXD_API_KEY = "env-key" }))
    assert.equal("Bearer jwt-of-env-key",
      bearer("", { BOXD_TOKEN = "", BOXD_API_KEY = "env-key" }))
  end)

  it("as a key where a token begins as one does", function()
    assert.equal("Bearer jwt-of-bxd_1", bearer("token = 'bxd_1'", both))
    assert.equal("Bearer jwt-of-bxk_2",
      bearer("", { BOXD_TOKEN = "bxk_2", BOXD_API_KEY = "env-key" }))
    assert.equal("Bearer bxd", bearer("token = 'bxd'"))
  end)

  it("from the environment even in a boxd machine", function()
    assert.equal("Bearer env-token",
      bearer("", { BOXD_TOKEN = "env-token", BOXD_VM_ID = "vm" }))
  end)
end)

describe("the exchange URL comes", function()
  local function exchange(option, env)
    return prints(([[
      local urls = require "boxd.core".addresses { exchange_url = %q }
      print(urls.exchange_urls[1], urls.exchange_urls[2])]]):format(option),
      { BOXD_EXCHANGE_URL = env })
  end

  it("from the argument", function()
    assert.equal("http://a/arg\tnil", exchange("http://a/arg", "http://a/env"))
    assert.equal("http://a/arg\tnil", exchange("http://a/arg"))
  end)

  it("from the environment, and an empty argument counts as absent", function()
    assert.equal("http://a/env\tnil", exchange("", "http://a/env"))
    assert.matches("^https://app%.boxd%.sh/", exchange("", ""))
  end)
end)

describe("the embedded service", function()
  local registry = debug.getregistry()

  -- As boxdlua --local leaves it.
  local function provide(api_url)
    registry["boxd.local.api_url"] = api_url
    registry["boxd.local.exchange_url"] = "http://127.0.0.1:1/exchange"
    registry["boxd.local.api_key"] = "bxk_local"
  end

  after_each(function()
    for _, name in ipairs { "api_url", "exchange_url", "api_key" } do
      registry["boxd.local." .. name] = nil
    end
  end)

  it("of --local comes before the environment, after an api_url", function()
    provide "http://127.0.0.1:7"
    local c <close> = boxd.Compute {}
    assert.equal("http://127.0.0.1:7", c.api_url)
    assert.equal("http://127.0.0.1:7", boxd.Compute { token = "t" }.api_url)
    assert.equal("http://127.0.0.1:7",
      boxd.Compute { token = "t", api_url = "" }.api_url)
    assert.equal("http://127.0.0.1:8",
      boxd.Compute { token = "t", api_url = "127.0.0.1:8" }.api_url)
    -- It sends no credentials to another service.
    assert.equal("AuthenticationError",
      failure(boxd.Compute, { api_url = "127.0.0.1:8" }).class)
  end)

  it("of --local comes before the environment's names", function()
    local script = [[
      local r = debug.getregistry()
      r["boxd.local.api_url"] = "http://127.0.0.1:7"
      r["boxd.local.exchange_url"] = "http://127.0.0.1:7/x"
      r["boxd.local.api_key"] = "k"
      local c = boxd.Compute { timeout = 2 }
      print(c.api_url, (select(2, pcall(c.whoami, c)).message:match "127[%d.]+:%d+"))
    ]]
    assert.equal("http://127.0.0.1:7\t127.0.0.1:7", prints(script, {
      BOXD_API_URL = "http://127.0.0.1:9", BOXD_TOKEN = "t",
      BOXD_EXCHANGE_URL = "http://127.0.0.1:9/y", BOXD_API_KEY = "z" }))
  end)
end)
