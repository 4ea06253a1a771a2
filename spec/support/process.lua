-- Starts helper programs for specs and ends them: also when the spec itself is
-- killed, since they get SIGTERM as their parent goes (setpriv, util-linux).

local process = {}
process.__index = process

local function quote(text)
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

--- Starts a program with its stdout to be read here. `args` is a list, with
--- `args.env` (a map) set. A process has `pid` and `stdout`, a file.
function process.start(args)
  local words = {}
  for name, value in pairs(args.env or {}) do
    words[#words + 1] = name .. "=" .. quote(value)
  end
  for _, word in ipairs(args) do words[#words + 1] = quote(word) end
  local self = setmetatable({}, process)
  self.stdout = assert(io.popen(
    "echo $$; exec setpriv --pdeathsig TERM env " .. table.concat(words, " ")))
  self.pid = assert(math.tointeger(tonumber(self.stdout:read())))
  return self
end

--- The next line that it prints; an error once it has ended.
function process:line()
  return self.stdout:read() or error("the helper process has ended", 2)
end

--- Ends it by `signal` (TERM) and waits for that. Idempotent.
function process:stop(signal)
  if not self.stdout then return end
  os.execute(("kill -%s %d 2>/dev/null"):format(signal or "TERM", self.pid))
  self.stdout:close()
  self.stdout = nil
end

process.__close = function(self) self:stop "KILL" end

return process
