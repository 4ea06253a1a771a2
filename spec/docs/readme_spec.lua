-- The documents: every Lua block runs as it stands on the embedded service (those
-- for other event loops: loops_spec.lua),
-- every link leads to a file and a heading, and the README links them all.

local program = require "spec.support.program"
local service = require "spec.support.service"

local function read(path)
  local f <close> = assert(io.open(path))
  return f:read "a"
end

local function documents()
  local list <close> = assert(io.popen [[find . -name build -prune -o -name .git \
    -prune -o -name '*.md' -print | sed 's|^\./||' | LC_ALL=C sort]])
  local paths = {}
  for path in list:lines() do paths[#paths + 1] = path end
  return paths
end

-- The text without code blocks.
local function prose(text)
  return (("\n" .. text):gsub("\n```.-\n```", "\n"))
end

-- Headings as the address after # has them.
local function anchors(text)
  local set = {}
  for title in prose(text):gmatch "\n#+ ([^\n]+)" do
    set[title:lower():gsub("[^%w%- _]", ""):gsub(" ", "-")] = true
  end
  return set
end

-- "lua/boxd/local/" and "../types/x" -> "lua/boxd/types/x".
local function join(folder, path)
  local parts = {}
  for part in (folder .. path):gmatch "[^/]+" do
    if part == ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return table.concat(parts, "/")
end

-- The links of a document: its text, the file it leads to, the heading.
local function links(path)
  local folder, list = path:match "^(.*/)" or "", {}
  for title, target in prose(read(path)):gmatch "%[([^%]\n]+)%]%(([^)%s]+)%)" do
    if not target:find "^https?:" then
      local file, anchor = target:match "^([^#]*)#?(.*)$"
      list[#list + 1] = { title = title, anchor = anchor,
        file = file == "" and path or join(folder, file) }
    end
  end
  return list
end

local function blocks()
  local list = {}
  for _, path in ipairs(documents()) do
    if path == "lua/boxd/loop/README.md" then goto next end
    for code in read(path):gmatch "\n```lua\n(.-)\n```" do
      list[#list + 1] = { path = path, code = code }
    end
    ::next::
  end
  return list
end

describe("the documents", function()
  local list = blocks()
  local s = service.of_block()

  it("show Lua in at least eight blocks", function()
    assert.is_true(#list >= 8, tostring(#list))
  end)

  for i, block in ipairs(list) do
    local run = block.code:find "boxd.provision" and service.with_root(it, pending) or it
    run(("run block %d, of %s: %s"):format(i, block.path,
      block.code:match "[^\n]*"), function()
        local script = program.file(block.code)
        finally(function() os.remove(script) end)
        local result = program.lua { script, env = { BOXD_API_URL = s.api_url,
          BOXD_API_KEY = s.api_key, BOXD_EXCHANGE_URL = s.exchange_url } }
        assert.equal(0, result.status, result.err)
        assert.same({}, s.compute:call("ListVms").vms)
      end)
  end

  for _, path in ipairs(documents()) do
    it("link from " .. path .. " to files and headings that exist", function()
      for _, link in ipairs(links(path)) do
        local f <close> = io.open(link.file)
        assert(f, ("%s: [%s] leads to %s"):format(path, link.title, link.file))
        if link.anchor ~= "" then
          assert.is_true(anchors(read(link.file))[link.anchor],
            link.file .. "#" .. link.anchor)
        end
      end
    end)
  end

  it("name only files of ours that exist", function()
    local count = 0
    for _, path in ipairs(documents()) do
      for name in prose(read(path)):gmatch "`(%l+/[%w_./-]+)`" do
        local root = name:match "^(%l+)/"
        if root == "src" or root == "lua" or root == "spec" or root == "scripts"
          or root == "proto" then
          local f <close> = io.open(name)
          assert(f, path .. " names " .. name)
          count = count + 1
        end
      end
    end
    assert.is_true(count > 20, tostring(count))
  end)

  it("are all linked from the README", function()
    local linked = { ["README.md"] = true }
    for _, link in ipairs(links "README.md") do linked[link.file] = true end
    for _, path in ipairs(documents()) do assert.is_true(linked[path], path) end
  end)

  it("keep the README under 280 lines", function()
    local _, lines = read "README.md":gsub("\n", "")
    assert.is_true(lines < 280, tostring(lines))
  end)
end)
