-- What a run has done: as a table, as lines on a terminal, and as the text of an
-- error.

local core = require "boxd.core"
local progress = require "boxd.internal.progress"
core.internal()

local report = {}

local COUNTED = { "changed", "ok", "failed", "skipped", "maybe" }

-- A name in one short line that JSON and a terminal take.
function report.short(name)
  local line = name:gsub("\n.*", " …"):gsub("%c", "?")
  if not utf8.len(line) then line = line:gsub("[\128-\255]", "?") end
  if utf8.len(line) > 100 then line = line:sub(1, utf8.offset(line, 98) - 1) .. "…" end
  return line
end

local function show_error(step)
  local e = step.error
  local lines = { e.message }
  if e.command then lines[#lines + 1] = "  command: " .. e.command end
  if e.output then
    lines[#lines + 1] = "  last output:\n    "
      .. e.output:gsub("\n+$", ""):gsub("\n", "\n    ")
  end
  return table.concat(lines, "\n")
end

local function describe(changes)
  local list = {}
  for _, change in ipairs(changes or {}) do list[#list + 1] = change end
  return #list > 0 and list or nil
end

-- { changed, ok, failed, skipped, maybe, seconds, rounds, steps, facts }
function report.of(run, plan, e)
  local result = { seconds = run and run.seconds or 0, rounds = run and run.rounds or 0,
    steps = {}, facts = {}, dry_run = run and run.dry_run or nil }
  for _, status in ipairs(COUNTED) do result[status] = 0 end
  for i, step in ipairs(plan) do
    local status = step.status or "skipped"
    result[status] = result[status] + 1
    result.steps[i] = { kind = step.kind, name = step.shown, status = status,
      seconds = step.seconds or 0, diff = step.diff, where = step.where,
      changes = describe(step.changes), error = step.error and show_error(step) }
    if step.kind == "fact" and not step.secret then
      result.facts[step.name] = step.value
    end
  end
  if e ~= nil then result.error = tostring(e) end
  return result
end

function report.failure(box, step)
  return ("box %s: step %d, %s %s (%s) failed: %s"):format(box, step.index,
    step.kind, step.shown, step.where, show_error(step))
end

-- On a terminal.

local COLORS = { changed = "33", maybe = "36", failed = "31", ok = "32" }

local function color(status, text)
  local code = COLORS[status]
  if not code or os.getenv "NO_COLOR" then return text end
  return ("\27[%sm%s\27[0m"):format(code, text)
end

local function write(text)
  progress.clear()
  io.stderr:write(text)
end

local function words(step)
  local changes = step.changes
  return step.kind ~= "command" and step.kind ~= "fn" and changes and changes[1]
    and (" (%s)"):format(table.concat(changes, ", ")) or ""
end

-- Steps that are right already show in the count alone.
function report.line(box, step)
  if not core.screen() or step.status == "ok" then return end
  write(("%s  %s  %s %s%s\n"):format(box,
    color(step.status, ("%-7s"):format(step.status)), step.kind, step.shown,
    words(step)))
end

local WOULD = { changed = "would change", maybe = "may change",
  failed = "would fail" }

-- What a dry run has found goes to stdout: it is what the run is for.
function report.foretell(box, step)
  local would = WOULD[step.status]
  if not would then return end
  progress.clear()
  io.stdout:write(("%s: %s %s %s%s\n"):format(box, would, step.kind, step.shown,
    words(step)), step.diff or "")
end

function report.table(reports, names)
  if not core.screen() then return end
  local width = 3
  for _, name in ipairs(names) do width = math.max(width, utf8.len(name) or #name) end
  write(("%-" .. math.min(width, 60) .. "s  changed  maybe     ok  failed  skipped  seconds\n")
    :format "box")
  for _, name in ipairs(names) do
    local r = reports[name]
    write(("%s%s  %7d  %5d  %5d  %6d  %7d  %7.2f\n"):format(name,
      (" "):rep(width - (utf8.len(name) or #name)), r.changed, r.maybe, r.ok, r.failed,
      r.skipped, r.seconds))
  end
end

return report
