-- Holds every method of the surface against a server that is not ours: what
-- each sends and gives is in spec/support/surface*.lua.

local boxd = require "boxd"
local methods = require "spec.support.methods"
local recorder = require "spec.support.recorder"
local rows = require "spec.support.rows"
require "spec.support.surface"
require "spec.support.surface_exec"
require "spec.support.surface_everyday"
require "spec.support.surface_today"

local composed = require "spec.support.composed"
local ROWS, VM = rows.list, rows.VM
local TOKEN = "test.jwt"

local function fields_of(record)
  local out = {}
  for k, v in pairs(record) do out[k] = v end
  return out
end

-- Holds `got` against the fields that are wanted; more may be there.
local function holds(wanted, got, where)
  if type(wanted) ~= "table" then
    assert(wanted == got, ("%s: %s wanted, %s is there"):format(where,
      tostring(wanted), tostring(got)))
    return
  end
  if type(got) == "userdata" then got = fields_of(got) end
  assert(type(got) == "table", where .. ": no table")
  for k, v in pairs(wanted) do holds(v, got[k], where .. "." .. k) end
  assert(#wanted == #got, ("%s: %d entries, not %d"):format(where, #got,
    #wanted))
end

-- The values of a metadata key.
local function values(call, key)
  local out = {}
  for _, pair in ipairs(call.metadata) do
    if pair[1] == key then out[#out + 1] = pair[2] end
  end
  return out
end

-- One call as it came, against how it is written.
local function compare(wanted, got)
  assert.equal(wanted.method, got.method)
  assert.same(wanted.messages, got.messages, wanted.method)
  assert.is_true(got.exact, wanted.method .. " sends what may be left out")
  assert.same({ "Bearer " .. TOKEN }, values(got, "authorization"))
  assert.truthy(values(got, "user-agent")[1]:find("^boxd%-lua/%d"))
  if not wanted.cancelled then
    assert.equal(wanted.half_close or boxd.json.null, got.half_close)
  end
  assert.equal(wanted.cancelled or false, got.cancelled)
  if wanted.deadline then
    assert.truthy(got.deadline > 0 and got.deadline <= 60.5, got.deadline)
  else
    assert.equal(boxd.json.null, got.deadline)
  end
end

describe("messages on the wire for", function()
  local server, c

  setup(function() server = recorder.start() end)
  teardown(function() server:stop() end)
  -- A Compute remembers which streams its service lacks.
  before_each(function()
    c = boxd.Compute { api_url = server.url, token = TOKEN }
  end)
  after_each(function() c:close() end)

  -- Objects to call methods on, as a list gives them.
  local function subjects()
    server:script {
      GetVm = { { reply = VM } },
      ListDisks = { { reply = { disks = { { disk_id = "d-1" } } } } },
      ListTemplates = { { reply = { templates = {
        { template_id = "t-1", image_ref = "alpine" } } } } },
    }
    return { c = c, box = c.box:get("vm-1"), disk = c.disk:list()[1],
      template = c.template:list()[1] }
  end

  for _, r in ipairs(ROWS) do
    it(r.method .. (r.what ~= "" and ": " .. r.what or ""), function()
      local s, answers = subjects(), {}
      for _, call in ipairs(r.calls) do
        local list = answers[call.method] or {}
        list[#list + 1] = call.answer
        answers[call.method] = list
      end
      server:script(answers)
      local result = r.act(s)
      local got = server:calls()
      assert.equal(#r.calls, #got, boxd.json.encode(got))
      for i, call in ipairs(r.calls) do compare(call, got[i]) end
      if r.gives then holds(r.gives, result, r.method) end
    end)
  end

  -- An RPC left out of the rows would go unseen without this.
  it("every method there is", function()
    local has_row = {}
    for _, r in ipairs(ROWS) do has_row[r.method] = true end
    local s = subjects()
    local found, missing = {}, {}
    for class, object in pairs { Boxes = c.box, Templates = c.template,
      Disks = c.disk, Domains = c.domain, Networks = c.network,
      Tokens = c.token, ApiKeys = c.api_key, Snapshots = c.snapshot,
      Checkpoints = c.checkpoint, Backups = c.backup, Env = c.env,
      Secrets = c.secret, Box = s.box, Files = s.box.files,
      Disk = s.disk } do
      for name in pairs(methods(object)) do
        found[class .. "." .. name] = true
      end
    end
    for name in pairs(found) do
      -- box.files has what its box has, but for rename.
      local row = name == "Files.rename" and name or name:gsub("^Files", "Box")
      if not has_row[row] and not composed[row] then missing[#missing + 1] = name end
    end
    table.sort(missing)
    assert.same({}, missing)
    -- And what the rows call is there.
    assert.truthy(found["Boxes.create"] and found["Disk.detach"])
  end)
end)
