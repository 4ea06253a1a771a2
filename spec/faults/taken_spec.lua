-- Options and values that change, or go, while a call reads them: metamethods
-- and finalizers are the script's code and run in the middle of it.

local boxd = require "boxd"
local program = require "spec.support.program"
local text = require "boxd.core".text

-- Options that the table does not keep: a new string each time. Reading any
-- other option collects what nothing holds, and uses its memory again.
local function made_anew(fields)
  return setmetatable({}, { __index = function(_, name)
    if fields[name] then return fields[name]:rep(1) end
    for _ = 1, 3 do -- also what is left of it where the stack was
      (function() local _, _, _, _, _, _, _, _, _, _, _, _ = nil end)()
      collectgarbage()
    end
    local other = {}
    for _, value in pairs(fields) do
      for i = 1, 100 do
        other[#other + 1] = ("#"):rep(#value - 5) .. 10000 + i
      end
    end
  end })
end

describe("a string that nothing keeps but the call", function()
  it("stays whole in the options of an HTTP request", function()
    local method = "NO METHOD LIKE GET" .. ("M"):rep(60)
    local ok, err = pcall(boxd.http.request,
      made_anew { url = "gopher://host/" .. ("u"):rep(60), method = method })
    assert.is_false(ok)
    assert.truthy(err.message:find(method, 1, true), err.message)
    ok, err = pcall(boxd.http.request,
      made_anew { url = "gopher://host/" .. ("u"):rep(60) })
    assert.is_false(ok)
    assert.truthy(err.message:find("'gopher'", 1, true), err.message)
  end)

  it("stays whole as the folder of a command", function()
    local cwd = "/a/folder/with/a/long/name/" .. ("c"):rep(60)
    local command = text.command({ "ls" }, made_anew { cwd = cwd })
    assert.truthy(command:find(cwd, 1, true), command)
  end)
end)

describe("a table that a finalizer empties", function()
  it("is encoded as JSON as it was before or after", function()
    local result = program.lua { "-e", [[
      require "spec.support.collector".incremental(1, 25, 8) -- many steps
      local value, encoding = {}, false
      local function fill()
        for i = 1, 1000 do value[("k"):rep(50) .. i] = ("v"):rep(50) .. i end
      end
      local function arm()
        setmetatable({}, { __gc = function()
          for key in pairs(encoding and value or {}) do value[key] = nil end
          if arm then arm() end
        end })
      end
      fill()
      local whole = boxd.json.encode(value)
      arm()
      for _ = 1, 50 do
        fill()
        encoding = true
        local text = boxd.json.encode(value)
        encoding = false
        assert(text == whole or text == "{}", "neither")
      end
      arm = nil
      print "end"]] }
    assert.equal("end\n", result.out, result.err)
  end)
end)
