-- make deb, make dist: their contents, and that a package leaves nothing.
-- In a bare system, for real: make packages-real.

local program = require "spec.support.program"

local sh = program.sh
local VERSION = program.lua5:match "%d.%d"

-- Little compressed, to save time.
local MAKE = "env -u MAKEFLAGS -u MAKELEVEL DEB_COMPRESS='-Zgzip -z1' make -s "
  .. "BUILD=${BUILD:-build} "

describe("make deb", function()
  local deb, folder

  setup(function()
    folder = sh("mktemp -d"):gsub("\n", "")
    deb = sh(MAKE .. "deb"):match "(%S+%.deb)"
  end)
  teardown(function() os.execute("rm -rf " .. folder) end)

  it("names version, processor and the libraries that are linked", function()
    local control = sh("dpkg-deb -f %s", deb)
    assert.truthy(deb:find("boxd_" .. require "boxd"._VERSION:match "%S+$"
      .. "_" .. sh "dpkg --print-architecture":gsub("\n", ""), 1, true))
    for _, library in ipairs { "libc6", "libgrpc%d", "libssl3", "libcjson1",
      "libprotobuf%-c1", "libcurl4 | libcurl4t64" } do
      assert.matches("Depends: [^\n]*" .. library, control)
    end
    assert.matches("Recommends: [^\n]*uidmap", control)
    assert.matches("Suggests: lua" .. VERSION .. "\nProvides: lua%-boxd, lua" .. VERSION
      .. "%-boxd\n.*for Lua " .. VERSION .. "\n.*system's Lua " .. VERSION, control)
  end)

  it("is the same bytes each time, whatever the umask and the time zone", function()
    local sum = sh("sha256sum < %s", deb)
    sh("umask 077; rm -rf ${BUILD:-build}/doc; TZ=Asia/Tokyo " .. MAKE .. "deb")
    assert.equal(sum, sh("sha256sum < %s", deb))
  end)

  it("has files of root that everybody can read", function()
    local modes = {}
    for line in sh("dpkg-deb -c %s", deb):gmatch "[^\n]+" do
      local mode, owner, path = line:match "^(%S+) (%S+) .* (%S+)$"
      assert.equal("root/root", owner)
      modes[mode] = true
      assert.equal(path:match "/boxdlua$" ~= nil or mode:sub(1, 1) == "d",
        mode:sub(10) == "x" and not path:match "%.so$", line)
    end
    assert.same({ ["-rw-r--r--"] = true, ["-rwxr-xr-x"] = true,
      ["drwxr-xr-x"] = true }, modes)
  end)

  local function lintian(path)
    local result = program.run { "lintian", "--allow-root", "--no-cfg", "--fail-on",
      "error,warning", path }
    assert.equal("", result.out)
    assert.equal(0, result.status, result.err)
  end

  it("has no fault that lintian finds, except those explained", function()
    lintian(deb)
  end)

  it("has manual pages that mandoc finds nothing wrong with", function()
    sh("dpkg-deb -x %s %s/man", deb, folder)
    for _, page in ipairs { "man1/boxdlua.1", "man3/boxd.3" } do
      local path = ("%s/man/usr/share/man/%s"):format(folder, page)
      sh("gzip -d %s.gz && mandoc -T lint -W warning %s", path, path)
    end
  end)

  it("is made of a source archive, with the archive's time and no name of git", function()
    sh([[mkdir -p %s/dist/build && cp -rp Makefile LICENSE README.md lua proto rockspec \
      scripts spec src .github %s/dist
      tar -C ${BOXD_BUILD:-build} --exclude=./fuzz --exclude=./deb -c . |
        tar -C %s/dist/build -x]], folder, folder, folder)
    sh("touch -d @1700000000 %s/dist/src/core/version.h", folder)
    sh("cd %s/dist && GIT_CEILING_DIRECTORIES=%s env -u BUILD %s", folder, folder,
      "env -u MAKEFLAGS -u MAKELEVEL make -s -o src/core/version.h deb")
    assert.matches("2023%-11%-14", sh("TZ=UTC dpkg-deb -c %s/dist/build/*.deb", folder))
    lintian((sh("echo %s/dist/build/*.deb", folder):gsub("\n", "")))
  end)

  it("installs a boxdlua that runs, and a module that Lua finds", function()
    sh("dpkg-deb -x %s %s/x", deb, folder)
    assert.matches("^boxd ", sh("%s/x/usr/bin/boxdlua -e 'print(boxd._VERSION)'",
      folder))
    local so = sh("cd %s/x && find . -name boxd.so", folder):match "%S+"
    assert.matches("^%./usr/lib/[^/]+/lua/" .. VERSION .. "/boxd%.so$", so)
    assert.truthy(sh("%s -e 'print(package.cpath)'", program.lua5):find(
      so:match "^%.(.*)boxd%.so" .. "?.so", 1, true))
    assert.matches("^boxd ", sh([[cd / && env %s LUA_CPATH=%s/x/%s %s -e \
      'print(require "boxd"._VERSION)']], os.getenv "MODULE_ENV" or "", folder,
      so, program.lua5))
    for _, path in ipairs { "man/man1/boxdlua.1.gz", "man/man3/boxd.3.gz",
      "doc/boxd/copyright", "doc/boxd/changelog.gz", "doc/boxd/api.md",
      "lua/" .. VERSION .. "/boxd/types/box.lua" } do
      sh("test -s %s/x/usr/share/%s", folder, path)
    end
  end)

  it("is upgraded, and leaves nothing when it is purged", function()
    sh([[mkdir -p %s/root/var/lib/dpkg/info %s/root/var/lib/dpkg/updates
      : > %s/root/var/lib/dpkg/status]], folder, folder, folder)
    local dpkg = ("dpkg --root=%s/root --force-depends --force-not-root "
      .. "--force-bad-path --log=/dev/null "):format(folder)
    sh("%s -i %s >/dev/null 2>&1", dpkg, deb)
    sh("test -x %s/root/usr/bin/boxdlua", folder)
    sh([[dpkg-deb -R %s %s/next && cd %s/next && sed -i 's/^Version: .*/&+1/' \
      DEBIAN/control && rm -r usr/share/doc/boxd/html && dpkg-deb \
      --root-owner-group -Znone --build . ../next.deb]], deb, folder, folder)
    sh("%s -i %s/next.deb >/dev/null 2>&1", dpkg, folder)
    assert.matches("%+1\n$", sh("dpkg-query --admindir=%s/root/var/lib/dpkg -f "
      .. "'${Version}\n' -W boxd", folder))
    assert.equal("", sh("%s -V boxd", dpkg))
    sh("%s -P boxd >/dev/null 2>&1", dpkg)
    assert.equal("", sh("cd %s/root && find . -mindepth 1 -path ./var -prune "
      .. "-o -print", folder))
  end)
end)

