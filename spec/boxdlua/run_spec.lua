local lua = require("spec.support.program").lua

local function says(expected, code)
  local result = lua { "-e", code }
  assert.equal(1, result.status)
  assert.truthy(result.err:find(": " .. expected .. "\nstack traceback:\n", 1,
    true), result.err)
end

describe("an uncaught error", function()
  it("that is a string is shown with its place", function()
    says("(command line):1: oops", "error 'oops'")
    says("17", "error(17)")
  end)

  it("that has a __tostring is shown by it", function()
    says("I am E", "error(setmetatable({}, { __tostring = function() "
      .. "return 'I am E' end }))")
  end)

  it("that has a broken __tostring is still shown", function()
    says("(error object is a table value whose __tostring fails)",
      "error(setmetatable({}, { __tostring = function() error 'x' end }))")
    says("(error object is a table value whose __tostring fails)",
      "error(setmetatable({}, { __tostring = function() return {} end }))")
  end)

  it("that has no text is shown by its type", function()
    says("(error object is a table value)", "error {}")
    says("(error object is a nil value)", "error()")
  end)
end)

describe("a script's arguments", function()
  it("come from the global arg", function()
    local result = lua { "-e", "arg[1] = 'changed'", "-", "a",
      stdin = "print(...)" }
    assert.equal("changed\n", result.out)
    result = lua { "-e", "arg = 1", "-", stdin = "print(...)" }
    assert.equal(1, result.status)
    assert.truthy(result.err:find("'arg' is not a table", 1, true))
  end)
end)
