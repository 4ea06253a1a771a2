-- Calls, a stream and a download while a system call fails, for
-- fault_system_spec.lua: `boxdlua spec/support/client_fault.lua ADDRESS FOLDER`.
-- Each works, or raises a clear error and works soon after; the file is whole or
-- not there. Its exit status is the result.

local boxd = require "boxd"
local sys = require "boxd.serve".sys

local SIZE = 3 << 20
-- gRPC connects again after 1 s, and strace counts for each of its threads.
local SECONDS = 30
local address, folder = arg[1], arg[2]
local path = folder .. "/got"

local c <close> = boxd.Compute { api_url = address, token = "t",
  max_retries = 0, timeout = 5 }
local box = require "boxd.box".new(c, { vm_id = "there", name = "there" })

local function left() return table.concat(sys.list(folder), " ") end

local function try(what, f)
  local last = boxd.now() + SECONDS
  while true do
    local ok, e = pcall(f)
    if ok then return end
    assert(boxd.is_error(e), what .. ": " .. tostring(e))
    assert(left() == "", "left over: " .. left())
    assert(boxd.now() < last, what .. " fails on: " .. tostring(e))
    boxd.sleep(0.05)
  end
end

try("a call", function() assert(c.box:get("there").id == "there") end)
try("a stream", function()
  local p <close> = box:exec("x", { stream = true })
  assert(p:read_stdout() == "begun\n")
end)
try("a download", function() assert(box:download("/big", path) == SIZE) end)

local f <close> = assert(io.open(path, "rb"))
assert(left() == "got" and #f:read "a" == SIZE)
