-- exec and sh with options beyond those of one plain call.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local killable = require "boxd.internal.killable"
local last_line = require "boxd.internal.last_line"
local progress = require "boxd.internal.progress"
local wrapper = require "boxd.internal.wrapper"
core.internal()

local exec = {}

-- Keeps the last `most` bytes of those added, or all.
local Kept = {}
Kept.__index = Kept

local function kept(most)
  return setmetatable({ parts = {}, first = 1, bytes = 0, dropped = 0,
    most = most or math.maxinteger }, Kept)
end

function Kept:add(data)
  self.parts[#self.parts + 1] = data
  self.bytes = self.bytes + #data
  while self.bytes > self.most do
    local part = self.parts[self.first]
    local over = math.min(self.bytes - self.most, #part)
    if over == #part then
      self.parts[self.first] = false
      self.first = self.first + 1
    else
      self.parts[self.first] = part:sub(over + 1)
    end
    self.bytes, self.dropped = self.bytes - over, self.dropped + over
  end
  if self.first > 1024 then
    self.parts = table.move(self.parts, self.first, #self.parts, 1, {})
    self.first = 1
  end
end

function Kept:text() return table.concat(self.parts, "", self.first) end

local function tell(tee, data, stream)
  if type(tee) == "function" then return tee(data, stream) end
  local ok, message = tee:write(data)
  if ok and tee.flush then ok, message = tee:flush() end
  if not ok then check.invalid("tee: can't write: %s", message) end
end

-- The result of a process whose output is passed on or cut as it comes.
local function follow(p, o)
  local out, err = kept(o.max_output), kept(o.max_output)
  local ok, code = pcall(function()
    for data, stream in p:chunks() do
      (stream == "stderr" and err or out):add(data)
      if o.tee then tell(o.tee, data, stream) end
    end
    return p:wait()
  end)
  if not ok then
    if type(code) == "table" and code.method == "Exec" then
      code.stdout, code.stderr = out:text(), err:text()
    end
    error(code, 0)
  end
  local result = core.exec_result(out:text(), err:text(), code)
  if o.max_output then result.truncated = out.dropped + err.dropped end
  return result
end

local SHOWN = 200 -- bytes of a command in a message

-- The text without the values of secrets in it, and without their lines: a command
-- may show them.
local function without(secrets, text)
  local function cut(value)
    if value:find "%S" then text = text:gsub(value:gsub("%W", "%%%0"), "***") end
  end
  for _, value in pairs(secrets or {}) do
    cut(value)
    for line in value:gmatch "[^\n]+" do cut(line) end
  end
  return text
end

local function raise_failed(line, result, secrets)
  local said = last_line(result.stderr) or last_line(result.stdout)
  said = said and without(secrets, said)
  local shown = #line > SHOWN and line:sub(1, SHOWN) .. "..." or line
  local ok, e = pcall(core.raise, "CommandError",
    ("exit code %d: %s%s"):format(result.exit_code, shown,
      said and ": " .. said:sub(-SHOWN) or ""), "Exec")
  assert(not ok)
  e.exit_code, e.command = result.exit_code, line
  e.stdout, e.stderr = result.stdout, result.stderr
  error(e, 0)
end

local WAITED = { "check", "tee", "max_output" }

local function check_plan(o, plan)
  for _, name in ipairs(WAITED) do
    if plan.stream and o[name] then
      check.invalid("%s: %s is for a command that is waited for, not for a stream",
        plan.method, name)
    end
  end
  local most = o.max_output
  if most and (math.type(most) ~= "integer" or most < 0) then
    check.invalid("%s: max_output is a number of bytes, not %s", plan.method,
      check.show(most))
  end
end

-- Opens the process: plan is what the options say of its terminal, its stdin
-- and its end.
local function open(box, line, o, plan)
  local send, lead, mark = line, nil, nil
  if plan.killable or o.user or o.login or o.secret_env then
    send, lead, mark = wrapper.wrap(box, line, o, plan.killable, plan.pty)
  end
  local feed = o.stdin
  if lead then feed = lead .. (o.stdin or "") end
  local collect = not plan.stream and not o.tee and not o.max_output
  local p = core.exec_open(core.compute(box), { vm_id = box.id, command = send,
    tty = plan.pty, cols = o.cols, rows = o.rows }, feed, plan.half_close, collect,
    o.timeout, lead and not o.stdin and not plan.half_close,
    mark and { box = box, mark = mark, timeout = o.timeout, user = o.user })
  progress.watch(p)
  if mark then killable.keep(p) end
  return p, collect
end

--- line: the command line; o: its options, checked; plan: { stream, pty,
--- half_close, killable, method }.
function exec.run(box, line, o, plan)
  check_plan(o, plan)
  local process, collect = open(box, line, o, plan)
  if plan.stream then return process end
  local p <close> = process
  local result = collect and core.exec_collect(p) or follow(p, o)
  if o.check and not result.success then raise_failed(line, result, o.secret_env) end
  return result
end

return exec
