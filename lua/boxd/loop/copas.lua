-- boxd in copas. Require it before threads and servers are added: it installs the
-- hooks, and calls in copas' threads and handlers let the others run from then
-- on. In a generator inside a thread they block, as copas' own calls fail there.

local copas, boxd = require "copas", require "boxd"

-- copas does not say whether it resumes a coroutine itself: note those it does.
local ours = setmetatable({}, { __mode = "k" })

local function mark() ours[coroutine.running()] = true end

-- What copas takes for a server's socket: readable while boxd has something to
-- do, and then nothing has connected.
local fd = boxd.pollfd()
local handle = setmetatable({
  getfd = function() return fd end,
  dirty = function() return false end,
  settimeout = function() return 1 end,
  close = function() return 1 end,
  accept = function() boxd.step() end,
}, { __tostring = function() return "tcp{boxd}" end })

local function nothing() end

local addserver = copas.addserver

-- Since 2.0 copas wakes threads.
local function install()
  local addnamedthread, addthread = copas.addnamedthread, copas.addthread
  local function marked(handler)
    return function(...)
      mark()
      return handler(...)
    end
  end
  if addnamedthread then -- which addthread calls
    function copas.addnamedthread(name, handler, ...)
      if type(name) == "function" and type(handler) == "string" then
        name, handler = handler, name
      end
      return addnamedthread(name, marked(handler), ...)
    end
  else
    function copas.addthread(handler, ...)
      return addthread(marked(handler), ...)
    end
  end
  function copas.addserver(server, handler, ...)
    return addserver(server, marked(handler), ...)
  end

  boxd.hooks {
    can_park = function()
      return copas.running ~= false and ours[coroutine.running()]
    end,
    park = function()
      if copas.pauseforever then copas.pauseforever() else copas.sleep(-1) end
    end,
    wake = copas.wakeup,
    watch = function(on)
      if on then
        addserver(handle, nothing)
      else
        copas.removeserver(handle, true)
      end
    end,
  }
end

-- Before it has no such call, and its loop never ends: a thread that waits is in
-- a queue of ours, and added once more to go on.
local function install_1()
  local addthread = copas.addthread
  local waiting = { insert = nothing, push = nothing }

  function copas.addthread(thread, ...)
    if type(thread) ~= "thread" then thread = coroutine.create(thread) end
    ours[thread] = true
    return addthread(thread, ...)
  end
  -- The handler's last wait may have been for boxd: copas closes the socket of
  -- the last wait.
  function copas.addserver(server, handler, ...)
    return addserver(server, function(socket, ...)
      mark()
      handler(socket, ...)
      if copas.autoclose then socket:close() end
    end, ...)
  end

  boxd.hooks {
    can_park = function() return ours[coroutine.running()] end,
    park = function() coroutine.yield(handle, waiting) end,
    wake = addthread,
  }
  addserver(handle, nothing)
end

if copas.wakeup then install() else install_1() end

return {}
