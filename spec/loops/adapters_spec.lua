-- The adapters: the behavior common to every loop.

local loops = require "spec.support.loops"

local server
setup(function() server = loops.serve() end)
teardown(function() server:stop() end)

-- Fewer hand-overs than `make handovers` makes.
local HANDOVERS = tonumber(os.getenv "BOXD_HANDOVERS" or 10000)

-- SPECS: a title after the loop's name, and a script with its output.
local SPECS = {
  { "lets calls of several coroutines wait at once", [[
      local began
      main(function()
        began = now()
        for _ = 1, 10 do go(function() box:exec("sleep", "0.6") end) end
      end)
      print(now() - began < 5, boxd.pending())]], "true\t0\n" },
  { "keeps its own timer beside three streams", [[
      local ticks, gaps, last, streams = 0, {}, nil, 3
      local stop
      local function tick()
        ticks = ticks + 1
        gaps[#gaps + 1] = now() - last
        last = now()
      end
      main(function()
        last = now()
        stop = every(0.01, tick)
        for _ = 1, 3 do
          go(function()
            local n = 0
            for _ in box:exec("beat", "50", "0.01",
              { stream = true }):lines() do n = n + 1 end
            assert(n == 50)
            streams = streams - 1
            if streams == 0 then stop() end
          end)
        end
      end)
      -- The streams last 0.5 s. The machine may be busy: most of the gaps.
      table.sort(gaps)
      print(ticks >= 10, gaps[#gaps * 8 // 10] < 0.1 or gaps[#gaps * 8 // 10])]],
    "true\ttrue\n" },
  { "runs tasks", [[
      main(function()
        local task = boxd.spawn(function()
          boxd.sleep(0.01)
          return "done"
        end)
        print(task:join())
        print(table.concat(boxd.map({ 1, 2, 3 }, function(i)
          return box:exec("sleep", "0.01").exit_code + i
        end), " "))
      end)]], "done\n1 2 3\n" },
  { "ends a call by with_timeout", [[
      main(function()
        local began = now()
        local ok, e = pcall(boxd.with_timeout, 0.1, box.exec, box, "hold")
        print(ok, boxd.is_error(e, boxd.TimeoutError), now() - began < 5)
        print(boxd.with_timeout(5, box.exec, box, "sleep", "0.01").exit_code)
      end)
      print(boxd.pending())]], "false\ttrue\ttrue\n0\n0\n" },
  { "raises TimeoutError after a wait of its own outlasted with_timeout", [[
      if not sleep then print "false\ttrue\ttrue" os.exit() end
      main(function()
        local other
        go(function()
          boxd.sleep(0.1) -- not inside that with_timeout
          other = true
        end)
        local ok, e = pcall(boxd.with_timeout, 0.05, sleep, 0.2)
        print(ok, boxd.is_error(e, boxd.TimeoutError), other)
      end)]], "false\ttrue\ttrue\n" },
  { "gives generators inside a coroutine their values", [[
      main(function()
        local values = {}
        for v in coroutine.wrap(function()
          for i = 1, 3 do
            coroutine.yield(compute.box:get("vm-" .. i).id)
          end
        end) do values[#values + 1] = v end
        print(table.concat(values, " "))
        print(compute.box:get("vm-4").id)
      end)]], "vm-1 vm-2 vm-3\nvm-4\n" },
  { "raises an error of a call where the call is", [[
      main(function()
        local c = boxd.Compute { api_url = "http://127.0.0.1:1", token = "t",
          max_retries = 0 }
        local ok, e = pcall(c.box.get, c.box, "x")
        print(ok, boxd.is_error(e, boxd.ConnectionError))
        c:close()
        print(pcall(boxd.sleep, -1))
      end)
      print(boxd.pending())]], function(out)
      assert.matches("^false\ttrue\nfalse\t.-negative.-\n0\n$", out)
    end },
  { "lets a client be closed while coroutines wait by it", [[
      local failed = 0
      main(function()
        for _ = 1, 5 do
          go(function()
            local p = box:exec("hold", { stream = true })
            p:read_stdout()
            local ok, e = pcall(p.read_stdout, p)
            if not ok and boxd.is_error(e, boxd.CancelledError) then
              failed = failed + 1
            end
          end)
        end
        boxd.sleep(0.2)
        compute:close()
      end)
      print(failed, boxd.pending())]], "5\t0\n" },
  { "ends its Lua state while coroutines wait", [[
      go(function()
        local b = compute.box:get "vm-1"
        go(function() boxd.sleep(1000) end)
        local p = b:exec("hold", { stream = true })
        p:read_stdout()
        print "held"
        os.exit(true, true)
      end)
      run()]], "held\n" },
  { "hands over " .. HANDOVERS .. " times without a hang", ([[
      local left = %d
      main(function()
        for i = 1, 20 do
          go(function()
            while left > 0 do
              left = left - 1
              if i %% 2 == 0 then boxd.sleep(0) else
                local p <close> = box:exec("chunks", "60", "64",
                  { stream = true })
                local n = 0
                for chunk in p:iter_stdout() do n = n + #chunk end
                assert(n == 60 * 64 and p:wait() == 0)
                left = left - 60
              end
            end
          end)
        end
      end)
      print(boxd.pending())]]):format(HANDOVERS), "0\n" },
}

for _, name in ipairs(loops.names) do
  describe(name, function()
    local lacks = loops.lacks(name)
    if lacks then return pending(lacks) end
    for _, s in ipairs(SPECS) do
      local title, code, expected = table.unpack(s)
      it(title, function()
        local out = loops.run(server, name, code)
        if type(expected) == "string" then
          assert.equal(expected, out)
        else
          expected(out)
        end
      end)
    end
  end)
end

describe("a controller of cqueues", function()
  if loops.lacks "cqueues" then return pending(loops.lacks "cqueues") end

  it("gives tasks from outside a controller their turn by attach", function()
    assert.equal("done\n", loops.run(server, "cqueues", [[
      boxd.spawn(function()
        boxd.sleep(0.05)
        print "done"
      end)
      require "boxd.loop.cqueues".attach(cq)
      run()]]))
  end)

  it("polls boxd as it is", function()
    assert.equal("done\t0\n", loops.run(server, nil, [[
      local cqueues = require "cqueues"
      local cq = cqueues.new()
      local task = boxd.spawn(function()
        boxd.sleep(0.05)
        return "done"
      end)
      cq:wrap(function()
        while boxd.pending() > 0 do
          cqueues.poll(boxd)
          boxd.step()
        end
      end)
      assert(cq:loop())
      print(task:join(), boxd.pending())]]))
  end)
end)
