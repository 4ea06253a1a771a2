-- box:sync_to and box:sync_from between a local folder and a real box.

local boxd = require "boxd"
local calls = require "spec.support.calls"
local failure = require("spec.support.raised").with_class
local support = require "spec.support.service"

local with_root = support.with_root(it, pending)

local function run(line)
  local f <close> = assert(io.popen("set -e; " .. line))
  return f:read "a"
end

local function write(path, data)
  local f <close> = assert(io.open(path, "wb"))
  f:write(data)
end

-- All that is below, but for folders' times.
local LIST = [[cd %s && find . -mindepth 1 \( -type d -printf '%%m %%p\n' -o ]]
  .. [[-printf '%%y %%m %%s %%T@ %%p %%l\n' \) | sort]]

describe("a folder is synchronized so that", function()
  local _, compute = support.of_block()
  local box, here, there
  local count = 0

  setup(function() box = compute.box:create "sync" end)
  before_each(function()
    count = count + 1
    here, there = os.tmpname(), "/home/boxd/s" .. count
    os.remove(here)
    run("mkdir " .. here)
  end)
  after_each(function() run("chmod -R u+w " .. here .. "; rm -rf " .. here) end)

  local function fill()
    run("cd " .. here .. [[; mkdir -p a/b 'n
l' empty ro; echo hi > a/f; echo x > a/b/x.o; ln -s /etc a/out; ln -s ../no gone
echo q > 'n
l/w
'; echo r > ro/r; chmod 755 a/f; chmod 700 a/b; touch ./-dash
touch -d '2001-02-03 04:05:06.789012345' a/f; n=$(printf 'y%.0s' $(seq 150))
mkdir $n; echo 1 > $n/$n; ln -s $n/$n long; head -c 3000000 /dev/zero > big
chmod 555 ro]])
  end

  local function to(opts) return box:sync_to(here, there, opts) end
  local function from(opts) return box:sync_from(there, here, opts) end

  local function same()
    assert.equal(run(LIST:format(here)), box:sh(LIST:format(there)).stdout)
  end

  local function result(sent, deleted, unchanged, bytes)
    return { sent = sent, deleted = deleted, unchanged = unchanged, bytes = bytes }
  end

  it("a time that no integer has becomes the last one that it has", function()
    run("cd " .. here .. "; echo 1 > f; touch -d '2400-01-01' f")
    assert.same(result(1, 0, 0, 2), to())
    assert.equal("2262\n", box:sh("date -r " .. there .. "/f +%Y").stdout)
    assert.same(result(0, 0, 1, 0), to())
    box:sh("touch -d '2500-01-01' " .. there .. "/f")
    assert.same(result(0, 0, 1, 0), to())
    assert.same(result(0, 0, 1, 0), from())
  end)

  it("files, folders and links go both ways as they are, and only once", function()
    fill()
    assert.same(result(10, 0, 0, 3000011), to())
    same()
    assert.same(result(0, 0, 10, 0), to())
    assert.same(result(0, 0, 10, 0), to { checksum = true })
    run("chmod u+w " .. here .. "/ro; rm -rf " .. here)
    assert.same(result(10, 0, 0, 3000011), from())
    same()
    assert.same(result(0, 0, 10, 0), from { checksum = true })
  end)

  it("what changed goes, in kind, mode, size or time, and delete removes", function()
    run("cd " .. here .. "; mkdir d l; echo 1 > d/x; ln -s /etc k; echo 2 > f; "
      .. "echo 3 > m; echo 4 > t; echo 5 > gone")
    to()
    run("cd " .. here .. "; rm -r d k f gone; echo now > d; mkdir k; echo k > k/k; "
      .. "ln -s m f; chmod 600 m; touch -d @5 t")
    assert.same(result(5, 4, 0, 10), to { dry_run = true })
    assert.same("5\n", box:sh("cat " .. there .. "/gone").stdout)
    assert.same(result(5, 4, 0, 10), to())
    assert.same(result(0, 1, 5, 0), to { delete = true })
    same()
    assert.equal("", box:sh("find /etc -name k").stdout)
    box:sh("cd " .. there .. "; rm -r k; ln -s /tmp k; rm d; mkdir d; echo > d/n; "
      .. "chmod 640 m; echo more >> t")
    from { delete = true }
    same()
    assert.equal("link", require "boxd.core".kind(here .. "/k"))
  end)

  it("what lies in a folder without the right to write changes, too", function()
    run("cd " .. here .. "; mkdir -p ro/in go; touch ro/gone go/x; echo 1 > ro/in/f; "
      .. "ln -s f ro/in/l; chmod 555 ro/in ro go")
    to()
    run("cd " .. here .. "; chmod -R u+w .; echo 22 > ro/in/f; echo 3 > ro/in/g; "
      .. "rm -r ro/gone go; chmod 555 ro/in ro")
    assert.same(result(2, 3, 1, 5), to { delete = true })
    same()
    box:sh("cd " .. there .. "; chmod -R u+w .; echo 4 > ro/in/f; rm -r ro/in/g; "
      .. "mkdir go; touch go/x; chmod 555 ro/in ro go")
    assert.same(result(2, 1, 1, 2), from { delete = true })
    same()
    assert.same(result(0, 0, 3, 0), from { delete = true })
    box:sh("cd " .. there .. "; chmod u+w go; rm -r go")
    assert.same(result(0, 2, 2, 0), from { delete = true })
    same()
  end)

  it("a link that was made anew goes, with its time", function()
    run("cd " .. here .. "; ln -s x l; touch -h -d @5 l")
    to()
    run("cd " .. here .. "; touch -h -d @7 l")
    assert.same(result(1, 0, 0, 0), to())
    same()
    box:sh("cd " .. there .. "; touch -h -d @9 l")
    assert.same(result(1, 0, 0, 0), from())
    same()
    assert.same(result(0, 0, 1, 0), from())
  end)

  it("a link of this machine in the place of a folder is not written through",
    function()
      local outside = os.tmpname() .. ".d"
      run("mkdir " .. outside .. "; ln -s " .. outside .. " " .. here .. "/d")
      box:sh("mkdir -p " .. there .. "/d; echo x > " .. there .. "/d/x")
      assert.same(result(1, 1, 0, 2), from())
      same()
      assert.equal("", run("ls " .. outside .. "; rmdir " .. outside))
    end)

  it("excluded paths neither go nor are removed", function()
    run("cd " .. here .. "; mkdir -p build src/build a/t; touch build/x "
      .. "src/build/y src/m.o src/keep.o src/m.c a/t/z b.log")
    local options = { delete = true, exclude = { "*.o", "!keep.o", "/build",
      "t/", "?.l[of]g", "**/none" } }
    assert.same(result(3, 0, 0, 0), to(options))
    assert.equal("src/build/y\nsrc/keep.o\nsrc/m.c\n",
      box:sh("cd " .. there .. "; find -type f -printf '%P\n' | sort").stdout)
    box:sh("cd " .. there .. "; mkdir -p build gone/t; touch build/z gone/t/z gone/w")
    assert.same(1, to(options).deleted)
    assert.equal("build/z\ngone/t/z\n", box:sh("cd " .. there
      .. "; find -name z -printf '%P\n' | sort").stdout)
    failure("InvalidArgumentError", to, { exclude = { "" } })
  end)

  it("checksum tells files of one size and time apart", function()
    write(here .. "/f", "one")
    to()
    box:sh("cd " .. there .. "; touch -r f r; printf two > f; touch -r r f; rm r")
    assert.equal(0, to().sent)
    assert.equal(1, to { checksum = true }.sent)
    assert.equal("one", box:read_file(there .. "/f"))
    run("touch " .. here .. "/f")
    assert.equal(0, to { checksum = true }.sent)
  end)

  it("a file that changes while it is read arrives as it is then", function()
    local path, changes = here .. "/f", 0
    write(path, ("x"):rep(1000000))
    local function shrink()
      if changes == 0 then write(path, "short") end
      changes = changes + 1
    end
    assert.equal(1, to { progress = shrink }.sent)
    assert.equal("short", box:read_file(there .. "/f"))
    write(path, ("x"):rep(1000000))
    local entry = require "boxd.core".folder(here)[1]
    local changed = require "boxd.internal.sync.send"(box, here, { f = entry },
      { "f" }, there, function() write(path, "tiny") end, {})
    assert.same({ f = "short" }, changed)
    to()
    same()
  end)

  it("a file that goes while the box's folder is listed is not there", function()
    local writer <close> = box:sh("mkdir churn; cd churn; echo begun; while :; do "
      .. "mkdir d; touch $(seq 300) d/1; rm -r *; done",
      { stream = true, killable = true })
    writer:read_stdout()
    for _ = 1, 40 do
      local report = box:sync_to(here, "churn", { dry_run = true })
      assert.equal(0, report.deleted)
    end
    writer:kill()
  end)

  with_root("such a file is known in a box that speaks another language", function()
    box:write_file([[#!/bin/sh
      /usr/bin/find "$@"
      why="Datei oder Verzeichnis nicht gefunden"
      [ "$LC_ALL" = C ] && why="No such file or directory"
      echo "find: './gone': $why" >&2
      exit 1]], "/usr/local/bin/find", { owner = "root", mode = "755" })
    local _drop <close> = setmetatable({}, { __close = function()
      box:sh "sudo rm /usr/local/bin/find"
    end })
    run("cd " .. here .. "; echo 1 > f")
    assert.same(result(1, 0, 0, 2), to())
    assert.same(result(0, 0, 1, 0), to())
  end)

  it("one that is interrupted completes when it runs again", function()
    for i = 1, 50 do write(here .. "/f" .. i, ("x"):rep(50000)) end
    for _ = 1, 5 do
      local seen = 0
      local task
      task = boxd.spawn(function()
        boxd.sleep(0)
        to { progress = function()
          seen = seen + 1
          if seen == 4 then task:cancel() end
        end }
      end)
      assert.is_false((pcall(task.join, task)))
    end
    to()
    same()
    local fresh = here .. "/copy"
    local task = boxd.spawn(function()
      box:sync_from(there, fresh, { progress = function() error "stop" end })
    end)
    assert.is_false((pcall(task.join, task)))
    assert.equal("", run("find " .. fresh .. " -name '.boxd*'"))
    box:sync_from(there, fresh)
    assert.equal("", run("diff -r " .. fresh .. " " .. here .. " | grep -v copy || :"))
  end)

  it("another user's folder is kept the same by that user", function()
    fill()
    local path = "/tmp/of-nobody" .. count
    box:sh(("mkdir %s && sudo chown nobody: %s && sudo chmod 700 %s"):format(path, path,
      path), { check = true })
    local function as(opts)
      opts.user = "nobody"
      return box:sync_to(here, path, opts)
    end
    assert.equal(10, as({}).sent)
    assert.same(result(0, 0, 10, 0), as {})
    assert.same(result(0, 0, 10, 0), as { checksum = true, delete = true })
    assert.equal("nobody", box:stat(path .. "/a/f").owner)
    assert.equal(run(LIST:format(here)), box:sh(LIST:format(path), { user = "nobody" })
      .stdout)
    os.remove(here .. "/a/f")
    assert.same(result(0, 1, 9, 0), as { delete = true })
    local back = here .. "/back"
    run("mkdir " .. back)
    assert.equal(9, box:sync_from(path, back, { user = "nobody" }).sent)
    assert.equal(0, box:sync_from(path, back, { user = "nobody", checksum = true }).sent)
    failure("BoxdError", box.sync_from, box, path, back)
    box:sync_to(here, "/srv/of-root", { user = "root", exclude = { "/back" } })
    assert.equal("root", box:stat "/srv/of-root/a".owner)
    run("chmod u+w " .. back .. "/ro")
  end)

  it("watch sends changes until it is cancelled", function()
    write(here .. "/f", "1")
    local task = boxd.spawn(to, { watch = true, delete = true })
    local function has(data)
      support.eventually(function()
        return box:sh("cat " .. there .. "/*").stdout == data
      end)
    end
    has "1"
    write(here .. "/f", "22")
    has "22"
    write(here .. "/g", "3")
    has "223"
    os.remove(here .. "/f")
    has "3"
    assert.equal("running", task.status)
    task:cancel()
    failure("CancelledError", task.join, task)
  end)

  it("another user of the box owns, compares and removes, by user", function()
    box:sh("sudo mkdir -m 700 " .. there)
    write(here .. "/f", "one")
    write(here .. "/g", "gone")
    to { user = "root" }
    assert.equal("root", box:sh("sudo stat -c %U " .. there .. "/f").stdout:sub(1, -2))
    run("rm " .. here .. "/g; touch -d @1000000000 " .. here .. "/f")
    box:sh("sudo sh -c 'printf two > " .. there .. "/f; touch -d @1000000000 "
      .. there .. "/f'")
    assert.same(result(1, 1, 0, 3), to { user = "root", delete = true, checksum = true })
    assert.equal("one", box:sh("sudo sh -c 'cat " .. there .. "/*'").stdout)
  end)

  it("a set of characters in a pattern stays within a name", function()
    run("cd " .. here .. "; mkdir -p d/a; touch d/abc d/a/c d/axc")
    assert.same(result(2, 0, 0, 0), to { exclude = { "d/a[!b]c" } })
    assert.equal("a\na/c\nabc\n", box:sh("cd " .. there .. "/d && find * | sort").stdout)
  end)

  it("a local file that can't be written is named", function()
    box:sh("mkdir " .. there .. "; echo x > " .. there .. "/a")
    run("cd " .. here .. "; mkdir a; touch a/keep")
    local e = failure("InvalidArgumentError", from, { exclude = { "keep" } })
    assert.matches("^can't write " .. here .. "/a: .*Is a directory", e.message)
  end)

  it("says why it refuses a folder", function()
    failure("InvalidArgumentError", box.sync_to, box, here .. "/none", "x")
    failure("NotFoundError", box.sync_from, box, "/srv/none", here)
    assert.has_error(function() box:sync_to(here) end)
    failure("InvalidArgumentError", to, { excluded = {} })
    write(here .. "/f", "x")
    assert.matches("/proc/x", failure("BoxdError", box.sync_to, box, here,
      "/proc/x").message)
    run("mkfifo " .. here .. "/pipe")
    assert.matches("pipe", failure("InvalidArgumentError", to).message)
    assert.equal(1, to { exclude = { "pipe" } }.sent)
  end)

  it("a box can't have it write outside of the folder", function()
    for _, path in ipairs { "../x", "/etc/x", "a/../../x", "a//b", "" } do
      local s <close> = calls.start { Exec = function(call)
        call:send { stdout = "f 644 1 1.0 " .. path .. "\0\0", exit_code = 0 }
        call:finish()
      end }
      failure("InternalError", s.box.sync_from, s.box, "/srv", here)
    end
    assert.equal("", run("ls " .. here))
  end)
end)
