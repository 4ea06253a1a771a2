-- src/core is a client by itself: a C program that links it, the generated
-- contract and the libraries, and no Lua.

local process = require "spec.support.process"
local program = require "spec.support.program"
local service = require "spec.support.service"

local BUILD = os.getenv "BOXD_BUILD" or "build"
local SANITIZE = os.getenv "SANITIZE" or ""
local CC = os.getenv "CC" or "cc"

local function run(command)
  local result = program.run { "sh", "-c", command }
  assert.equal(0, result.status, result.err .. result.out)
  return result.out
end

describe("src/core without Lua", function()
  local client

  setup(function()
    client = os.tmpname()
    run(("%s -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror %s -Isrc -I%s/proto "
      .. "-o %s spec/support/core_client.c %s/src/core/*.o %s/proto/boxd.pb-c.o "
      .. "-lgrpc -lgpr -lprotobuf-c -lcjson -lssl -lcrypto -ldl -lm -pthread")
      :format(CC, SANITIZE, BUILD, client, BUILD, BUILD))
  end)

  teardown(function() os.remove(client) end)

  it("lists boxes, shows output as it comes and stops a box", function()
    local s <close> = service.new()
    local box = s.compute.box:create { name = "web" }
    local child = process.start { client, "web",
      "echo one; until [ -e go ]; do sleep 0.01; done; "
        .. "while kill -0 $(cat go) 2>/dev/null; do sleep 0.01; done; echo two; exit 7",
      env = { BOXD_API_URL = s.api_url, BOXD_API_KEY = s.api_key } }
    assert.equal("web is running", child:line())
    assert.equal("one", child:line())
    -- It has answered once its process is gone: the box is not stopped before.
    assert.is_true(box:sh("echo $$ > new; mv new go").success)
    assert.equal("two", child:line())
    assert.equal(7, select(3, child.stdout:close()))
    assert.equal("stopped", box:refresh().status)
  end)

  it("reports missing and refused credentials", function()
    local none = program.run { client, "web", "true", env = {} }
    assert.equal(125, none.status)
    assert.matches("^client: AuthenticationError: no credentials", none.err)
    local s <close> = service.new()
    local refused = program.run { client, "web", "true", env = {
      BOXD_API_URL = s.api_url, BOXD_API_KEY = "bxk_wrong" } }
    assert.equal(125, refused.status)
    assert.matches("^list: AuthenticationError: the service refuses this API "
      .. "key", refused.err)
  end)

  it("refuses text that is not UTF-8, naming the field", function()
    local s <close> = service.new()
    local result = program.run { client, "we\xffb", "true", env = {
      BOXD_API_URL = s.api_url, BOXD_API_KEY = s.api_key } }
    assert.equal(125, result.status)
    assert.equal("exec: InvalidArgumentError: ExecChunk.vm_id: not UTF-8; text "
      .. "must be UTF-8\n", result.err)
  end)

  it("has no symbol of Lua", function()
    local symbols = run("nm " .. client)
    assert.matches(" T main\n", symbols)
    assert.is_nil(symbols:match "[^\n]* _?luaL?_[^\n]*")
    assert.is_nil(run("ldd " .. client):match "[^\n]*liblua[^\n]*")
  end)
end)
