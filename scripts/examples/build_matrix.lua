-- The same tests in eight environments at once, a box each; a failure in one
-- does not stop the others.
--   boxdlua --local scripts/examples/build_matrix.lua

local c <close> = boxd.Compute {}

local matrix = {}
for _, level in ipairs { "-O0", "-O2" } do
  for _, lang in ipairs { "C", "C.UTF-8" } do
    for _, word in ipairs { "32", "64" } do
      matrix[#matrix + 1] = { name = ("build-%d"):format(#matrix + 1),
        env = { CFLAGS = level, LC_ALL = lang, WORD = word } }
    end
  end
end

-- What a build would do; this one does not like one of its environments.
local BUILD = [[
echo "building with $CFLAGS in $LC_ALL for $WORD bits"
sleep 0.2
[ "$CFLAGS $WORD" != "-O0 32" ] || { echo "no such target" >&2; exit 1; }
echo "all tests passed"
]]

local results, errors = boxd.map(matrix, function(job)
  local box <close> = c.box:temporary { name = job.name }
  box:wait_until_ready()
  return box:sh(BUILD, { env = job.env, timeout = 300 })
end, { limit = 8, on_error = "collect" })

local failed = 0
for i, job in ipairs(matrix) do
  local result = results[i]
  local ok = result and result.success
  if not ok then failed = failed + 1 end
  print(("%-8s  %-4s %-8s %s bits  %s"):format(job.name, job.env.CFLAGS,
    job.env.LC_ALL, job.env.WORD, ok and "passed"
      or "FAILED: " .. tostring(result and result.stderr or errors[i])
        :gsub("%s+$", "")))
end
print(("%d of %d passed"):format(#matrix - failed, #matrix))
