-- Progress on stderr: a line for a transfer or a wait, and for boxd.map a line
-- an item with its state and its latest output. Only on a terminal that wants
-- it, and only for operations that last; nothing is shown, and nothing costs more
-- than a test, anywhere else.

local core = require "boxd.core"
local boxd = require "boxd"
local last_line = require "boxd.internal.last_line"
core.internal()

local progress = {}

local PATIENCE = 0.5 -- seconds before something is worth a line
local EVERY = 0.1    -- seconds between two pictures
local ROWS_MAX = 20  -- of a board; the rest is counted

local wanted -- does the environment want any?

local function is_set(name)
  local value = os.getenv(name)
  return value ~= nil and value ~= ""
end

-- The columns there are, or nil: nothing is to be shown.
local function columns()
  if wanted == nil then
    wanted = not (is_set "NO_COLOR" or is_set "CI"
      or os.getenv "TERM" == "dumb" or not is_set "TERM")
  end
  return wanted and core.screen() or nil
end

-- The picture: lines of which the cursor is at the first one's beginning.

local shown = 0    -- lines that are on the screen
local owner        -- the meter or board that draws them
local wrapped = {} -- functions that print, while a picture is there

local function draw(lines, width)
  local parts = {}
  for i, line in ipairs(lines) do
    line = line:gsub("[%c\127]", " ")
    local stop = utf8.len(line) and utf8.offset(line, width) or width
    parts[i] = (stop and line:sub(1, stop - 1) or line) .. "\27[K"
  end
  -- Lines of the picture before that are not needed any more are cleared.
  local up = #lines > 1 and ("\27[%dA"):format(#lines - 1) or ""
  io.stderr:write("\r", table.concat(parts, "\n"), "\27[J", up, "\r")
  io.stderr:flush()
  shown = #lines
end

-- Clears the line before other output; the next update draws it again.
function progress.clear()
  if shown == 0 then return end
  io.stderr:write "\r\27[J"
  io.stderr:flush()
  shown = 0
end

