-- A web server with a site and TLS: boxdlua web.lua [BOX]. Run it again as often as
-- you like; --dry-run shows what it would do.

local c <close> = boxd.Compute {}
local name = arg[1] or "web"
local found, box = pcall(c.box.get, c.box, name)
if not found then box = c.box:create(name) end
box:wait_until_ready()

local SITE = [[
server {
  listen 80 default_server;
  listen 443 ssl default_server;
  ssl_certificate /etc/nginx/tls/site.pem;
  ssl_certificate_key /etc/nginx/tls/site.key;
  root /var/www/site;
}
]]

local report = boxd.provision(box, function(on)
  on.package { "nginx", "openssl" }
  on.directory("/var/www/site", { mode = "755" })
  on.file("/var/www/site/index.html", { content = "<h1>It works</h1>\n" })
  on.directory("/etc/nginx/tls", { mode = "700" })
  local tls = on.command([[openssl req -x509 -newkey rsa:2048 -nodes -days 365 \
    -subj /CN=site -keyout site.key -out site.pem 2>&1]],
    { cwd = "/etc/nginx/tls", creates = "/etc/nginx/tls/site.pem" })
  local site = on.file("/etc/nginx/sites-available/site", { content = SITE })
  local link = on.link("/etc/nginx/sites-enabled/site", "../sites-available/site")
  local default = on.file("/etc/nginx/sites-enabled/default", { state = "absent" })
  on.command("nginx -t", { on_change = { site, link, tls } })
  on.service("nginx", { running = true, enabled = true, restart_on = { tls },
    reload_on = { site, link, default } })
end)

print(("%d changed, %d right already"):format(report.changed, report.ok))
return report
