-- Allocations that fail: a sample of what `make torture` tries, and more of the
-- calls in which it has found something.
-- Runs first: it runs every scenario many times.

local program = require "spec.support.program"

local build = os.getenv "BOXD_BUILD" or "build"

-- What the torture says at its end: how many points, and all of it.
local function torture(...)
  local run = program.run { build .. "/torture/torture",
    "scripts/torture/run.lua", env = { BUILD = build }, ... }
  -- An ordinary user may not be allowed one.
  assert.equal("", (run.err:gsub("boxdlua: boxes have no network: [^\n]*\n", "")))
  assert.equal(0, run.status, run.out)
  local points = run.out:match("(%d+) points: 0 wrong results, 0 leaks, "
    .. "0 clients unusable, 0 errors that do not name memory\n$")
  return math.tointeger(assert(points, run.out)), run.out
end

describe("without memory for an allocation", function()
  it("every call fails with an error that says so, and the next one succeeds",
    function()
      local points, out = torture "--quick"
      assert.is_true(points > 300, out)
      -- The one library that does not come back.
      assert.truthy(out:find("gRPC's own allocator ends the process", 1, true))
    end)

  -- "table index is nil" took the place of the error.
  it("temporary says what failed before its task ran", function()
    torture("--only", "Boxes.temporary")
  end)

  -- A worker that failed by itself left a hole in the results; and closing
  -- without memory for any wait went on for ever.
  it("gather and map never leave out results", function()
    torture("--only", "gather, map", "--kind", "lua", "--every",
      "3")
  end)

  it("map collects all errors", function()
    torture("--only", "map, collect", "--kind", "lua", "--every", "2")
  end)

  -- The key was said to be refused.
  it("the exchange does not take it for an answer", function()
    torture("--only", "Compute, exchange, close", "--kind", "cjson")
  end)

  -- libcurl divided by zero at the next request.
  it("libcurl is not used again as it was", function()
    torture("--only", "http.request", "--kind", "curl")
  end)

  -- It took no more calls; its spawner ended, or a box's first process, and with
  -- them boxes; an exit status was lost, for which its caller waited for ever.
  it("the embedded service, its spawner and its boxes go on", function()
    torture("--part", "service", "--only", "exec", "--every", "3")
    torture("--part", "service", "--only", "get, list", "--every", "2")
  end)

  it("sha256 does not blame the configuration alone", function()
    torture("--only", "sha256, now, BoxConfig", "--kind", "openssl")
  end)
end)