describe("make dist", function()
  -- Two clones, one of which is set up otherwise, and one's unpacked archive.
  it("makes the same archive of the same commit, and so does make rock", function()
    if not os.execute "git rev-parse -q --verify HEAD >/dev/null 2>&1" then
      return pending "this is no clone"
    end
    local folder = sh("mktemp -d"):gsub("\n", "")
    finally(function() os.execute("rm -rf " .. folder) end)
    -- What the build folder knows of the libraries spares looking for them.
    local function make(path, setting, what)
      return sh([[b=$PWD/${BUILD:-build} && cd %s/%s && mkdir -p build &&
        cp "$b"/libs-*.mk build && %s && env -u MAKEFLAGS -u MAKELEVEL -u BUILD \
        make -s %s >/dev/null && cat build/boxd-*.gz build/*.rock 2>/dev/null |
        sha256sum]], folder, path, setting, what)
    end
    sh("git clone -q . %s/a && (umask 077 && git clone -q . '%s/b c')", folder,
      folder)
    local sum = make("a", "umask 022", "dist rock")
    assert.equal(sum, make("'b c'", "umask 077 && git config tar.umask user && "
      .. "export TZ=Asia/Tokyo LC_ALL=C", "dist rock"))
    sh("cd %s && tar -xzf a/build/boxd-*.gz && mv boxd-* d && mkdir d/build && "
      .. "cp a/build/boxd-*.gz d/build", folder)
    assert.equal(sum, make("d", "umask 077", "rock"))
    assert.truthy(sh("tar -tzf %s/a/build/boxd-*.tar.gz", folder)
      :find "boxd%-[%d.]+/README%.md\n")
  end)
end)
