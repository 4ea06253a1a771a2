-- The rows of surface.lua for commands, files and logs.

local boxd = require "boxd"
local program = require "spec.support.program"
local rows = require "spec.support.rows"

local row, unary, stream = rows.row, rows.unary, rows.stream
local exec, DONE = rows.exec, rows.DONE

local MIB = 1 << 20

-- Exec ------------------------------------------------------------------------

row("Box.exec", "arguments and all outputs", {
  exec({ vm_id = "vm-1", command = "echo 'hello world'" }, 1, { "half_close" },
    { "send", { data = "out" } },
    { "send", { data = "err", is_stderr = true } },
    { "send", { data = { hex = "00ff0a" } } }, { "send", { exit_code = 3 } }),
}, function(s) return s.box:exec("echo", "hello world") end,
  { stdout = "out\0\xff\n", stderr = "err", exit_code = 3, success = false })
row("Box.exec", "stdin, then its end", {
  stream("Exec", { { vm_id = "vm-1", command = "cat" },
    { stdin = true, data = "some\ninput" } }, 2, { "half_close" }, DONE),
}, function(s) return s.box:exec("cat", { stdin = "some\ninput" }) end,
  { success = true })
row("Box.exec", "an empty stdin is its end", {
  exec({ vm_id = "vm-1", command = "cat" }, 1, { "half_close" }, DONE),
}, function(s) return s.box:exec("cat", { stdin = "" }) end)
row("Box.exec", "a terminal and its size", {
  exec({ vm_id = "vm-1", command = "top", tty = true, cols = 120, rows = 40 },
    1, { "half_close" }, DONE),
}, function(s)
  return s.box:exec("top", { pty = true, cols = 120, rows = 40 })
end)
row("Box.exec", "interactive means pty and stream", {
  exec({ vm_id = "vm-1", command = "bash", tty = true }, false,
    { "send", { data = "$ " } }, { "send", { exit_code = 2 } }),
}, function(s)
  local p = s.box:exec("bash", { interactive = true })
  return { p:read_stdout(), p:wait() }
end, { "$ ", 2 })
row("Box.exec", "close_stdin ends the stdin of a stream", {
  exec({ vm_id = "vm-1", command = "cat" }, 1, { "half_close" }, DONE),
}, function(s)
  return { s.box:exec("cat", { stream = true, close_stdin = true }):wait() }
end, { 0 })
row("Box.sh", "a line as it is", {
  exec({ vm_id = "vm-1", command = "make && echo $HOME | tee 'a b'" }, 1,
    { "half_close" }, DONE),
}, function(s) return s.box:sh("make && echo $HOME | tee 'a b'") end)

row("Process.write", "stdin in pieces, at most a chunk at a time", {
  stream("Exec", { { vm_id = "vm-1", command = "cat" },
    { stdin = true, data = "one" }, { stdin = true, data = "two" },
    { stdin = true, data = "three" } }, 4, { "half_close" }, DONE),
}, function(s)
  local p = s.box:exec("cat", { stream = true })
  p:write("one")
  p.stdin:write("two")
  p:write("")
  p:write("three")
  p:write_eof()
  return { p:wait() }
end, { 0 })
row("Process.write_eof", "also of p.stdin; writing after it is an error", {
  exec({ vm_id = "vm-1", command = "cat" }, 1, { "half_close" }, DONE),
}, function(s)
  local p = s.box:exec("cat", { stream = true })
  p.stdin:write_eof()
  local ok = pcall(p.write, p, "more")
  return { ok, p:wait() }
end, { false, 0 })
row("Process.resize", "a message of its own", {
  stream("Exec", { { vm_id = "vm-1", command = "top", tty = true },
    { window_change = true, cols = 100, rows = 30 } }, false,
    { "messages", 2 }, DONE),
}, function(s)
  local p = s.box:exec("top", { pty = true, stream = true })
  p:resize(100, 30)
  return { p:wait() }
end, { 0 })

