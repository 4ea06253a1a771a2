-- A web server behind a proxy, watched until it answers.
--   boxdlua --local scripts/examples/web_server.lua

local c <close> = boxd.Compute {}
local box <close> = c.box:temporary { name = "web" }
box:wait_until_ready()

box:write_file("<h1>It works</h1>\n", "www/index.html")
local _server <close> = box:exec("python3", "-m", "http.server", "8080",
  { cwd = "www", stream = true })

local proxy = box:create_proxy("www", 8080)
print("serving at " .. proxy.url)

-- A health check: whatever fails now may go well a moment later.
local function healthy()
  local ok, response = pcall(boxd.http.request,
    { url = proxy.url, timeout = 2 })
  return ok and response.status == 200 and response
end

local answer = boxd.with_timeout(30, function()
  local response = healthy()
  while not response do
    boxd.sleep(0.1)
    response = healthy()
  end
  return response
end)
io.write("it answers: ", answer.body)
