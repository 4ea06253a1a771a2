-- c.box:temporary: whatever ends the script, its boxes go. The server is a
-- process of its own, which prints its requests.

local boxd = require "boxd"
local process = require "spec.support.process"
local program = require "spec.support.program"

local server
local MARK = os.tmpname() -- there once the server was asked for a box

-- Runs the code as a script, with the Compute `c`; then what the server did,
-- sorted.
local function run(code, ...)
  os.remove(MARK)
  local result = program.lua { "-W", "-e", code, ...,
    env = { BOXD_API_URL = "http://" .. server.address, BOXD_TOKEN = "t" } }
  local c <close> = boxd.Compute { api_url = server.address, token = "t" }
  c:call("StartVm", { vm_id = "the end" })
  local seen = {}
  for line in server.line, server do
    if line == "StartVm the end" then break end
    seen[#seen + 1] = line
  end
  return table.concat(seen, ", "), result
end

-- send: a signal for the script, once its box is being made, and not before
-- os.execute has returned, which ignores SIGINT until then.
local BEFORE = ([[
local c = boxd.Compute{}
local function send(signal)
  os.execute(("(while { ! [ -e %s ] || kill -0 $$; } && kill -0 $PPID; "
    .. "do sleep 0.02; done; sleep 0.02; kill -%%s $PPID) >/dev/null 2>&1 &")
    :format(signal))
end
]]):format(MARK)

local function goes(code, status)
  local seen, result = run(BEFORE .. code)
  assert.equal("CreateVm a, SetDeleteAfter vm-a, DestroyVm vm-a", seen,
    result.err)
  assert.equal(status or 0, result.status, result.err)
  return result
end

describe("c.box:temporary", function()
  setup(function()
    server = process.start { program.boxdlua, "spec/support/creator.lua", MARK }
    server.address = server:line()
  end)
  teardown(function()
    server:stop()
    os.remove(MARK)
  end)

  it("makes a box as create does, that <close> destroys", function()
    goes [[
      local kept
      do
        local b <close> = c.box:temporary{ name = "a" }
        assert(b.id == "vm-a" and tostring(b):find "^Box%(")
        kept = b
      end
      assert(kept.status == "destroyed")]]
    goes [[do local b <close> = c.box:temporary("a", {}) end]]
    goes [[pcall(function()
      local b <close> = c.box:temporary{ name = "a" }
      error "x"
    end)]]
  end)

  it("is not destroyed twice", function()
    goes [[local b <close> = c.box:temporary{ name = "a" } b:destroy()]]
  end)

  it("goes at the end of the script, whatever became of the variable",
    function()
      goes [[c.box:temporary{ name = "a" } collectgarbage()]]
      goes([[B = c.box:temporary{ name = "a" } error "x"]], 1)
      goes([[B = c.box:temporary{ name = "a" } os.exit(3)]], 3)
      goes([[boxd.run(function()
        local b = c.box:temporary{ name = "a" }
        os.exit(4)
      end)]], 4)
      goes [[B = c.box:temporary{ name = "a" } c:close()]]
      goes [[local d <close> = c B = c.box:temporary{ name = "a" }]]
    end)

  it("goes when a signal ends the script", function()
    goes([[B = c.box:temporary{ name = "a" } send "INT" boxd.sleep(60)]], 130)
    goes([[B = c.box:temporary{ name = "a" } send "TERM" while true do end]],
      143)
    goes([[boxd.spawn(function()
        local b <close> = c.box:temporary{ name = "a" }
        send "INT"
        boxd.sleep(60)
      end)
      boxd.sleep(60)]], 130)
  end)

  it("goes even if its making was interrupted", function()
    local codes = {
      { 130, [[send "INT" c.box:temporary{ name = "slow-1.5" }]] },
      { 130, [[send "INT" boxd.run(c.box.temporary, c.box,
        { name = "slow-1.5" })]] },
      { 0, [[local t = boxd.spawn(c.box.temporary, c.box,
        { name = "slow-0.3" }) t:cancel()]] },
      { 0, [[local ok, e = pcall(boxd.with_timeout, 0.05, c.box.temporary,
        c.box, { name = "slow-0.3" }) assert(e.class == "TimeoutError")]] },
      { 0, [[pcall(boxd.with_timeout, 0.05, c.box.temporary, c.box,
        { name = "slow-0.3" }) boxd.sleep(0.5) BOX = "went before the end"]] },
    }
    for _, row in ipairs(codes) do
      local seen, result = run(BEFORE .. row[2])
      local name = row[2]:match "slow%-[%d.]+"
      assert.equal(("CreateVm %s, SetDeleteAfter vm-%s, DestroyVm vm-%s"):format(
        name, name, name), seen, row[2])
      assert.equal(row[1], result.status, result.err)
    end
  end)

  it("goes with many at once", function()
    local seen, result = run(BEFORE .. [[
      for i = 1, 50 do c.box:temporary{ name = "b" .. i } end]])
    assert.equal(0, result.status, result.err)
    local _, created = seen:gsub("CreateVm", "")
    local _, destroyed = seen:gsub("DestroyVm", "")
    assert.equal(50, created)
    assert.equal(50, destroyed)
  end)

  it("says which box could not be destroyed", function()
    local seen, result = run(BEFORE .. [[
      local ok, e = pcall(function()
        local b <close> = c.box:temporary{ name = "stuck" }
      end)
      assert(e.class == "InternalError" and e.method == "DestroyVm")
      ok, e = pcall(function()
        local b <close> = c.box:temporary{ name = "stuck" }
        error("mine", 0)
      end)
      assert(e == "mine")]])
    assert.equal(0, result.status, result.err)
    assert.matches("warning: boxd: box vm%-stuck was not destroyed", result.err)
    assert.matches("boxd: box vm%-stuck %(stuck%) was not destroyed",
      result.err)
    assert.matches("refused", seen)
  end)

  it("leaves the boxes of create alone, which have no <close>", function()
    local seen = run(BEFORE .. [[c.box:create{ name = "a" }
      assert(not pcall(function() local b <close> = c.box:create{ name = "b" }
      end))]])
    assert.equal("CreateVm a, CreateVm b", seen)
  end)

  it("is a box to everything that takes one", function()
    local seen, result = run(BEFORE .. [[
      local b <close> = c.box:temporary{ name = "a" }
      c.box:fork(b, {})]])
    assert.matches("ForkVm", seen .. result.err)
    assert.not_matches("Box expected", result.err)
  end)
end)
