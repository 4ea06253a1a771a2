-- The Lua side of recorder.py: sets its answers, and reads its records.

local boxd = require "boxd"
local process = require "spec.support.process"

local recorder = {}
recorder.__index = recorder

--- Starts one. `certificates`: paths without suffix, for a port over TLS each.
--- It has `url`, and `tls`, a list of https:// URLs in the same order.
function recorder.start(certificates)
  local self = setmetatable({ tls = {} }, recorder)
  self.process = process.start { "/usr/bin/python3",
    "spec/support/recorder.py", table.unpack(certificates or {}) }
  local ports = self.process:line():gmatch "%d+"
  self.control = "http://127.0.0.1:" .. ports()
  self.url = "http://127.0.0.1:" .. ports()
  for port in ports do
    self.tls[#self.tls + 1] = "https://127.0.0.1:" .. port
  end
  return self
end

function recorder:ask(method, path, body)
  local answer = boxd.http.request { url = self.control .. path,
    method = method, body = body, timeout = 20 }
  assert(answer.status == 200, answer.body)
  return boxd.json.decode(answer.body)
end

--- Says how the next calls are answered, by method, and forgets those before.
function recorder:script(answers)
  self:ask("POST", "/script", boxd.json.encode(answers or {}))
end

--- The calls since, once all have ended.
function recorder:calls() return self:ask("GET", "/calls") end

function recorder:stop(signal) self.process:stop(signal) end

return recorder
