std = "lua54"
max_line_length = 100
ignore = {
  "211/_.*", -- to-be-closed variables that only close
  "58.", -- not (x > y) is also true of a NaN
}
read_globals = { "boxd" } -- boxdlua has it loaded
exclude_files = { "build" }
files["spec"] = { std = "+busted" }
files["lua/boxd/types"] = { globals = { "boxd" },
  ignore = { "211", "212", "241", "631" } } -- annotations only
