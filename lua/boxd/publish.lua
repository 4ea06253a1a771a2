-- Box methods about what listens in a box, and the address that leads to it.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local poll = require "boxd.internal.poll"
core.internal()

local SLICE_SECONDS = 15 -- of one command in the box
local ANSWER_SECONDS = 1 -- of these, for its answer to arrive
local EXPLAIN_SECONDS = 3 -- for the box to say why publish's time was over

local methods = {}

local function check_port(method, port)
  if math.type(port) ~= "integer" then check.fail(1, method, "integer", port) end
  if port < 1 or port > 65535 then
    check.invalid("%s: a port is 1 to 65535, not %d", method, port)
  end
end

-- Waits in the box until something listens on a port: no round trip a look. Its
-- output: the addresses, in the kernel's hexadecimal digits. 0A is LISTEN. $2:
-- milliseconds.
local LISTENS = [[
end=$(($(date +%s%3N) + $2))
while :; do
  found=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | while read -r _ l _ s _; do
    [ "$s" = 0A ] && [ "${l#*:}" = "$1" ] && echo "${l%:*}"; done)
  [ -n "$found" ] && echo "$found" && exit
  [ "$(date +%s%3N)" -ge "$end" ] && exit 1
  sleep 0.1
done]]

-- The addresses that listen on the port, or false and why not. waits: seconds that
-- the box waits for one; seconds: for its answer.
local function listeners(box, port, waits, seconds)
  local ok, result = pcall(core.exec, box, "sh", "-c", LISTENS, "sh",
    ("%04X"):format(port), ("%d"):format(waits * 1000 // 1),
    { timeout = seconds, killable = false })
  if not ok and not poll.is_lost(result) then error(result, 0) end
  if ok and result.success then return result.stdout end
  return false, ok and ("nothing listens on port %d"):format(port) or result
end

-- box:wait_for_port(port, { timeout=60 })
function methods:wait_for_port(port, opts)
  check_port("wait_for_port", port)
  opts = check.options(2, "wait_for_port", opts, { "timeout" })
  local name = self.name or self.id
  poll.wait({ timeout = opts.timeout or 60, name = name,
    first = ("nothing listens on port %d"):format(port),
    late = ("nothing listened on port %d of box %s"):format(port, name) },
    function(left)
      local slice = math.min(left, SLICE_SECONDS)
      local found, why = listeners(self, port,
        math.max(slice - ANSWER_SECONDS, 0), slice)
      -- A look that the end of our time cut short gives no reason of its own.
      if boxd.is_error(why, boxd.TimeoutError) then why = nil end
      return found, why
    end)
end

-- The proxy of that name ("": the default one) leads to the port; its url.
local function lead(box, port, name, ends)
  local function opts() return { timeout = math.max(ends - boxd.now(), 0.001) } end
  if name ~= "" then
    local ok, made = pcall(box.create_proxy, box, name, port, opts())
    if ok then return made.url end
    if not boxd.is_error(made, boxd.ConflictError) then error(made, 0) end
  end
  box:set_proxy_port(port, name, opts())
  for _, proxy in ipairs(box:proxies(opts())) do
    if proxy.is_default and name == "" or proxy.name == name then
      return proxy.url
    end
  end
  core.raise("NotFoundError", ("publish: box %s has no proxy %s"):format(
    box.name or box.id, name == "" and "by default" or name))
end

-- Only of a port's loopback addresses: 127.0.0.0/8, ::1.
local function is_loopback(addresses)
  for address in addresses:gmatch "%x+" do
    local v4 = #address == 8 and address:find "7F$"
    if not v4 and address ~= ("0"):rep(24) .. "01000000" then return false end
  end
  return true
end

-- Adds to the error of a wait what the box says of the port.
local function explain(box, port, e)
  local ok, found, why = pcall(listeners, box, port, 0, EXPLAIN_SECONDS)
  if ok and not found and not boxd.is_error(why) then
    e.message = ("%s; nothing listens on port %d of the box"):format(e.message,
      port)
  elseif ok and found and is_loopback(found) then
    e.message = ("%s; port %d listens on the box's loopback alone, which proxies "
      .. "don't reach: have it listen on 0.0.0.0"):format(e.message, port)
  end
end

local function check_path(path)
  if path ~= nil and path:sub(1, 1) ~= "/" then
    check.invalid("publish: path begins with a slash, %s does not",
      check.show(path))
  end
  return path or "/"
end

-- box:publish(port, { name=, path="/", status=200, timeout=120 }) -> the url,
-- once it answers.
function methods:publish(port, opts)
  check_port("publish", port)
  opts = check.options(2, "publish", opts,
    { "name", "path", "status", "timeout", "ca_file" })
  local name = check.field("publish", opts, "name", "string") or ""
  local path = check_path(check.field("publish", opts, "path", "string"))
  local ends = boxd.now() + (opts.timeout or 120)
  local url = lead(self, port, name, ends)
  local ok, e = pcall(boxd.http.wait, { url = url .. path, max_redirects = 0,
    status = opts.status, ca_file = opts.ca_file,
    timeout = math.max(ends - boxd.now(), 0.001) })
  if ok then return url end
  if boxd.is_error(e, boxd.TimeoutError) then explain(self, port, e) end
  error(e, 0)
end

return { methods = methods }
