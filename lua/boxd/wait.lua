-- boxd.wait_until and boxd.http.wait: a function, or an address, until it is as
-- wanted.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local poll = require "boxd.internal.poll"
core.internal()

local wait = {}

local function seconds(method, opts, name, default)
  local v = opts[name]
  return v == nil and default or check.seconds(method, name, v)
end

-- Calls fn in a task, so that its errors and times differ from ours: true and its
-- results, or false and its error; false alone when it still runs. What ends our
-- own wait is raised.
local function attempt(left, fn, ...)
  local task = boxd.spawn(fn, ...)
  local _task <close> = setmetatable({}, { __close = function()
    task:cancel()
  end })
  local found = table.pack(pcall(task.join, task, { timeout = left }))
  if found[1] or task.status ~= "running" then
    return table.unpack(found, 1, found.n)
  end
  if not boxd.is_error(found[2], boxd.TimeoutError) then error(found[2], 0) end
  return false
end

-- boxd.wait_until(fn, { timeout=60, interval=0.5, what= }) -> the results of fn
-- once the first is true. An error of fn counts as not yet.
function wait.wait_until(fn, opts)
  if type(fn) ~= "function" then check.fail(1, "wait_until", "function", fn) end
  opts = check.options(2, "wait_until", opts, { "timeout", "interval", "what" })
  local what = check.field("wait_until", opts, "what", "string")
    or "what is waited for"
  return poll.wait({ name = what, late = ("%s was not so"):format(what),
    timeout = opts.timeout or 60,
    interval = seconds("wait_until", opts, "interval", poll.INTERVAL) },
    function(left)
      local found = table.pack(attempt(left, fn))
      if not found[1] then return false, found[2] end
      if found[2] then return table.unpack(found, 2, found.n) end
      return false, ("it gives %s"):format(tostring(found[2]))
    end)
end

local TRY_SECONDS = 10 -- of one request

local OPTIONS = { "url", "status", "timeout", "interval", "method", "headers",
  "body", "ca_file", "max_redirects" }

local function is_wanted(status, wanted)
  if type(wanted) ~= "table" then return status == wanted end
  for _, one in ipairs(wanted) do
    if status == one then return true end
  end
  return false
end

local function check_status(wanted)
  for _, one in ipairs(type(wanted) == "table" and wanted or { wanted }) do
    if math.type(one) ~= "integer" or one < 100 or one > 599 then
      check.invalid("http.wait: status is an integer from 100 to 599, or a "
        .. "list of such, not %s", check.show(one))
    end
  end
  return wanted
end

-- What boxd.http.request takes of the options.
local function request_of(opts)
  local request = {}
  for name, v in pairs(opts) do request[name] = v end
  request.status, request.interval = nil, nil
  return request
end

local function is_passing(e)
  return e == nil or boxd.is_error(e, boxd.ConnectionError)
    or boxd.is_error(e, boxd.TimeoutError)
end

-- boxd.http.wait{ url=, status=200, timeout=60, interval=0.5, ... } -> the reply.
function wait.http(opts)
  if type(opts) ~= "table" then check.fail(1, "http.wait", "table", opts) end
  opts = check.options(1, "http.wait", opts, OPTIONS)
  local wanted = check_status(opts.status == nil and 200 or opts.status)
  local request = request_of(opts)
  return poll.wait({ timeout = opts.timeout or 60, name = tostring(opts.url),
    late = ("%s did not answer as wanted"):format(tostring(opts.url)),
    interval = seconds("http.wait", opts, "interval", poll.INTERVAL) },
    function(left)
      request.timeout = math.min(left, TRY_SECONDS)
      local ok, reply = attempt(left, boxd.http.request, request)
      if ok and is_wanted(reply.status, wanted) then return reply end
      if ok then return false, ("it answers %d"):format(reply.status) end
      if not is_passing(reply) then check.raise(reply) end
      return false, reply
    end)
end

return wait
