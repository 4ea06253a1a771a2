-- The rock: made here, installed without a network into a clean tree.
-- Runs first: it builds all of C twice.

local boxd = require "boxd"
local program = require "spec.support.program"

local sh = program.sh
local LUA = program.lua5:match "%d.%d" -- for luarocks

-- Builds of its own: nothing of ours, optimized as little as tests need.
local CLEAN = "env -u BUILD -u SANITIZE -u MAKELEVEL -u LUA_PATH -u LUA_CPATH "
  .. "MAKEFLAGS='-j2 OPT=-O0' "

describe("the rock", function()
  local folder

  setup(function() folder = sh("mktemp -d"):gsub("\n", "") end)
  teardown(function() os.execute("rm -rf " .. folder) end)

  -- As an ordinary user without a network, where we may become one.
  local function as_user(command)
    if sh("id -u") ~= "0\n" then return command end
    sh("chown -R 65534:65534 %s", folder)
    return "unshare -n setpriv --reuid=65534 --regid=65534 --clear-groups "
      .. command
  end

  it("installs from its file, offline, as an ordinary user", function()
    sh(CLEAN .. "make rock >/dev/null && cp build/boxd-*.src.rock %s", folder)
    local rock = sh("ls %s/*.src.rock", folder):gsub("\n", "")
    sh("cd %s && HOME=%s %s luarocks --lua-version=%s --tree=%s/tree "
      .. "install %s", folder, folder, as_user(CLEAN), LUA, folder, rock)
    local list = sh("cd %s/tree && find . -type f", folder)
    local home = "lib/luarocks/rocks-" .. LUA .. "/boxd/"
      .. rock:match "boxd%-([%d.-]+)%.src" .. "/"
    for _, path in ipairs { "bin/boxdlua", "lib/lua/" .. LUA .. "/boxd.so",
      "share/lua/" .. LUA .. "/boxd/types/compute.lua", home .. "doc/man/man1/boxdlua.1" } do
      assert.truthy(list:find("./" .. path .. "\n", 1, true), path)
    end
    assert.equal("boxd.Compute (http://x:1)\n", sh([[cd / && env -u LUA_PATH \
      LUA_CPATH='%s/tree/lib/lua/%s/?.so' %s -e 'package.path = ""
        print(require "boxd".Compute { token = "t", api_url = "http://x:1" })'
      ]], folder, LUA, program.lua5))
    assert.matches("^boxd %d", sh("%s/tree/bin/boxdlua -v", folder))
  end)

  it("is made of the source tree, too: offline, into a clean tree", function()
    -- With the finished build, to save time, but for the fuzzers, which another
    -- spec may be building.
    sh("mkdir -p %s/make/build && cp -rp Makefile lua proto rockspec scripts spec "
      .. "src %s/make && tar -C ${BOXD_BUILD:-build} --exclude='./fuzz*' -c . | "
      .. "tar -C %s/make/build -x", folder, folder, folder)
    local user = as_user "env -u MAKELEVEL -u LUA_PATH -u LUA_CPATH "
    sh("cd %s/make && HOME=%s %s luarocks --lua-version=%s --tree=%s/made make",
      folder, folder, user .. '"SANITIZE=${SANITIZE:-}" ', LUA, folder)
    local home = folder .. "/made/lib/luarocks/rocks-" .. LUA .. "/boxd/"
    assert.equal("scm-1\n", sh("ls %s", home))
    assert.equal("boxdlua.1\n", sh("ls %sscm-1/doc/man/man1", home))
    assert.matches("^boxd %d", sh("%s/made/bin/boxdlua -v", folder))
  end)

  it("is described the same as released and as it is", function()
    local version = boxd._VERSION:match "[%d.]+" .. "-1"
    local released, now = {}, {}
    for path, into in pairs { ["boxd-" .. version] = released,
      ["boxd-scm-1"] = now } do
      assert(loadfile("rockspec/" .. path .. ".rockspec", "t", into))()
    end
    assert.equal(version, released.version)
    assert.equal("scm-1", now.version)
    for _, spec in ipairs { released, now } do
      spec.version, spec.source = nil, nil
    end
    assert.same(now, released)
  end)

  it("names a missing library", function()
    local result = program.run { "sh", "-c", ([[cp -r rockspec %s/spec &&
      cd %s/spec && luarocks --lua-version=%s --tree=%s/none \
      make boxd-scm-1.rockspec GRPC_DIR=/nonexistent]]):format(folder, folder,
      LUA, folder) }
    assert.is_true(result.status ~= 0)
    assert.matches("GRPC", result.err .. result.out)
  end)
end)
