-- The everyday methods where commands outlive their call, as they may on boxd.sh.
-- Runs first: it runs their specs again.

local program = require "spec.support.program"

describe("on a service where commands outlive their call,", function()
  for name, methods in pairs { jobs = "jobs", sync = "folders kept the same",
    port_forward = "forwarded ports", everyday = "the everyday methods" } do
    it(methods .. " hold to their specs", function()
      local path
      for dir in os.getenv "PATH":gmatch "[^:]+" do
        local f <close> = io.open(dir .. "/busted")
        path = path or f and dir .. "/busted"
      end
      local result = program.lua { path, "--ignore-lua", "-o", "plainTerminal",
        "spec/local/" .. name .. "_spec.lua", env = { BOXD_SURVIVES = "1" } }
      assert.truthy(result.out:find(" 0 failures / 0 errors / 0 pending", 1, true),
        result.out .. result.err)
      assert.equal(0, result.status)
    end)
  end
end)
