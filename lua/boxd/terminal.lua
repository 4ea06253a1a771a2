-- boxd.attach and boxd.prefix: a process's output for people.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local progress = require "boxd.internal.progress"
core.internal()

local terminal = {}

local LINE_MAX = 64 * 1024 -- bytes; a longer line is printed as several

local function check_process(method, v)
  if type(v) ~= "userdata" or not tostring(v):find "^boxd%.ExecProcess " then
    check.fail(1, method, "ExecProcess", v)
  end
end

local OUTPUTS = { stdout = io.stdout, stderr = io.stderr }

local function print_to(output, ...)
  progress.clear()
  local ok, message = output:write(...)
  if ok then ok, message = output:flush() end
  if not ok then
    core.raise("BoxdError", "can't print a process's output: " .. message)
  end
end

-- The terminal's side of attach: two tasks that send, where a process takes one
-- at a time. It fails when the process has ended; the reason follows its output.
local function sender(process)
  local busy = false
  return function(method, ...)
    while busy do boxd.sleep(0.01) end
    busy = true
    local ok = pcall(process[method], process, ...)
    busy = false
    return ok
  end
end

local function send_input(term, send)
  for data in term.read, term do
    if not send("write", data) then return end
  end
end

local function send_sizes(term, send)
  local cols, rows = term:size()
  while cols and send("resize", cols, rows) do cols, rows = term:resized() end
end

-- boxd.attach(process) -> exit code: gives the script's terminal, in raw mode,
-- to an interactive process until it ends.
function terminal.attach(process)
  check_process("attach", process)
  local term <close> = core.terminal()
  local send = sender(process)
  local helpers <close> = setmetatable({}, { __close = function(tasks)
    for _, task in ipairs(tasks) do task:cancel() end
    for _, task in ipairs(tasks) do pcall(task.join, task) end
  end })
  helpers[1] = boxd.spawn(send_sizes, term, send)
  helpers[2] = boxd.spawn(send_input, term, send)
  for data, stream in process:chunks() do print_to(OUTPUTS[stream], data) end
  return process:wait()
end

-- Prints the whole lines of `text` and returns the rest.
local function print_lines(output, prefix, text)
  local lines, at = {}, 1
  while true do
    local stop = text:find("\n", at, true)
    if not stop and #text - at < LINE_MAX then break end
    if not stop or stop - at > LINE_MAX then stop = at + LINE_MAX - 1 end
    local line = text:sub(at, stop)
    lines[#lines + 1] = prefix .. line
    if line:byte(-1) ~= 10 then lines[#lines + 1] = "\n" end
    at = stop + 1
  end
  if #lines > 0 then print_to(output, table.concat(lines)) end
  return text:sub(at)
end

-- boxd.prefix(process, prefix) -> exit code: prints its output line by line,
-- each under the prefix, stdout to stdout and stderr to stderr.
function terminal.prefix(process, prefix)
  check_process("prefix", process)
  check.string(2, "prefix", prefix)
  local rest = { stdout = "", stderr = "" }
  -- Also the output before an error.
  local _rest <close> = setmetatable({}, { __close = function()
    for stream, text in pairs(rest) do
      if text ~= "" then print_to(OUTPUTS[stream], prefix, text, "\n") end
    end
  end })
  for data, stream in process:chunks() do
    rest[stream] = print_lines(OUTPUTS[stream], prefix, rest[stream] .. data)
  end
  return process:wait()
end

return terminal
