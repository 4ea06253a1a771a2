-- boxd.download_folder: the local copy of a box's folder, and names that a
-- service should not send.

local boxd = require "boxd"
local scripted = require "spec.support.scripted"

local failure = scripted.failure

describe("box:download_folder", function()
  local folder, dest

  before_each(function()
    local pipe <close> = assert(io.popen "mktemp -d")
    folder = pipe:read()
    dest = folder .. "/dest"
  end)

  after_each(function() os.execute("rm -rf " .. folder) end)

  local function sh(command)
    local pipe <close> = assert(io.popen(("cd %s && %s"):format(folder,
      command)))
    return pipe:read "a"
  end

  -- A service whose folders are `lists`, path -> entries, and whose files have
  -- their path as contents.
  local function start(lists, handlers)
    handlers = handlers or {}
    handlers.ListDir = function(request, call)
      local list = lists[request.path]
      if not list then return call:finish("NOT_FOUND", "no folder") end
      return { entries = { table.unpack(list) }, truncated = list.truncated }
    end
    handlers.DownloadFileStream = handlers.DownloadFileStream
      or function(request)
        return { data = request.path, total_size = #request.path }
      end
    return scripted.start(handlers)
  end

  local function file(name, permissions)
    return { name = name, permissions = permissions or "-rw-r--r--" }
  end

  local function sub(name)
    return { name = name, is_dir = true, permissions = "drwxr-xr-x" }
  end

  local function small()
    return { ["/s"] = { file "a", sub "in", file("run", "-rwxr-x---") },
      ["/s/in"] = { sub "empty", file("b", "0755"), file("c", "0644") },
      ["/s/in/empty"] = {} }
  end

  it("brings files, empty folders and executable files", function()
    local s <close> = start(small())
    local steps = {}
    assert.equal(#"/s/a/s/run/s/in/b/s/in/c", s:box():download_folder("/s/",
      boxd.path(dest .. "/"), { progress = function(done, total)
        steps[#steps + 1] = done == total
      end }))
    assert.same({ true, true, true, true }, steps)
    assert.equal("/s/a/s/in/b", sh "cat dest/a dest/in/b")
    assert.equal("./a\n./in/c\n./in/empty\n", sh [[cd dest &&
      { find . -type d -empty; find . -type f ! -perm /111; } | sort]])
    assert.equal("rwx\n", sh "stat -c %A dest/run | cut -c 2-4")
  end)

  it("goes into a folder that is there, and replaces files", function()
    sh "mkdir -p dest/in && echo old > dest/in/b && echo mine > dest/other"
    local s <close> = start(small())
    s:box().files:download_folder("/s", dest)
    assert.equal("/s/in/bmine\n", sh "cat dest/in/b dest/other")
  end)

  it("takes no name that leads out of it, before writing", function()
    for _, name in ipairs { "..", ".", "", "../x", "/etc/x", "in/../../x" } do
      local s <close> = start { ["/s"] = { file "a", file(name) } }
      local e = failure(s:box().download_folder, s:box(), "/s", dest)
      assert.equal("InternalError", e.class)
      assert.truthy(e.message:find("under a name that none has", 1, true))
      assert.equal("", sh "ls")
    end
    local s <close> = start { ["/s"] = { sub "a", file "a" } }
    assert.matches("lists 'a' twice",
      (failure(s:box().download_folder, s:box(), "/s", dest).message
        :gsub('"', "'")))
  end)

  it("follows no link that is in its way here", function()
    sh "mkdir dest outside && ln -s ../outside dest/in"
    local s <close> = start(small())
    local box = s:box()
    local e = failure(box.download_folder, box, "/s", dest)
    assert.equal("InvalidArgumentError", e.class)
    assert.truthy(e.message:find("dest/in: a symbolic link is in its place", 1,
      true), e.message)
    sh "rm dest/in && ln -s /dev/null dest/a"
    e = failure(box.download_folder, box, "/s", dest)
    assert.truthy(e.message:find("dest/a: a symbolic link is in its place", 1,
      true), e.message)
    assert.equal("", sh "ls outside")
    sh "rm dest/a && mv dest real && ln -s real dest" -- this one was asked for
    box:download_folder("/s", dest)
    assert.equal("/s/a", sh "cat real/a")
  end)

  it("is refused whole where a file can't be read", function()
    local cut = { file "a" }
    cut.truncated = true
    local rows = { link = { file("l", "lrwxrwxrwx") },
      pipe = { file("p", "prw-r--r--") }, ["only a part"] = cut }
    for words, list in pairs(rows) do
      local lists = small()
      lists["/s/in/empty"] = list
      local s <close> = start(lists)
      local e = failure(s:box().download_folder, s:box(), "/s", dest)
      assert.equal("InvalidArgumentError", e.class)
      assert.truthy(e.message:find("can't download \"/s/in/empty", 1, true),
        e.message)
      assert.truthy(e.message:find(words, 1, true), e.message)
      assert.equal("", sh "ls")
    end
  end)

  it("ends with a service whose folders do not", function()
    local long, n = ("n"):rep(4000), 0
    local s <close> = scripted.start { ListDir = function()
      n = n + 1
      local entries = {}
      for i = 1, 1000 do entries[i] = sub(long .. i) end
      return { entries = entries }
    end }
    local e = failure(s:box().download_folder, s:box(), "/s", dest)
    assert.matches("too many files", e.message)
    assert.is_true(n < 60, n)
    assert.equal("", sh "ls")
  end)

  it("says how much of it is there when it breaks off", function()
    local s <close> = start(small(), { DownloadFileStream =
      function(request, call)
        if request.path == "/s/in/b" then
          return call:finish("UNAVAILABLE", "gone")
        end
        return { data = "1", total_size = 1 }
      end })
    local e = failure(s:box().download_folder, s:box(), "/s", dest)
    assert.equal("ConnectionError", e.class)
    assert.truthy(e.message:find("(2 of 4 files are in " .. dest .. ")", 1,
      true), e.message)
    assert.equal("a\nin\nrun\n", sh "ls dest")
    assert.equal("empty\n", sh "ls -A dest/in")
  end)

  it("has one time for all of it", function()
    local ends = {}
    local lists = small()
    local s <close> = start(lists, { DownloadFileStream =
      function(_, call)
        ends[#ends + 1] = call.deadline
        boxd.sleep(0.1)
        return { data = "1", total_size = 1 }
      end })
    s:box():download_folder("/s", dest, { timeout = 5 })
    assert.is_true(ends[4] - ends[1] < 0.12, ends[4] - ends[1])
  end)

  it("says when its place can't be written", function()
    local s <close> = start(small())
    sh "echo x > dest"
    local e = failure(s:box().download_folder, s:box(), "/s", dest)
    assert.equal("InvalidArgumentError", e.class)
    assert.truthy(e.message:find("a file is in its place", 1, true), e.message)
    e = failure(s:box().download_folder, s:box(), "/s", folder .. "/no/dest")
    assert.matches("No such file", e.message)
    e = failure(s:box().download_folder, s:box(), "/none", folder)
    assert.equal("NotFoundError", e.class)
  end)
end)
