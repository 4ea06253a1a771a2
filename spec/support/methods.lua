-- The methods of a service or an object: name -> function. Where its __index is
-- a function, that has them in its first upvalue.
return function(object)
  local found, index = {}, debug.getmetatable(object).__index
  if type(index) == "function" then
    local _, first = debug.getupvalue(index, 1)
    index = first
  end
  for name, f in pairs(index) do
    if type(f) == "function" then found[name] = f end
  end
  return found
end
