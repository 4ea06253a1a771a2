-- Coroutines for a loop that has none of its own (luv, GLib).

-- Returns go, resumes, wake: go(fn, ...) starts a coroutine and returns it;
-- resumes() says whether the one that runs is such, so that a generator inside
-- one is not; wake(co) resumes it. An error in the coroutine is raised where the
-- loop, or go, runs it, with the coroutine's traceback.
return function()
  local ours = setmetatable({}, { __mode = "k" })

  local function wake(co, ...)
    local ok, e = coroutine.resume(co, ...)
    if ok then return end
    if type(e) == "string" then e = debug.traceback(co, e) end
    coroutine.close(co)
    error(e, 0)
  end

  local function go(fn, ...)
    local co = coroutine.create(fn)
    ours[co] = true
    wake(co, ...)
    return co
  end

  local function resumes() return ours[coroutine.running()] == true end

  return go, resumes, wake
end
