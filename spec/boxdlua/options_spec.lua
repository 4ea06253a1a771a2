local lua = require("spec.support.program").lua

local function refuses(message, ...)
  local result = lua { ... }
  assert.equal(1, result.status)
  assert.equal("", result.out)
  assert.truthy(result.err:find(message, 1, true), result.err)
  assert.truthy(result.err:find("\nusage: ", 1, true), result.err)
  assert.truthy(result.err:find("; --help lists all options\n", 1, true), result.err)
end

describe("the options of boxdlua", function()
  it("refuses an unknown one", function()
    refuses("unrecognized option '-x'", "-x")
    refuses("unrecognized option '--bogus'", "--bogus")
    refuses("unrecognized option '-vx'", "-vx")
    refuses("unrecognized option '--localx'", "--localx")
    refuses("unrecognized option '--listenx'", "--serve", "--listenx")
  end)

  it("names the one that was meant", function()
    refuses("'--locl': did you mean '--local'?", "--locl")
    refuses("'--docter': did you mean '--doctor'?", "--docter")
    refuses("'--trace' needs a value", "--trace")
  end)

  it("refuses one without its argument", function()
    refuses("'-e' needs argument", "-e")
    refuses("'-l' needs argument", "-l", "-v")
    refuses("'--listen' needs a value", "--serve", "--listen")
    refuses("'--state' needs a value", "--serve", "--state=")
    refuses("'--init' needs a value", "--serve", "--init")
  end)

  it("refuses what --serve cannot take", function()
    refuses("'--net' takes private or host, not 'x'", "--serve", "--net", "x")
    refuses("'--limits' takes production or none, not 'x'", "--serve",
      "--limits", "x")
    refuses("'--init' takes boxd or systemd, not 'x'", "--local", "--init=x")
    for _, n in ipairs { "0", "-1", "2x", "99999999999999999999" } do
      refuses("'--max-boxes' takes a whole number from 1", "--serve",
        "--max-boxes", n)
    end
    refuses("'--serve' runs no script ('x.lua')", "--serve", "x.lua")
    refuses("'--serve' goes with", "--serve", "-e", "print(1)")
    refuses("leave out --local or --serve", "--serve", "--local")
  end)

  it("refuses options of --serve without it", function()
    refuses("'--listen' goes with --serve", "--listen", "127.0.0.1:0")
    refuses("'--max-boxes=3' goes with --serve", "--max-boxes=3")
    refuses("'--exec-survives' goes with --serve or --local", "--exec-survives")
    refuses("'--limits' goes with --serve or --local", "--limits", "none")
    refuses("'--init' goes with --serve or --local", "--init", "systemd")
    refuses("'--state' goes with --serve", "--local", "--limits", "none",
      "--state", "/tmp/x", "--exec-survives")
  end)

  it("shows them with --help", function()
    local result = lua { "--help" }
    assert.equal(0, result.status)
    assert.equal("", result.err)
    assert.truthy(result.out:find("^usage: .*\n  %-e stat .*\n  %-%-local "))
  end)

  it("shows them with -h, and the version with --version", function()
    assert.equal(lua({ "--help" }).out, lua({ "-h" }).out)
    assert.matches("^boxd %d+%.%d+%.%d+ ", lua({ "--version" }).out)
    assert.equal(lua({ "-v" }).out, lua({ "--version" }).out)
  end)

  it("refuses anything beside --clean", function()
    refuses("'--clean' goes without anything else", "--clean", "x.lua")
    refuses("'--clean' goes without anything else", "--local", "--clean")
  end)

  it("stops reading options at --", function()
    local result = lua { "--", "-no-such-script" }
    assert.equal(1, result.status)
    assert.truthy(result.err:find("cannot open -no-such-script", 1, true))
  end)
end)
