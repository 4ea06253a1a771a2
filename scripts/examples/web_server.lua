-- A web server behind a proxy, awaited until it answers.
--   boxdlua --local scripts/examples/web_server.lua

local c <close> = boxd.Compute {}
local box <close> = c.box:temporary { name = "web" }
box:wait_until_ready()

box:write_file("<h1>It works</h1>\n", "www/index.html")
local _server <close> = box:exec("python3", "-m", "http.server", "8080",
  { cwd = "www", stream = true })

-- Connections that are refused, a 502, a certificate that is not there yet: all
-- of it counts as not yet.
local url = box:publish(8080, { name = "www" })
print("serving at " .. url)
io.write("it answers: ", boxd.http.request { url = url }.body)
