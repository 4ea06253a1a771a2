-- make install, and a C program that embeds the installed library.

local program = require "spec.support.program"

local SANITIZE = os.getenv "SANITIZE" or ""
local VERSION = program.lua5:match "%d.%d"

local sh = program.sh

-- Without the variables that make exports, but with its build.
local MAKE = "env -u MAKEFLAGS -u MAKELEVEL make -s BUILD=${BUILD:-build} "

describe("make install", function()
  local folder

  setup(function() folder = sh("mktemp -d"):gsub("\n", "") end)
  teardown(function() os.execute("rm -rf " .. folder) end)

  it("puts everything in its place, the same bytes each time", function()
    for _, name in ipairs { "a", "b" } do
      sh(MAKE .. "install DESTDIR=%s/%s PREFIX=/usr", folder, name)
    end
    sh("diff -r %s/a %s/b", folder, folder)
    local list = sh("cd %s/a && find . -type f | sort", folder)
    for _, path in ipairs { "bin/boxdlua", "lib/lua/" .. VERSION .. "/boxd.so",
      "share/lua/" .. VERSION .. "/boxd/types/compute.lua",
      "share/man/man1/boxdlua.1", "include/boxd.h", "lib/libboxd.a",
      "lib/pkgconfig/boxd.pc", "share/doc/boxd/api.md",
      "share/man/man3/boxd.3", "share/doc/boxd/html/index.html" } do
      assert.truthy(list:find("./usr/" .. path .. "\n", 1, true), path)
    end
    assert.is_nil(list:match "%./usr/share/lua/5%.%d/boxd/[^\n/]*%.lua")
    assert.is_nil(sh("grep -r '%s/a' %s/a || true", folder, folder)
      :match "pkgconfig")
    -- The same also when built in another folder.
    assert.equal("", sh("grep -rl -e '%s/' -e \"$PWD/\" %s/a || true", folder,
      folder))
  end)

  it("is undone by make uninstall, which leaves other files alone", function()
    sh(MAKE .. "install DESTDIR=%s/gone PREFIX=/usr", folder)
    sh("touch %s/gone/usr/bin/other", folder)
    sh(MAKE .. "uninstall DESTDIR=%s/gone PREFIX=/usr", folder)
    assert.equal("./usr/bin/other\n",
      sh("cd %s/gone && find . -type f", folder))
  end)

  it("takes folders with blanks in their names, and leaves none behind", function()
    sh(MAKE .. [[install DESTDIR='%s/dest dir' PREFIX='/opt/my boxd']], folder)
    local prefix = folder .. "/dest dir/opt/my boxd"
    assert.matches("^boxd ", sh("'%s/bin/boxdlua' -v", prefix))
    assert.matches("^boxd", sh([[cd / && env %s LUA_CPATH='%s/lib/lua/%s/?.so' %s \
      -e 'print(require "boxd"._VERSION)']], os.getenv "MODULE_ENV" or "", prefix, VERSION,
      program.lua5))
    assert.equal("-I/opt/my boxd/include", sh([[export PKG_CONFIG_PATH='%s/lib/pkgconfig'
      eval "set -- $(pkg-config --cflags-only-I boxd)"
      for i; do case $i in *boxd*) printf %%s "$i" ;; esac; done]], prefix))
    sh(MAKE .. [[uninstall DESTDIR='%s/dest dir' PREFIX='/opt/my boxd']], folder)
    assert.equal("/opt/my boxd /opt/my boxd/bin /opt/my boxd/include /opt/my boxd/lib "
      .. "/opt/my boxd/share /opt/my boxd/share/man ", sh([[cd '%s/dest dir' &&
        find . -mindepth 2 | cut -c 2- | LC_ALL=C sort | tr '\n' ' ']], folder))
    assert.equal("", sh("ls -d opt dest my boxd 2>/dev/null || :"))
  end)

  it("installs a module that needs no Lua file", function()
    sh(MAKE .. "install-lua PREFIX=%s/u", folder)
    assert.equal("boxd.Compute (http://x:1)\n", sh([[cd / && env %s \
      LUA_CPATH='%s/u/lib/lua/%s/?.so' %s -e 'package.path = ""
        print(require "boxd".Compute { token = "t",
          api_url = "http://x:1" })']], os.getenv "MODULE_ENV" or "", folder,
      VERSION, program.lua5))
  end)

  it("lets a C program embed it", function()
    sh(MAKE .. "install PREFIX=%s/e", folder)
    sh([[export PKG_CONFIG_PATH=%s/e/lib/pkgconfig
      cc -Wall -Wextra -Werror %s scripts/examples/embed.c -o %s/embed \
        $(pkg-config --cflags --libs boxd)]], folder, SANITIZE, folder)
    local script = program.file [[
      local task = boxd.spawn(function() boxd.sleep(0) return boxd._VERSION end)
      print(task:join(), boxd.Compute { token = "t" })
      error(boxd.is_error(select(2, pcall(boxd.Compute, { nonsense = 1 }))))]]
    local result = program.run { folder .. "/embed", script, env = {
      LUA_PATH = "" } }
    os.remove(script)
    assert.matches("^boxd %d.%d.%d\tboxd.Compute %(https://boxd.sh:9443%)\n$",
      result.out)
    assert.equal("true\n", result.err)
    assert.equal(1, result.status)
  end)
end)
