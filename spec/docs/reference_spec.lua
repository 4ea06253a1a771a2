-- What `make doc` makes of the annotations besides the Markdown: HTML pages and
-- the manual page boxd(3).

local program = require "spec.support.program"
local types = require "scripts.doc.types"

local sh = program.sh

local function read(path)
  local f <close> = assert(io.open(path))
  return f:read "a"
end

describe("make doc", function()
  local items = types.read(types.files)
  local build, folder

  setup(function()
    build = sh("mktemp -d"):gsub("\n", "")
    folder = build .. "/doc"
    sh("env -u MAKEFLAGS -u MAKELEVEL make -s BUILD=%s doc", build)
  end)
  teardown(function() sh("rm -rf %s", build) end)

  it("makes an HTML page for each type, linked from the index", function()
    local index, count = read(folder .. "/html/index.html"), 0
    for _, item in ipairs(items) do
      if item.kind == "class" then
        local name = item.name:gsub("^boxd%.", "")
        assert.truthy(index:find(('<a href="%s.html">%s</a>'):format(
          name:lower(), name), 1, true), name)
        assert.truthy(read(folder .. "/html/" .. name:lower() .. ".html")
          :find("<title>" .. name, 1, true), name)
        count = count + 1
      end
    end
    assert.is_true(count > 50)
  end)

  it("links HTML pages only to pages that exist", function()
    for link in sh("grep -oh 'href=\"[^\"]*\"' %s/html/*.html | sort -u", folder)
      :gmatch 'href="([^"#]+)' do
      if not link:find "^https?:" then read(folder .. "/html/" .. link) end
    end
  end)

  it("has every method in HTML, underscores and all", function()
    local page = read(folder .. "/html/box.html")
    assert.truthy(page:find("box:wait_until_ready", 1, true))
    assert.is_nil(page:find("wait<em>", 1, true))
  end)

  it("makes a manual page that lints clean", function()
    assert.equal("", sh("mandoc -Tlint -Wwarning %s/boxd.3", folder))
  end)

  it("has every function and field in the manual page", function()
    local page = read(folder .. "/boxd.3")
    for _, item in ipairs(items) do
      if item.kind == "function" then
        assert.truthy(page:find(("\n.It Sy \"%s%s%s("):format(item.class,
          item.mark, item.name), 1, true), item.class .. item.name)
      end
      for _, field in ipairs(item.fields or {}) do
        assert.truthy(page:find("\n.It Va \"" .. (field.name or ""), 1, true))
      end
    end
  end)
end)
