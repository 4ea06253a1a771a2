-- Files to and from a box: a folder of this machine, and an upload's server.

local busted = require "busted"

local transfer = {}

--- In a describe: `path`, a folder that is made anew for each of its specs, and
--- write(name, data), read(name), names() of its entries.
function transfer.folder()
  local here = {}

  busted.before_each(function()
    local pipe = assert(io.popen "mktemp -d")
    here.path = pipe:read()
    pipe:close()
  end)

  busted.after_each(function() os.execute("rm -rf " .. here.path) end)

  function here.write(name, data)
    local f = assert(io.open(here.path .. "/" .. name, "wb"))
    assert(f:write(data))
    f:close()
    return here.path .. "/" .. name
  end

  function here.read(name)
    local f = io.open(here.path .. "/" .. name, "rb")
    if not f then return nil end
    local data = f:read "a"
    f:close()
    return data
  end

  function here.names()
    local pipe, list = assert(io.popen("ls -A " .. here.path)), {}
    for name in pipe:lines() do list[#list + 1] = name end
    pipe:close()
    return list
  end

  return here
end

--- Takes an upload in; `seen` gets its chunks' sizes, first message and data.
function transfer.taker(seen)
  return function(first, call)
    seen.first, seen.sizes = first, {}
    local parts, message = {}, first
    repeat
      seen.sizes[#seen.sizes + 1] = #message.data
      parts[#parts + 1] = message.data
      message = call:recv()
    until not message
    seen.data = table.concat(parts)
    return { bytes_written = #seen.data }
  end
end

return transfer
