-- on.git(dir, { repo=, ref=, user= }): a clone whose HEAD is what ref names: a
-- branch, a tag or a commit; without one the repository's own HEAD. What the box
-- asks of the repository it asks itself, with the facts.

local core = require "boxd.core"
local check = require "boxd.internal.check"
local want = require "boxd.internal.provision.want"
core.internal()

local git = { name = "git", blind = true }

function git.declare(dir, opts)
  dir = want.path("on.git", dir)
  opts = want.options("on.git", opts, { "repo", "ref", "user" })
  want.text("on.git", "repo", opts.repo)
  local ref = opts.ref == nil and "HEAD" or want.text("on.git", "ref", opts.ref)
  for name, v in pairs { repo = opts.repo, ref = ref } do
    if v:find "^%-" or v:find "%c" then
      check.invalid("on.git: %s can't be %s", name, check.show(v))
    end
  end
  return { name = dir, path = dir, repo = opts.repo, ref = ref,
    claims = { dir },
    user = opts.user ~= nil and want.name("on.git", "user", opts.user) or nil }
end

function git.facts(step, ask)
  ask("is", "git", step.path, step.repo, step.ref, step.user)
end

function git.plan(step, facts)
  local is = facts and facts.is
  if not is or is.head == "" then return { "clone" } end
  local changes = {}
  if is.repo ~= step.repo then
    changes[1] = ("repo: %s -> %s"):format(is.repo, step.repo)
  end
  if is.dirty ~= "" then changes[#changes + 1] = "changed files" end
  if is.wanted == "" then
    changes[#changes + 1] = "ref: " .. step.ref
  elseif is.wanted ~= is.head then
    changes[#changes + 1] = ("%s -> %s"):format(is.head:sub(1, 10),
      is.wanted:sub(1, 10))
  end
  return changes[1] and changes
end

function git.apply(step, _, act)
  act("git", step.path, step.repo, step.ref, step.user)
end

-- Any step may change the state of the repository in the box.
function git.reads() return { "*" } end
function git.writes(step) return { step.path .. "/" } end

return git
