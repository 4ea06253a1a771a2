-- Certificates for specs about TLS, made by openssl(1) in a folder of their own.

local certs = {}
certs.__index = certs

local KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

function certs:run(command)
  local line = ("cd '%s' && openssl %s 2>openssl.err"):format(self.folder,
    command)
  assert(os.execute(line), "failed: openssl " .. command)
end

function certs:path(name) return self.folder .. "/" .. name end

--- An authority of its own; its certificate is path "ca.pem".
function certs.new()
  local self = setmetatable({}, certs)
  local pipe = assert(io.popen("mktemp -d"))
  self.folder = assert(pipe:read())
  pipe:close()
  self:run("req -x509 " .. KEY .. " -keyout ca.key -out ca.pem -days 2"
    .. " -subj '/CN=authority of a spec'")
  return self
end

--- NAME.pem and NAME.key for the subject alternative name `san`, like
--- "IP:127.0.0.1"; a negative number of days: it has expired. Returns their
--- common path without the suffix.
function certs:leaf(name, san, days)
  local file = assert(io.open(self:path(name .. ".ext"), "w"))
  file:write("subjectAltName=", san, "\n")
  file:close()
  self:run(("req %s -keyout %s.key -out %s.csr -subj /CN=%s"):format(
    KEY, name, name, name))
  self:run(("x509 -req -in %s.csr -CA ca.pem -CAkey ca.key -CAcreateserial"
    .. " -extfile %s.ext -out %s.pem -days %d"):format(
    name, name, name, days or 2))
  return self:path(name)
end

local CA = [[
[ca]
default_ca = ours
[ours]
database = index.txt
new_certs_dir = .
serial = ca.srl
policy = any
[any]
commonName = supplied
]]

--- The same; it ends at the time `ends`, as os.time has it.
function certs:leaf_until(name, san, ends)
  local path = self:leaf(name, san)
  local file = assert(io.open(self:path "ca.cnf", "w"))
  file:write(CA)
  file:close()
  assert(io.open(self:path "index.txt", "a")):close()
  self:run(("ca -config ca.cnf -batch -notext -md sha256"
    .. " -cert ca.pem -keyfile ca.key -extfile %s.ext -in %s.csr -out %s.pem"
    .. " -enddate %s"):format(name, name, name,
    os.date("!%Y%m%d%H%M%SZ", ends)))
  return path
end

function certs:remove()
  os.execute(("rm -rf '%s'"):format(self.folder))
end

return certs
