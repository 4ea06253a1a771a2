-- Runs a job of a CI in a box of its own: the sources go in, the output comes
-- live, the artifact comes out, and nothing stays behind, whatever happens.
-- Ends with the job's exit code.
--   boxdlua --local scripts/examples/ci_job.lua sources.tar artifact command

local sources, artifact, command = arg[1] or "", arg[2] or "", arg[3] or ""
if command == "" then
  io.stderr:write("usage: ci_job.lua sources.tar artifact command\n")
  os.exit(2)
end

local c <close> = boxd.Compute {}
-- <close> destroys it also on an error, on Ctrl-C and when the CI gives up.
local box <close> = c.box:temporary { config = { vcpu = 2, memory = "8G" } }
box:wait_until_ready()

box:upload(sources, "work/sources.tar")
local unpacked = box:sh("tar xf sources.tar", { cwd = "work" })
if not unpacked.success then error(unpacked.stderr, 0) end

local job <close> = box:sh(command, { cwd = "work", stream = true,
  env = { CI = "true" }, timeout = 3600 })
local code = boxd.prefix(job, "job | ")

if code == 0 then
  local name = artifact:gsub(".*/", "")
  box:download("work/" .. artifact, name)
  print("kept " .. name)
end
os.exit(code)
