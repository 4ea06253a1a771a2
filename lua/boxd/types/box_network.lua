---@meta
-- Ports of a box, and the addresses that lead to it.

---@class (partial) boxd.Box
local Box = {}

--- Waits until something in the box listens on a port, on any of its addresses.
--- The box looks, so that looking costs no round trips.
--- Round trips: 1, and 1 every 15 s.
--- RPC: Exec.
--- Raises: TimeoutError, NotFoundError, ConflictError when the box is stopped.
---@param port integer 1 to 65535
---@param options? boxd.Options timeout: default 60
function Box:wait_for_port(port, options) end

--- Has a proxy lead to the port, and returns its url once that answers. The default
--- proxy, or the one of that name, which is made, or taken when it is there.
--- Round trips: 2 of the default proxy, 1 of a new one, 3 of one that is there; then
--- HTTP requests.
--- RPC: CreateProxy, SetProxyPort, ListProxies.
--- Raises: TimeoutError with the last answer, and whether something listens on the
--- port and is reached by proxies, which the box has 3 s more to say; NotFoundError.
---@param port integer 1 to 65535
---@param options? boxd.PublishOptions
---@return string url without the path
function Box:publish(port, options) end

---@class boxd.PublishOptions: boxd.Options
---@field name? string of the proxy, default: the default one
---@field path? string that is asked for, default "/"
---@field status? integer|integer[] that it must answer, default 200
---@field ca_file? string PEM file of roots to trust instead of the system's
---@field timeout? number seconds for all of it, default 120

--- Opens a port of this machine that leads to one of the box, its loopback too,
--- until it is closed or the script ends. Bytes move while the script waits in a
--- call of this module. A connection is one Exec, and fails as that does: the
--- client sees it end, and `warn` says why, once until one succeeds.
--- Round trips: 0, and 1 a connection.
--- RPC: Exec.
--- Raises: ConnectionError when the local port is taken.
---@param remote_port integer of the box
---@param options? boxd.ForwardOptions
---@return boxd.Forward
function Box:forward(remote_port, options) end

---@class boxd.ForwardOptions
---@field listen? string address in numbers and port, default "127.0.0.1:0": any free port

--- RPC: ListProxies.
---@param options? boxd.Options
---@return boxd.Proxy[]
function Box:proxies(options) end

--- RPC: CreateProxy.
--- Raises: ConflictError when the name is taken.
---@param name string
---@param port? integer default 0: detected
---@param options? boxd.Options
---@return boxd.Proxy
---@overload fun(self: boxd.Box, name: string, options: boxd.Options): boxd.Proxy
function Box:create_proxy(name, port, options) end

--- RPC: SetProxyPort.
--- Raises: NotFoundError.
---@param port integer|"auto" 0 or "auto": detected
---@param name? string default "": the default proxy
---@param options? boxd.Options
---@overload fun(self: boxd.Box, port: integer|"auto", options: boxd.Options)
function Box:set_proxy_port(port, name, options) end

--- RPC: DeleteProxy.
--- Raises: NotFoundError.
---@param name string
---@param options? boxd.Options
function Box:delete_proxy(name, options) end

--- What a port of a box is reached by. (ProxyInfo of the contract.)
---@class boxd.Proxy
---@field name? string nil: the default proxy
---@field vm_name? string the box's name
---@field vm_id? string today
---@field domain string its host, with a port where that is needed
---@field url string http:// or https:// and the domain
---@field port integer
---@field is_default boolean
---@field port_display? string today
---@field port_mode? string today
---@field effective_port? integer today

--- Opens a port of the box to the internet.
--- RPC: ExposePort.
--- Raises: NotFoundError, QuotaExceededError.
---@param port integer of the box
---@param options? boxd.ExposeOptions
---@return boxd.ExposedPort
function Box:expose(port, options) end

---@class boxd.ExposeOptions: boxd.Options
---@field protocol? string "tcp" (the default), "udp" or "both"

--- RPC: UnexposePort.
--- Raises: NotFoundError.
---@param port integer of the box
---@param options? boxd.Options
---@return boxd.ExposedPort as it was
function Box:unexpose(port, options) end

--- RPC: ListExposedPorts.
--- Raises: NotFoundError.
---@param options? boxd.Options
---@return boxd.ExposedPort[]
function Box:exposed_ports(options) end

--- (ExposePortResponse of the contract.)
---@class boxd.ExposedPort
---@field vm_name? string
---@field vm_id? string
---@field dns? string host
---@field public_port integer
---@field vm_port integer
---@field protocol? string
