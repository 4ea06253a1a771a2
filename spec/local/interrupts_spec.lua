-- c.box:temporary against the embedded service, ended in every way at a random
-- moment: no box stays. BOXD_INTERRUPTS: how many scripts (48).

local boxd = require "boxd"
local program = require "spec.support.program"
local support = require "spec.support.service"

local SCRIPTS = tonumber(os.getenv "BOXD_INTERRUPTS") or 48

local BEFORE = [[
local c <close> = boxd.Compute{}
local seconds = tonumber((...))
local function send(signal)
  os.execute(("(sleep %.3f; kill -%s $PPID) >/dev/null 2>&1 &"):format(seconds,
    signal))
end
local function make() return c.box:temporary() end
local function use()
  local b <close> = make()
  boxd.sleep(0.02)
end
]]

local WAYS = {
  "pcall(boxd.with_timeout, seconds, make)",
  "pcall(boxd.with_timeout, seconds, use)",
  "send 'INT' make() boxd.sleep(5)",
  "send 'INT' for _ = 1, 100 do use() end",
  "send 'TERM' boxd.map({ 1, 2, 3 }, make) while true do end",
  "boxd.gather { use, make, function() boxd.sleep(seconds) error 'x' end }",
  "local t = boxd.spawn(make) boxd.sleep(seconds) t:cancel()",
  "local t = boxd.spawn(use) boxd.sleep(seconds) t:cancel() pcall(t.join, t)",
  "boxd.spawn(make) boxd.sleep(seconds) error 'beside'",
  "boxd.spawn(use) boxd.sleep(seconds)",
  "boxd.spawn(make) boxd.sleep(seconds) c:close()",
  "boxd.with_timeout(seconds, boxd.map, { 1, 2, 3 }, use, { limit = 2 })",
}

describe("temporary boxes of the embedded service", function()
  local service, compute = support.of_block()

  it("are gone, whatever ended their script, and when", function()
    -- Keys are exchanged a bounded number of times a minute.
    local token = compute.token:create().token
    local random = math.random
    for i = 1, SCRIPTS do
      local way = WAYS[(i - 1) % #WAYS + 1]
      local seconds = ("%.3f"):format(random() * 0.06)
      local began = boxd.now()
      local result = program.run { program.boxdlua, "-e",
        "local function script(...) " .. BEFORE .. way .. " end script("
          .. seconds .. ")",
        env = { BOXD_API_URL = service.api_url, BOXD_TOKEN = token } }
      local what = way .. " after " .. seconds .. " s: " .. result.err
      assert.is_true(boxd.now() - began < 30, what)
      assert.not_matches("was not destroyed", result.err, what)
      assert.same({}, compute.box:list(), what)
    end
  end)
end)
