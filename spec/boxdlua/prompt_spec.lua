local lua = require("spec.support.program").lua

-- What -i prints for the lines, after the version, without the last newline.
local function session(lines)
  local result = lua { "-i", stdin = table.concat(lines, "\n") .. "\n" }
  assert.equal(0, result.status)
  return result.out:gsub("^[^\n]*\n", ""):gsub("\n$", ""), result.err
end

describe("the prompt", function()
  it("prints the values of an expression", function()
    assert.equal("> 3\ta\n> nil\n> ", (session { "1 + 2, 'a'", "= nil" }))
  end)

  it("runs statements and keeps globals", function()
    assert.equal("> > 5\n> ", (session { "x = 5", "x" }))
  end)

  it("asks for the rest of a statement", function()
    assert.equal("> >> >> 1\n2\n> ",
      (session { "for i = 1, 2 do", "print(i)", "end" }))
  end)

  it("goes on after an error", function()
    local out, err = session { "error 'oops'", "x = = 1", "'still here'" }
    assert.equal("> > > still here\n> ", out)
    assert.truthy(err:find("stdin:1: oops\nstack traceback:\n", 1, true), err)
    assert.truthy(err:find("unexpected symbol near '='", 1, true), err)
  end)

  it("takes its text from _PROMPT and _PROMPT2", function()
    assert.equal("> > a b 1\na ", (session {
      "_PROMPT2 = 'b '", "_PROMPT = 'a '", "print(", "1)" }))
  end)

  it("comes after a script with -i", function()
    local result = lua { "-i", "-e", "y = 'set before'", stdin = "y\n" }
    assert.truthy(result.out:find("> set before\n", 1, true), result.out)
  end)
end)
