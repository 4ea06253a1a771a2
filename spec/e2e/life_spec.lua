-- The life of a box on whatever service the environment names: `make e2e`.
-- Elsewhere it is pending, with the reason.

local boxd = require "boxd"

local function present(name) return (os.getenv(name) or "") ~= "" end

describe("a box of the service in the environment", function()
  if not (present "BOXD_API_KEY" or present "BOXD_TOKEN") then
    pending "skipped: no BOXD_API_KEY or BOXD_TOKEN is set (make e2e)"
    return
  end

  local c, box
  setup(function()
    c = boxd.Compute {}
    box = c.box:create { name = ("e2e-%d"):format(os.time()) }
    box:wait_until_ready { timeout = 120 }
  end)
  teardown(function()
    if box then box:destroy() end
    c:close()
  end)

  it("names the account", function()
    assert.is_string(c:whoami().user_id)
    assert.is_string(c:config().default_image)
  end)

  it("is found by id, by name and in the list", function()
    assert.equal(box.id, c.box:get(box.id).id)
    assert.equal(box.id, c.box:get(box.name).id)
    local found = false
    for _, other in ipairs(c.box:list()) do
      found = found or other.id == box.id
    end
    assert.is_true(found)
  end)

  it("runs commands", function()
    local r = box:sh("echo out; echo err >&2; exit 3")
    assert.same({ "out\n", "err\n", 3 }, { r.stdout, r.stderr, r.exit_code })
    assert.equal("it's $HOME *\n", box:exec("echo", "it's $HOME *").stdout)
    assert.equal("fed", box:exec("cat", { stdin = "fed" }).stdout)
  end)

  it("streams", function()
    local p <close> = box:sh("for i in 1 2 3; do echo $i; done",
      { stream = true })
    local lines = {}
    for line in p:lines() do lines[#lines + 1] = line end
    assert.same({ "1", "2", "3" }, lines)
    assert.equal(0, p:wait())
  end)

  it("keeps files", function()
    local bytes = ("\0\1\2\255"):rep(1000)
    box:write_file(bytes, "/tmp/e2e/file")
    assert.equal(bytes, box:read_file "/tmp/e2e/file")
    local ok, e = pcall(box.read_file, box, "/tmp/e2e/none")
    assert.is_false(ok)
    assert.is_true(boxd.is_error(e))
  end)
end)