local function wrap(t, name)
  local inner = t[name]
  local function outer(...)
    progress.clear()
    return inner(...)
  end
  t[name] = outer
  wrapped[#wrapped + 1] = function()
    if t[name] == outer then t[name] = inner end
  end
end

-- A task that was due to draw as its picture ended runs once more.
local function take(who)
  if who.ended then return false end
  if owner then return owner == who end
  owner = who
  wrap(_G, "print")
  wrap(io, "write")
  return true
end

local function give_back(who)
  who.ended = true
  if owner ~= who then return end
  progress.clear()
  for _, undo in ipairs(wrapped) do undo() end
  owner, wrapped = nil, {}
end

-- Rows of boards, by the coroutine of their item.

local rows = setmetatable({}, { __mode = "k" })

local function current_row()
  return next(rows) and rows[coroutine.running()]
end

local WEAK = { __mode = "v" }

-- A process that the present item started: its output is what the row shows.
-- The row does not keep it alive.
function progress.watch(process)
  local row = current_row()
  if row then row.latest = setmetatable({ process }, WEAK) end
end

-- A meter: one line, or the text of the present item's row.

local nothing = setmetatable({}, { __close = function() end })
local function silent() end

local meter = {}
meter.__index = meter

local function new_meter()
  local now = boxd.now()
  return setmetatable({ began = now, drawn = now + PATIENCE - EVERY,
    row = current_row() }, meter)
end

function meter:say(text)
  local now = boxd.now()
  if self.row then
    self.row.text = text
  elseif now - self.drawn >= EVERY and take(self) then
    self.drawn = now
    draw({ text() }, columns() or 80)
  end
end

meter.__close = function(self)
  if self.ticker then self.ticker:cancel() end
  if self.row then self.row.text = nil end
  give_back(self)
end

local UNITS = { "B", "KiB", "MiB", "GiB", "TiB" }

local function size(n)
  local unit = 1
  while n >= 1024 and unit < #UNITS do n, unit = n / 1024, unit + 1 end
  return (unit == 1 and "%.0f %s" or "%.1f %s"):format(n, UNITS[unit])
end

-- For a transfer: a function of bytes done and in all, and what ends it.
function progress.transfer(name)
  if not columns() then return silent, nothing end
  local m = new_meter()
  return function(done, total)
    m:say(function()
      local rate = done / math.max(boxd.now() - m.began, 0.001)
      return ("%s  %s of %s  %d%%  %s/s"):format(name, size(done), size(total),
        total > 0 and done * 100 // total or 100, size(rate))
    end)
  end, m
end

-- For a wait: a function of why it goes on, and what ends it.
function progress.wait(name)
  if not columns() then return silent, nothing end
  local m, why = new_meter(), nil
  local function show()
    m:say(function()
      return ("waiting for %s  %.0f s  %s"):format(name, boxd.now() - m.began,
        why)
    end)
  end
  m.ticker = boxd.spawn(function() -- one look may take long
    while true do
      boxd.sleep(EVERY)
      if why then show() end
    end
  end)
  return function(text)
    why = text
    show()
  end, m
end

-- A board: a row an item of boxd.map.

local board = {}
board.__index = board

local function label(item, i)
  if type(item) == "table" then
    local name = rawget(item, "name") or rawget(item, "id")
    if type(name) == "string" then return name end
  elseif boxd.type(item) == "Box" then
    return item.name or item.id
  elseif type(item) == "string" or type(item) == "number" then
    return tostring(item)
  end
  return "#" .. i
end

local function row_text(row, width)
  local text = ""
  if row.text then
    text = row.text()
  elseif row.latest and row.latest[1] then
    text = last_line(core.tail(row.latest[1])) or ""
  end
  local ends = row.ended or boxd.now()
  return ("%-" .. width .. "s  %-7s %5.1f s  %s"):format(row.label, row.state,
    ends - row.began, text)
end

-- Those that run first, then those that failed; the rest is counted.
local function pick(all)
  local lines, hidden = {}, 0
  for _, state in ipairs { "running", "failed", "done" } do
    for _, row in ipairs(all) do
      if row.state == state then
        if #lines < ROWS_MAX then
          lines[#lines + 1] = row
        else
          hidden = hidden + 1
        end
      end
    end
  end
  return lines, hidden
end

function board:draw()
  local width = columns()
  if not width or not take(self) then return end
  local picked, hidden = pick(self.rows)
  table.sort(picked, function(a, b) return a.index < b.index end)
  local widest, lines = 0, {}
  for _, row in ipairs(picked) do
    widest = math.max(widest, math.min(#row.label, 30))
  end
  for i, row in ipairs(picked) do lines[i] = row_text(row, widest) end
  local waiting = self.count - #self.rows
  if hidden + waiting > 0 then
    lines[#lines + 1] = ("%d more, %d of them not begun"):format(
      hidden + waiting, waiting)
  end
  draw(lines, width)
end

function board:watch()
  boxd.sleep(PATIENCE)
  while true do
    self:draw()
    boxd.sleep(EVERY)
  end
end

function board:call(fn, item, i)
  local co = coroutine.running()
  local row = { label = label(item, i), index = i, began = boxd.now(),
    state = "running" }
  self.rows[#self.rows + 1] = row
  local outer = rows[co]
  rows[co] = row
  local _row <close> = setmetatable({}, { __close = function(_, e)
    row.state, row.ended = e == nil and "done" or "failed", boxd.now()
    rows[co] = outer
  end })
  return (fn(item, i))
end

-- The task ends by itself: to wait for it here could take the cancellation that
-- is meant for the script.
board.__close = function(self)
  self.task:cancel()
  give_back(self)
end

-- For boxd.map: the function to call for an item, and what ends the picture.
function progress.board(list, n, fn)
  if n < 2 or owner or not columns() then return fn, nothing end
  local b = setmetatable({ rows = {}, count = n, list = list }, board)
  b.task = boxd.spawn(b.watch, b)
  return function(item, i) return b:call(fn, item, i) end, b
end

return progress
