-- Completion and the showing of results.

local boxd = require "boxd"
local repl = require "boxd.cli.repl"

local function listed(text)
  local _, listing = repl.complete(text, 80)
  local names = {}
  for name in (listing or ""):gmatch "%S+" do names[name] = true end
  return names
end

describe("repl.complete", function()
  it("knows globals and keywords", function()
    assert.equal("ing", (repl.complete("str", 80)))
    assert.equal("ction", (repl.complete("x = fun", 80)))
    assert.equal("", (repl.complete("while", 80)))
  end)

  it("knows fields, also after other text", function()
    assert.equal("mat", (repl.complete("print(string.for", 80)))
    assert.is_nil((repl.complete("print(string.xyz", 80)))
    assert.is_true(listed("math.").floor)
  end)

  it("indents at the beginning of a line", function()
    assert.equal("  ", (repl.complete("", 80)))
    assert.equal("  ", (repl.complete("  ", 80)))
  end)

  it("completes names of the module, also those loaded on first use", function()
    local names = listed("boxd.")
    for _, name in ipairs { "Compute", "map", "spawn", "NotFoundError", "json" } do
      assert.is_true(names[name], name)
    end
    assert.equal("de", (repl.complete("boxd.json.enco", 80)))
  end)

  it("knows the services and methods of a Compute", function()
    _G.c = boxd.Compute { token = "x" }
    finally(function() _G.c = nil end)
    local names = listed("c.")
    for _, name in ipairs { "box", "disk", "api_key", "whoami", "api_url" } do
      assert.is_true(names[name], name)
    end
    assert.is_true(listed("c:").whoami)
    assert.is_nil(listed("c:").api_url)
    assert.is_true(listed("c.box:").create)
    _G.b = require "boxd.box".new(_G.c, { vm_id = "v1" })
    assert.equal("_ready", (repl.complete("b:wait_until", 80)))
    _G.b = nil
  end)

  it("knows the methods of userdata", function()
    _G.t = boxd.spawn(function() end)
    finally(function() _G.t = nil end)
    assert.same({ cancel = true, join = true }, listed("t:"))
    _G.f = io.stdout
    assert.is_true(listed("f:").write)
    _G.f = nil
    _G.s = ""
    assert.equal("er", (repl.complete("s:upp", 80)))
    _G.s = nil
  end)

  it("knows modules after require", function()
    assert.equal("rve", (repl.complete("require 'boxd.se", 80)))
    assert.equal("ing", (repl.complete("require(\"str", 80)))
  end)

  it("runs no code of the user's", function()
    _G.trap = setmetatable({}, { __index = function() error "ran" end,
      __pairs = function() error "ran" end })
    finally(function() _G.trap = nil end)
    assert.is_nil((repl.complete("trap.x", 80)))
    assert.is_nil((repl.complete("trap.x.y", 80)))
  end)

  it("is not led in circles", function()
    local loop = {}
    _G.loop = setmetatable(loop, loop)
    loop.__index = loop
    finally(function() _G.loop = nil end)
    assert.is_nil((repl.complete("loop.x", 80)))
    assert.is_nil((repl.complete("loop.x.y", 80)))
  end)
end)

describe("repl.show", function()
  local show = repl.show

  it("leaves values to print that it shows well", function()
    for _, v in ipairs { 1, 1.5, "text\n", true, print } do
      assert.equal(v, show(v))
    end
    local object = setmetatable({}, { __tostring = function() return "me" end })
    assert.equal(object, show(object))
  end)

  it("shows fields, in order and bounded", function()
    assert.equal("{}", show {})
    assert.equal('{ 1, "a", b = { c = true } }', show { 1, "a", b = { c = true } })
    assert.equal('{ [2.5] = 2, ["a b"] = 1 }', show { ["a b"] = 1, [2.5] = 2 })
    assert.equal("{ { { {…} } } }", show { { { { 1 } } } })
    local loop = {}
    loop.loop = loop
    assert.equal("{ loop = {…} }", show(loop))
    local long = {}
    for i = 1, 1000 do long[i] = i end
    assert.is_true(#show(long) < 400)
    assert.is_true(#show { ("x"):rep(1e6) } < 400)
    assert.is_true(#show { { { ("x"):rep(1e6) } } } < 100)
    assert.equal('{ "a\\nb\\"\\xff" }', show { "a\nb\"\xff" })
  end)

  it("shows a list of records as a table", function()
    assert.equal("id   name  port\na    web   80\nbcd        443", show {
      { port = 80, name = "web", id = "a" }, { id = "bcd", port = 443 } })
    local many = {}
    for i = 1, 300 do many[i] = { id = i } end
    assert.matches("… 200 more$", show(many))
  end)

  it("leaves out columns that say nothing, or have no room", function()
    assert.equal("id  port\na   1\nb   0", show {
      { id = "a", port = 1, none = 0, off = false, text = "" },
      { id = "b", port = 0, none = 0, off = false, text = "" } })
    local wide = {}
    for i = 1, 8 do wide["field" .. i] = ("x"):rep(30) end
    for line in show({ wide }):gmatch "[^\n]+" do assert.is_true(#line <= 100) end
  end)

  it("shows times as dates", function()
    local at = os.time { year = 2026, month = 11, day = 26, hour = 1, min = 2,
      sec = 3 }
    assert.equal("modified_at\n2026-11-26 01:02:03", show { { modified_at = at } })
    assert.equal("started_at\n7", show { { started_at = 7 } })
  end)

  it("shows boxes by their fields", function()
    local box = require "boxd.box".new({}, { vm_id = "v1", name = "web",
      status = "running", image_ref = "ubuntu:24.04" })
    assert.equal("id  name  status   image\nv1  web   running  ubuntu:24.04",
      show { box })
    assert.equal(box, show(box))
  end)

  it("never shows a secret", function()
    local jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1In0.sig"
    for _, v in ipairs { { token = "tik" }, { { api_key = "tik" } },
      { x = { "bxd_tik" } }, { x = { "bxk_tik" } }, { { key = "bxk_tik" } }, { { t = jwt } },
      { [1] = { Authorization = "tik" } } } do
      local text = show(v)
      assert.is_nil(text:find("tik", 1, true), text)
      assert.is_nil(text:find("eyJ", 1, true), text)
      assert.truthy(text:find("(hidden)", 1, true), text)
    end
  end)

  it("shows the output of a command", function()
    local result = setmetatable({ stdout = "hi\n", exit_code = 0 },
      { __name = "boxd.ExecResult", __tostring = function() return "no" end })
    assert.equal('{ exit_code = 0, stdout = "hi\\n" }', show(result))
  end)
end)
