std = "lua54"
max_line_length = 100
read_globals = { "boxd" } -- boxdlua has it loaded
exclude_files = { "build" }
files["spec"] = { std = "+busted" }
files["lua/boxd/types.lua"] = { ignore = { "211", "241" } } -- annotations only
