-- Brings one box to what its steps say: reads all facts at once, plans, and
-- applies what differs in order. A step whose facts an earlier one may have
-- changed either looks for itself in the box ("blind" kinds: their operations do
-- only what differs) or begins a new round, whose facts come back with the
-- results of the round before.

local core = require "boxd.core"
local boxd = require "boxd"
local agent = require "boxd.internal.provision.agent"
local diff = require "boxd.internal.provision.diff"
core.internal()

local engine = {}

-- Is the error about the caller, that is cancelled or has a timeout around it, and
-- not about the box?
function engine.ends_waiting(e)
  return boxd.is_error(e, boxd.CancelledError)
    or boxd.is_error(e, boxd.TimeoutError) and not e.method
end

-- Facts.

-- What earlier steps of this run have written since the facts were read: "/etc/"
-- is all below /etc and itself, "*" is everything.
local function clean() return { paths = {}, trees = {}, all = false } end

local ALL = { "*" }

-- Lines and blocks of a file see each other's work without a new look, and its
-- owner and mode are none of theirs.
local function is_content(step) return step.how.content end

local function is_own(step, writer)
  return is_content(step) and writer.path == step.path
    and (is_content(writer) or writer.kind == "file")
end

local function is_below(path, tree) return (path .. "/"):sub(1, #tree) == tree end

local function was_written(dirty, step, read)
  if dirty.all then return true end
  if read == "*" then return next(dirty.paths) ~= nil or #dirty.trees > 0 end
  for _, tree in ipairs(dirty.trees) do
    if is_below(read, tree) or is_below(tree, read) then return true end
  end
  for _, writer in ipairs(dirty.paths[read] or {}) do
    if not is_own(step, writer) then return true end
  end
  if read:sub(-1) ~= "/" then return false end
  for path in pairs(dirty.paths) do
    if is_below(path, read) then return true end
  end
  return false
end

local function stale(run, step)
  for _, read in ipairs(step.how.reads and step.how.reads(step) or ALL) do
    if was_written(run.dirty, step, read) then return true end
  end
  return false
end

local function soil(run, step, changes)
  local dirty = run.dirty
  for _, path in ipairs(step.how.writes and step.how.writes(step, changes) or ALL) do
    if path == "*" then
      dirty.all = true
    elseif path:sub(-1) == "/" then
      dirty.trees[#dirty.trees + 1] = path
    else
      local writers = dirty.paths[path] or {}
      writers[#writers + 1], dirty.paths[path] = step, writers
    end
  end
end

local function add_facts(run, requests, step)
  run.facts[step.index] = {}
  if not step.how.facts then return end
  step.how.facts(step, function(key, what, ...)
    requests[#requests + 1] = agent.frame("fact", step.index, key, what, ...)
  end)
end

-- Asks for the facts of the steps from i on that are not known any more.
local function ask_facts(run, requests, i)
  local before = #requests
  for k = i, #run.plan do
    local step = run.plan[k]
    if not step.status and (not run.facts[k] or stale(run, step)) then
      add_facts(run, requests, step)
    end
  end
  if #requests > before then requests[#requests + 1] = agent.frame "facts" end
end

local function take_fact(run, reply)
  local facts = {}
  for k = 4, #reply - 1, 2 do facts[reply[k]] = reply[k + 1] end
  run.facts[tonumber(reply[2])][reply[3]] = facts
end

local function fact_error(facts)
  for _, fact in pairs(facts or {}) do
    if fact.error then return (fact.error:gsub("\n$", "")) end
  end
end

-- Results.

local function finish(run, step, status, more)
  step.status = status
  step.seconds = boxd.now() - run.since
  run.since = boxd.now()
  for k, v in pairs(more or {}) do step[k] = v end
  run.on_step(step)
end

-- An error of a step: text, or a table of message, command, code and output.
local function fail(run, step, e)
  if type(e) ~= "table" or boxd.is_error(e) then e = { message = tostring(e) } end
  run.failed = step
  finish(run, step, "failed", { error = e })
end

local function show_diff(run, step, changes, old)
  if not run.diff or step.diff then return end
  if changes.after then
    step.diff = not changes.secret
      and diff.unified(step.path, changes.before, changes.after) or nil
  elseif changes.content == true and step.content and not step.secret then
    step.diff = diff.unified(step.path, old, step.content)
  end
end

-- Planning.

-- Has a step that this one waits for changed something? nil: it waits for none.
local function due(step, facts)
  if not step.mark then return nil end
  if facts and facts.mark and facts.mark.set == "1" then return true end
  local result = false
  for _, name in ipairs { "on_change", "restart_on", "reload_on" } do
    for _, other in ipairs(step[name] or {}) do
      if other.status == "changed" then return true end
      if other.pending or other.status == "maybe" then result = "maybe" end
    end
  end
  return result
end

-- The file that a step is about, whatever the script calls it.
local function real_path(run, step)
  local is = run.facts[step.index] and run.facts[step.index].is
  return is and is.real or step.path
end

-- The facts of a step, with what the steps before make of its file.
local function known_facts(run, step)
  local facts = run.facts[step.index]
  local made = is_content(step) and run.contents[real_path(run, step)]
  if not made then return facts end
  return { is = { type = "file", content = made.after } }
end

-- What a step is to do: changes, or nil; and whether that is certain.
local function decide(run, step)
  local is_stale = stale(run, step)
  local facts = known_facts(run, step)
  local why = fact_error(facts)
  if why and not is_stale then error(why, 0) end
  local waits = due(step, facts)
  if step.on_change and waits == false then return nil end
  local blind = is_stale and not run.dry_run
  local ok, changes = pcall(step.how.plan, step, not blind and facts or nil, waits)
  if not ok then
    if not (is_stale and run.dry_run) then error(changes, 0) end
    changes = {} -- what stands in the way now need not be there then
  end
  local certain = not is_stale and waits ~= "maybe"
    and not (changes and changes.maybe)
  if not changes and not certain and run.dry_run then changes = {} end
  return changes, certain
end

-- Puts a step's changes in the queue. Those of one file's lines and blocks are
-- written by the first of them, unless something in between may look.
local function enqueue(run, queue, step, changes)
  local entry = { step = step, changes = changes }
  changes.want_old = run.diff and not step.secret
  if is_content(step) then
    local path = real_path(run, step)
    local made = run.contents[path]
    local first = made and made.entry
    if first then
      first.after, entry.merged = changes.after, true
    else
      first, entry.after = entry, changes.after
    end
    run.contents[path] = { after = changes.after, entry = first }
  elseif not step.how.quiet then
    for _, made in pairs(run.contents) do made.entry = nil end
  end
  step.pending = true
  queue[#queue + 1] = entry
end

local function predict(run, step, changes, certain)
  show_diff(run, step, changes, run.old and run.old[step.path] or "")
  if changes.after then
    run.contents[real_path(run, step)] = { after = changes.after }
  end
  finish(run, step, certain and "changed" or "maybe", { changes = changes })
end

-- Right already; a mark that a run before has left is done with.
local function leave(run, step)
  local facts = run.facts[step.index]
  if facts.mark and facts.mark.set == "1" and not run.dry_run then
    run.unmark[#run.unmark + 1] = step.mark
  end
  finish(run, step, "ok")
end

local function plan_step(run, queue, step)
  local changes, certain = decide(run, step)
  if not changes then return leave(run, step) end
  step.changes = changes
  if run.dry_run then predict(run, step, changes, certain)
  else enqueue(run, queue, step, changes) end
  soil(run, step, changes)
end

-- Runs a step's function here, after all before it.
local function run_here(run, step)
  local changes = decide(run, step)
  if not changes then return finish(run, step, "ok") end
  if run.dry_run then
    local foretell = not stale(run, step) and step.how.foretell
    local certain = foretell and true or false
    if foretell and not foretell(step, run.box) then return finish(run, step, "ok") end
    predict(run, step, changes, certain)
  else
    local ok, changed = pcall(step.how.here, step, run.box)
    if not ok then
      if engine.ends_waiting(changed) then error(changed, 0) end
      return fail(run, step, changed)
    end
    if step.mark then run.unmark[#run.unmark + 1] = step.mark end
    finish(run, step, changed and "changed" or "ok", { changes = changes })
  end
  soil(run, step, changes)
end

-- Plans from step i on: the queue, and the step that has to wait for it.
local function advance(run, i)
  local queue = {}
  while i <= #run.plan and not run.failed do
    local step = run.plan[i]
    local how = step.how
    if not step.status then
      local waits = how.here and #queue > 0
        or not how.blind and not how.here and not run.dry_run and stale(run, step)
      if waits then return queue, i end
      local ok, e = true, nil
      if how.here then run_here(run, step)
      else ok, e = pcall(plan_step, run, queue, step) end
      if not ok then
        if #queue > 0 then return queue, i end
        fail(run, step, e)
      end
    end
    i = i + 1
  end
  return queue, i
end

-- Applying.

local function marks_of_waiters(run, step)
  local list = {}
  for _, other in ipairs(run.plan) do
    for _, name in ipairs { "on_change", "restart_on", "reload_on" } do
      for _, each in ipairs(other[name] or {}) do
        if each == step and not other.status then list[#list + 1] = other.mark end
      end
    end
  end
  return list
end

local function add_condition(requests, step)
  if not step.on_change then return end
  local list = {}
  for k, other in ipairs(step.on_change) do
    list[k] = other.index
    if other.status == "changed" then
      requests[#requests + 1] = agent.frame("flag", other.index)
    end
  end
  requests[#requests + 1] = agent.frame("when", step.mark, table.unpack(list))
end

local function add_flags(requests, step)
  for _, name in ipairs { "restart_on", "reload_on" } do
    for _, other in ipairs(step[name] or {}) do
      if other.status == "changed" then
        requests[#requests + 1] = agent.frame("flag", other.index)
      end
    end
  end
end

local function add_operations(requests, entry)
  local step = entry.step
  local function act(...) requests[#requests + 1] = agent.frame(...) end
  if entry.merged then return act "changed" end
  local changes = entry.changes
  if entry.after then
    changes = setmetatable({ after = entry.after }, { __index = changes })
  end
  step.how.apply(step, changes, act)
end

local function add_step(run, requests, entry)
  local step = entry.step
  requests[#requests + 1] = agent.frame("begin", step.index)
  add_flags(requests, step)
  add_condition(requests, step)
  local marks = run.waiters[step] and marks_of_waiters(run, step) or {}
  if #marks > 0 then
    requests[#requests + 1] = agent.frame("mark", table.unpack(marks))
  end
  add_operations(requests, entry)
  if step.mark then requests[#requests + 1] = agent.frame("unmark", step.mark) end
  requests[#requests + 1] = agent.frame("end", step.index)
end

local function take_reply(run, reply)
  local what = reply[1]
  if what == "fact" then return take_fact(run, reply) end
  local step = run.plan[tonumber(reply[2])]
  step.pending = nil
  if what == "fail" then
    return fail(run, step, { message = reply[3], command = reply[4] ~= ""
      and reply[4] or nil, code = tonumber(reply[5]), output = reply[6] ~= ""
      and reply[6] or nil })
  end
  if reply[3] == "changed" then show_diff(run, step, step.changes, reply[4]) end
  finish(run, step, reply[3])
end

local function exchange(run, requests)
  run.rounds = run.rounds + 1
  agent.exchange(run.box, requests, function(reply) take_reply(run, reply) end,
    run.timeout)
end

-- The connection broke: the first step that has not answered may have happened.
local function broken(run, queue, e)
  for _, entry in ipairs(queue) do
    entry.step.pending = nil
    if not entry.step.status and not run.failed then
      if engine.ends_waiting(e) then break end
      fail(run, entry.step, e)
      run.cause = e
    end
  end
  if not run.failed then error(e, 0) end
end

-- Applies the queue and reads what the steps from i on need to know anew.
local function apply(run, queue, i)
  local requests = {}
  if #run.unmark > 0 then
    requests[1], run.unmark = agent.frame("unmark", table.unpack(run.unmark)), {}
  end
  for _, entry in ipairs(queue) do add_step(run, requests, entry) end
  ask_facts(run, requests, i)
  if #requests == 0 then return end
  local ok, e = pcall(exchange, run, requests)
  if not ok then broken(run, queue, e) end
  if i <= #run.plan and not (run.plan[i].how.here and #queue > 0) then
    run.dirty, run.contents = clean(), {}
  end
end

-- The contents that a dry run's diffs begin with: one exchange more.
local function read_old(run)
  local wanted, requests = {}, {}
  for _, step in ipairs(run.plan) do
    local facts = run.facts[step.index]
    if step.content and not step.secret and facts and facts.is
        and facts.is.type == "file" and facts.is.sha256 ~= boxd.sha256(step.content)
        and tonumber(facts.is.size) <= 1 << 20 then
      wanted[#wanted + 1] = step
      requests[#requests + 1] = agent.frame("fact", step.index, "old", "stat",
        step.path, false, "", true)
    end
  end
  if #requests == 0 then return end
  requests[#requests + 1] = agent.frame "facts"
  exchange(run, requests)
  run.old = {}
  for _, step in ipairs(wanted) do
    run.old[step.path] = run.facts[step.index].old.content
  end
end

local function check_systemd(run)
  for _, step in ipairs(run.plan) do
    local facts = step.how.systemd and not step.status and run.facts[step.index]
    local is = facts and (facts.systemd or facts.is)
    if is and not is.error and is.systemd == "" then
      return fail(run, step, "the box does not run systemd, which services and "
        .. "units need")
    end
  end
end

local function run_all(run)
  local requests = {}
  ask_facts(run, requests, 1)
  if #requests > 0 then exchange(run, requests) end
  check_systemd(run)
  if run.dry_run and run.diff and not run.failed then read_old(run) end
  local i = 1
  while i <= #run.plan and not run.failed do
    local queue
    queue, i = advance(run, i)
    apply(run, queue, i)
  end
  if #run.unmark > 0 and not run.failed then apply(run, {}, #run.plan + 1) end
end

-- plan: of steps.declare. opts: dry_run, diff, timeout, on_step(step), which is
-- called as each ends. The result has `failed`, the step that did, and `rounds`,
-- the number of exchanges.
function engine.run(box, plan, opts)
  local now = boxd.now()
  local run = { box = box, plan = plan, facts = {}, dirty = clean(),
    contents = {}, unmark = {}, waiters = {}, since = now, rounds = 0,
    dry_run = opts.dry_run, diff = opts.diff, timeout = opts.timeout,
    on_step = opts.on_step }
  for _, step in ipairs(plan) do
    for _, name in ipairs { "on_change", "restart_on", "reload_on" } do
      for _, other in ipairs(step[name] or {}) do run.waiters[other] = true end
    end
  end
  run_all(run)
  run.seconds = boxd.now() - now
  return run
end

return engine
