-- A site's life: a box made from a spec and filled, copied by a snapshot,
-- reached through an exposed port, broken, and put back to its checkpoint.
--   boxdlua --local scripts/examples/site.lua [folder]

local folder = arg[1] or (arg[0] or ""):match "^(.*)/[^/]*$" or "."
local c <close> = boxd.Compute {}

-- Everything made here goes when the script ends, by an error too.
local function at_end(fn) return setmetatable({}, { __close = fn }) end

-- Specs are put together of pieces, plain tables.
local python = { env = { PYTHONUNBUFFERED = "1" },
  packages = { "python3 --version" } }
local site = c.box:create("site", { spec = { python, size = "1x1",
  labels = { app = "site" } } })
local _site <close> = at_end(function() site:destroy() end)
site:wait_until_ready()
site:set_labels { stage = "draft" }
for _, box in ipairs(c.box:list { labels = { "app=site" } }) do
  print("labelled: " .. box.name)
end
site:upload(folder, "site")

-- A snapshot outlives its box; each box from it has a life of its own.
local snapshot = c.snapshot:create(site, "site")
local _snapshot <close> = at_end(function() c.snapshot:delete "site" end)
c.snapshot:wait_until_ready(snapshot)
local copies = boxd.map({ "copy-1", "copy-2" }, function(name)
  return c.box:create(name, { from_snapshot = "site" })
end)
local _copies <close> = at_end(function()
  for _, copy in ipairs(copies) do copy:destroy() end
end)
for _, copy in ipairs(copies) do
  copy:wait_until_ready()
  copy:sh("rm site/*; hostname >site/only")
  io.write(copy.name, " has only ", copy:sh("cat site/*").stdout)
end

-- What answers at a port of the box, from this machine or any other.
local port = site:expose(3000)
local url = ("http://%s:%d/site.lua"):format(port.dns, port.public_port)

local function serve()
  site:sh("cd site && python3 -m http.server 3000 >/dev/null 2>&1 &")
end

local function ask()
  for _ = 1, 200 do -- until it listens
    local ok, reply = pcall(boxd.http.request, { url = url, timeout = 5 })
    if ok then return reply.status end
    boxd.sleep(0.05)
  end
  error "the site does not answer"
end

serve()
print("the site answers: " .. ask())
c.checkpoint:create(site, "good")
site:sh("rm -rf site/*")
print("broken, it answers: " .. ask())

-- Its processes end, its files are those of then, its port leads to it again.
c.checkpoint:restore(site, "good")
site:wait_until_ready()
serve()
print("restored, it answers: " .. ask())
