-- Text from boxes, as messages and records can hold it.

local text = {}

--- The bytes with U+FFFD for each that is not UTF-8, or is NUL.
function text.readable(bytes)
  local out = bytes:gsub("\0", "\u{FFFD}")
  local good, bad = utf8.len(out)
  while not good do
    out = out:sub(1, bad - 1) .. "\u{FFFD}" .. out:sub(bad + 1)
    good, bad = utf8.len(out, bad)
  end
  return out
end

return text
