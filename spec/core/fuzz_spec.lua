-- Runs the fuzzers of spec/fuzz, each for BOXD_FUZZ_SECONDS (1), two at a time, as
-- fast as they are built: `make fuzz` builds them to run fast, and runs them longer.
-- Runs first: it builds all of C once more.
local program = require "spec.support.program"

local function fuzzers()
  local names = {}
  local list = assert(io.popen("ls spec/fuzz/*.c"))
  for path in list:lines() do
    local name = path:match("([^/]+)%.c$")
    if name ~= "state" then names[#names + 1] = name end
  end
  list:close()
  return names
end

describe("the fuzzer", function()
  local output

  setup(function()
    if not os.execute("ls /usr/bin/clang-[1-9][0-9] >/dev/null 2>&1") then return end
    local seconds = os.getenv("BOXD_FUZZ_SECONDS") or "1"
    local result = program.run { "make", "-s", "-k", "BUILD=build",
      "SANITIZE=", "FUZZ=build/fuzz-quick", "FUZZ_OPT=-O0 -g1",
      "SECONDS=" .. seconds, "fuzz", env = { MAKEFLAGS = "" } }
    output = result.out .. result.err
  end)

  for _, name in ipairs(fuzzers()) do
    it(name .. " finds nothing", function()
      if not output then
        pending("clang is not installed")
        return
      end
      local inputs = output:match(
        "fuzz " .. name .. ": nothing found, inputs: (%d+)\n")
      assert.truthy(inputs, output)
      assert.truthy(math.tointeger(inputs) > 100, output)
    end)
  end
end)
