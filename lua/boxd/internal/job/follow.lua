-- A job's output as it comes, over as many connections as it takes: each begins
-- at the byte after the last that arrived.

local core = require "boxd.core"
local boxd = require "boxd"
local perl = require "boxd.internal.perl"
local program = require "boxd.internal.job.program"
core.internal()

local follow = {}

--- Seconds: without a frame, of which one comes every 10; without an answer, until
--- it gives up; between two tries, at most; of the program in the box, as a service
--- may let it live on when its call is lost: then it is asked again.
follow.limits = { silence = 40, give_up = 300, pause = 5, life = 120 }
local limits = follow.limits

follow.__index = follow

--- A stream of a job's frames. from: { out=offset or nil, err=offset or nil,
--- follow=boolean, limit=bytes or nil }; ends: when a wait is to end, of boxd.now.
function follow.new(job, from, ends)
  return setmetatable({ job = job, from = from, ends = ends, buffer = "",
    heard = boxd.now(), tries = 0 }, follow)
end

function follow:close()
  local process = self.process
  self.process, self.buffer, self.left, self.letter = nil, "", nil, nil
  if process then process:close() end
end
follow.__close = follow.close

local function connect(self)
  local from, job = self.from, self.job
  self.process = perl.start(job.box, program, { op = "follow",
    name = job.name, mark = job.mark, out = from.out, err = from.err,
    file = from.file, limit = from.limit, follow = from.follow and 1 or 0,
    life = limits.life }, {})
end

-- The next chunk; nil when none came in time, or at the stream's end.
local function read_chunk(self)
  local seconds = limits.silence
  if self.ends then seconds = math.min(seconds, self.ends - boxd.now()) end
  if seconds <= 0 then return nil end
  local until_ = boxd.now() + seconds
  local ok, chunk = pcall(boxd.with_timeout, seconds, self.process.read_stdout,
    self.process)
  if ok then return chunk end
  -- The time of a wait around this one is not ours.
  if boxd.is_error(chunk, boxd.TimeoutError) and boxd.now() >= until_ then
    return nil
  end
  error(chunk, 0)
end

-- What a broken stream may still mean: the box starts, the service does.
local function passes(e)
  return perl.passes(e) or boxd.is_error(e, boxd.ConflictError)
    or boxd.is_error(e) and e.method ~= nil and e.class == "BoxdError"
end

local function fill(self)
  if not self.process then connect(self) end
  local chunk = read_chunk(self)
  if not chunk then return false end
  self.buffer = self.buffer .. chunk
  return true
end

local function check_time(self, why)
  local now = boxd.now()
  if self.ends and now >= self.ends then
    core.raise("TimeoutError", ("job %s has not ended within its time")
      :format(self.job.name))
  end
  if now - self.heard >= limits.give_up then
    core.raise("ConnectionError", ("job %s: no answer from the box for %g s: %s")
      :format(self.job.name, limits.give_up, why))
  end
end

-- More bytes, by another connection where this one ended.
local function more(self)
  local ok, e = pcall(fill, self)
  if ok and e then return end
  if not ok and not passes(e) then error(e, 0) end
  self:close()
  check_time(self, ok and "the stream ended" or e.message)
  self.tries = self.tries + 1
  if self.tries > 1 then
    boxd.sleep(math.min(0.05 * 2 ^ self.tries, limits.pause))
  end
  return true
end

local function gone(self)
  core.raise("NotFoundError", ("job %s was removed or started anew"):format(
    self.job.name))
end

-- The head of the next frame: its letter, and its bytes that are to come.
local function read_head(self)
  while true do
    local letter, size, start = self.buffer:match("^(%a) (%d+)\n()")
    if letter then
      self.buffer = self.buffer:sub(start)
      self.letter, self.left = letter, math.tointeger(size)
      return
    end
    if self.buffer:find "^error " then gone(self) end
    more(self)
  end
end

-- A whole frame's bytes; nil when the connection broke in it.
local function read_whole(self)
  while #self.buffer < self.left do
    if more(self) then return nil end
  end
  local data = self.buffer:sub(1, self.left)
  self.buffer, self.left = self.buffer:sub(self.left + 1), nil
  return data
end

-- As much of an output's frame as has come; counted at once.
local function read_part(self)
  if self.buffer == "" and more(self) then return nil end
  local data = self.buffer:sub(1, self.left)
  self.buffer, self.left = self.buffer:sub(#data + 1), self.left - #data
  if self.left == 0 then self.left = nil end
  return data
end

local OUTPUTS = { o = "out", e = "err" }

-- The box follows. That it begins to is no answer yet: a stream may end each time
-- right after that.
local function answered(self) self.heard, self.tries = boxd.now(), 0 end

local function read_output(self)
  local file, data = OUTPUTS[self.letter], read_part(self)
  if not data then return nil end
  answered(self)
  local from = self.from
  from[file] = from[file] + #data
  if file == "out" and from.limit then from.limit = from.limit - #data end
  return data, file
end

-- All has come: the call may end by itself. A broken end of it is no loss.
local function finish(self)
  local ok, e = pcall(self.process.wait, self.process, { timeout = 2 })
  if ok or passes(e) or boxd.is_error(e, boxd.TimeoutError) then return end
  error(e, 0)
end

--- The next bytes, and "out" or "err"; at the job's end, or where there is no
--- more to follow: nil and the job's record.
function follow:next()
  while true do
    if not self.left then read_head(self) end
    if OUTPUTS[self.letter] then
      local data, file = read_output(self)
      if data then return data, file end
    elseif self.letter == "g" then
      gone(self)
    else
      local data = read_whole(self)
      if data and self.letter == "a" then self.from.out = math.tointeger(data) end
      if data and self.letter == "h" then answered(self) end
      if data and self.letter == "z" then
        finish(self)
        return nil, data
      end
    end
  end
end

return follow
