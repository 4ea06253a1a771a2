-- How much memory this process has, and which bytes are in that of another.

local memory = {}

local function read(path)
  local f <close> = assert(io.open(path, "rb"))
  return f:read "a" or ""
end

--- How often each of `texts` is in what the process may write to.
function memory.count(pid, texts)
  local counts, bytes <close> = {}, assert(io.open("/proc/" .. pid .. "/mem"))
  bytes:setvbuf "no"
  for i = 1, #texts do counts[i] = 0 end
  for first, last in read("/proc/" .. pid .. "/maps"):gmatch "(%x+)-(%x+) rw" do
    local from, to = tonumber(first, 16), tonumber(last, 16)
    -- A sanitizer's terabytes hold nothing of ours.
    local data = to - from < 1 << 30 and bytes:seek("set", from)
      and bytes:read(to - from) or ""
    for i, text in ipairs(texts) do
      local at = data:find(text, 1, true)
      while at do
        counts[i] = counts[i] + 1
        at = data:find(text, at + 1, true)
      end
    end
  end
  return counts
end

--- The bytes of this process that are in memory.
function memory.resident()
  return tonumber(read("/proc/self/status"):match "VmRSS:%s+(%d+)") * 1024
end

return memory
