-- An application under systemd, with a user of its own: boxdlua app.lua [BOX].

local c <close> = boxd.Compute {}
local name = arg[1] or "app"
local found, box = pcall(c.box.get, c.box, name)
if not found then box = c.box:create(name) end
box:wait_until_ready()

local UNIT = [[
[Unit]
After=network.target

[Service]
User=deploy
WorkingDirectory=/srv/app
EnvironmentFile=/srv/app/env
ExecStart=/srv/app/run
Restart=on-failure

[Install]
WantedBy=multi-user.target
]]

local RUN = [[
#!/bin/sh
while :; do echo "$GREETING"; sleep 60; done
]]

local report = boxd.provision(box, function(on)
  on.group "apps"
  on.user("deploy", { groups = { "apps" }, shell = "/bin/sh", system = true })
  on.directory("/srv/app", { owner = "deploy:apps", mode = "750" })
  local run = on.file("/srv/app/run", { content = RUN, mode = "755" })
  local env = on.file("/srv/app/env", { content = "GREETING=hello\n",
    owner = "deploy", secret = true })
  local unit = on.unit("app", UNIT)
  on.service("app", { running = true, enabled = true,
    restart_on = { run, env, unit } })
end)

print(("%d changed, %d right already"):format(report.changed, report.ok))
return report
