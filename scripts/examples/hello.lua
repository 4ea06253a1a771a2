-- A first provisioning script: make a box, use it, take it away.
--   boxdlua --local scripts/examples/hello.lua

local compute <close> = boxd.Compute {}

-- `temporary`: the box is destroyed at the end, also when something fails.
local box <close> = compute.box:temporary { name = "hello" }
box:wait_until_ready()
print(box)

-- Output as it comes, line by line.
local count <close> = box:sh("for i in 1 2 3; do echo line $i; sleep 0.2; done",
  { stream = true })
for line in count:lines() do
  print("box says: " .. line)
end
print("exit code: " .. count:wait())

-- Files are bytes, both ways.
box:write_file("made by a script\n", "/root/note.txt")
print("read back: " .. box:read_file("/root/note.txt"))

-- A command that fails is a result, not an error.
local result = box:exec("ls", "/no/such/folder")
print("ls: exit code " .. result.exit_code .. ", stderr: " .. result.stderr)
