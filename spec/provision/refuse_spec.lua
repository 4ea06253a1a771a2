-- What provision refuses before anything runs: with the line of the script.

local boxd = require "boxd"
local calls = require "spec.support.calls"

describe("provision refuses", function()
  local s

  setup(function()
    s = calls.start { Exec = function(call) call:finish() end }
  end)

  teardown(function() calls.__close(s) end)

  -- The error names a line of the specs below.
  local function refuses(message, fn, opts)
    local ok, e = pcall(boxd.provision, s.box, fn, opts)
    assert.is_false(ok)
    local text = tostring(e)
    assert.truthy(text:find(message, 1, true), text)
    if fn then
      local line = tonumber(text:match "refuse_spec.lua:(%d+):")
      assert.is_true(line ~= nil and line > debug.getinfo(1, "l").currentline, text)
    end
    assert.equal(0, #s.taken)
  end

  it("paths that are not absolute, or have two ways to be written", function()
    refuses("a path in the box is absolute", function(on) on.file("etc/x") end)
    refuses("a path in the box is absolute", function(on) on.directory("~/x") end)
    refuses("no \".\" or \"..\"", function(on) on.link("/a/../b", "x") end)
    refuses("text that is not empty", function(on) on.line("", "x") end)
    refuses("NUL", function(on) on.file("/a\0b") end)
    refuses("absolute", function(on) on.command("x", { creates = "y" }) end)
    refuses("absolute", function(on) on.git("x", { repo = "y" }) end)
    refuses("absolute", function(on) on.block("x", "name", "text") end)
  end)

  it("options that no step has, and names the nearest", function()
    refuses("contents", function(on) on.file("/x", { contents = "" }) end)
    refuses("content", function(on) on.file("/x", { contents = "" }) end)
    refuses("create", function(on) on.command("x", { create = "/y" }) end)
    refuses("on.pakage: there is no such step (did you mean 'package'?)",
      function(on) on.pakage "x" end)
    refuses("on.zzz: there is no such step: on.step takes your own",
      function(on) on.zzz "x" end)
    refuses("repo is text that is not empty, not nil",
      function(on) on.git "/x" end)
    for _, kind in ipairs { "file", "directory" } do
      refuses("bogus", function(on) on[kind]("/x", { bogus = 1 }) end)
    end
    for _, kind in ipairs { "package", "user", "group", "service", "command" } do
      refuses("bogus", function(on) on[kind]("xx", { bogus = 1 }) end)
    end
  end)

  it("modes and owners that are none", function()
    for _, mode in ipairs { "999", "64", "0x1ff", "rw", "07777", 644, "" } do
      refuses("octal digits", function(on) on.file("/x", { mode = mode }) end)
      refuses("octal digits", function(on) on.directory("/x", { mode = mode }) end)
    end
    for _, owner in ipairs { "", ":", "a:b:c", "a b", 0, "-x" } do
      refuses("owner", function(on) on.file("/x", { owner = owner }) end)
    end
  end)

  it("two steps that decide the same", function()
    local function pair(a, b)
      refuses("is decided already, by", function(on)
        a(on)
        b(on)
      end)
    end
    local function file(on) on.file "/x" end
    local function directory(on) on.directory "/x/" end
    local function link(on) on.link("/x", "y") end
    pair(file, file)
    pair(file, directory)
    pair(directory, link)
    pair(link, file)
    pair(function(on) on.user "a" end, function(on) on.user("a", { uid = 1 }) end)
    pair(function(on) on.package { "aa", "bb" } end,
      function(on) on.package({ "bb" }, { state = "absent" }) end)
    pair(function(on) on.service("a", { running = true }) end,
      function(on) on.service("a.service", { running = false }) end)
    pair(function(on) on.unit("a", "") end,
      function(on) on.file "/etc/systemd/system/a.service" end)
  end)

  it("paths below a directory that is to be absent", function()
    local function absent(on) on.directory("/x/y", { state = "absent" }) end
    local function line(on) on.line("/x/y/z", "a") end
    for _, pair in ipairs { { absent, line }, { line, absent } } do
      refuses("can't be below /x/y", function(on)
        pair[1](on)
        pair[2](on)
      end)
    end
  end)

  it("content beside lines and blocks of the file", function()
    local function content(on) on.file("/x", { content = "a" }) end
    local function line(on) on.line("/x", "a") end
    local function block(on) on.block("/x", "n", "a") end
    for _, pair in ipairs { { content, line }, { line, content },
      { content, block }, { block, content } } do
      refuses("content", function(on)
        pair[1](on)
        pair[2](on)
      end)
    end
    local plan = function(on)
      on.file("/x", { mode = "600" })
      on.line("/x", "a")
      on.error_to_end_it()
    end
    refuses("error_to_end_it", plan)
  end)

  it("lines that undo each other", function()
    local function both(a, b)
      for _, order in ipairs { { a, b }, { b, a } } do
        refuses("/x", function(on)
          on.line("/x", table.unpack(order[1]))
          on.line("/x", table.unpack(order[2]))
        end)
      end
    end
    both({ "a", { match = "^a" } }, { "ab", { match = "^a" } })
    both({ "a" }, { "a", { state = "absent" } })
    both({ "a=1" }, { "b", { match = "^a=" } })
    both({ "a=1" }, { "z", { match = "^a=", state = "absent" } })
    refuses("/x", function(on)
      on.block("/x", "n", "a\nb")
      on.line("/x", "b", { state = "absent" })
    end)
    refuses("/x", function(on)
      on.line("/x", "z", { match = "^#" })
      on.block("/x", "n", "a")
    end)
  end)

  it("lines, patterns and blocks that can't be", function()
    refuses("newline", function(on) on.line("/x", "a\nb") end)
    refuses("newline", function(on) on.line("/x") end)
    refuses("not a Lua pattern", function(on) on.line("/x", "a", { match = "[" }) end)
    refuses("marks the block", function(on) on.block("/x", "n", "# END n") end)
    refuses("decided already", function(on)
      on.block("/x", "n", "a")
      on.block("/x", "n", "b")
    end)
  end)

  it("values of wrong types", function()
    refuses("content is text", function(on) on.file("/x", { content = 1 }) end)
    refuses("exclude each other", function(on)
      on.file("/x", { content = "a", source = "/etc/hostname" })
    end)
    refuses("can't read source", function(on) on.file("/x", { source = "/none" }) end)
    refuses("state is", function(on) on.file("/x", { state = "gone" }) end)
    refuses("true or false", function(on) on.file("/x", { secret = 1 }) end)
    refuses("table expected", function(on) on.file("/x", "content") end)
    refuses("no package", function(on) on.package {} end)
    refuses("not such a name", function(on) on.package { "a b" } end)
    refuses("not such a name", function(on) on.package { "-o" } end)
    refuses("a name", function(on) on.user "-x" end)
    refuses("NUL", function(on) on.command "a\0b" end)
    refuses("env", function(on) on.command("a", { env = { ["a b"] = "" } }) end)
    refuses("say what", function(on) on.service("a", {}) end)
    refuses("url", function(on) on.download("/x", { url = "x" }) end)
    refuses("hexadecimal", function(on)
      on.download("/x", { url = "http://a/b", sha256 = "12" })
    end)
    refuses("function expected", function(on) on.fn "x" end)
  end)

  it("triggers that are not steps of the box before", function()
    refuses("not a step", function(on) on.command("a", { on_change = { "x" } }) end)
    refuses("empty", function(on) on.command("a", { on_change = {} }) end)
    local other
    local function keep(on)
      other = on.file "/x"
      error "enough"
    end
    pcall(boxd.provision, s.box, keep)
    refuses("not a step of this box", function(on)
      on.command("a", { on_change = other })
    end)
  end)

  it("options of its own", function()
    local function fn() end
    local function refused(message, ...)
      local ok, e = pcall(boxd.provision, ...)
      assert.is_false(ok)
      assert.truthy(tostring(e):find(message, 1, true), tostring(e))
    end
    refused("dryrun", s.box, fn, { dryrun = true })
    refused("limit", s.box, fn, { limit = 0 })
    refused("fail_percent", s.box, fn, { fail_percent = 101 })
    refused("NUL in its name", s.box, fn, { journal = "a\0b" })
    refused("Box or list", "web", fn)
    refused("element 1", { "web" }, fn)
    refused("twice", { s.box, s.box }, fn)
    refused("function expected", s.box, nil)
    refused("journal", s.box, fn, { journal = "/none/such" })
    refused("journal", s.box, fn, { resume = "/none/such" })
    assert.equal(0, #s.taken)
  end)

  it("steps that are declared too late", function()
    local late
    boxd.provision(s.box, function(on) late = on end)
    assert.is_false(pcall(late.file, "/x"))
  end)
end)
