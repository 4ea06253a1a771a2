-- A web application with a database, deployed twice: a box for staging, one for
-- production, both asked by HTTP at the same time.
--   boxdlua --local scripts/examples/two_web_apps.lua

local APP = [[
import json, os, sqlite3
from wsgiref.simple_server import make_server

db = sqlite3.connect("guests.db")
db.execute("create table if not exists guests (name text)")

def app(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        size = int(environ.get("CONTENT_LENGTH") or 0)
        name = environ["wsgi.input"].read(size).decode()
        with db:
            db.execute("insert into guests values (?)", (name,))
    guests = [row[0] for row in db.execute("select name from guests")]
    start_response("200 OK", [("Content-Type", "application/json")])
    answer = {"stage": os.environ["STAGE"], "guests": guests}
    return [json.dumps(answer).encode()]

make_server("", 8000, app).serve_forever()
]]

-- The box starts the application by itself, also after a reboot; its own proxy
-- leads to port 8000.
local function deploy(c, stage)
  local box = c.box:temporary {
    name = "guests-" .. stage,
    config = {
      env = { STAGE = stage },
      cmd = { "sh", "-c", "mkdir -p guests && cd guests && "
        .. "until [ -f app.py ]; do sleep 0.05; done; exec python3 app.py" },
    },
  }
  box:wait_until_ready()
  box:write_file(APP, "guests/app.py")
  return box
end

local function ask(url, guest)
  return boxd.with_timeout(30, function()
    while true do
      local ok, response = pcall(boxd.http.request, { url = url, timeout = 5,
        method = guest and "POST" or "GET", body = guest })
      if ok and response.status == 200 then
        return boxd.json.decode(response.body)
      end
      boxd.sleep(0.1)
    end
  end)
end

local c <close> = boxd.Compute {}
local guests = { staging = { "Ada" }, production = { "Grace", "Edsger" } }
local stages = boxd.map({ "staging", "production" }, function(stage)
  local box = deploy(c, stage)
  local url = box:proxies()[1].url
  ask(url) -- until it serves
  for _, name in ipairs(guests[stage]) do ask(url, name) end
  return { box = box, url = url }
end)

for _, answer in ipairs(boxd.map(stages, function(stage)
  return ask(stage.url)
end)) do
  print(("%s: %s"):format(answer.stage, table.concat(answer.guests, ", ")))
end
for _, stage in ipairs(stages) do stage.box:destroy() end
