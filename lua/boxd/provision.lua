-- boxd.provision: brings boxes to a state that a function declares.

local core = require "boxd.core"
local boxd = require "boxd"
local check = require "boxd.internal.check"
local engine = require "boxd.internal.provision.engine"
local progress = require "boxd.internal.progress"
local journal = require "boxd.internal.provision.journal"
local path = require "boxd.path"
local report = require "boxd.internal.provision.report"
local steps = require "boxd.internal.provision.steps"
core.internal()

local provision = {}

local OPTIONS = { "dry_run", "diff", "limit", "fail_percent", "journal",
  "resume", "timeout" }

local function variable(name)
  local value = os.getenv(name)
  return value ~= nil and value ~= "" and value ~= "0" and value or nil
end

local function number(opts, name, default, least, most)
  local v = opts[name]
  if v == nil then return default end
  if type(v) ~= "number" or not (v >= least and v <= most) then
    check.invalid("provision: %s is a number from %d to %d, not %s", name, least,
      most, check.show(v))
  end
  return v
end

local function read_options(opts)
  opts = check.options(3, "provision", opts, OPTIONS)
  for _, name in ipairs { "dry_run", "diff" } do
    check.field("provision", opts, name, "boolean")
  end
  for _, name in ipairs { "journal", "resume" } do
    check.field("provision", opts, name, "string")
    if opts[name] then path.check(3, "provision", opts[name]) end
  end
  local dry_run = opts.dry_run
  if dry_run == nil then dry_run = variable "BOXD_DRY_RUN" ~= nil end
  local resume = opts.resume or variable "BOXD_RESUME"
  return { dry_run = dry_run, diff = opts.diff ~= false, timeout = opts.timeout,
    limit = check.integer("provision", opts, "limit", 1) or 10,
    fail_percent = number(opts, "fail_percent", 0, 0, 100),
    journal = opts.journal or resume, resume = resume }
end

local function is_box(v) return boxd.type(v) == "Box" end

local function list_of(boxes)
  if is_box(boxes) then return { boxes } end
  if type(boxes) ~= "table" then
    check.fail(1, "provision", "Box or list of boxes", boxes)
  end
  local seen = {}
  for i, box in ipairs(boxes) do
    if not is_box(box) then
      check.invalid("provision: element %d of the list is %s, not a Box", i,
        check.show(box))
    end
    local name = box.name or box.id
    if seen[name] then
      check.invalid("provision: the list has box %s twice", name)
    end
    seen[name] = true
  end
  return boxes
end

local calls = 0 -- of provision in this program: a journal counts them, too

-- The steps of all boxes, before anything runs.
local function declare(list, fn, opts, call)
  local done = opts.resume and journal.read(opts.resume)
  local plans = {}
  for i, box in ipairs(list) do
    local plan = steps.declare(fn, box)
    for _, step in ipairs(plan) do step.shown = report.short(step.name) end
    if done then journal.resume(done, call, box.name or box.id, plan) end
    plans[i] = plan
  end
  return plans
end

-- Runs one box: its report, and the error that it ended with.
local function run_box(box, plan, opts, take)
  local say, _shown <close> = progress.wait(box.name or box.id)
  local done = 0
  local function on_step(step)
    done = done + 1
    take(step)
    say(("%d of %d steps"):format(done, #plan))
  end
  say "facts"
  local ok, run = pcall(engine.run, box, plan, { dry_run = opts.dry_run,
    diff = opts.diff, timeout = opts.timeout, on_step = on_step })
  if not ok then
    if engine.ends_waiting(run) then error(run, 0) end
    return report.of(nil, plan, run), run
  end
  local failed = run.failed
  local result = report.of(run, plan, failed
    and report.failure(box.name or box.id, failed))
  return result, failed and result.error
end

local function run_all(list, plans, opts, on_step)
  local reports, errors, names, failures = {}, {}, {}, 0
  for i, box in ipairs(list) do names[i] = box.name or box.id end
  boxd.map(list, function(box, i)
    local name = names[i]
    if failures * 100 > opts.fail_percent * #list then
      reports[name] = report.of(nil, plans[i])
      return
    end
    local e
    reports[name], e = run_box(box, plans[i], opts, function(step)
      on_step(name, step)
    end)
    if e ~= nil then
      failures = failures + 1
      errors[#errors + 1] = e
    end
  end, { limit = opts.limit })
  return reports, errors, names
end

local function how_to_go_on(opts)
  if opts.dry_run then return "" end
  if not opts.journal then
    return "\nnothing after it was done; mend the cause and run the script again: "
      .. "it changes only the rest"
  end
  return ("\nmend the cause, then: boxdlua --resume %s %s"):format(opts.journal,
    arg and arg[0] or "script.lua")
end

local function raise(reports, errors, opts)
  local texts = {}
  for i, e in ipairs(errors) do
    texts[i] = boxd.is_error(e) and e.class .. ": " .. e.message or tostring(e)
  end
  local ok, e = pcall(core.raise, "ProvisionError", "a step failed")
  assert(not ok)
  e.message = table.concat(texts, "\n") .. how_to_go_on(opts)
  e.report = reports
  error(e, 0)
end

-- boxd.provision(box_or_list, fn, { dry_run=, diff=true, limit=10,
-- fail_percent=0, journal=, resume= }) -> report, or reports by name
function provision.provision(boxes, fn, opts)
  local list = list_of(boxes)
  if type(fn) ~= "function" then check.fail(2, "provision", "function", fn) end
  opts = read_options(opts)
  calls = calls + 1
  local call = calls
  local plans = declare(list, fn, opts, call)
  local same = opts.resume == opts.journal
  local log <close> = opts.journal and not opts.dry_run
    and journal.open(opts.journal, same) or nil
  for i = 1, log and not same and #list or 0 do
    log:copy(call, list[i].name or list[i].id, plans[i])
  end
  local reports, errors, names = run_all(list, plans, opts, function(name, step)
    if log then log:add(call, name, step) end
    if opts.dry_run then report.foretell(name, step)
    else report.line(name, step) end
  end)
  report.table(reports, names)
  local result = is_box(boxes) and reports[names[1]] or reports
  local first = errors[1]
  if first == nil then return result end
  -- An error that is about no step is itself.
  if is_box(boxes) and boxd.is_error(first) then error(first, 0) end
  raise(result, errors, opts)
end

return provision
