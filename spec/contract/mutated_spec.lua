-- Messages that were changed at random: a record reads from them what the
-- decoder of whole messages reads, field by field, or both refuse them.
-- BOXD_MUTATIONS: how many (make mutated: a million); BOXD_SEED: which.

local boxd = require "boxd"
local core = require "boxd.core"
local serve = require "boxd.serve"
local scripted = require "spec.support.scripted"

local ROUNDS = tonumber(os.getenv "BOXD_MUTATIONS") or 3000
local SEED = tonumber(os.getenv "BOXD_SEED") or os.time()

-- What scripts call a field, and whether it is in milliseconds or nil for 0.
local SUBJECTS = {
  { type = "Box", message = "GetVmResponse",
    names = { vm_id = "id", image_ref = "image",
      hibernated_at_ms = "hibernated_at", delete_at_ms = "delete_at",
      last_connected_ms = "last_connected_at" },
    ms = { hibernated_at_ms = true, delete_at_ms = true,
      last_connected_ms = true },
    none = { ssh_port = true, boot_time_ms = true },
    seed = { vm_id = "vm-1", name = "web", image_ref = "ubuntu:24.04",
      status = "running", vcpu = 2, memory_bytes = 4 << 30, ssh_port = 22,
      labels = { tier = "front", env = "prod" }, networks = { "a", "b" },
      hibernated_at_ms = 1700000000123, delete_at_ms = 5, boot_time_ms = 7,
      packages = { { command = "true", exit_code = 0, started_at_ms = 9000 },
        { command = "false", reason = "x" } },
      spec = { version = 1, base = { team = "eng" }, env = { A = "1" },
        secrets = { "s" } } } },
  { type = "Disk", message = "DiskInfo", names = { disk_id = "id" },
    ms = { created_at = true }, none = {},
    seed = { disk_id = "d-1", name = "data", size_bytes = 20 << 30,
      status = "attached", created_at = 1700000000123,
      attachments = { { vm_id = "v", mount_path = "/d", mount_mode = "ro" },
        { vm_id = "w" } } } },
  { type = "Snapshot", message = "SnapshotInfo",
    names = { snapshot_id = "id" },
    ms = { created_at = true, updated_at = true }, none = { version = true },
    seed = { snapshot_id = "s-1", name = "base", version = 3,
      status = "ready", created_at = 1700000000123 } },
  { type = "Template", message = "TemplateInfo",
    names = { template_id = "id", image_ref = "image" }, ms = {}, none = {},
    seed = { template_id = "t-1", name = "base", image_ref = "alpine",
      vcpu = 2, memory_bytes = 1 << 30 } },
}

local random = math.random

local MUTATIONS = {
  function(s, at) -- another byte
    return s:sub(1, at - 1) .. string.char(random(0, 255)) .. s:sub(at + 1)
  end,
  function(s, at) -- another bit
    return s:sub(1, at - 1) .. string.char(s:byte(at) ~ 1 << random(0, 7))
      .. s:sub(at + 1)
  end,
  function(s, at) return s:sub(1, at - 1) .. s:sub(at + random(1, 4)) end,
  function(s, at) return s:sub(1, at) end,
  function(s, at) -- some bytes twice
    return s:sub(1, at + random(0, 12)) .. s:sub(at)
  end,
  function(s, at) -- a varint that is too long, or a length
    return s:sub(1, at) .. ("\xff"):rep(random(1, 10)) .. s:sub(at + 1)
  end,
  function(s, _, all) return s .. all[random(#all)] end, -- two messages
  function(s, at, all) -- the end of another
    local other = all[random(#all)]
    return s:sub(1, at) .. other:sub(random(#other))
  end,
}

local function mutate(s, all)
  for _ = 1, random(1, 4) do
    if #s == 0 then break end
    s = MUTATIONS[random(#MUTATIONS)](s, random(#s), all)
  end
  return s
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end

-- What a record is to read where the decoder read v.
local function wanted(subject, name, v)
  if subject.ms[name] then return v ~= 0 and v // 1000 or nil end
  if subject.none[name] and v == 0 then return nil end
  if name == "packages" then
    local out = {}
    for i, package in ipairs(v) do
      local copy = {}
      for k, x in pairs(package) do
        local own = k:match "^(%a+_at)_ms$"
        if not own then copy[k] = x
        elseif x ~= 0 then copy[own] = x // 1000 end
      end
      out[i] = copy
    end
    return out
  end
  return v
end

local function check(subject, c, bytes)
  local ok, eager = pcall(serve.decode, subject.message, bytes)
  local record = core.view(c, subject.type, bytes)
  if ok ~= (record ~= nil) then
    return ok and "only the decoder takes it" or "only the record takes it"
  end
  if not ok then return nil, true end
  local all, seen = core.table(record), 0
  if eager.access_domain then eager.url, all.url = nil, nil end -- made of it
  for name, v in pairs(eager) do
    local own, want = subject.names[name] or name, wanted(subject, name, v)
    if not same(want, record[own]) then return own .. " read alone" end
    if not same(want, all[own]) then return own .. " read with all" end
    if want ~= nil then seen = seen + 1 end
  end
  for _ in pairs(all) do seen = seen - 1 end
  if seen ~= 0 then return "fields that the decoder did not read" end
end

describe("a message that was changed at random", function()
  it("reads the same by a record and by the decoder, or is refused", function()
    math.randomseed(SEED)
    local c <close> = boxd.Compute { token = "t", api_url = "127.0.0.1:1" }
    local all, refused = {}, 0
    for i, subject in ipairs(SUBJECTS) do
      all[i] = serve.encode(subject.message, subject.seed)
      assert.is_nil(check(subject, c, all[i]))
    end
    for i = 1, ROUNDS do
      local at = i % #SUBJECTS + 1
      local bytes = mutate(all[at], all)
      local what, no = check(SUBJECTS[at], c, bytes)
      if what then
        error(("%s: %s (seed %d, round %d): %q"):format(SUBJECTS[at].message,
          what, SEED, i, bytes))
      end
      if no then refused = refused + 1 end
    end
    assert.is_true(refused > ROUNDS / 10 and refused < ROUNDS * 0.95, refused)
  end)

  it("reads the same by a list and by the decoder, or is refused", function()
    math.randomseed(SEED)
    local bytes
    local s <close> = scripted.start { ListVms = function(_, call)
      call:send_bytes(bytes)
      call:finish()
    end }
    local all = { serve.encode("ListVmsResponse",
      { vms = { SUBJECTS[1].seed, SUBJECTS[1].seed } }), "\8\5", "\10\0\255" }
    for i = 1, ROUNDS // 10 do
      bytes = all[i] or mutate(all[1], all)
      local ok, eager = pcall(serve.decode, "ListVmsResponse", bytes)
      local listed, list = pcall(s.c.box.list, s.c.box)
      local told = ("(seed %d, round %d): %q"):format(SEED, i, bytes)
      assert.equal(ok, listed, told)
      if not ok then
        assert.is_true(boxd.is_error(list, boxd.InternalError), told)
      else
        assert.equal(#eager.vms, #list, told)
        for k, box in ipairs(list) do
          assert.equal(eager.vms[k].vm_id, box.id, told)
        end
      end
    end
  end)
end)
