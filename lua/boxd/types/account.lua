---@meta
-- What an account has beside boxes: disks, domains, networks, tokens, keys,
-- variables, secrets.

--- c.disk.
---@class boxd.Disks
local Disks = {}

--- RPC: CreateDisk.
--- Raises: ConflictError when the name is taken, QuotaExceededError.
---@param name string
---@param size string|integer "20G" or bytes
---@param options? boxd.Options
---@return boxd.Disk
function Disks:create(name, size, options) end

--- RPC: ListDisks.
---@param options? boxd.Options
---@return boxd.Disk[]
function Disks:list(options) end

--- RPC: ListDisks.
--- Raises: NotFoundError.
---@param id_or_name string
---@param options? boxd.Options
---@return boxd.Disk
function Disks:get(id_or_name, options) end

--- Storage that outlives its boxes. (DiskInfo of the contract.)
---@class boxd.Disk
---@field id string
---@field name? string
---@field size_bytes integer
---@field status? string
---@field worker_id? string 0.1
---@field attachments { vm_id?: string, vm_name?: string, mount_path?: string, mount_mode?: "ro"|"rw" }[]
---@field created_at? integer today
local Disk = {}

--- Mounts it in a box.
--- RPC: AttachDisk.
--- Raises: NotFoundError, ConflictError where it cannot be attached.
---@param box boxd.Box|string a box, an id or a name
---@param mount_path string
---@param options? boxd.AttachOptions
function Disk:attach(box, mount_path, options) end

--- RPC: DetachDisk.
--- Raises: NotFoundError.
---@param box boxd.Box|string a box, an id or a name
---@param options? boxd.Options
function Disk:detach(box, options) end

--- Takes it away with all that is on it.
--- RPC: DestroyDisk.
--- Raises: NotFoundError, ConflictError while it is attached.
---@param options? boxd.Options
function Disk:destroy(options) end

---@class boxd.AttachOptions: boxd.Options
---@field read_only? boolean default false

--- c.domain: domains of one's own.
---@class boxd.Domains
local Domains = {}

--- RPC: BindDomain, or AddCustomDomain where that is gone.
--- Raises: NotFoundError, InvalidArgumentError when it is bound already.
---@param domain string
---@param box boxd.Box|string a box, an id or a name
---@param options? boxd.Options
---@return { domain: string, vm_id: string, vm_name?: string, status?: string, last_error?: string }? today
function Domains:bind(domain, box, options) end

--- RPC: ListDomains, or ListCustomDomains where that is gone.
---@param options? boxd.Options
---@return { domain: string, vm_id: string, vm_name?: string, status?: string, last_error?: string }[]
function Domains:list(options) end

--- RPC: UnbindDomain, or RemoveCustomDomain where that is gone.
--- Raises: NotFoundError.
---@param domain string
---@param options? boxd.Options
function Domains:unbind(domain, options) end

--- c.network: networks that boxes share.
---@class boxd.Networks
local Networks = {}

--- RPC: CreateNetwork.
--- Raises: ConflictError when the name is taken, QuotaExceededError.
---@param name? string
---@param options? boxd.Options
---@return { id: string }
---@overload fun(self: boxd.Networks, options: boxd.Options): { id: string }
function Networks:create(name, options) end

--- RPC: ListNetworks.
---@param options? boxd.Options
---@return { id: string, subnet: string, status: string }[]
function Networks:list(options) end

--- c.token: tokens for others.
---@class boxd.Tokens
local Tokens = {}

--- The token is shown here only.
--- RPC: CreateToken.
---@param options? boxd.CreateTokenOptions
---@return { token: string, expires_at: integer }
function Tokens:create(options) end

--- RPC: ListTokens.
---@param options? boxd.Options
---@return { jti: string, created_at: integer, expires_at: integer }[]
function Tokens:list(options) end

--- RPC: RevokeToken.
--- Raises: NotFoundError.
---@param jti string the token's id
---@param options? boxd.Options
function Tokens:revoke(jti, options) end

---@class boxd.CreateTokenOptions: boxd.Options
---@field expires_in? integer seconds, default 0: 24 hours

--- c.api_key: keys that are exchanged for tokens.
---@class boxd.ApiKeys
local ApiKeys = {}

--- The key is shown here only.
--- RPC: CreateApiKey.
---@param options? boxd.CreateApiKeyOptions
---@return { id: string, api_key: string, expires_at: integer }
function ApiKeys:create(options) end

--- RPC: ListApiKeys.
---@param options? boxd.Options
---@return boxd.ApiKey[]
function ApiKeys:list(options) end

--- RPC: DeleteApiKey.
--- Raises: NotFoundError.
---@param id string
---@param options? boxd.Options
function ApiKeys:delete(id, options) end

---@class boxd.CreateApiKeyOptions: boxd.Options
---@field name? string
---@field expires_in? integer seconds, default 0: never
---@field org? string default: your own; today
---@field kind? string "member" (acts as you) or "org"; today

--- (ApiKeyInfo of the contract.)
---@class boxd.ApiKey
---@field id string
---@field name? string
---@field key_prefix? string the key's first characters
---@field created_at integer
---@field last_used_at integer 0: never
---@field expires_at integer 0: never
---@field org? string today
---@field kind? string today
---@field created_by? string today
---@field mine boolean today

---@class boxd.OrgOptions: boxd.Options
---@field org? string

--- c.env: variables of boxes. Today.
---@class boxd.Env
local Env = {}

--- RPC: SetVar.
---@param name string
---@param value string
---@param options? boxd.VariableOptions
---@return string? what the service says
function Env:set(name, value, options) end

--- RPC: ListVars.
---@param options? boxd.OrgOptions
---@return { name: string, value: string, scope?: string }[]
function Env:list(options) end

--- RPC: RemoveVar.
--- Raises: NotFoundError.
---@param name string
---@param options? boxd.VariableOptions
---@return string? what the service says
function Env:delete(name, options) end

--- RPC: SetSecretScope.
--- Raises: NotFoundError.
---@param name string
---@param from_scope string
---@param to_scope string
---@param options? boxd.OrgOptions
---@return string? what the service says
function Env:move(name, from_scope, to_scope, options) end

--- c.secret: variables of boxes that are never shown again. Today.
---@class boxd.Secrets
local Secrets = {}

--- RPC: SetVar.
---@param name string
---@param value string
---@param options? boxd.SecretOptions
---@return string? what the service says
function Secrets:set(name, value, options) end

--- RPC: ListVars.
---@param options? boxd.OrgOptions
---@return { name: string, scope?: string, domains: string[], bound_machines: integer }[]
function Secrets:list(options) end

--- RPC: RemoveVar.
--- Raises: NotFoundError.
---@param name string
---@param options? boxd.VariableOptions
---@return string? what the service says
function Secrets:delete(name, options) end

--- RPC: SetSecretScope.
--- Raises: NotFoundError.
---@param name string
---@param from_scope string
---@param to_scope string
---@param options? boxd.OrgOptions
---@return string? what the service says
function Secrets:move(name, from_scope, to_scope, options) end

---@class boxd.VariableOptions: boxd.Options
---@field scope? string "private", "shared", "all"; of secrets "unattached", "private-unattached" too
---@field org? string

---@class boxd.SecretOptions: boxd.VariableOptions
---@field domains? string[] all hosts that it may be sent to

return boxd
