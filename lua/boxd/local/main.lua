-- boxdlua --serve: runs the embedded service in the foreground.

local boxd = require "boxd"
local limits = require "boxd.local.limits"
local log = require "boxd.local.log"
local service = require "boxd.local.service"
local status = require "boxd.local.status"
local sys = require "boxd.serve".sys

local DEFAULT_LISTEN = "127.0.0.1:9443"

local function default_state()
  local home = os.getenv "XDG_STATE_HOME"
  if not home or home == "" then
    local user = os.getenv "HOME"
    if not user or user == "" then
      error("neither XDG_STATE_HOME nor HOME is set: give --state DIR", 0)
    end
    home = user .. "/.local/state"
  end
  return home .. "/boxd"
end

-- Makes the folder and those above it.
local function make_folder(path)
  local at = path:sub(1, 1) == "/" and "" or "."
  for part in path:gmatch "[^/]+" do
    at = at .. "/" .. part
    local ok, message = sys.mkdir(at, 448)
    if not ok then error("the state folder can't be made: " .. message, 0) end
  end
  return path
end

local function absolute(path)
  if path:sub(1, 1) == "/" then return path end
  return sys.getcwd() .. "/" .. path
end

local function urls(opened)
  local address = opened.server.address
  return "http://" .. address, "http://" .. address .. "/api/v1/auth/token"
end

-- For the parent of --local: on a descriptor, ended by an empty line.
local function announce(fd, opened)
  local api, exchange = urls(opened)
  local f <close> = assert(io.open("/dev/fd/" .. fd, "w"))
  assert(f:write("api_url=", api, "\nexchange_url=", exchange, "\napi_key=",
    opened.account.default_key, "\n\n"))
end

-- For a shell: lines to export. What a user has set for another service must not
-- come before them.
local function print_exports(opened)
  local api, exchange = urls(opened)
  io.write("export BOXD_API_URL=", api, "\n",
    "export BOXD_EXCHANGE_URL=", exchange, "\n",
    "export BOXD_API_KEY=", opened.account.default_key, "\n",
    "export BOXD_BASE_URL=", api, "\n",
    "unset BOXD_TOKEN\n")
  io.flush()
end

local function warn_of_openness(opened)
  local host = opened.server.address:match "^%[?(.-)%]?:%d+$"
  if host:find "^127%." or host == "::1" or host == "localhost" then return end
  log("listening on %s without TLS: keys and tokens travel in the clear",
    opened.server.address)
end

-- What keeps the service from starting is for the user: it needs no traceback.
local function open(options)
  local ok, opened = pcall(function()
    options.state = make_folder(absolute(options.state or default_state()))
    return service.open(options)
  end)
  if ok then return opened end
  if boxd.is_error(opened, boxd.CancelledError) then error(opened, 0) end
  local _, message = status.of(opened)
  log("%s", message)
  os.exit(1, true)
end

local function run(options, opened)
  if options.announce then
    announce(options.announce, opened)
  else
    warn_of_openness(opened)
    print_exports(opened)
    io.stderr:write(opened.enforced, "\n")
  end
  opened:run()
end

-- Requests come and go, some of them with 64 MiB: little must stay of them. A pause
-- below 200 costs a third of the time of a command's output.
local function save_memory()
  collectgarbage("incremental", 200, 400)
  if _VERSION ~= "Lua 5.4" then -- which takes them by name
    collectgarbage("param", "pause", 200)
    collectgarbage("param", "stepmul", 400)
  end
  sys.return_memory()
end

return function(options)
  save_memory()
  options.listen = options.listen or DEFAULT_LISTEN
  options.passing = options.announce ~= nil -- of a --local
  options.limits = limits.of(options.limits, options.max_boxes)
  -- The client of a --local is one script, which may start as often as it likes.
  options.exchanges = not options.announce and options.limits.exchanges or nil
  local opened = open(options)
  -- Whatever ends us. The state of a --local is for one run.
  local _end <close> = setmetatable({}, { __close = function()
    opened:close()
  end })
  local ok, e = pcall(run, options, opened)
  -- A signal is how this usually ends.
  if not ok and not boxd.is_error(e, boxd.CancelledError) then error(e, 0) end
end
