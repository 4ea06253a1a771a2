-- scripts/deps on systems that are pretended: an os-release of their own, and
-- id, apt, dpkg, sudo and pkg-config that say what a spec wants. For real, in bare
-- systems: scripts/fresh bookworm sh scripts/deps.

local program = require "spec.support.program"
local terminal = require "spec.support.terminal"

local sh = program.sh

-- What the script itself runs.
local TOOLS = { "awk", "cat", "echo", "env", "grep", "sed", "sh", "tr", "true", "xargs" }

describe("scripts/deps", function()
  local folder

  before_each(function()
    folder = sh("mktemp -d"):gsub("\n", "")
    sh("mkdir %s/bin", folder)
    for _, tool in ipairs(TOOLS) do
      sh("ln -s /usr/bin/%s %s/bin", tool, folder)
    end
  end)
  after_each(function() os.execute("rm -rf " .. folder) end)

  -- A program of the pretended system.
  local function tool(name, body)
    local path = folder .. "/bin/" .. name
    sh("rm -f %s", path)
    local f <close> = assert(io.open(path, "w"))
    f:write("#!/bin/sh\n", body, "\n")
    f:close()
    sh("chmod +x %s", path)
  end

  -- root's Debian-like system: dpkg knows the packages of the file "installed",
  -- and each run of apt-get is a line of the file "apt", before `body` runs.
  local function apt(body)
    sh("touch %s/installed %s/apt", folder, folder)
    tool("id", "echo 0")
    tool("dpkg-query", ([[
      shift 3
      for p; do grep -qx "$p" %s/installed && echo installed || bad=1; done
      exit ${bad:-0}]]):format(folder))
    tool("apt-get", ([[echo "$*" >> %s/apt
      shift
      case $1 in
        install)
          %s
          shift 3
          printf '%%s\n' "$@" >> %s/installed ;;
      esac]]):format(folder, body or ":", folder))
  end

  -- How it is run on the system of that ID and VERSION_ID.
  local function on(system, ...)
    local id, version = system:match "^(%S+) ?(.*)$"
    sh("printf 'ID=%%s\nVERSION_ID=\"%%s\"\n' %s '%s' > %s/os-release", id, version,
      folder)
    if version == "" then sh("sed -i 2d %s/os-release", folder) end
    return { folder .. "/bin/sh", "scripts/deps", env = { PATH = folder .. "/bin",
      OS_RELEASE = folder .. "/os-release", LUA = "", LUA_PC = "" }, ... }
  end

  local function deps(...) return program.run(on(...)) end

  local function read(name)
    local f <close> = assert(io.open(folder .. "/" .. name))
    return f:read "a"
  end

  it("installs the packages of each group by the system's names, once", function()
    for system, names in pairs {
      ["debian 12"] = "clang%-14\nlibclang%-rt%-14%-dev\n",
      ["debian 13"] = "clang%-19\nlibclang%-rt%-19%-dev\n",
      ["ubuntu 24.04"] = "clang%-18\nlibclang%-rt%-18%-dev\n",
      ["ubuntu 26.04"] = "clang%-21\nlibclang%-rt%-21%-dev\n",
      ["debian"] = "clang\nlibclang%-rt%-dev\n" } do
      apt()
      local result = deps(system)
      assert.equal(0, result.status, result.err)
      local installed = read "installed"
      for _, name in ipairs { "gcc", "libgrpc%-dev", "slirp4netns", "lua%-busted",
        system == "debian 12" and "libcurl4" or "libcurl4t64" } do
        assert.matches("\n" .. name .. "\n", "\n" .. installed)
      end
      assert.matches(names, installed)
      assert.equal(system:find "^debian 1" == nil,
        result.err:find("scripts/deps: " .. system .. " is untested: going on", 1,
          true) ~= nil)
      assert.equal(1, select(2, read "apt":gsub("\n", "")))
      result = deps(system)
      assert.equal("", result.out)
      assert.equal(1, select(2, read "apt":gsub("\n", "")))
      sh("rm %s/apt %s/installed", folder, folder)
    end
  end)

  it("takes groups apart, and knows no other", function()
    apt()
    assert.equal(0, deps("debian 12", "run").status)
    assert.is_nil(read "installed":find "gcc" or read "installed":find "clang")
    assert.equal(0, deps("debian 12", "build", "deb").status)
    assert.matches("\ngcc\n.*\ndpkg%-dev\n", read "installed")
    assert.is_nil(read "installed":find "clang")
    local result = deps("debian 12", "build", "rn")
    assert.equal(1, result.status)
    assert.matches("no group is called 'rn': build, run, test, deb", result.err)
  end)

  it("updates lists of packages that are missing, without a complaint", function()
    apt(([[grep -q update %s/apt || { echo "E: no lists" >&2; exit 100; }]])
      :format(folder))
    local result = deps("debian 13", "run")
    assert.equal(0, result.status, result.err)
    assert.is_nil(result.err:find "no lists")
    assert.matches("%-qq install[^\n]*\n%-qq update[^\n]*\n%-qq install", read "apt")
  end)

  it("says what apt said, and which packages it could not install", function()
    apt 'echo "E: the network is down" >&2; exit 100'
    local result = deps("debian 13", "run")
    assert.equal(1, result.status)
    assert.matches("^E: the network is down\n"
      .. "scripts/deps: apt%-get could not install: libedit2 [^\n]*libcurl4t64\n$",
      result.err)
  end)

  it("shows on a terminal how far apt is, and nothing of that elsewhere", function()
    apt [[printf '%s\n' 'Selecting gcc' dlstatus:1:37.5:Retrieving \
      pmstatus:gcc:62.9:Unpacking]]
    local out, status = terminal.play(on("debian 12", "run"), { { "end" } })
    assert.equal(0, status, out)
    assert.matches("\rscripts/deps: downloading 37 %%", out)
    assert.matches("\rscripts/deps: installing 62 %%", out)
    assert.is_nil(out:find "gcc")
    sh("rm %s/installed", folder)
    local result = deps("debian 12", "run")
    assert.equal("", result.err)
    assert.is_nil(result.out:find "downloading")
  end)

  it("asks sudo where the user is not root", function()
    apt()
    tool("id", "echo 1000")
    local result = deps("debian 12", "run")
    assert.equal(1, result.status)
    assert.matches("not root, and no sudo; as root: apt%-get install libedit2 ",
      result.err)
    tool("sudo", "echo 'sudo: not for you' >&2; exit 1")
    result = deps("debian 12", "run")
    assert.equal(1, result.status)
    assert.matches("^sudo: not for you\nscripts/deps: sudo refuses; as root: "
      .. "apt%-get install libedit2 [^\n]*\n$", result.err)
    assert.equal("", read "apt")
    tool("sudo", ('echo sudo "$@" >> %s/sudo; "$@"'):format(folder))
    assert.equal(0, deps("debian 12", "run").status)
    assert.matches("sudo env DEBIAN_FRONTEND=noninteractive apt%-get", read "sudo")
    assert.matches("libedit2\n", read "installed")
  end)

  describe("on a system whose names it does not know", function()
    -- Its programs and libraries, all that groups build and run need.
    local function complete(lua, version)
      for _, name in ipairs { "cc", "c++", "make", "protoc", "protoc-c", "newuidmap",
        "slirp4netns", "nft" } do
        tool(name, "")
      end
      tool(lua, "printf 'Lua " .. (version or "5.4") .. "'")
      tool("pkg-config", ([[shift
        for p; do
          case $p in
            "grpc >= 29" | libprotobuf-c | libcjson | "libcurl >= 7.85" | \
              "openssl >= 3" | libedit | zlib | "%s "*) ;;
            *) exit 1 ;;
          esac
        done]]):format(lua))
    end

    it("names at once all that is lacking, and installs nothing", function()
      apt()
      sh("rm %s/bin/apt-get", folder)
      for _, system in ipairs { "fedora 43", "arch", "alpine 3.22", "debian 12" } do
        local result = deps(system, "build", "run")
        assert.equal(1, result.status)
        local id = system:find " " and system or system .. " "
        assert.truthy(result.out:find("this system is " .. id .. ": nothing is "
          .. "installed. It lacks\n", 1, true), result.out)
        for _, what in ipairs { "program cc", "program protoc-c", "program newuidmap",
          "program lua, of version 5.4 or 5.5", "library grpc>=29", "library openssl>=3",
          "library lua, of version 5.4 or 5.5" } do
          assert.truthy(result.out:find("\n  the " .. what, 1, true), what)
        end
        assert.matches("install these, by the names they have there", result.err)
      end
    end)

    it("goes on where nothing is lacking, whatever Lua is called there", function()
      for lua, version in pairs { ["lua5.4"] = 5.4, ["lua-5.4"] = 5.4, lua54 = 5.4,
        lua = 5.5, ["lua5.5"] = 5.5, ["lua-5.5"] = 5.5, lua55 = 5.5 } do
        complete(lua, version)
        local result = deps("fedora 43", "build")
        assert.equal(0, result.status, result.out .. result.err)
        assert.equal("", result.out .. result.err)
        sh("rm %s/bin/%s", folder, lua)
      end
    end)

    it("names one thing that is lacking alone, or too old", function()
      complete "lua"
      local function lacks(what)
        local result = deps("fedora 43", "build")
        assert.equal(1, result.status)
        assert.equal("scripts/deps: this system is fedora 43: nothing is installed. "
          .. "It lacks\n  the " .. what .. "\n", result.out)
      end
      tool("lua", "printf 'Lua 5.1'")
      lacks "program lua, of version 5.4 or 5.5"
      complete "lua"
      sh("rm %s/bin/protoc-c", folder)
      lacks "program protoc-c"
      complete "lua"
      sh("sed -i 's/\"grpc >= 29\"/grpc/' %s/bin/pkg-config", folder)
      lacks "library grpc>=29 (for pkg-config)"
    end)
  end)
end)
