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

local CA = [[
[ca]
default_ca = ours
[ours]
database = index.txt
unique_subject = no
new_certs_dir = .
serial = ca.srl
policy = any
default_md = sha256
[any]
commonName = supplied
]]

local DAY = 24 * 60 * 60

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function asn1(time) return os.date("!%Y%m%d%H%M%SZ", time) end

--- NAME.pem and NAME.key for the subject alternative name `san`, like
--- "IP:127.0.0.1", until the time `ends`, as os.time has it. Returns their
--- common path without the suffix.
function certs:leaf_until(name, san, ends)
  self:run(("req %s -keyout %s.key -out %s.csr -subj /CN=%s"):format(
    KEY, name, name, name))
  write(self:path(name .. ".ext"), "subjectAltName=" .. san .. "\n")
  write(self:path "ca.cnf", CA)
  assert(io.open(self:path "index.txt", "a")):close()
  -- The x509 of OpenSSL 3.5 refuses an end in the past; ca takes it.
  self:run(("ca -config ca.cnf -batch -notext -create_serial"
    .. " -cert ca.pem -keyfile ca.key -extfile %s.ext -in %s.csr -out %s.pem"
    .. " -startdate %s -enddate %s"):format(name, name, name,
    asn1(math.min(ends, os.time()) - DAY), asn1(ends)))
  return self:path(name)
end

--- The same, for days from now; a negative number of days: it has expired.
function certs:leaf(name, san, days)
  return self:leaf_until(name, san, os.time() + (days or 2) * DAY)
end

function certs:remove()
  os.execute(("rm -rf '%s'"):format(self.folder))
end

return certs
