-- A first provisioning script: make a box, use it, take it away.
--   boxdlua --local scripts/examples/hello.lua

local c <close> = boxd.Compute {}

local box = c.box:create("hello")
-- Taken away at the end, also when something below fails.
local _box <close> = setmetatable({}, { __close = function()
  box:destroy()
  print("destroyed: " .. box.name .. " is " .. box.status)
end })
box:wait_until_ready()
print("created: " .. tostring(box))

-- Output arrives as it is written, line by line.
local count <close> = box:sh("for i in 1 2 3; do echo line $i; sleep 0.3; done",
  { stream = true })
for line in count:lines() do
  print("live: " .. line)
end
print("exit code: " .. count:wait())

-- Files are bytes, both ways.
box:write_file("made by a script\n", "note.txt")
io.write("read back: ", box:read_file "note.txt")

-- A command that fails is a result, not an error.
local result = box:exec("ls", "/no/such/folder")
io.write("ls failed: exit code ", result.exit_code, ", ", result.stderr)
