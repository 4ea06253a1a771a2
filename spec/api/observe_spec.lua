-- BOXD_LOG, and the file of --trace.

local boxd = require "boxd"
local process = require "spec.support.process"
local program = require "spec.support.program"

local SECRET = "a-token-that-nobody-sees"

local function lines(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

describe("calls", function()
  local server, address

  setup(function()
    server = process.start { program.boxdlua, "spec/support/echo.lua" }
    address = server:line()
  end)

  teardown(function() server:stop() end)

  local function run(code, env, ...)
    env = env or {}
    env.BOXD_API_URL, env.BOXD_TOKEN = "http://" .. address, SECRET
    local result = program.lua { "-e", "c = boxd.Compute{} " .. code, env = env,
      ... }
    assert.is_nil(result.err:find(SECRET, 1, true), result.err)
    return result
  end

  local GET = "c:call('GetVm', { vm_id = 'box-1' }) "

  describe("under BOXD_LOG", function()
    it("are silent without it", function()
      assert.equal("", run(GET).err)
      assert.equal("", run(GET, { BOXD_LOG = "" }).err)
    end)

    it("=info are a line each", function()
      local seen = lines(run(GET:rep(2), { BOXD_LOG = "info" }).err)
      assert.equal(2, #seen)
      for _, line in ipairs(seen) do
        assert.matches("^boxd %d%d:%d%d:%d%d%.%d%d%d GetVm OK %d+%.%d ms, 7 B "
          .. "sent, %d+ B received$", line)
      end
    end)

    it("say how they ended", function()
      local result = run([[local d = boxd.Compute { token = 'x',
        api_url = 'http://127.0.0.1:1', max_retries = 0 }
        pcall(d.whoami, d)]], { BOXD_LOG = "info" })
      assert.matches("Whoami UNAVAILABLE %d", result.err)
    end)

    it("=debug log their messages and connection", function()
      local seen = lines(run(GET, { BOXD_LOG = "debug" }).err)
      assert.equal(4, #seen)
      assert.matches("GetVm #1 begins, connection idle$", seen[1])
      assert.matches("GetVm #1 sends 7 B$", seen[2])
      assert.matches("GetVm #1 receives %d+ B$", seen[3])
      assert.matches("GetVm #1 OK .* B received, .*127%.0%.0%.1:%d+$", seen[4])
    end)

    it("=debug log the exchange without the key", function()
      local result = program.lua { "-e",
        "pcall(boxd.Compute{}.whoami, boxd.Compute{}) ", env = {
          BOXD_API_URL = "http://" .. address, BOXD_API_KEY = SECRET,
          BOXD_EXCHANGE_URL = "http://" .. address .. "/short",
          BOXD_LOG = "debug" } }
      assert.truthy(result.err:find("token exchange: HTTP status 200", 1, true),
        result.err)
      assert.is_nil(result.err:find(SECRET, 1, true))
    end)

    it("of another value are not logged", function()
      assert.equal("boxd: BOXD_LOG is info or debug; nothing is logged\n",
        run(GET, { BOXD_LOG = "loud" }).err)
    end)
  end)

  describe("in a trace", function()
    local path

    before_each(function() path = os.tmpname() end)
    after_each(function() os.remove(path) end)

    -- Runs code under --trace; the events, checked: well-formed, in order of
    -- time, and all that begins ends.
    local function trace(code)
      local result = run(code, {}, "--trace", path)
      local file <close> = assert(io.open(path))
      local text = file:read "a"
      assert.is_nil(text:find(SECRET, 1, true))
      local events = boxd.json.decode(text).traceEvents
      local last, spans, slices = 0, {}, {}
      for _, e in ipairs(events) do
        assert.is_number(e.pid)
        assert.is_number(e.tid)
        assert.is_string(e.name)
        if e.ph ~= "M" then
          assert.is_true(e.ts >= last)
          last = e.ts
        end
        local id = e.id and e.cat .. e.id
        if e.ph == "b" then
          assert.is_nil(spans[id])
          spans[id] = e
        elseif e.ph == "n" then
          assert.truthy(spans[id])
        elseif e.ph == "e" then
          assert.truthy(spans[id], id)
          spans[id] = nil
        elseif e.ph == "B" then
          slices[#slices + 1] = e.name
        elseif e.ph == "E" then
          assert.equal(table.remove(slices), e.name)
        end
      end
      assert.is_nil(next(spans))
      assert.equal(0, #slices)
      return events, result
    end

    local function find(events, phase, name)
      for _, e in ipairs(events) do
        if e.ph == phase and e.name == name then return e end
      end
      error(phase .. " " .. name .. " is not in the trace")
    end

    it("are spans with their bytes and status", function()
      local events, result = trace(GET)
      assert.equal(0, result.status, result.err)
      assert.equal(0, find(events, "b", "GetVm").args.task)
      assert.equal(7, find(events, "n", "sent").args.bytes)
      local args = find(events, "e", "GetVm").args
      assert.equal("OK", args.status)
      assert.equal(find(events, "n", "received").args.bytes, args.received)
    end)

    it("have the task that made them", function()
      local events = trace("boxd.run(function() " .. GET .. " end)")
      assert.equal(1, find(events, "b", "GetVm").args.task)
      assert.matches("command line.*:1$", find(events, "b", "task 1").args.at)
      assert.equal("done", find(events, "e", "task 1").args.status)
      find(events, "B", "task 1")
    end)

    it("show their errors", function()
      local events = trace [[local d = boxd.Compute { token = 'x',
        api_url = 'http://127.0.0.1:1', max_retries = 0 }
        pcall(boxd.run, d.whoami, d) boxd.spawn(error, 'x')]]
      local args = find(events, "e", "Whoami").args
      assert.equal("UNAVAILABLE", args.status)
      assert.matches("refused", args.error)
      assert.equal("failed", find(events, "e", "task 1").args.status)
    end)

    it("end with the script, however it ends", function()
      for code, status in pairs {
        ["boxd.spawn(boxd.sleep, 60)"] = 0,
        ["boxd.spawn(boxd.sleep, 60) os.exit(3)"] = 3,
        ["boxd.spawn(boxd.sleep, 60) os.exit(3, false)"] = 3,
        ["boxd.run(function() os.exit(3) end)"] = 3,
        ["boxd.run(function() os.exit(3, false) end)"] = 3,
        ["boxd.spawn(boxd.sleep, 60) error 'x'"] = 1,
        ["boxd.spawn(boxd.sleep, 60) os.execute 'kill -TERM $PPID' "
          .. "boxd.sleep(60)"] = 143,
      } do
        local events, result = trace(code)
        assert.equal(status, result.status, code)
        find(events, "b", "task 1")
      end
    end)

    it("need a file that can be written", function()
      local result = program.lua { "--trace", "/no/such/folder/t", "-e",
        "print 'ran'" }
      assert.equal(1, result.status)
      assert.equal("", result.out)
      assert.matches("/no/such/folder/t", result.err)
      result = program.lua { "--trace", "/dev/full", "-e", "" }
      assert.matches("could not be written whole", result.err)
    end)
  end)
end)
