-- One exchange with the program in a box: requests go by its stdin, replies come
-- as they happen.

local core = require "boxd.core"
local program = require "boxd.internal.provision.program"
core.internal()

local agent = {}

local COMMAND = '[ "$(id -u)" = 0 ] && exec perl -; exec sudo -n perl -'

-- A request: strings, numbers, and booleans as "1" and "".
function agent.frame(...)
  local parts = table.pack(...)
  for i = 1, parts.n do
    local v = parts[i]
    if v == true then v = "1" elseif v == nil or v == false then v = "" end
    parts[i] = string.pack("<s4", tostring(v))
  end
  return string.pack("<s4", table.concat(parts))
end

-- A map, for one string of a request.
function agent.map(t)
  local parts = {}
  for k, v in pairs(t or {}) do
    parts[#parts + 1] = string.pack("<s4s4", k, tostring(v))
  end
  return table.concat(parts)
end

local function strings(body)
  local list, at = {}, 1
  while at <= #body do
    list[#list + 1], at = string.unpack("<s4", body, at)
  end
  return list
end

-- The whole frames of `text`, and its rest.
local function split(text, take)
  local at = 1
  while #text - at + 1 >= 4 do
    local size = string.unpack("<I4", text, at)
    if #text - at - 3 < size then break end
    take(strings(text:sub(at + 4, at + 3 + size)))
    at = at + 4 + size
  end
  return text:sub(at)
end

local function complain(box, code, greeted, errors)
  local name = box.name or box.id
  if not greeted and errors:find "^sudo: " then
    core.raise("BoxdError", ("box %s: provisioning needs root, and sudo does "
      .. "not give it without a password: %s; allow it in /etc/sudoers.d, as in "
      .. "\"%s ALL=(ALL) NOPASSWD: ALL\""):format(name,
        errors:match "^sudo: ([^\n]*)", "boxd"))
  end
  core.raise("BoxdError", ("box %s: the provisioning program ended with exit "
    .. "code %d: %s"):format(name, code, errors:match "^%s*(.-)%s*$"))
end

-- Sends requests and passes each reply, a list of strings, to `take`.
function agent.exchange(box, requests, take, timeout)
  local process <close> = box:sh(COMMAND, { stream = true, timeout = timeout,
    killable = true, stdin = program .. table.concat(requests) })
  local rest, errors, greeted = {}, {}, false
  local size, held = 0, 0
  local function receive(data)
    rest[#rest + 1], held = data, held + #data
    if held < size then return end
    local text = split(table.concat(rest), function(reply)
      if greeted then take(reply) end
      greeted = true
    end)
    rest, held = { text }, #text
    size = #text >= 4 and 4 + string.unpack("<I4", text) or 4
  end
  for data, stream in process:chunks() do
    if stream == "stdout" then receive(data) else errors[#errors + 1] = data end
  end
  local code = process:wait()
  if code ~= 0 or not greeted then
    complain(box, code, greeted, table.concat(errors))
  end
end

return agent
