-- TLS against servers that are not ours, with certificates of an authority made
-- for the spec: trusted certificates, and the reason for refusing others.

local boxd = require "boxd"
local certs = require "spec.support.certs"
local process = require "spec.support.process"
local program = require "spec.support.program"
local recorder = require "spec.support.recorder"

local HERE = "IP:127.0.0.1,DNS:localhost"
local REFUSED = "the server's certificate is refused: SSL certificate "

describe("over TLS", function()
  local authority, stranger, server, peer, ca_file, keys, brief

  setup(function()
    authority, stranger = certs.new(), certs.new()
    ca_file = authority:path "ca.pem"
    local leaves = { authority:leaf("good", HERE),
      authority:leaf("expired", HERE, -1),
      authority:leaf("elsewhere", "DNS:elsewhere.example"),
      stranger:leaf("stranger", HERE) }
    server = recorder.start(leaves)
    peer = process.start { "/usr/bin/python3", "spec/support/peer.py",
      table.unpack(leaves) }
    local ports = peer:line():gmatch "%d+"
    keys = {}
    ports() -- those without TLS
    ports()
    for port in ports do
      keys[#keys + 1] = "https://127.0.0.1:" .. port .. "/token"
    end
  end)

  -- A connection whose certificate ends in so many seconds, while the other specs
  -- run; or nil and why, where a busy machine was late.
  local function begin_brief(seconds)
    local ends = os.time() + seconds
    local other = recorder.start { authority:leaf_until("brief", HERE, ends) }
    local options = { api_url = other.tls[1], token = "t", ca_file = ca_file }
    other:script { Whoami = { { reply = { user_id = "u-1" } },
      { reply = { user_id = "u-2" } } } }
    local client = boxd.Compute(options)
    local ok, result = pcall(client.whoami, client)
    if ok and os.time() < ends then
      assert.equal("u-1", result.user_id)
      return { ends = ends, server = other, options = options, client = client }
    end
    client:close()
    other:stop()
    return nil, ok and "it took too long" or result
  end

  setup(function()
    local why
    for _, seconds in ipairs { 5, 15, 45 } do
      brief, why = begin_brief(seconds)
      if brief then return end
    end
    error(why, 0)
  end)

  teardown(function()
    brief.client:close()
    brief.server:stop()
    server:stop()
    peer:stop()
    authority:remove()
    stranger:remove()
  end)

  -- How a call ends: the id that the server gives, or an error of ours.
  local function whoami(options)
    local c <close> = boxd.Compute(options)
    local ok, result = pcall(c.whoami, c, { timeout = 10 })
    if ok then return result.user_id end
    assert.is_true(boxd.is_error(result), tostring(result))
    return result
  end

  local function logs(options)
    local c <close> = boxd.Compute(options)
    local ok, err = pcall(function()
      c:stream("StreamLogs", { vm_id = "vm-1" })()
    end)
    assert.is_false(ok)
    assert.is_true(boxd.is_error(err), tostring(err))
    return err
  end

  -- Between words and reason are libcurl's own, which differ.
  local function says(err, words, reason)
    local _, last = err.message:find(words, 1, true)
    assert.truthy(last and err.message:find(reason or "", last + 1, true),
      err.message)
  end

  -- Refused for a reason, before anything was said to the server.
  local function refused(url, words, ca, reason)
    server:script {}
    for _, call in ipairs { whoami, logs } do
      local err = call { api_url = url, token = "t", ca_file = ca }
      assert.equal("ConnectionError", err.class)
      assert.equal("UNAVAILABLE", err.code)
      says(err, words, reason)
    end
    assert.same({}, server:calls())
  end

  it("trusts the authority in ca_file", function()
    server:script { Whoami = { { reply = { user_id = "u-1" } } } }
    assert.equal("u-1", whoami { api_url = server.tls[1], token = "t",
      ca_file = ca_file })
    assert.equal(1, #server:calls())
  end)

  it("knows a server by its name", function()
    server:script { Whoami = { { reply = { user_id = "u-1" } } } }
    local result = program.lua { "-e", ([[
      print(boxd.Compute { api_url = %q, token = "t", ca_file = %q }
        :whoami().user_id)]]):format(
        (server.tls[1]:gsub("127%.0%.0%.1", "localhost")), ca_file),
      -- The resolver that gRPC 1.51 brings leaks a copy of "localhost".
      env = { ASAN_OPTIONS = "detect_leaks=0" } }
    assert.equal("u-1\n", result.out, result.err)
  end)

  it("names the fault of a certificate", function()
    refused(server.tls[2], REFUSED, ca_file, "certificate has expired")
    refused(server.tls[3], "Peer name 127.0.0.1 is not in peer certificate",
      ca_file)
    refused(server.tls[4], REFUSED, ca_file,
      "unable to get local issuer certificate")
  end)

  it("trusts the system's authorities otherwise, and no other", function()
    refused(server.tls[1], REFUSED, nil,
      "unable to get local issuer certificate")
  end)

  it("says which scheme fits the server", function()
    refused(server.url:gsub("^http:", "https:"), "begins with http://", ca_file)
    refused(server.tls[1]:gsub("^https:", "http:"), "begins with https://")
  end)

  it("holds the exchange of keys to the same", function()
    local function exchange(url, ca)
      server:script { Whoami = { { reply = { user_id = "u-1" } } } }
      return whoami { api_url = server.url, api_key = "bxk_good",
        exchange_url = url, ca_file = ca }
    end
    assert.equal("u-1", exchange(keys[1], ca_file))
    assert.truthy(server:calls()[1].metadata)
    for url, reason in pairs {
      [keys[2]] = "certificate has expired",
      [keys[3]] = "certificate subject name matches target",
      [keys[4]] = "unable to get local issuer certificate",
      [server.url:gsub("^http:", "https:") .. "/token"] = "exchange",
    } do
      local err = exchange(url, ca_file)
      assert.equal("ConnectionError", err.class)
      assert.truthy(err.message:find(reason, 1, true), err.message)
      assert.falsy(tostring(err):find("bxk_good", 1, true))
      assert.same({}, server:calls())
    end
    assert.equal("ConnectionError", exchange(keys[1]).class)
  end)

  it("has no option that disables verification", function()
    for _, name in ipairs { "insecure", "verify", "verify_peer", "tls",
      "skip_verify", "ssl_verify" } do
      local ok, err = pcall(boxd.Compute, { token = "t", [name] = false })
      assert.is_false(ok)
      assert.is_true(boxd.is_error(err, boxd.InvalidArgumentError))
      assert.truthy(err.message:find(name, 1, true), err.message)
    end
  end)

  it("says that a ca_file can't be used", function()
    for _, file in ipairs { "/nowhere/ca.pem", authority:path "good.key" } do
      local err = whoami { api_url = server.tls[1], token = "t",
        ca_file = file }
      assert.equal("InvalidArgumentError", err.class)
      assert.truthy(err.message:find(file, 1, true), err.message)
    end
  end)

  it("ends at once when it is cancelled as it asks for the reason", function()
    local c <close> = boxd.Compute { api_url = server.tls[2], token = "t",
      ca_file = ca_file }
    for i = 0, 20 do
      local task = boxd.spawn(function() c:whoami() end)
      boxd.sleep(i / 2000) -- somewhere in the handshakes
      task:cancel()
      local ok, err = pcall(task.join, task)
      assert.is_false(ok)
      assert.is_true(boxd.is_error(err), tostring(err))
    end
  end)

  it("keeps a connection whose certificate ends, and makes no other", function()
    repeat boxd.sleep(0.1) until os.time() > brief.ends
    assert.equal("u-2", brief.client:whoami().user_id)
    local err = whoami(brief.options)
    assert.equal("ConnectionError", err.class)
    says(err, REFUSED, "certificate has expired")
  end)
end)
