-- Moves the boxes of one account to another one: name, image, environment and
-- a folder of files. Nothing is destroyed at the old place.
--   NEW_API_KEY=... boxdlua scripts/examples/migrate.lua [folder]

local folder = arg and arg[1] or "data"
local old <close> = boxd.Compute {}
local new <close> = boxd.Compute {
  api_url = os.getenv "NEW_API_URL",
  exchange_url = os.getenv "NEW_EXCHANGE_URL",
  api_key = os.getenv "NEW_API_KEY" or error("set NEW_API_KEY", 0),
}

-- The output of one box is the input of another, and is held by neither.
local function copy(from, to)
  local pack <close> = from:exec("tar", "cf", "-", ".",
    { cwd = folder, stream = true })
  local unpack <close> = to:sh("mkdir -p . && tar xf -",
    { cwd = folder, stream = true })
  local bytes = 0
  for chunk in pack:iter_stdout() do
    unpack:write(chunk)
    bytes = bytes + #chunk
  end
  unpack:write_eof()
  assert(pack:wait() == 0, "the files can't be packed")
  assert(unpack:wait() == 0, "the files can't be unpacked")
  return bytes
end

local function move(box)
  local twin = new.box:create(box.name, { image = box.image })
  twin:wait_until_ready()
  twin:exec("mkdir", "-p", folder)
  local bytes = copy(box, twin)
  print(("%s: %d bytes, now %s"):format(box.name, bytes, twin.id))
  return twin
end

local moved, errors = boxd.map(old.box:list(), move,
  { limit = 4, on_error = "collect" })
for i, e in pairs(errors) do print("not moved: " .. i, e) end
print(("%d boxes moved"):format(moved.n - #errors))
