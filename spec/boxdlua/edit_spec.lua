-- The prompt on a terminal: editing, history, completion, results.

local program = require "spec.support.program"
local terminal = require "spec.support.terminal"

local function has(text, wanted)
  assert(text:find(wanted, 1, true),
    ("%q is not in\n%s"):format(wanted, text))
end

local function session(lines, args)
  local out, status = terminal.prompt(lines, args)
  assert.equal(0, status)
  return out
end

describe("the prompt on a terminal", function()
  local state

  before_each(function()
    state = os.tmpname()
    os.remove(state)
  end)

  after_each(function() os.execute("rm -rf " .. state) end)

  local function history()
    local file = assert(io.open(state .. "/boxd/history"))
    local text = file:read "a"
    file:close()
    return text
  end

  it("reads text, statements of many lines and =expressions", function()
    local out = session { "1 + 2, 'ä→'", "= 'eq'", "for i = 1, 2 do",
      "print('n' .. i)", "end" }
    has(out, "3\tä→\n")
    has(out, "eq\n")
    has(out, ">> end\nn1\nn2\n")
  end)

  it("edits: cursor keys, Ctrl-A, Ctrl-K", function()
    session { { "send", "prnt('x')\1\27[C\27[Ci\n" }, { "expect", "\nx" },
      { "prompt" }, { "send", "garbage\1\11'y'\n" }, { "expect", "\ny" },
      { "prompt" } }
  end)

  it("edits by the libedit of any distribution", function()
    local folder = program.sh("mktemp -d"):gsub("\n", "")
    finally(function() os.execute("rm -rf " .. folder) end)
    local keys = { { "send", "prnt('x')\1\27[C\27[Ci\n" }, { "expect", "\nx" },
      { "prompt" } }
    -- What can't be loaded stands before the system's.
    program.sh("touch %s/libedit.so.2 %s/libedit.so.0", folder, folder)
    local env = { LD_LIBRARY_PATH = folder }
    assert.matches("nobody edits", select(2, pcall(session, keys, { env = env })))
    program.sh("ln -sf $(ldconfig -p | sed -n 's/.*libedit.so.2 .* => //p' | head -n 1) "
      .. "%s/libedit.so.0", folder)
    session(keys, { env = env })
  end)

  it("shows where an error is, and goes on", function()
    local out = session { "error 'oops'", "x = = 1", "'still'" }
    has(out, "stdin:1: oops\nstack traceback:\n")
    has(out, "stdin:1: unexpected symbol near '='")
    has(out, "still\n")
  end)

  it("lets tasks go on while it waits", function()
    session {
      "boxd.spawn(function() boxd.sleep(0.2) print('from', 'a task') end)",
      { "send", "40 +" }, { "expect", "from\ta task\n" },
      { "expect", "> 40 +" }, { "send", " 2\n" }, { "expect", "\n42" },
      { "prompt" },
    }
  end)

  it("leaves stdin to a statement that reads it", function()
    session { { "send", "print 'now' return io.read()\n" },
      { "expect", "now\n" }, { "send", "a line\n" },
      { "expect", "a line\na line" }, { "prompt" } }
  end)

  it("follows the size of its terminal", function()
    session { { "size", 30, 10 }, { "send", ("x"):rep(50) }, { "size", 90, 24 },
      { "send", "\21'fits'\n" }, { "expect", "\nfits" }, { "prompt" } }
  end)

  it("comes back after Ctrl-C: from a line, a wait and a loop", function()
    session { { "send", "garbage\3" }, { "prompt" },
      { "send", "for i = 1, 2 do\n" }, { "prompt" }, { "send", "\3" },
      { "prompt" },
      { "send", "print 'waits' boxd.sleep(60)\n" }, { "expect", "waits\n" },
      { "send", "\3" }, { "expect", "interrupted" }, { "prompt" },
      { "send", "print 'loops' while true do end\n" }, { "expect", "loops\n" },
      { "send", "\3" }, { "expect", "interrupted" }, { "prompt" },
      { "send", "6 * 7\n" }, { "expect", "\n42" }, { "prompt" } }
  end)

  it("is left from inside by os.exit in a task", function()
    local out, status = terminal.play(
      { program.boxdlua, env = { TERM = "xterm" } }, {
        { "prompt" },
        { "send", "boxd.spawn(function() boxd.sleep(0.01) os.exit(7) end)\n" },
        { "end" } })
    assert.equal(7, status, out)
  end)

  it("keeps history for the next session, for its owner only", function()
    local args = { env = { XDG_STATE_HOME = state } }
    session({ "first = 1", "second = 2" }, args)
    session({ { "send", "\27[A\27[A\n" }, { "prompt" },
      { "send", "first\n" }, { "expect", "\n1" }, { "prompt" } }, args)
    assert.equal("first = 1\nsecond = 2\nfirst = 1\nfirst\n", history())
    local pipe = io.popen("stat -c %a " .. state .. "/boxd/history")
    assert.equal("600\n", pipe:read "a")
    pipe:close()
  end)

  it("keeps no key in its file", function()
    session({ "k = 'bxd_abc'", "k = 'bxk_abc'", "t = 'eyJhbGciOi'", "last = 1" },
      { env = { XDG_STATE_HOME = state } })
    assert.equal("last = 1\n", history())
  end)

  it("works where no history can be kept", function()
    has(session({ "'fine'" }, { env = { XDG_STATE_HOME = "/dev/null/x" } }),
      "\nfine\n")
  end)

  it("cuts a long history to its latest lines", function()
    os.execute("mkdir -p " .. state .. "/boxd")
    local file = assert(io.open(state .. "/boxd/history", "w"))
    for i = 1, 2500 do file:write("line = ", i, "\n") end
    file:close()
    session({ "1" }, { env = { XDG_STATE_HOME = state } })
    local _, lines = history():gsub("\n", "")
    assert.equal(1001, lines)
    has(history(), "line = 2500\n1\n")
  end)

  it("does without an editor on a dumb terminal", function()
    local _, status = terminal.play(
      { program.boxdlua, env = { TERM = "dumb" } }, { { "expect", "\n> " },
        { "send", "1 + 2\n" }, { "expect", "\n3\n> " }, { "send", "\4" },
        { "end" } })
    assert.equal(0, status)
  end)

  it("completes the names of globals, fields and methods", function()
    session {
      { "send", "boxd.Comp\t{ token = 'x', api_url = 'localhost:1' }\n" },
      { "expect", "boxd.Compute (http://localhost:1)" }, { "prompt" },
      "c = boxd.Compute { token = 'x' }",
      { "send", "type(c.bo\t.cre\t)\n" }, { "expect", "\nfunction" },
      { "prompt" },
      { "send", "t = boxd.spa\t(function() boxd.sleep(60) end)\n" },
      { "prompt" },
      { "send", "t:ca\t()\n" }, { "prompt" },
      { "send", "t.status\n" }, { "expect", "\ncancelled" }, { "prompt" },
    }
  end)

  it("lists the names when there are many", function()
    local out = session { { "send", "string.\t" }, { "expect", "byte" }, { "expect", "upper" },
      { "send", "\21" } }
    has(out, "gsub")
  end)
end)
