-- Domains: names that lead to boxes. A record of kind domains is one, whether it
-- was bound by BindDomain or added by AddCustomDomain. No DNS leads here: a
-- request to the service's own port that has the name as its Host is passed on
-- to the box's default proxy, whole.

local boxd = require "boxd"
local status = require "boxd.local.status"

local fail = status.fail

local ANSWER_MAX = 64 << 20
local HEADERS_MAX = 32
local SECONDS = 60 -- for an answer

local domains = {}
domains.__index = domains

function domains.new(service)
  return setmetatable({ service = service,
    records = service.store:all "domains" }, domains)
end

-- No address is one: the service's own port is reached by that.
local function check(domain)
  if not domain or #domain > 253 or domain:find "%.%d+$"
    or not domain:find "^[%w][%w-]*%.[%w.-]*[%w]$" then
    fail("INVALID_ARGUMENT", "'%s' is no domain name", domain or "")
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

-- Of boxes that are no more.
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

local OWN = { connection = true, ["content-length"] = true,
  ["keep-alive"] = true, ["transfer-encoding"] = true, upgrade = true }

-- HTTP/1.0, so that the answer comes in one piece and ends with the connection.
local function compose(request)
  local target = request.path
    .. (request.query and "?" .. request.query or "")
  local lines = { ("%s %s HTTP/1.0"):format(request.method, target) }
  for name, value in pairs(request.headers) do
    if not OWN[name] then lines[#lines + 1] = name .. ": " .. value end
  end
  lines[#lines + 1] = "connection: close"
  lines[#lines + 1] = ("content-length: %d"):format(#request.body)
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. request.body
end

local function read_all(fd)
  local parts, size = {}, 0
  for part in function() return fd:read() end do
    parts[#parts + 1] = part
    size = size + #part
    if size > ANSWER_MAX then return nil end
  end
  return table.concat(parts)
end

-- Adds a header, whose values are a list: two cookies are two headers.
local function add_header(headers, name, value)
  local key = name:lower()
  if OWN[key] then return end
  headers[key] = headers[key] or {}
  table.insert(headers[key], (value:gsub("%c", " ")))
end

-- status, headers, body of an answer; nil when it is none.
local function parse(text)
  local head, body = (text or ""):match "^(.-\r?\n)\r?\n(.*)$"
  local code = head and head:match "^HTTP/1%.%d (%d%d%d)"
  if not code then return nil end
  local headers, count = {}, 0
  for name, value in head:gmatch "\n([%w_-]+):[ \t]*([^\r\n]*)" do
    count = count + 1
    if count <= HEADERS_MAX then add_header(headers, name, value) end
  end
  return math.tointeger(code), headers, body
end

-- Answers a request with what the box says.
function domains:pass_on(box, request)
  local fd = self.service.proxies:connect(box)
  if not fd then
    return 503, {}, ("nothing listens in box '%s'\n"):format(box.name)
  end
  local _fd <close> = fd
  local ok, text = pcall(boxd.with_timeout, SECONDS, function()
    fd:write(compose(request))
    return read_all(fd)
  end)
  if not ok and not boxd.is_error(text, boxd.TimeoutError) then
    error(text, 0)
  end
  local code, headers, body = parse(ok and text or "")
  if not code or code < 200 or code > 599 then
    return ok and 502 or 504, {},
      ("box '%s' did not answer as HTTP/1\n"):format(box.name)
  end
  return code, headers, body
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
