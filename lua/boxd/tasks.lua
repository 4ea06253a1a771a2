-- boxd.gather and boxd.map: many tasks, one answer. Workers take items in
-- turn; whatever ends the wait (an error, a cancellation) ends them all.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local progress = require "boxd.internal.progress"
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

-- How many items there are: `n` where it is given, for those that are nil.
local function length(method, list)
  local n = list.n
  if n == nil then return #list end
  if math.type(n) ~= "integer" or n < 0 then
    check.invalid("%s: n, the length of a list with holes, is an integer from "
      .. "0 on, not %s", method, check.show(n))
  end
  return n
end

local function is_interruption(e)
  return boxd.is_error(e, boxd.CancelledError)
    or boxd.is_error(e, boxd.TimeoutError)
end

-- Cancels the rest and waits for its end. What ends that wait (we are
-- cancelled, too) is raised when all have ended.
local function end_all(list)
  local interrupted, reason = false, nil
  for _, task in ipairs(list) do task:cancel() end
  for _, task in ipairs(list) do
    repeat
      local _, e = pcall(task.join, task)
      if task.status ~= "running" then break end
      interrupted, reason = true, e
    until not is_interruption(e) -- without memory no wait would be one
  end
  if interrupted then error(reason, 0) end
end

-- A crew runs bodies in tasks of its own. The first error that `on_error` does
-- not take (it returns true) ends the rest, and is what crew:wait raises.
local crew = {}
crew.__index = crew

local function new_crew(on_error)
  -- All its fields at once: a failure must not need memory.
  return setmetatable({ on_error = on_error, tasks = {}, stopped = false,
    ended = false, failed = false, failure = false }, crew)
end

function crew:stop()
  self.stopped = true
  for _, task in ipairs(self.tasks) do task:cancel() end
end

crew.__close = function(self)
  self.stopped = true
  if not self.ended then end_all(self.tasks) end
end

-- body(i) for what next_index() gives, until it gives nil.
function crew:work(next_index, body)
  for i in next_index do
    local ok, e = pcall(body, i)
    if self.stopped then return end
    if not ok and not self.on_error(i, e) then
      self.failed, self.failure = true, e
      return self:stop()
    end
  end
end

function crew:spawn(next_index, body)
  if self.stopped then return end
  self.tasks[#self.tasks + 1] = boxd.spawn(crew.work, self, next_index, body)
  if self.stopped then self:stop() end -- by the task just now
end

-- What ends the wait itself, such as a cancellation, is raised as it is.
function crew:wait()
  for _, task in ipairs(self.tasks) do
    local ok, e = pcall(task.join, task)
    if task.status == "running" then error(e, 0) end
    -- A worker fails apart from its body when it gets no memory.
    if self.failed or not ok then
      if self.failed then e = self.failure end
      self.stopped = true
      end_all(self.tasks)
      error(e, 0)
    end
  end
  self.ended = true
end

-- An iterator of 1..n that many may share.
local function counter(n)
  local i = 0
  return function()
    i = i + 1
    return i <= n and i or nil
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
  local n = length("map", list)
  local results, errors = boxd.json.array { n = n }, {}
  local workers <close> = new_crew(function(i, e)
    if mode == "raise" then return false end
    errors[i] = e == nil and "nil" or e -- as Lua says it: it did fail
    return true
  end)
  local next_index = counter(n)
  local call, _shown <close> = progress.board(list, n, fn)
  for _ = 1, math.min(n, limit) do
    workers:spawn(next_index, function(i) results[i] = (call(list[i], i)) end)
  end
  workers:wait()
  if mode == "collect" then return results, errors end
  return results
end

-- What gather was given: the indices of its functions and of its Tasks.
local function sort_out(list, n)
  local functions, given = {}, {}
  for i = 1, n do
    local v = list[i]
    if type(v) == "function" then
      functions[#functions + 1] = i
    elseif tostring(v):find "^boxd%.Task " and type(v) == "userdata" then
      given[#given + 1] = i
    elseif v ~= nil then
      check.fail(i, "gather", "function or Task", v)
    end
  end
  return functions, given
end

-- boxd.gather{ f1, task, ... [, limit=n] } -> list of first results. The limit
-- is for the functions: the Tasks run already.
function tasks.gather(list)
  if type(list) ~= "table" then check.fail(1, "gather", "table", list) end
  local options = {}
  for key, v in pairs(list) do
    if math.type(key) ~= "integer" then options[key] = v end
  end
  core.text.options(options, "gather", { "limit", "n" })
  local limit, n = check_limit("gather", options), length("gather", list)
  local results = boxd.json.array { n = n }
  local functions, given = sort_out(list, n)
  -- Whatever ends this early cancels the tasks that were given, too.
  local rest = {}
  for k, i in ipairs(given) do rest[k] = list[i] end
  local _rest <close> = setmetatable(rest, { __close = end_all })
  local workers <close> = new_crew(function() return false end)
  for _, i in ipairs(given) do
    local once = counter(1)
    workers:spawn(once, function() results[i] = (list[i]:join()) end)
  end
  local next_index = counter(#functions)
  for _ = 1, math.min(#functions, limit) do
    workers:spawn(next_index, function(k)
      local i = functions[k]
      results[i] = (list[i]())
    end)
  end
  workers:wait()
  return results
end

return tasks
