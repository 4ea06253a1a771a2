-- Permission bits of files in a box. The contract has no field for them: a
-- command in the box sets them, where they are not those that a new file gets.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local failed = require "boxd.internal.failed"
core.internal()

local modes = {}

modes.NEW = tonumber("644", 8) -- of a file that the service makes
local PROGRAM = tonumber("755", 8)
local PUBLIC = tonumber("044", 8)
-- After one of these the box may be out of reach: cleaning up is brief then.
local LOST = { ConnectionError = true, TimeoutError = true,
  CancelledError = true }
local CLEANUP_SECONDS = 0.5
local ARGUMENT_BYTES = 64 << 10 -- of paths in one command

--- opts.mode, a text of octal digits, as an integer; nil: not given.
function modes.option(method, opts)
  local v = opts.mode
  if v == nil then return nil end
  if type(v) ~= "string" or not v:find "^[0-7]?[0-7][0-7][0-7]$" then
    check.invalid("%s: mode is a text of octal digits such as \"644\", not %s%s",
      method, check.show(v),
      type(v) == "number" and ": the number 644 is not 0644" or "")
  end
  return tonumber(v, 8)
end

--- Does the mode keep some users from reading?
function modes.is_private(mode) return mode & PUBLIC ~= PUBLIC end

function modes.octal(mode) return ("%o"):format(mode) end

-- Runs a command in the box; `what` failed otherwise.
local function run(self, what, opts, ...)
  local arguments = table.pack(...)
  arguments[arguments.n + 1] = { timeout = opts.timeout, killable = false }
  local result = core.exec(self, table.unpack(arguments, 1, arguments.n + 1))
  if result.success then return result.stdout end
  failed(what, result)
end

--- Is it the error of a service that runs no commands? Nothing reads its files
--- by a mode, either.
function modes.is_without_commands(e)
  return boxd.is_error(e) and e.code == "UNIMPLEMENTED" and e.method == "Exec"
end

--- Runs the command with the groups of arguments in `list`, as many at a time as
--- one command takes.
function modes.batches(self, what, opts, command, list)
  local arguments, bytes = {}, 0
  local function flush()
    if bytes == 0 then return end
    local all = table.move(command, 1, #command, 1, {})
    table.move(arguments, 1, #arguments, #all + 1, all)
    run(self, what, opts, table.unpack(all))
    arguments, bytes = {}, 0
  end
  for _, group in ipairs(list) do
    local size = 0
    for _, word in ipairs(group) do size = size + #word + 1 end
    if bytes + size > ARGUMENT_BYTES then flush() end
    table.move(group, 1, #group, #arguments + 1, arguments)
    bytes = bytes + size
  end
  flush()
end

-- The argument of chmod. A program that was there stays as private as it was,
-- unless its mode is asked for.
local function mode_text(mode, asked)
  return mode == PROGRAM and not asked and "+x" or modes.octal(mode)
end

--- Gives files of the box, { path, mode }, their modes; asked: by an option.
function modes.set(self, list, opts, asked)
  local by_mode, order = {}, {}
  for _, file in ipairs(list) do
    local mode = mode_text(file[2], asked)
    if not by_mode[mode] then
      by_mode[mode] = {}
      order[#order + 1] = mode
    end
    table.insert(by_mode[mode], { file[1] })
  end
  for _, mode in ipairs(order) do
    modes.batches(self, "the bytes are there, but chmod failed", opts,
      { "chmod", mode, "--" }, by_mode[mode])
  end
end

--- Must a file that has just been written be given its mode?
function modes.differs(mode) return mode ~= modes.NEW end

--- The mode of a file in the box; nil where that can't be found out.
function modes.of(self, path, opts)
  local ok, result = pcall(core.exec, self, "stat", "-L", "-c", "%a", "--", path,
    { timeout = opts.timeout, killable = false })
  if not ok and (not boxd.is_error(result) or LOST[result.class]) then
    error(result, 0) -- which the download would end with as well
  end
  local digits = ok and result.stdout:match "^([0-7]+)\n$"
  return digits and tonumber(digits, 8) & 511 or nil
end

-- Private files are written in a folder that only their owner may enter, and
-- moved to their place when they have their mode.

local STAGE = [[
export LC_ALL=C
p=$(readlink -f -- "$1") && [ -n "$p" ] || p=$1
if [ -d "$p" ]; then echo "$p: Is a directory" >&2; exit 1; fi
d=$(dirname -- "$p"); mkdir -p -- "$d" || exit
s=$(mktemp -d -- "$d/.boxd-XXXXXX") && printf '%s\n%s' "$s" "$p"]]

local PLACE = [[
export LC_ALL=C
s=$1; shift
while [ $# -gt 0 ]; do
  d=$(dirname -- "$3"); [ -d "$d" ] || mkdir -p -- "$d" || exit
  chmod -- "$1" "$2" && mv -fT -- "$2" "$3" || exit
  shift 3
done
rmdir -- "$s" 2>/dev/null || :]]

-- Whatever fails, nothing is left of it; what can't be removed is no reason to
-- fail.
local function stage_of(self, folder, opts)
  return setmetatable({ folder = folder, empty = false }, {
    __close = function(stage, e)
      if stage.empty then return end
      local lost = boxd.is_error(e) and LOST[e.class]
      pcall(core.exec, self, "rm", "-rf", "--", folder,
        { timeout = lost and CLEANUP_SECONDS or opts.timeout, killable = false })
    end })
end

--- A folder beside `path` that only its owner may enter, which its <close>
--- removes; and where writing to `path` ends. nil: no commands run there.
function modes.stage(self, path, opts)
  local what = ("can't make a private place for %s"):format(path)
  local ok, said = pcall(run, self, what, opts, "sh", "-c", STAGE, "sh", path)
  if not ok and modes.is_without_commands(said) then return nil end
  if not ok then error(said, 0) end
  local folder, final = said:match "^([^\n]+)\n(.+)$"
  if not folder then
    core.raise("BoxdError", what .. ": its shell answers with no path")
  end
  return stage_of(self, folder, opts), final
end

--- Moves files from the stage, { mode, staged path, final path }, to their
--- places.
function modes.place(self, stage, list, opts)
  local groups = {}
  for i, file in ipairs(list) do
    groups[i] = { modes.octal(file[1]), file[2], file[3] }
  end
  modes.batches(self, "the bytes are there, but can't be put in their place",
    opts, { "sh", "-c", PLACE, "sh", stage.folder }, groups)
  stage.empty = true
end

return modes
