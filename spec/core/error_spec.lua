-- Error values and classes.

local boxd = require "boxd"
local core = require "boxd.core"
local scripted = require "spec.support.scripted"

local CLASSES = { "BoxdError", "AuthenticationError", "NotFoundError",
  "QuotaExceededError", "InvalidArgumentError", "TimeoutError",
  "ConnectionError", "InternalError", "CancelledError", "ConflictError",
  "PermissionDeniedError", "CommandError", "ProvisionError" }

describe("errors", function()
  it("have classes with a readable tostring, also in boxd.errors", function()
    local n = 0
    for _ in pairs(boxd.errors) do n = n + 1 end
    assert.equal(#CLASSES, n)
    for _, name in ipairs(CLASSES) do
      assert.equal("boxd." .. name, tostring(boxd[name]))
      assert.equal(boxd[name], boxd.errors[name])
    end
  end)

  it("are of their class and of BoxdError", function()
    local e = scripted.failure(boxd.Compute, { tokn = "x" })
    for _, name in ipairs(CLASSES) do
      local expected = name == "BoxdError" or name == "InvalidArgumentError"
      assert.equal(expected, e:is(boxd[name]))
      assert.equal(expected, boxd.is_error(e, boxd[name]))
    end
    assert.is_nil(e.code)
    assert.is_nil(e.grpc_code)
    assert.is_nil(e.method)
  end)

  it("of two classes are of both, where the older name meant them", function()
    local code
    local s <close> = scripted.start { StopVm = function(_, call)
      call:finish(code, "no")
    end }
    local box = s:box()
    local expected = { ALREADY_EXISTS = { "ConflictError", "InvalidArgumentError" },
      FAILED_PRECONDITION = { "ConflictError" }, ABORTED = { "ConflictError" },
      PERMISSION_DENIED = { "PermissionDeniedError", "AuthenticationError" },
      UNAUTHENTICATED = { "AuthenticationError" },
      INVALID_ARGUMENT = { "InvalidArgumentError" } }
    for name, classes in pairs(expected) do
      code = name
      local e = scripted.failure(box.stop, box)
      local is = { BoxdError = true }
      for _, class in ipairs(classes) do is[class] = true end
      assert.equal(classes[1], e.class, name)
      for _, class in ipairs(CLASSES) do
        assert.equal(is[class] or false, e:is(boxd[class]), name .. class)
        assert.equal(is[class] or false, boxd.is_error(e, boxd[class]))
      end
    end
  end)

  it("are distinguished from any other value", function()
    for _, v in ipairs { "text", 1, true, {}, print, boxd.BoxdError } do
      assert.is_false(boxd.is_error(v))
      assert.is_false(boxd.is_error(v, boxd.BoxdError))
    end
    assert.is_false(boxd.is_error(nil))
    assert.is_false(pcall(boxd.is_error, "x", "NotFoundError"))
    local _, message = pcall(boxd.is_error, "x", nil)
    assert.matches("error class such as boxd.NotFoundError expected, got nil",
      message, 1, true)
  end)

  it("read well, with the script's position", function()
    local s <close> = scripted.start { GetVm = function(_, call)
      call:finish("NOT_FOUND", "no box web")
    end }
    local box = s:box()
    local line = debug.getinfo(1, "l").currentline + 1
    local e = scripted.failure(function() box:refresh() end)
    assert.equal("error_spec.lua:" .. line
      .. ": NotFoundError: no box web (GetVm: NOT_FOUND)",
      tostring(e):match "error_spec.*")
  end)

  -- Names of files and boxes are in messages.
  it("of a server are cut between characters where they are very long", function()
    for _, character in ipairs { "é", "€", "🙂" } do
      for shift = 0, #character - 1 do
        local s <close> = scripted.start { Whoami = function(_, call)
          call:finish("INTERNAL", ("x"):rep(shift) .. character:rep(1200 // #character))
        end }
        local e = scripted.failure(s.c.whoami, s.c)
        assert.truthy(utf8.len(e.message), e.message)
        assert.is_true(#e.message > 1000)
      end
    end
  end)

  it("of arguments are cut between characters, too", function()
    for length = 0, 3 do
      local long = ("x"):rep(length) .. ("\u{1F600}"):rep(400)
      local e = scripted.failure(boxd.Compute, { [long] = 1 })
      assert.is_true(#e.message > 900, #e.message)
      assert.truthy(utf8.len(e.message))
      e = scripted.failure(boxd.json.encode, { [long] = { [long] = print } })
      assert.truthy(utf8.len(e.message))
    end
  end)

  it("show what a terminal would obey, and keep it in their message", function()
    local name = "a\27[2J\7\127\u{9b}2J\tb\n\u{e9}"
    local ok, e = pcall(core.raise, "NotFoundError", name)
    assert.is_false(ok)
    assert.equal(name, e.message)
    assert.matches("NotFoundError: a\\x1b%[2J\\x07\\x7f\\xc2\\x9b2J\tb\n\u{e9}$",
      tostring(e))
  end)
end)
