-- Domains: names that lead to boxes. A record of kind domains is one, whether it
-- was bound by BindDomain or added by AddCustomDomain. No DNS leads here: a
-- request to the service's own port that has the name as its Host is passed on
-- to the box's default proxy, whole.

local boxd = require "boxd"
local serve = require "boxd.serve"
local status = require "boxd.local.status"

local fail = status.fail

local HEAD_MAX = 64 << 10 -- bytes of an answer's headers
local SECONDS = 60 -- for them
local BOX_MAX, ALL_MAX = 32, 128 -- requests at once

local domains = {}
domains.__index = domains

function domains.new(service)
  return setmetatable({ service = service, passing = {}, count = 0,
    max = math.min(ALL_MAX, service.gates.max),
    records = service.store:all "domains" }, domains)
end

-- No address is one: the service's own port is reached by that.
local function check(domain)
  if not domain or #domain > 253 or domain:find "%.%d+$"
    or not domain:find "^[%w][%w-]*%.[%w.-]*[%w]$" then
    fail("INVALID_ARGUMENT", "'%s' is not a domain name", domain or "")
  end
  return domain:lower()
end

local function bind(service, request)
  local domain = check(request.domain)
  if not request.vm_id then fail("INVALID_ARGUMENT", "vm_id is missing") end
  local box = service.boxes:find(request.vm_id)
  local bound = service.domains.records[domain]
  if bound and bound.vm_id ~= box.id then
    fail("ALREADY_EXISTS", "'%s' is bound to another box", domain)
  end
  local record = bound or { id = domain, domain = domain, vm_id = box.id,
    created_at = os.time() }
  if not bound then service.store:put("domains", domain, record) end
  return record
end

local function unbind(service, request)
  local domain = (request.domain or ""):lower()
  if not service.domains.records[domain] then
    fail("NOT_FOUND", "no domain '%s'", domain)
  end
  service.store:remove("domains", domain)
  return {}
end

local function info(service, record)
  local box = service.boxes.records[record.vm_id]
  return { domain = record.domain, vm_id = record.vm_id, status = "active",
    vm_name = box and box.name }
end

local function map(service, fn)
  local out = {}
  for i, record in ipairs(service.store:list "domains") do
    out[i] = fn(record)
  end
  return { domains = out }
end

-- Watching boxes.

function domains:show(box, out)
  for _, record in ipairs(self.service.store:list "domains") do
    if record.vm_id == box.id then
      out.custom_domains = out.custom_domains or {}
      table.insert(out.custom_domains, info(self.service, record))
    end
  end
end

function domains:gone(box)
  for domain, record in pairs(self.records) do
    if record.vm_id == box.id then
      self.service.store:remove("domains", domain)
    end
  end
end

-- Of deleted boxes.
function domains:restore()
  for domain, record in pairs(self.records) do
    if not self.service.boxes.records[record.vm_id] then
      self.service.store:remove("domains", domain)
    end
  end
end

-- Passing requests on.

-- The box that a request's Host leads to, or nil.
function domains:box_of(request)
  local host = (request.headers.host or ""):lower():gsub(":%d+$", "")
  local record = self.records[host]
  return record and self.service.boxes.records[record.vm_id]
end

-- Headers about a connection, not about its message.
local HOP = { connection = true, ["keep-alive"] = true,
  ["proxy-connection"] = true, upgrade = true }

-- HTTP/1.0, so that the answer ends with the connection.
local function compose(request)
  local target = request.path
    .. (request.query and "?" .. request.query or "")
  local lines = { ("%s %s HTTP/1.0"):format(request.method, target) }
  for name, value in pairs(request.headers) do
    if not HOP[name] and name ~= "content-length" then lines[#lines + 1] = name .. ": " .. value end
  end
  lines[#lines + 1] = "connection: close"
  lines[#lines + 1] = ("content-length: %d"):format(#request.body)
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. request.body
end

-- An answer once its headers have arrived: them, and the rest. nil:
-- there is no end to them.
local function read_head(fd)
  local text = ""
  for part in function() return fd:read() end do
    local from = math.max(1, #text - 2)
    text = text .. part
    local _, last = text:find("\r?\n\r?\n", from)
    if last and last <= HEAD_MAX then
      return text:sub(1, last), text:sub(last + 1)
    end
    if last or #text > HEAD_MAX then return nil end
  end
end

-- The headers of an answer, for a connection that ends with it; nil when they are
-- none.
local function own(head)
  local code = math.tointeger(head:match "^HTTP/1%.%d (%d%d%d)")
  if not code or code < 200 or code > 599 then return nil end
  local lines = {}
  for line in head:gmatch "([^\r\n]+)\r?\n" do
    local name = line:match "^([^:]*):"
    if not name or not HOP[name:lower()] then lines[#lines + 1] = line end
  end
  return table.concat(lines, "\r\n") .. "\r\nConnection: close\r\n\r\n"
end

-- A box is not asked further for a client that has left.
local function end_with_client(request, fd)
  if request:wait_gone() then fd:close() end
end

local function refuse(request, code, fmt, ...)
  request:answer(code, { ["Content-Type"] = "text/plain" },
    fmt:format(...) .. "\n")
end

local function pass_on(self, box, request)
  local fd = self.service.proxies:connect(box)
  if not fd then
    return refuse(request, 503, "nothing listens in box '%s'", box.name)
  end
  local _fd <close> = fd
  boxd.spawn(end_with_client, request, fd)
  local ok, head, rest = pcall(boxd.with_timeout, SECONDS, function()
    fd:write(compose(request))
    return read_head(fd)
  end)
  if not ok and not boxd.is_error(head, boxd.TimeoutError) then
    error(head, 0)
  end
  head = ok and head and own(head)
  if not head then
    return refuse(request, ok and 502 or 504,
      "box '%s' did not answer as HTTP/1", box.name)
  end
  local client = request:take()
  if not client then return end
  local _client <close> = client
  if client:write(head .. rest) then serve.relay(client, fd, true) end
end

-- Answers a request with what the box says. Each waits for its box: there is a
-- bound, so that others get in meanwhile.
function domains:pass_on(box, request)
  local here = self.passing[box.id] or 0
  if here >= BOX_MAX or self.count >= self.max then
    return refuse(request, 503, "too many requests for %s are under way",
      here >= BOX_MAX and "box '" .. box.name .. "'" or "boxes")
  end
  self.passing[box.id], self.count = here + 1, self.count + 1
  local _done <close> = setmetatable({}, { __close = function()
    self.count = self.count - 1
    here = self.passing[box.id] - 1
    self.passing[box.id] = here > 0 and here or nil
  end })
  pass_on(self, box, request)
end

domains.rpcs = {
  BindDomain = function(service, request)
    bind(service, request)
    return {}
  end,
  AddCustomDomain = function(service, request)
    return { domain = info(service, bind(service, request)) }
  end,
  UnbindDomain = unbind, RemoveCustomDomain = unbind,
  ListDomains = function(service)
    return map(service, function(d)
      return { domain = d.domain, vm_id = d.vm_id }
    end)
  end,
  ListCustomDomains = function(service)
    return map(service, function(d) return info(service, d) end)
  end,
}

return domains
