-- Makes HTML of the API reference, a page for each type, by lowdown:
--   lua5.4 scripts/doc/pages.lua build/doc/api.md build/doc/html
-- index.html has the introduction and links to all pages.

local source, folder = arg[1], arg[2]

local STYLE = [[
body { max-width: 60em; margin: 2em auto; padding: 0 1em;
  font: 16px/1.5 sans-serif; color: #222; }
code { background: #f3f3f3; padding: 0 .2em; }
table { border-collapse: collapse; }
th, td { border: 1px solid #ccc; padding: .2em .6em; text-align: left;
  vertical-align: top; }
]]

local function write(path, text)
  local f <close> = assert(io.open(path, "w"))
  assert(f:write(text))
end

-- The introduction, and { name =, text = } for each section.
local function sections(text)
  local intro, pages, lines = nil, {}, {}
  local function finish()
    local body = table.concat(lines, "\n") .. "\n"
    if intro then pages[#pages].text = body else intro = body end
    lines = {}
  end
  for line in text:gmatch "([^\n]*)\n" do
    local name = line:match "^## (.+)$"
    if name then
      finish()
      pages[#pages + 1] = { name = name }
    else
      lines[#lines + 1] = line
    end
  end
  finish()
  return intro, pages
end

local function file_of(name) return name:lower() .. ".html" end

local function convert(title, text, path)
  local page = os.tmpname()
  write(page, text)
  local done, _, status = os.execute(("lowdown -s -thtml --parse-no-intraemph "
    .. "-m 'title: %s' -m 'css: style.css' -o '%s' '%s'"):format(title, path,
    page))
  os.remove(page)
  if not done then error("lowdown failed with status " .. status, 0) end
end

-- A link to a section is one to its page.
local function relink(text)
  return (text:gsub("%]%(#([%w_-]+)%)", "](%1.html)"))
end

local f <close> = assert(io.open(source))
local intro, pages = sections(f:read "a")
local index = { relink(intro), "\n## Types\n" }
for _, page in ipairs(pages) do
  index[#index + 1] = ("- [%s](%s)"):format(page.name, file_of(page.name))
  convert(page.name .. " - boxd for Lua", "[boxd for Lua](index.html)"
    .. "\n\n# " .. page.name .. "\n" .. (relink(page.text):gsub("\n### ", "\n## ")),
    folder .. "/" .. file_of(page.name))
end
convert("boxd for Lua: API reference", table.concat(index, "\n") .. "\n",
  folder .. "/index.html")
write(folder .. "/style.css", STYLE)
