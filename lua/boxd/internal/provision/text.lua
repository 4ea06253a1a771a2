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
  local list = {}
  for line in s:gmatch "([^\n]*)\n" do list[#list + 1] = line end
  local rest = s:match "([^\n]*)$"
  if rest ~= "" then list[#list + 1] = rest end
  return list, rest == ""
end

function text.join(lines)
  return #lines == 0 and "" or table.concat(lines, "\n") .. "\n"
end

return text
