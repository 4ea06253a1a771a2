-- on.sync(local_dir, dir, opts): box:sync_to as root, in order; opts are its.

local core = require "boxd.core"
local want = require "boxd.internal.provision.want"
core.internal()

local sync = { name = "sync" }

local OPTIONS = { "delete", "exclude", "checksum" }

function sync.declare(from, dir, opts)
  from = want.text("on.sync", "the local directory", from)
  dir = want.path("on.sync", dir)
  opts = want.options("on.sync", opts, OPTIONS)
  return { name = from .. " -> " .. dir, from = from, path = dir, options = opts,
    claims = { dir .. ": sync" } }
end

local function with_dry_run(step, dry_run)
  local opts = { dry_run = dry_run, user = "root" }
  for k, v in pairs(step.options) do opts[k] = v end
  return opts
end

function sync.plan() return { "sync" } end

local function counted(result)
  local n = 0
  for _, name in ipairs { "sent", "deleted" } do
    local v = result[name]
    n = n + (type(v) == "table" and #v or v or 0)
  end
  return n
end

function sync.here(step, box)
  return counted(box:sync_to(step.from, step.path, with_dry_run(step))) > 0
end

function sync.foretell(step, box)
  return counted(box:sync_to(step.from, step.path, with_dry_run(step, true))) > 0
end

function sync.reads(step) return { step.path } end
function sync.writes(step) return { step.path .. "/" } end

return sync
