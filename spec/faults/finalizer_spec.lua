-- Finalizers that use objects collected before them, which they hold:
-- an error that says so, never freed memory.

local boxd = require "boxd"
local process = require "spec.support.process"
local program = require "spec.support.program"
local scripted = require "spec.support.scripted"

-- What the scripts below begin with: a server whose commands last, and dropped,
-- which has `use` called by a finalizer with what make() made, collected first.
local BEGIN = [[
  package.path = "./?.lua;" .. package.path
  local calls = require "spec.support.calls"
  local function stall(call)
    call:recv()
    call:wait_cancelled()
  end
  local s = calls.start { Exec = stall, StreamLogs = stall,
    UploadFileStream = stall }
  local function dropped(make, use)
    local said = {}
    local function drop()
      local holder = setmetatable({}, { __gc = function(h)
        if h.held then said[#said + 1] = tostring(select(2, pcall(use, h.held))) end
      end })
      holder.held = make()
    end
    drop()
    calls.eventually(function()
      collectgarbage()
      return #said > 0
    end)
    return said[1]
  end
  local function expect(what, said, pattern)
    if not said:find(pattern) then print(what, said) end
  end
]]

local function prints_end(code)
  local result = program.lua { "-e", BEGIN .. code ..
    "\ns:__close() print 'end' " }
  assert.equal("end\n", result.out, result.err)
  assert.equal("", result.err)
  assert.equal(0, result.status)
end

describe("a finalizer", function()
  it("gets an error from a process that was collected before it", function()
    prints_end [[
      local function make() return s.box:exec("x", { stream = true }) end
      local arguments = { write = { "a" }, resize = { 80, 24 } }
      for _, name in ipairs { "wait", "read_stdout", "read_stderr", "write",
        "write_eof", "resize", "lines", "chunks", "iter_stdout", "iter_stderr" } do
        expect(name, dropped(make, function(p)
          return p[name](p, table.unpack(arguments[name] or {}))
        end), "the process is gone")
      end
      expect("stdin", dropped(make, function(p) return p.stdin:write "a" end),
        "the process is gone")
      expect("close", dropped(make, function(p) p:close() return "closed" end),
        "closed")
      expect("tostring", dropped(make, tostring), "ExecProcess")
      local line = function() return make():lines() end
      expect("an iterator", dropped(line, function(next) return next() end),
        "the process is gone")]]
  end)

  it("gets an error from a stream that was collected before it", function()
    prints_end [[
      local core = require "boxd.core"
      local function make()
        return core.stream(s.box, "UploadFileStream", nil, 60)
      end
      for name, argument in pairs { recv = false, send = {}, half_close = false } do
        expect(name, dropped(make, function(stream)
          return stream[name](stream, argument or nil)
        end), "the stream is gone")
      end
      expect("close", dropped(make, function(x) x:close() return "closed" end),
        "closed")]]
  end)

  it("gets an error from a server's call that was collected before it", function()
    prints_end [[
      local serve = require "boxd.serve"
      local server = serve.listen()
      local c = boxd.Compute { token = "t", max_retries = 0,
        api_url = "http://" .. server.address }
      local function make()
        local task = boxd.spawn(pcall, c.whoami, c)
        local call = server:accept()
        task:cancel()
        pcall(task.join, task)
        return call
      end
      for _, name in ipairs { "recv", "finish", "cancelled", "wait_cancelled",
        "abort" } do
        expect(name, dropped(make, function(call)
          return call[name](call)
        end), "the call is gone")
      end
      expect("rpc", dropped(make, function(call) return call.rpc end),
        "the call is gone")
      c:close()
      server:close()]]
  end)

  it("gets an error from a Compute that was collected before it", function()
    prints_end [[
      local function make()
        return boxd.Compute { token = "t", api_url = "http://127.0.0.1:1" }
      end
      expect("whoami", dropped(make, function(c) return c:whoami() end),
        "this Compute is closed")]]
  end)

  it("that empties a table while it is written as JSON harms no text", function()
    local vms = {}
    for i = 1, 300 do vms[i] = { vm_id = "vm1", labels = { a = "b" } } end
    local s <close> = scripted.start { ListVms = { vms = vms } }
    local boxes = s.c.box:list()
    for round = 1, 20 do
      local text = ("text %d "):format(round)
      local t = { text:rep(1000), table.unpack(boxes) }
      setmetatable({}, { __gc = function() t[1] = "gone" end })
      local first = boxd.json.encode(t):match '"(.-)"'
      if first ~= "gone" then assert.equal(1000, select(2, first:gsub(text, ""))) end
    end
  end)

  it("that opens a stream as the program ends does not keep it", function()
    -- A server that says nothing: gRPC waits for its first words for 20 s.
    local silent = process.start { "python3", "-c",
      "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 0)); " ..
      "s.listen(); print(s.getsockname()[1], flush=True); time.sleep(600)" }
    finally(function() silent:stop() end)
    -- Lua finalizes nothing that a finalizer makes as its state closes: what is
    -- left of these a sanitizer would take for a leak.
    local result = program.run { env = { ASAN_OPTIONS =
      (os.getenv "ASAN_OPTIONS" or "") .. ":detect_leaks=0" },
      "timeout", "-k", "1", "10", program.boxdlua, "-e", ([[
        KEPT = setmetatable({}, { __gc = function()
          local c = boxd.Compute { token = "t", api_url = "http://127.0.0.1:%s" }
          for _ = 1, 3 do require "boxd.core".stream(c, "StreamLogs", {}, 600) end
          print "opened"
        end })]]):format(silent:line()) }
    assert.equal("opened\n", result.out, result.err)
    assert.equal(0, result.status)
  end)
end)
