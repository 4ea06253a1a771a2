-- Which authorities are trusted without ca_file: those of SSL_CERT_FILE, else
-- those of the file that the machine's distribution keeps.

local certs = require "spec.support.certs"
local program = require "spec.support.program"
local recorder = require "spec.support.recorder"
local sandbox = require "spec.support.sandbox"

describe("SSL_CERT_FILE", function()
  local authority, server, env

  setup(function()
    authority = certs.new()
    server = recorder.start { authority:leaf("good", "IP:127.0.0.1") }
    env = { SSL_CERT_FILE = authority:path "ca.pem", BOXD_TOKEN = "t",
      BOXD_API_URL = server.tls[1] }
  end)
  teardown(function()
    server:stop()
    authority:remove()
  end)

  local function run(script, file)
    env.SSL_CERT_FILE = file
    return program.lua { "-e", script, env = env }
  end

  it("names the authorities that calls trust", function()
    server:script { Whoami = { { reply = { user_id = "u-1" } } } }
    local script = "print(boxd.Compute{}:whoami().user_id)"
    local result = run(script, authority:path "ca.pem")
    assert.equal("u-1\n", result.out, result.err)
    assert.matches("can't read the certificates in /no/such: No such file or "
      .. "directory %(SSL_CERT_FILE%)", run(script, "/no/such").err)
    assert.matches("good.key holds no PEM certificate",
      run(script, authority:path "good.key").err)
  end)

  it("names those that boxd.http trusts, unless there is a ca_file", function()
    local script = [[print(pcall(boxd.http.request, {
      url = os.getenv "BOXD_API_URL", ca_file = os.getenv "FILE" }))]]
    -- What this server answers is not HTTP/1, but comes after the certificate.
    local function trusts(file)
      local out = run(script, file).out
      return not out:find "certificate" and not out:find "trust anchors"
    end
    assert.is_true(trusts(authority:path "ca.pem"))
    assert.is_false(trusts "/no/such")
    assert.is_false(trusts "")
    env.FILE = authority:path "ca.pem"
    assert.is_true(trusts "/no/such")
    env.FILE = nil
  end)

  it("names those that --doctor trusts", function()
    local function doctor(file)
      env.SSL_CERT_FILE = file
      return program.lua { "--doctor", env = env }.out
    end
    assert.matches("ok +TLS +good, issued", doctor(authority:path "ca.pem"))
    assert.matches("fail +TLS +can't read the certificates in /no/such",
      doctor "/no/such")
  end)
end)

local boxes, why = sandbox.new()
if not boxes then
  describe("a distribution's certificates", function()
    pending("cannot be tried here: " .. why)
  end)
  return
end

describe("a distribution's certificates", function()
  local box = boxes:start "roots"
  teardown(function()
    boxes:kill(box)
    boxes:close()
  end)

  if boxes:run(box, "sudo -n true").code ~= 0 then
    pending "this user has no ids for root"
    return
  end

  -- Debian's, Fedora's old and new, openSUSE's, Alpine's.
  local FILES = { "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem" }

  local function call()
    return boxes:run(box, [[BOXD_TOKEN=t BOXD_API_URL=https://127.0.0.1:1 \
      /tmp/boxdlua -e 'boxd.Compute { max_retries = 0 }:whoami()']]).err
  end

  it("are found where each keeps them, and their places named else", function()
    local f <close> = assert(io.open(program.boxdlua, "rb"))
    assert.equal(0, boxes:run(box, "cat > /tmp/boxdlua && chmod 755 /tmp/boxdlua",
      { input = f:read "a" }).code)
    boxes:output(box, "sudo rm -rf " .. table.concat(FILES, " "))
    local message = call()
    for _, path in ipairs(FILES) do
      assert.truthy(message:find(path, 1, true), message)
      boxes:output(box, ("sudo sh -c 'mkdir -p ${0%%/*} && echo none > $0' %s")
        :format(path))
      assert.truthy(call():find(path .. " holds no PEM certificate", 1, true),
        call())
      boxes:output(box, "sudo rm " .. path)
    end
  end)
end)
