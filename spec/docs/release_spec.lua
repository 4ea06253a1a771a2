-- scripts/release: a tree that is ready, and one with each fault.

local program = require "spec.support.program"

local sh = program.sh

describe("scripts/release", function()
  local folder

  -- A clone of its own, with one commit that is ready, made on 2 January.
  setup(function()
    folder = sh("mktemp -d"):gsub("\n", "")
    sh([[cp --parents -rp rockspec scripts/release src/core/version.h \
        src/boxdlua/boxdlua.1 lua/boxd/types .github/CHANGELOG.md %s
      cd %s
      printf '# Changes\n\n## 0.1.0\n\nThe first.\n' > .github/CHANGELOG.md
      sed -i 's/BX_VERSION ".*"/BX_VERSION "0.1.0"/' src/core/version.h
      sed -i 's/^.Dd .*/.Dd January 2, 2026/' src/boxdlua/boxdlua.1
      echo 'echo "scripts/test: $*"' > scripts/test
      git init -q -b main
      git config user.name spec
      git config user.email spec@localhost]], folder, folder)
  end)
  teardown(function() os.execute("rm -rf " .. folder) end)

  local function commit(day)
    sh([[cd %s && git add -A && GIT_COMMITTER_DATE='2026-01-%02dT12:00:00' \
      git commit -q --allow-empty -m spec]], folder, day)
  end

  setup(function()
    commit(2)
    sh("cd %s && git tag ready", folder)
  end)
  after_each(function()
    sh([[cd %s && git reset -q --hard ready && git clean -fdq && git tag | grep -v ready |
      xargs -r git tag -d]], folder)
  end)

  -- What it finds wrong, and its exit status.
  local function wrong(version)
    local result = program.run { "sh", folder .. "/scripts/release", version }
    assert.equal("", result.err)
    local list = {}
    for what in ("\n" .. result.out):gmatch "\nwrong ([^\n]*)" do
      list[#list + 1] = what
    end
    assert.equal(#list > 0 and 1 or 0, result.status, result.out)
    return table.concat(list, "; "), result.out
  end

  -- Does that to the tree, commits it on 3 January, and looks.
  local function after(command, version)
    sh("cd %s && { %s; }", folder, command)
    commit(3)
    return wrong(version)
  end

  it("finds nothing wrong with a tree that is ready", function()
    assert.equal("", (wrong()))
    assert.equal("", (wrong "0.1.0"))
  end)

  it("finds nothing wrong where the tag is on this commit, as in CI", function()
    sh("cd %s && git tag -a -m release v0.1.0", folder)
    assert.equal("", (wrong "0.1.0"))
  end)

  it("names a version that is not that of the source", function()
    assert.matches("^src/core/version.h has version 0.1.0$",
      after("sed -i 's/BX_VERSION .*/BX_VERSION \"0.1.9\"/' src/core/version.h",
        "0.1.0"))
    assert.matches("has version 0.2.0; .*rockspec.*0.2.0.*; .*CHANGELOG.*0.2.0",
      (wrong "0.2.0"))
  end)

  it("names a rockspec of another version, or none", function()
    assert.matches("^rockspec/boxd%-0.1.0%-1.rockspec has that version$",
      after "sed -i 's/^version = .*/version = \"0.1.1-1\"/' rockspec/boxd-0*")
    assert.matches("^rockspec/", after "git rm -q rockspec/boxd-0*")
  end)

  it("names changes without a section for the version", function()
    local missing = "^.github/CHANGELOG.md has a section 0.1.0$"
    for _, heading in ipairs { "0.1.01", "0x1.0", "0.1", "0.1.0.1" } do
      assert.matches(missing, after("sed -i 's/^## .*/## " .. heading
        .. "/' .github/CHANGELOG.md"))
    end
  end)

  it("names changes that are in no version", function()
    local text = [[printf '# Changes\n\n## Unreleased\n%s\n## 0.1.0\n\nOld.\n' \
      > .github/CHANGELOG.md]]
    assert.equal("", (after(text:format "")))
    assert.matches("^.github/CHANGELOG.md has no changes under Unreleased$",
      after(text:format "\\n- More.\\n"))
  end)

  it("names a manual page whose text is younger than its date", function()
    local page = "src/boxdlua/boxdlua.1"
    assert.equal("", (after("sed -i 's/^\\.Nd .*/.Nd a program/' " .. page)))
    assert.matches("^" .. page:gsub("%.", "%%.") .. " has the date of its last change$",
      after("echo 'More text.' >> " .. page))
    assert.equal("", (after("sed -i 's/^.Dd .*/.Dd January 3, 2026/' " .. page)))
  end)

  it("names a manual page that is younger by its annotations", function()
    assert.matches("has the date of its last change$",
      after "echo '--- More text.' >> lua/boxd/types/box.lua")
  end)

  it("names a tag that is on another commit", function()
    sh("cd %s && git tag v0.1.0", folder)
    assert.matches("^the tag v0.1.0 is free, or on this commit$", after ":")
  end)

  it("names changes and files that are not committed, and shows them", function()
    sh("cd %s && echo >> scripts/test", folder)
    local what, out = wrong()
    assert.equal("everything is committed", what)
    assert.matches("\n +M scripts/test\n", out)
    sh("cd %s && git checkout -q scripts/test && touch new", folder)
    assert.equal("everything is committed", (wrong()))
  end)

  it("names a shallow clone, and a folder that is none", function()
    after ":"
    sh("cd %s && git clone -q --depth 1 file://$PWD shallow", folder)
    for _, prepare in ipairs { "true", "rm -rf .git" } do
      sh("cd %s/shallow && %s", folder, prepare)
      local result = program.run { "sh", folder .. "/shallow/scripts/release",
        env = { GIT_CEILING_DIRECTORIES = folder } }
      assert.matches("wrong this is a clone with its whole history\n", result.out)
      assert.equal(1, result.status)
    end
    sh("rm -rf %s/shallow", folder)
  end)

  it("names annotations that are not what the module has", function()
    local what, out = after "echo 'exit 1' >> scripts/test"
    assert.equal("the annotations are what the module has", what)
    assert.matches("scripts/test: spec/docs/types_spec.lua\n", out)
  end)
end)
