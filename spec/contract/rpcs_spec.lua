-- The table of all RPCs in proto/README.md against its sources, and those against
-- what methods were seen to send.

local rpcs = require "scripts.doc.rpcs"
local composed = require "spec.support.composed"
local rows = require "spec.support.rows"
require "spec.support.surface"
require "spec.support.surface_exec"
require "spec.support.surface_today"
require "spec.support.surface_everyday"
local types = require "scripts.doc.types"

describe("proto/README.md", function()
  it("is what the contract, the methods and the embedded service say",
    function()
      local f <close> = assert(io.open "proto/README.md")
      local text = f:read "a"
      for _, line in ipairs(rpcs.lines()) do
        assert.truthy(text:find("\n" .. line .. "\n", 1, true),
          "not in proto/README.md (boxdlua scripts/doc/rpcs.lua makes it): " .. line)
      end
      local _, count = text:match "\n| RPC | by | embedded |\n(.-)\n\n"
        :gsub("\n| %u", "")
      assert.equal(129, count)
      assert.equal(131, #rpcs.lines())
    end)

  it("knows both answers of each column", function()
    local text = table.concat(rpcs.lines(), "\n")
    for _, line in ipairs { "| RenameVm | `box:rename` | yes |",
      "| CreateTeam | `c:call` only | no |",
      "| DesktopTunnel | `c:stream` only | no |",
      "| ListProxyNodes | `c:call` only | yes |" } do
      assert.truthy(text:find(line, 1, true), line)
    end
  end)
end)

-- Methods that run commands for some options only, or that belong to objects
-- without rows: by name, the spec that holds them.
local JOBS = "spec/local/jobs_spec.lua"
local ELSEWHERE = {
  ["Box.read_file"] = "spec/local/files_spec.lua",
  ["Files.read_file"] = "spec/local/files_spec.lua",
  ["Files.write_file"] = "spec/api/files_spec.lua",
  ["Box.mkdir"] = "spec/local/everyday_spec.lua",
  ["Files.mkdir"] = "spec/local/everyday_spec.lua",
  ["ExecProcess.kill"] = "spec/local/killable_spec.lua",
  ["Job.refresh"] = JOBS, ["Job.lines"] = JOBS, ["Job.output"] = JOBS,
  ["Job.wait"] = JOBS, ["Job.kill"] = JOBS, ["Job.remove"] = JOBS,
}

local function is_held(name)
  local path = ELSEWHERE[name]
  if not path then return false end
  local file <close> = assert(io.open(path))
  return file:read "a":find("[:.]" .. name:match "%.(.+)$" .. "%f[%W]") ~= nil
end

describe("the RPCs that annotations name", function()
  -- Method -> the RPCs that its rows were seen to make.
  local seen = {}
  for _, row in ipairs(rows.list) do
    seen[row.method] = seen[row.method] or {}
    for _, call in ipairs(row.calls) do seen[row.method][call.method] = true end
  end

  it("are those that the methods make", function()
    local count = 0
    for _, item in ipairs(types.read(types.files)) do
      for _, rpc in ipairs(item.kind == "function" and item.rpc or {}) do
        local name = item.class .. "." .. item.name
        local of = seen[name] or seen[name:gsub("^Files", "Box")]
        -- temporary makes boxes as create does.
        if item.name == "temporary" and not of[rpc] then
          of = seen["Boxes.create"]
        end
        if rpc == "Exec" and is_held(name) then of = { Exec = true } end
        assert.is_true(of and of[rpc] or composed[name] ~= nil, name .. ": " .. rpc)
        count = count + 1
      end
    end
    assert.is_true(count > 100, tostring(count))
  end)
end)
