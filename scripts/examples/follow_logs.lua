-- Follows what the main process of a box writes, until a line says enough.
--   boxdlua --local scripts/examples/follow_logs.lua [pattern]

local pattern = arg and arg[1] or "ready"
local c <close> = boxd.Compute {}

local box <close> = c.box:temporary { name = "logger", config = {
  cmd = { "sh", "-c", [[for i in 1 2 3; do echo "starting: step $i"; sleep 0.1
    done; echo "ready to serve"; exec sleep 1000]] } } }

-- Chunks end where they end; lines are made of them here.
local function lines(chunks)
  return coroutine.wrap(function()
    local rest = ""
    for chunk in chunks do
      rest = rest .. chunk
      for line in rest:gmatch "([^\n]*)\n" do coroutine.yield(line) end
      rest = rest:gsub(".*\n", "")
    end
    if rest ~= "" then coroutine.yield(rest) end
  end)
end

boxd.with_timeout(60, function()
  local chunks, _, _, stream = box:stream_logs { follow = true }
  local _stream <close> = stream
  for line in lines(chunks) do
    print("log: " .. line)
    if line:find(pattern) then break end
  end
end)
print("seen: " .. pattern)
