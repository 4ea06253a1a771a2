-- How the rows of conformance_spec.lua are written: the surface's methods, one
-- row each at least, in surface.lua and surface_exec.lua.

-- How a row's calls are written. Unary: one request, then half-close, then the
-- reply. A stream: its messages, after how many of them half-close comes
-- (false: never), and the steps of the answer.
local function unary(method, request, reply)
  return { method = method, messages = { request }, half_close = 1,
    answer = { reply = reply or {} }, deadline = true }
end

local function stream(method, messages, half_close, ...)
  return { method = method, messages = messages, half_close = half_close,
    answer = { steps = { ... } } }
end

local function refused(call, status)
  call.answer = { status = status, message = "scripted" }
  return call
end

local function exec(first, half_close, ...)
  return stream("Exec", { first }, half_close, { "messages", 1 }, ...)
end

local VM = { vm_id = "vm-1", name = "web", image_ref = "ubuntu:24.04",
  public_ip = "10.0.0.1", status = "running", restart_policy = "always",
  disk_bytes = 20 << 30, auto_suspend_timeout_secs = 30 }
local ID = { vm_id = "vm-1" }
local DONE = { "send", { exit_code = 0 } }

local function with(base, more)
  local out = {}
  for k, v in pairs(base) do out[k] = v end
  for k, v in pairs(more) do out[k] = v end
  return out
end

-- Rows: the method (Class.name), its title, its calls, the action,
-- and what that must give. `c`, `box`, `disk` and `template` are made for it.
local ROWS = {}
local function row(method, what, calls, act, gives)
  ROWS[#ROWS + 1] = { method = method, what = what, calls = calls, act = act,
    gives = gives }
end

return { list = ROWS, row = row, unary = unary, stream = stream,
  refused = refused, exec = exec, with = with, VM = VM, ID = ID, DONE = DONE }
