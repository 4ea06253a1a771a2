-- PostgreSQL with a database and its user: PASSWORD=… boxdlua postgres.lua [BOX]. The
-- password reaches psql by its environment, and shows nowhere.

local c <close> = boxd.Compute {}
local name = arg[1] or "db"
local found, box = pcall(c.box.get, c.box, name)
if not found then box = c.box:create(name) end
box:wait_until_ready()

local password = os.getenv "PASSWORD"
  or error("set PASSWORD, the new user's password", 0)

local CREATE_USER = [[
psql -qv ON_ERROR_STOP=1 <<'SQL'
\set password `printf %s "$PASSWORD"`
CREATE ROLE app LOGIN PASSWORD :'password';
SQL]]

-- Does a query find anything? For `unless`.
local function finds(query)
  return ("psql -tAc \"%s\" | grep -q 1"):format(query)
end

local report = boxd.provision(box, function(on)
  on.package "postgresql"
  on.service("postgresql", { running = true, enabled = true })
  on.command(CREATE_USER, { user = "postgres", secret = true,
    env = { PASSWORD = password },
    unless = finds "SELECT 1 FROM pg_roles WHERE rolname = 'app'" })
  on.command("createdb -O app app", { user = "postgres",
    unless = finds "SELECT 1 FROM pg_database WHERE datname = 'app'" })
end)

print(("%d changed, %d right already"):format(report.changed, report.ok))
return report
