-- boxd.gather and boxd.map: many tasks, one answer. Workers take items in
-- turn; whatever ends the wait (an error, a cancellation) ends them all.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.check"
core.internal()

local tasks = {}

local function check_limit(method, opts)
  local limit = opts.limit
  if limit == nil then return math.huge end
  if math.type(limit) ~= "integer" or limit < 1 then
    check.invalid("%s: limit is an integer from 1 on", method)
  end
  return limit
end

-- Cancels what is left and waits for its end.
local function end_all(workers)
  for _, worker in ipairs(workers) do worker:cancel() end
  for _, worker in ipairs(workers) do pcall(worker.join, worker) end
end

-- Runs body(i) for i in 1..n in at most `limit` tasks. on_error(i, e): true to
-- go on. The first other error ends the rest and is raised.
local function each(n, limit, body, on_error)
  local next_index, failed, failure = 1, false, nil
  local workers = {}
  local function work()
    while next_index <= n and not failed do
      local i = next_index
      next_index = i + 1
      local ok, e = pcall(body, i)
      if not ok and not on_error(i, e) and not failed then
        failed, failure = true, e
        for _, worker in ipairs(workers) do worker:cancel() end
      end
    end
  end
  local _all <close> = setmetatable(workers, { __close = end_all })
  for i = 1, math.min(n, limit) do
    if failed then break end
    workers[i] = boxd.spawn(work)
  end
  for _, worker in ipairs(workers) do
    pcall(worker.join, worker)
    if failed then break end
  end
  if failed then
    end_all(workers)
    error(failure, 0)
  end
end

-- boxd.map(list, fn, { limit=, on_error="raise"|"collect" }) -> results, errors
function tasks.map(list, fn, opts)
  if type(list) ~= "table" then check.fail(1, "map", "table", list) end
  if type(fn) ~= "function" then check.fail(2, "map", "function", fn) end
  opts = check.opt_table(3, "map", opts)
  core.text.options(opts, "map", { "limit", "on_error" })
  local limit, mode = check_limit("map", opts), opts.on_error or "raise"
  if mode ~= "raise" and mode ~= "collect" then
    check.invalid("map: on_error is \"raise\" or \"collect\"")
  end
  local n = list.n or #list
  local results, errors = { n = n }, {}
  each(n, limit, function(i) results[i] = (fn(list[i], i)) end, function(i, e)
    if mode == "raise" then return false end
    errors[i] = e
    return true
  end)
  if mode == "collect" then return results, errors end
  return results
end

-- boxd.gather{ f1, task, ... [, limit=n] } -> list of first results
function tasks.gather(list)
  if type(list) ~= "table" then check.fail(1, "gather", "table", list) end
  local limit = check_limit("gather", list)
  local n = list.n or #list
  local results, given = { n = n }, {}
  for i = 1, n do
    local v = list[i]
    if type(v) == "userdata" then
      given[#given + 1] = v
    elseif type(v) ~= "function" and v ~= nil then
      check.fail(i, "gather", "function or Task", v)
    end
  end
  -- The first error cancels the tasks that were given, too.
  local done = false
  local _rest <close> = setmetatable({}, { __close = function()
    if not done then end_all(given) end
  end })
  each(n, limit, function(i)
    local v = list[i]
    if type(v) == "userdata" then
      results[i] = (v:join())
    elseif v then
      results[i] = (v())
    end
  end, function() return false end)
  done = true
  return results
end

return tasks