local OUTPUT = { { "send", { data = "a\nb" } },
  { "send", { data = "E", is_stderr = true } }, { "send", { data = "c\n" } },
  { "send", { data = "d" } }, { "send", { exit_code = 4 } } }

-- A streaming exec with that output, read by `read`.
local function reads(method, read, gives)
  row("Process." .. method, "", { exec({ vm_id = "vm-1", command = "run" },
    false, table.unpack(OUTPUT)) }, function(s)
    local p = s.box:exec("run", { stream = true })
    local out = read(p)
    out[#out + 1] = p:wait()
    return out
  end, gives)
end

local function collect(...)
  local out = {}
  for a, b in ... do out[#out + 1] = b and a .. "@" .. b or a end
  return out
end

reads("read_stdout", function(p)
  return { p:read_stdout(), p:read_stdout(), p:read_stdout(), p:read_stdout() }
end, { "a\nb", "c\n", "d", 4 })
reads("read_stderr", function(p) return { p:read_stderr() } end, { "E", 4 })
reads("iter_stdout", function(p) return collect(p:iter_stdout()) end,
  { "a\nb", "c\n", "d", 4 })
reads("iter_stderr", function(p) return collect(p:iter_stderr()) end,
  { "E", 4 })
reads("chunks", function(p) return collect(p:chunks()) end,
  { "a\nb@stdout", "E@stderr", "c\n@stdout", "d@stdout", 4 })
reads("lines", function(p) return collect(p:lines()) end,
  { "a", "bc", "d", 4 })
reads("wait", function(p) return { p:wait { timeout = 20 } } end, { 4, 4 })

row("Process.wait", "its timeout raises and cancels nothing", {
  exec({ vm_id = "vm-1", command = "cat" }, 1, { "half_close" }, DONE),
}, function(s)
  local p = s.box:exec("cat", { stream = true })
  local ok, err = pcall(p.wait, p, { timeout = 0.05 })
  p:write_eof()
  return { ok, err.class, p:wait() }
end, { false, "TimeoutError", 0 })

local cancelled = exec({ vm_id = "vm-1", command = "sleep 1" }, false,
  { "send", { data = "up" } }, { "messages", 99 })
cancelled.cancelled = true
row("Process.close", "cancels the call, more than once too", { cancelled },
  function(s)
    local p = s.box:sh("sleep 1", { stream = true })
    local first = p:read_stdout()
    p:close()
    p:close()
    local ok, err = pcall(p.wait, p)
    return { first, ok, err.class }
  end, { "up", false, "CancelledError" })

-- Files and logs --------------------------------------------------------------

local function piece(n) return ("0123456789abcdef"):rep(n // 16) end
local function digest(n)
  return { bytes = n, sha256 = boxd.sha256(piece(n)) }
end

row("Box.write_file", "bytes", {
  unary("UploadFile", { vm_id = "vm-1", path = "/etc/motd",
    data = { bytes = 4, sha256 = boxd.sha256("a\0\xff\n") } },
    { bytes_written = 4 }),
}, function(s) s.box:write_file("a\0\xff\n", "/etc/motd") end)
row("Box.write_file", "a local file, and nothing at all", {
  unary("UploadFile", { vm_id = "vm-1", path = "f", data = "local" }),
  unary("UploadFile", { vm_id = "vm-1", path = "f" }),
}, function(s)
  local name = program.plain_file("local")
  s.box:write_file(boxd.path(name), "f")
  os.remove(name)
  s.box:write_file("", "f")
end)
row("Box.write_file", "more than 1 MiB as a stream", {
  stream("UploadFileStream", {
    { vm_id = "vm-1", path = "/big", total_size = MIB + 32, data = digest(MIB) },
    { data = piece(32) },
  }, 2, { "half_close" }, { "send", { bytes_written = MIB + 32 } }),
}, function(s) s.box:write_file(piece(MIB + 32), "/big") end)
row("Box.read_file", "bytes, by a stream", {
  stream("DownloadFileStream", { { vm_id = "vm-1", path = "/f" } }, 1,
    { "half_close" }, { "send", { data = { hex = "6100" }, total_size = 4 } },
    { "send", { data = { hex = "62ff" }, total_size = 4 } }),
  stream("DownloadFileStream", { { vm_id = "vm-1", path = "/empty" } }, 1,
    { "half_close" }, { "send", {} }),
}, function(s) return { s.box:read_file("/f"), s.box:read_file("/empty") } end,
  { "a\0b\xff", "" })

row("Box.upload", "chunks of 1 MiB, the first says where they go", {
  stream("UploadFileStream", {
    { vm_id = "vm-1", path = "/big", total_size = 2 * MIB + 32,
      data = digest(MIB) },
    { data = digest(MIB) }, { data = piece(32) },
  }, 3, { "half_close" }, { "send", { bytes_written = 2 * MIB + 32 } }),
}, function(s)
  local name, seen = program.plain_file(piece(2 * MIB + 32)), {}
  s.box:upload(name, "/big", { progress = function(done, total)
    seen[#seen + 1] = done .. "/" .. total
  end })
  os.remove(name)
  return seen
end, { "1048576/2097184", "2097152/2097184", "2097184/2097184" })
row("Box.read_file", "of a service without the stream, which it is asked for once", {
  rows.refused(stream("DownloadFileStream", { { vm_id = "vm-1",
    path = "/f" } }, 1), 12),
  unary("DownloadFile", { vm_id = "vm-1", path = "/f" }, { data = "abc" }),
  unary("DownloadFile", { vm_id = "vm-1", path = "/g" }, {}),
}, function(s) return { s.box:read_file("/f"), s.box:read_file("/g") } end,
  { "abc", "" })
row("Box.upload", "to a service without the stream", {
  rows.refused(stream("UploadFileStream", { { vm_id = "vm-1", path = "/f",
    total_size = 3, data = "abc" } }, 1), 12),
  unary("UploadFile", { vm_id = "vm-1", path = "/f", data = "abc" }, {}),
}, function(s)
  local name = program.plain_file("abc")
  local bytes = s.box:upload(name, "/f")
  os.remove(name)
  return { bytes }
end, { 3 })
row("Box.download", "of a service without the stream", {
  exec({ vm_id = "vm-1", command = "stat -L -c '%a' -- /f" }, 1,
    { "half_close" }, DONE),
  rows.refused(stream("DownloadFileStream", { { vm_id = "vm-1",
    path = "/f" } }, 1), 12),
  unary("DownloadFile", { vm_id = "vm-1", path = "/f" }, { data = "abc" }),
}, function(s)
  local name = os.tmpname()
  local bytes = s.box:download("/f", name)
  local f <close> = assert(io.open(name))
  os.remove(name)
  return { bytes, f:read "a" }
end, { 3, "abc" })
-- What a folder holds: a program, a file in a folder, an empty folder in one.
local FOLDER = {
  stream("UploadFileStream", { { vm_id = "vm-1", path = "/app/run",
    total_size = 3, data = "run" } }, 1, { "half_close" },
    { "send", { bytes_written = 3 } }),
  stream("UploadFileStream", { { vm_id = "vm-1", path = "/app/sub/f",
    total_size = 2, data = "ff" } }, 1, { "half_close" },
    { "send", { bytes_written = 2 } }),
  unary("Mkdir", { vm_id = "vm-1", path = "/app/logs" }),
  rows.refused(unary("Mkdir", { vm_id = "vm-1", path = "/app/logs/old" }), 6),
  exec({ vm_id = "vm-1", command = "chmod +x -- /app/run" }, 1,
    { "half_close" }, DONE),
}
row("Box.upload", "a folder: files, empty folders, programs", FOLDER,
  function(s)
    local top = os.tmpname()
    os.remove(top)
    assert(os.execute(([[mkdir -p %s/sub %s/logs/old && cd %s &&
      printf run > run && chmod +x run && printf ff > sub/f]])
      :format(top, top, top)))
    local bytes = s.box:upload(top .. "/", "/app/")
    os.execute("rm -r " .. top)
    return { bytes }
  end, { 5 })
row("Box.upload", "a link as a link", {
  unary("Mkdir", { vm_id = "vm-1", path = "/app" }),
  exec({ vm_id = "vm-1", command = [=[sh -c 'while [ $# -gt 0 ]; do
  d=$(dirname -- "$2"); [ -d "$d" ] || mkdir -p -- "$d" || exit
  ln -sfT -- "$1" "$2" || exit
  shift 2
done' sh nowhere /app/link]=] }, 1, { "half_close" }, DONE),
}, function(s)
  local top = os.tmpname()
  os.remove(top)
  assert(os.execute(("mkdir %s && ln -s nowhere %s/link"):format(top, top)))
  local bytes = s.box:upload(top, "/app")
  os.execute("rm -r " .. top)
  return { bytes }
end, { 0 })
row("Box.upload", "an empty file is one chunk", {
  stream("UploadFileStream", { { vm_id = "vm-1", path = "/none" } }, 1,
    { "half_close" }, { "send", {} }),
}, function(s)
  local name = program.plain_file("")
  s.box:upload(name, "/none")
  os.remove(name)
end)
row("Box.download_folder", "all of it", {
  unary("ListDir", { vm_id = "vm-1", path = "/d" }, { entries = {
    { name = "a", size_bytes = 3, permissions = "-rwxr-xr-x" } } }),
  stream("DownloadFileStream", { { vm_id = "vm-1", path = "/d/a" } }, 1,
    { "half_close" }, { "send", { total_size = 3, data = "abc" } }),
}, function(s)
  local name = os.tmpname()
  os.remove(name)
  local bytes = s.box:download_folder("/d", name)
  local f <close> = assert(io.open(name .. "/a"))
  os.remove(name .. "/a")
  os.remove(name)
  return { bytes, f:read "a" }
end, { 3, "abc" })
row("Box.download", "into a file that appears when it is whole", {
  exec({ vm_id = "vm-1", command = "stat -L -c '%a' -- /f" }, 1,
    { "half_close" }, DONE),
  stream("DownloadFileStream", { { vm_id = "vm-1", path = "/f" } }, 1,
    { "half_close" }, { "send", { total_size = 5, data = "abc" } },
    { "send", { data = "de" } }),
}, function(s)
  local name, seen = os.tmpname(), {}
  os.remove(name)
  s.box:download("/f", name, { progress = function(done, total)
    seen[#seen + 1] = done .. "/" .. total
    seen.early = seen.early or io.open(name) ~= nil
  end })
  local file <close> = assert(io.open(name, "rb"))
  os.remove(name)
  return { file:read "a", seen }
end, { "abcde", { "3/5", "5/5", early = false } })
row("Box.stream_logs", "", {
  stream("StreamLogs", { { vm_id = "vm-1" } }, 1, { "half_close" },
    { "send", { data = "one\n" } }, { "send", { data = "two" } }),
}, function(s) return collect(s.box:stream_logs()) end, { "one\n", "two" })
local followed = stream("StreamLogs", { { vm_id = "vm-1", follow = true } }, 1,
  { "half_close" }, { "send", { data = "one" } }, { "messages", 99 })
followed.cancelled = true
row("Box.stream_logs", "leaving early ends the call", { followed }, function(s)
  local out = {}
  for chunk in s.box:stream_logs { follow = true } do
    out[1] = chunk
    if #out == 1 then break end
  end
  return out
end, { "one" })
