-- boxd.local.service as clients that are not ours see it.

local support = require "spec.support.service"

describe("the embedded service", function()
  local service = support.of_block()

  local function python(script, ...)
    local words = { "timeout 60 /usr/bin/python3 spec/support/" .. script }
    for _, word in ipairs { ... } do words[#words + 1] = "'" .. word .. "'" end
    local f <close> = io.popen(table.concat(words, " ") .. " 2>&1")
    return f:read "a"
  end

  it("walks through everything with gRPC's Python, stubs from the proto",
    function()
      local stubs = service.folder .. "/stubs"
      assert(os.execute(("mkdir %s && protoc -Iproto --python_out=%s boxd.proto")
        :format(stubs, stubs)))
      assert.equal("walked\n", python("walk.py", stubs,
        service.api_url:match "//(.*)", service.exchange_url, service.api_key))
    end)

  it("walks through everything with messages made by reflection", function()
    assert.equal("walked\n", python("walk.py", "-",
      service.api_url:match "//(.*)", service.exchange_url, service.api_key))
  end)

  it("reflects the contract without a token", function()
    assert.equal(("boxd.api.v1.BoxdApi 2\n"):rep(2),
      python("reflect.py", service.api_url:match "//(.*)"))
  end)

  it("answered all of that without a fault", function()
    assert.is_nil(service:errors():find("traceback", 1, true),
      service:errors())
  end)
end)
