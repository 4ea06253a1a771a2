-- The known facts of boxd.sh as it runs: that each line of it is shown, that the
-- table of differences has no other, and the lines that no other spec shows.

local boxd = require "boxd"
local lines = require "spec.production.lines"
local support = require "spec.support.service"

local refused = support.refused

local function read(path)
  local f <close> = assert(io.open(path))
  return f:read "a"
end

describe("the known facts of boxd.sh", function()
  -- Titles are split over source lines now and then.
  local function has_title(path, title)
    local text = read(path):gsub('"%s*%.%.%s*"', "")
    local quoted = title:gsub('"', '\\"')
    return text:find('[("]' .. quoted:gsub("%p", "%%%0")) ~= nil
  end

  -- The first column of the table of differences.
  local function table_rows()
    local text = read "lua/boxd/local/README.md"
    local section = text:match "\n## Differences from boxd%.sh\n(.-)\n\n[^|\n]*$"
      or text:match "\n## Differences from boxd%.sh\n(.-)\n## "
    local rows = {}
    for name, says in section:gmatch "\n| ([^|]-) | ([^\n]-) |%f[\n]" do
      rows[name] = says
    end
    return rows
  end

  it("are shown by specs, or in the table of differences, line by line",
    function()
      local rows, seen = table_rows(), {}
      for _, line in ipairs(lines) do
        assert.is_nil(seen[line[1]], line[1])
        seen[line[1]] = true
        if line.spec then
          assert.is_true(has_title(line.of, line.spec),
            line.of .. ": " .. line.spec)
        elseif line.differs then
          assert.is_string(rows[line.differs], line.differs)
        else
          assert.is_string(line.neither)
        end
      end
    end)

  it("has no other differences than the table's, each with what is here",
    function()
      local known = {}
      for _, line in ipairs(lines) do
        if line.differs then known[line.differs] = true end
      end
      for _, name in ipairs(lines.beyond) do
        assert.is_nil(known[name], name)
        known[name] = true
      end
      local rows = table_rows()
      for name, says in pairs(rows) do
        assert.is_true(known[name], "no line leads to: " .. name)
        assert.is_true(#says > 10, name)
      end
      for name in pairs(known) do assert.is_string(rows[name], name) end
    end)
end)

describe("the service, as on boxd.sh:", function()
  local service, compute, call = support.of_block()
  after_each(function() service:empty() end)

  it("a key begins with bxd_ and is exchanged", function()
    assert.matches("^bxd_%w+$", service.api_key)
    local made = compute.api_key:create { name = "k" }
    assert.matches("^bxd_%w+$", made.api_key or made.key)
    local reply = boxd.http.request { url = service.exchange_url,
      method = "POST", body = boxd.json.encode { api_key = service.api_key } }
    assert.equal(200, reply.status)
    assert.matches("^eyJ", boxd.json.decode(reply.body).token)
  end)

  it("times are milliseconds of snapshots, disks and checkpoints", function()
    local box = compute.box:create "t"
    local seconds = call("GetVm", { vm_id = box.id }).created_at
    assert.near(os.time(), seconds, 60)
    compute.disk:create("t", "1G")
    call("CreateCheckpoint", { vm = "t", name = "c" })
    for _, ms in ipairs { support.save(call, { vm = "t", name = "s" }).created_at,
      call("ListDisks").disks[1].created_at,
      call("ListCheckpoints", { vm = "t" }).checkpoints[1].created_at } do
      assert.near(os.time() * 1000, ms, 60000)
    end
    compute.disk:list()[1]:destroy()
  end)

  it("a command is run by sh, which is no login shell", function()
    local box = compute.box:create()
    box:write_file("export FROM_PROFILE=1\n", ".profile")
    assert.equal("sh:\n", box:sh("echo $0:$FROM_PROFILE").stdout)
    assert.equal("", box:sh("echo $BASH_VERSION").stdout:gsub("%s", ""))
  end)

  it("a list has all boxes", function()
    for i = 1, 12 do compute.box:create("n" .. i) end
    assert.equal(12, #call("ListVms").vms)
  end)

  it("an upload says how many bytes were written", function()
    local box = compute.box:create()
    assert.equal(5, call("UploadFile",
      { vm_id = box.id, path = "f", data = "12345" }).bytes_written)
    local stream <close> = compute:stream("UploadFileStream",
      { vm_id = box.id, path = "g", total_size = 3, data = "123" })
    stream:half_close()
    assert.equal(3, stream:recv().bytes_written)
  end)

  it("a download says how many bytes there are", function()
    local box = compute.box:create()
    box:write_file("12345", "f")
    local stream <close> = compute:stream("DownloadFileStream",
      { vm_id = box.id, path = "f" })
    assert.equal(5, stream:recv().total_size)
  end)

  it("a box has 64 labels and 256 destinations at most", function()
    compute.box:create "m"
    local set, entries = {}, {}
    for i = 1, 64 do set["k" .. i] = "v" end
    for i = 1, 256 do entries[i] = ("h%d.example.com"):format(i) end
    call("UpdateVmLabels", { vm = "m", set = set })
    call("SetVmEgressAllow", { vm = "m", entries = entries })
    entries[257] = "more.example.com"
    for rpc, request in pairs { UpdateVmLabels = { set = { more = "v" } },
      SetVmEgressAllow = { entries = entries } } do
      request.vm = "m"
      assert.is_false((pcall(call, rpc, request)), rpc)
    end
  end)

  it("a box from a snapshot is as that was: no image, shared, networks",
    function()
      for _, options in ipairs { { image = "ubuntu:24.04" }, { shared = true },
        { networks = { "n" } }, { config = { env = { A = "1" } } },
        { config = { cmd = { "true" } } },
        { config = { restart_policy = "never" } } } do
        options.from_snapshot = "s"
        local ok, e = pcall(compute.box.create, compute.box, "x", options)
        assert.is_false(ok)
        assert.equal("InvalidArgumentError", e.class, e.message)
      end
    end)

  it("a fork inherits size, labels, env and egress", function()
    local box = compute.box:create { name = "f", labels = { k = "v" },
      config = { vcpu = 4, env = { A = "1" } } }
    call("SetVmEgressAllow", { vm = "f", entries = { "example.com" } })
    local fork = compute.box:fork(box)
    local vm = call("GetVm", { vm_id = fork.id })
    assert.same({ 4, "v", "example.com" },
      { vm.vcpu, vm.labels.k, vm.egress_allow[1] })
    assert.equal("1\n", fork:sh("echo $A").stdout)
  end)

  it("hibernated boxes and forks count as boxes, snapshots do not", function()
    local own <close> = support.new { "--max-boxes", "2" }
    local c = own.compute
    local box = c.box:create "q"
    support.save(function(...) return c:call(...) end, { vm = "q", name = "s" })
    c:call("HibernateVm", { vm_id = c.box:fork(box).id })
    refused("RESOURCE_EXHAUSTED", c.box.create, c.box, "more")
  end)

  it("conflicts are of one class, whichever status they have", function()
    local box = compute.box:create "c"
    local function class(...)
      local _, e = pcall(...)
      return boxd.is_error(e, boxd.ConflictError)
    end
    assert.is_true(class(compute.box.create, compute.box, "c"))
    assert.is_true(class(box.start, box))
  end)
end)
