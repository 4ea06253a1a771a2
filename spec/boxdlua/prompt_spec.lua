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

  it("ends at exit and quit, which stay names for globals", function()
    for _, word in ipairs { "exit", "exit()", "quit", " quit ; " } do
      assert.equal("> 1\n> ", (session { "1", word, "'not reached'" }))
    end
    assert.equal("> > 7\n> ", (session { "exit = 7", "exit" }))
  end)

  it("has a word of help", function()
    local out = session { "help", "help()", "'still here'" }
    assert.matches("^> A statement runs.*\n> A statement runs.*\n> still here\n",
      out)
    assert.equal("> > 7\n> ", (session { "help = 7", "help" }))
  end)

  it("does not wait for the arguments of a method", function()
    local out, err = session { "s = 'x'", "s:upper", "'still here'" }
    assert.equal("> > > still here\n> ", out)
    assert.matches("function arguments expected", err)
  end)

  it("gives each result its line where one has columns", function()
    assert.equal("> a\n1\nfalse\n> ", (session { "{ { a = 1 } }, false" }))
    assert.equal("> { 1 }\tfalse\n> ", (session { "{ 1 }, false" }))
    assert.equal("> a\n\tfalse\n> ", (session { "'a\\n', false" }))
  end)

  it("comes after a script with -i", function()
    local result = lua { "-i", "-e", "y = 'set before'", stdin = "y\n" }
    assert.truthy(result.out:find("> set before\n", 1, true), result.out)
  end)
end)
