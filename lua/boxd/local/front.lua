-- The HTTP front: the exchange of API keys for tokens, and requests for boxes by
-- their domains.

local boxd = require "boxd"
local log = require "boxd.local.log"
local status = require "boxd.local.status"

local EXCHANGE = "/api/v1/auth/token"

local front = {}

local function answer_json(request, code, body, headers)
  headers = headers or {}
  headers["Content-Type"] = "application/json"
  request:answer(code, headers, boxd.json.encode(body))
end

local function answer(service, request)
  local box = service.domains:box_of(request)
  if box then
    local _used <close> = service.idle:use(box)
    service.domains:pass_on(box, request)
  elseif request.path ~= EXCHANGE then
    answer_json(request, 404, { error = "only POST " .. EXCHANGE
      .. " is here, and the domains of boxes" })
  elseif request.method ~= "POST" then
    answer_json(request, 405, { error = "send a POST" }, { Allow = "POST" })
  else
    answer_json(request, service.account:exchange(request.body, request.peer))
  end
end

--- Answers a request, whatever happens: an error in here is logged and answered
--- with 500, at once.
function front.answer(service, request)
  local _answered <close> = request
  local ok, e = xpcall(answer, status.traced, service, request)
  if not ok then
    local _, message = status.of(e)
    log("HTTP: %s %s: %s", request.method, request.path, message)
  end
end

return front
