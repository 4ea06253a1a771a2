-- The servers of faulty.py, for specs.

local process = require "spec.support.process"

local faulty = {}

--- Starts them: the process, which is to be stopped, and their addresses by name.
function faulty.start()
  local peer, addresses = process.start { "/usr/bin/python3",
    "spec/support/faulty.py" }, {}
  for line in peer.line, peer do
    if line == "ready" then break end
    local name, port = line:match "^(%S+) (%d+)$"
    addresses[name] = "127.0.0.1:" .. port
  end
  return peer, addresses
end

return faulty
