-- What the Makefile offers for everyday work.

local boxd = require "boxd"
local program = require "spec.support.program"

local MAKE = "env -u MAKEFLAGS -u MAKELEVEL make -s BUILD=${BUILD:-build} "

local function sh(command)
  local result = program.run { "sh", "-c", command }
  assert.equal(0, result.status, result.out .. result.err)
  return result.out
end

describe("the top level", function()
  it("holds what belongs there, and no file more", function()
    assert.equal("LICENSE Makefile README.md lua proto rockspec scripts spec src",
      (sh("LC_ALL=C ls | grep -vE '^(build|compile_commands)' | tr '\\n' ' '"):gsub(" $", "")))
    assert.equal("2 rules.mk\n",
      sh "echo $(ls rockspec/*.rockspec | wc -l) $(ls rockspec | grep -v '\\.rockspec$')")
  end)
end)

describe("the Makefile", function()
  it("explains its targets in make help", function()
    local help = sh(MAKE .. "help")
    for _, name in ipairs { "all", "check", "quick", "test", "install", "doc",
      "asan", "coverage", "bench", "fuzz", "rock", "torture" } do
      assert.matches("\nmake " .. name .. " +%a", "\n" .. help)
    end
  end)

  it("explains only targets that exist", function()
    local rules = sh(MAKE .. "-prq : 2>/dev/null || true")
    for name in sh(MAKE .. "help"):gmatch "make (%S+)" do
      assert.truthy(rules:find("\n" .. name .. ":", 1, true), name)
    end
  end)

  it("says how each C file is compiled in compile_commands.json", function()
    local there = program.run { "test", "-e", "compile_commands.json" }.status
    sh(MAKE .. "-B compile_commands.json")
    local f <close> = assert(io.open "compile_commands.json")
    local list, seen = boxd.json.decode(f:read "a"), {}
    if there ~= 0 then os.remove "compile_commands.json" end
    for _, entry in ipairs(list) do
      assert.matches(" %-std=c11 .* %-c " .. entry.file:gsub("%p", "%%%0") .. "$",
        entry.command)
      seen[entry.file] = true
    end
    for path in sh "ls src/*/*.c":gmatch "%S+" do
      assert.is_true(seen[path], path)
    end
  end)

  it("finds Lua and its headers by the names that other systems give them", function()
    local folder = sh("mktemp -d"):gsub("\n", "")
    finally(function() os.execute("rm -rf " .. folder) end)
    sh("cd " .. folder .. [[ && for p in sh sed find make git sort; do
      ln -s /usr/bin/$p $p; done; printf '#!/bin/sh\necho 5.4\n' > lua-any
      printf '#!/bin/sh\ncase $2 in "$NAME >= 5.4") ;;
        *) exit 1 ;; esac\n' > pkg-config
      chmod +x lua-any pkg-config]])
    for _, names in ipairs { { "lua5.4", "lua5.4" }, { "lua54", "lua54" },
      { "lua-5.4", "lua-5.4" }, { "lua", "lua" }, { "lua5.4", "lua" }, { "lua55", "lua" } } do
      sh(("cd %s && ln -s lua-any %s"):format(folder, names[1]))
      local out = sh(("env -u MAKEFLAGS -u LUA -u LUA_PC PATH=%s NAME=%s make BUILD=none "
        .. "-pq help 2>/dev/null; :"):format(folder, names[2]))
      assert.truthy(out:find("\nLUA_PC := " .. names[2] .. "\n", 1, true), out)
      assert.matches("\nLUA := [^\n]*" .. names[1]:gsub("%p", "%%%0") .. "\n", out)
      sh(("rm %s/%s"):format(folder, names[1]))
    end
  end)

  it("builds all anew for another Lua, and goes on with it where none is named", function()
    local folder = sh("mktemp -d"):gsub("\n", "")
    finally(function() os.execute("rm -rf " .. folder) end)
    -- Two versions, both with the headers of the one that is here, and with what
    -- the build knows of libraries, to save time.
    local here = program.lua5:match "%d.%d"
    sh(([[d=$PWD/${BUILD:-build} && mkdir %s/b && cd %s && for v in 5.8 5.9; do
      printf '#!/bin/sh\necho '$v > lua$v; cp $d/libs-lua%s.mk b/libs-lua$v.mk; done
      printf '#!/bin/sh\necho "$*" | sed "s/5[.][89]/%s/g" | xargs pkg-config' > pkg-config
      chmod +x lua* pkg-config]]):format(folder, folder, here, here))
    local function make(how, version)
      return sh(("env -u MAKEFLAGS -u MAKELEVEL -u LUA -u LUA_PC -u LUA_VERSION "
        .. "make -s BUILD=%s/b PKG_CONFIG=%s/pkg-config %s %s"):format(folder, folder,
        version and "LUA=" .. folder .. "/lua" .. version or "", how))
    end
    local object = folder .. "/b/src/core/text.o"
    -- 1 when it is to be made, and the version that it is for.
    local function state(version)
      return make(("-pq %s > %s/db; echo $? $(grep ^LUA_VERSION %s/db)"):format(object,
        folder, folder), version)
    end
    for _, version in ipairs { "5.8", "5.9", "5.8" } do
      assert.equal("1 LUA_VERSION := " .. version .. "\n", state(version))
      make(object, version)
      assert.equal("0 LUA_VERSION := " .. version .. "\n", state())
    end
  end)

  it("tests with the Lua that the build folder is for, or another one that is named",
    function()
      local folder = sh("mktemp -d"):gsub("\n", "")
      finally(function() os.execute("rm -rf " .. folder) end)
      sh(([[mkdir -p %s/scripts %s/b %s/spec/module; cp scripts/test %s/scripts; cd %s
        : > scripts/deps; touch spec/module/x_spec.lua; echo 'all: ; @echo made for $(LUA)
%%: ; @:' > Makefile
        for p in lua5.4 lua5.9 other/lua5.9; do mkdir -p $(dirname $p)
          printf '#!/bin/sh\necho "$0 and $LUA"\n' > $p; chmod +x $p; done
        ln -s lua5.4 busted]]):format(folder, folder, folder, folder, folder))
      -- What make and the spec were run with; built: the folder's first word.
      local function run(built, lua)
        sh(("cd %s; rm -f b/built-for; [ -z '%s' ] || echo '%s x' > b/built-for"):format(
          folder, built, built))
        local out = program.run { "env", "-u", "LUA", "-u", "MAKEFLAGS", "BUILD=b",
          lua and "LUA=" .. lua or "BUILD=b", "PATH=" .. folder .. ":/usr/bin:/bin",
          "sh", folder .. "/scripts/test", "spec/module/x_spec.lua" }.out
        local made, ran, named = out:match "made for (%S+).*\n(%S+) and (%S+)\n"
        assert(made, out)
        assert.equal(made, named)
        return named, (ran:gsub("^.*/", ""))
      end
      assert.same({ "lua5.4", "lua5.4" }, { run "" })
      assert.same({ "lua5.9", "lua5.9" }, { run(folder .. "/lua5.9") })
      assert.same({ "lua5.4", "lua5.4" }, { run(folder .. "/lua5.9", "lua5.4") })
      local elsewhere = folder .. "/other/lua5.9"
      assert.same({ elsewhere, "lua5.9" }, { run(elsewhere) })
    end)

  it("names every lint of make check in its continuous integration", function()
    assert.matches("\nmake check\n", sh "cat .ci/run")
    assert.matches("make check", sh "cat .github/workflows/ci.yml")
  end)
end)
