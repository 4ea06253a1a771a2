-- Lines of files, and attributes in words.

local core = require "boxd.core"
core.internal()

local text = {}

-- What differs of mode, owner and group: "mode: 644 -> 600".
function text.attributes(step, is)
  local changes = {}
  local function compare(name, want, has, id)
    if want and want ~= has and want ~= id then
      changes[#changes + 1] = ("%s: %s -> %s"):format(name, has, want)
    end
  end
  compare("mode", step.mode, is.mode)
  compare("owner", step.owner, is.owner, is.uid)
  compare("group", step.group, is.group, is.gid)
  return changes
end

-- A text's lines, without their newlines; and whether the last one had one.
function text.lines(s)
  local list, at = {}, 1
  while true do
    local stop = s:find("\n", at, true)
    if not stop then break end
    list[#list + 1], at = s:sub(at, stop - 1), stop + 1
  end
  if at <= #s then list[#list + 1] = s:sub(at) end
  return list, at > #s
end

function text.join(lines)
  return #lines == 0 and "" or table.concat(lines, "\n") .. "\n"
end

return text
