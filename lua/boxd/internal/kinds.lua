-- What a value of a spec may be, checked where errors can still name it as the
-- script wrote it.

local core = require "boxd.core"
local check = require "boxd.internal.check"
core.internal()

local kinds = {}

-- A kind of value is a function(what, v) that returns what the request holds.

local function refuse(what, expected, v)
  check.invalid("%s: %s expected, not %s", what, expected, check.show(v))
end

local function of_type(name, expected)
  return function(what, v)
    if type(v) ~= name then refuse(what, expected, v) end
    return v
  end
end

kinds.text = of_type("string", "text")
kinds.switch = of_type("boolean", "true or false")
local a_table = of_type("table", "a table")

function kinds.count(what, v)
  if math.type(v) ~= "integer" or v < 0 or v > 0xFFFFFFFF then
    refuse(what, ("an integer from 0 to %d"):format(0xFFFFFFFF), v)
  end
  return v
end

function kinds.list(kind)
  return function(what, v)
    if type(v) ~= "table" then refuse(what, "a list", v) end
    local out, n = {}, 0
    for _ in pairs(v) do n = n + 1 end
    if v.n == n - 1 then n = n - 1 end -- as table.pack has it
    for i = 1, n do
      if v[i] == nil then check.invalid("%s: a list without holes and names "
        .. "expected", what) end
      out[i] = kind(("%s[%d]"):format(what, i), v[i])
    end
    return out
  end
end

-- Of a map from text to text.
function kinds.map(what, v)
  local out = {}
  for key, value in pairs(a_table(what, v)) do
    if type(key) ~= "string" then
      check.invalid("%s: text as names expected, not %s", what,
        check.show(key))
    end
    out[key] = kinds.text(what .. "." .. key, value)
  end
  return out
end

kinds.texts = kinds.list(kinds.text)

return kinds
