-- boxd.local.vars, and the kinds of API keys.

local support = require "spec.support.service"

local refused = support.refused

describe("variables of the embedded service", function()
  local service, compute, call = support.of_block()
  after_each(function()
    for _, var in ipairs(compute:call("ListVars").vars) do
      compute:call("RemoveVar",
        { kind = var.kind, name = var.name, scope = var.scope })
    end
    service:empty()
  end)

  local function set(kind, name, value, scope)
    return call("SetVar",
      { kind = kind, name = name, value = value, scope = scope }).message
  end

  local function value(box, name)
    return box:sh("printenv " .. name).stdout:gsub("\n$", "")
  end

  it("are in the environment of boxes' commands, as their scopes say",
    function()
      local id = call("CreateVm", { name = "e",
        env = { { key = "OWN", value = "own" } } }).vm_id
      local box = compute.box:get(id)
      assert.matches("NAME", set("env", "NAME", "for all", "all"))
      assert.equal("for all", value(box, "NAME"))
      set("env", "NAME", "mine")
      assert.equal("mine", value(box, "NAME"))
      set("env", "NAME", "mine 'two' $HOME\nlines")
      assert.equal("mine 'two' $HOME\nlines", value(box, "NAME"))
      set("env", "OWN", "not this")
      assert.equal("own", value(box, "OWN"))
      set("secret", "TOKEN", "hush")
      assert.equal("hush", value(box, "TOKEN"))
      set("secret", "LOOSE", "hush", "unattached")
      assert.equal("", value(box, "LOOSE"))
      set("env", "TEAM", "x", "shared")
      assert.equal("", value(box, "TEAM"))
      call("RemoveVar", { kind = "env", name = "NAME" })
      assert.equal("for all", value(box, "NAME"))
    end)

  it("are listed, secrets without their values", function()
    set("env", "A", "a")
    set("secret", "B", "b", "all")
    local list = call("ListVars").vars
    assert.equal(2, #list)
    assert.equal("A", list[1].name)
    assert.equal("a", list[1].value)
    assert.equal("private", list[1].scope)
    list = call("ListVars", { kind = "secret" }).vars
    assert.equal(1, #list)
    assert.equal("B", list[1].name)
    assert.equal("all", list[1].scope)
    assert.is_nil(list[1].value)
  end)

  it("move between scopes, once", function()
    local box = compute.box:create "m"
    set("secret", "S", "v", "unattached")
    assert.equal("", value(box, "S"))
    local move = { name = "S", from = "unattached", to = "private" }
    call("SetSecretScope", move)
    assert.equal("v", value(box, "S"))
    refused("NOT_FOUND", call, "SetSecretScope", move)
    set("env", "E", "v")
    refused("INVALID_ARGUMENT", call, "SetSecretScope",
      { name = "E", from = "private", to = "unattached" })
    set("env", "E", "w", "all")
    refused("ALREADY_EXISTS", call, "SetSecretScope",
      { name = "E", from = "private", to = "all" })
  end)

  it("are refused where they make no sense", function()
    set("env", "X", "1")
    refused("ALREADY_EXISTS", set, "secret", "X", "2")
    refused("INVALID_ARGUMENT", set, "other", "Y", "1")
    refused("INVALID_ARGUMENT", set, "env", "a b", "1")
    refused("INVALID_ARGUMENT", set, "env", "", "1")
    refused("INVALID_ARGUMENT", set, "env", "Y", "1", "everywhere")
    refused("INVALID_ARGUMENT", set, "env", "Y", "1", "unattached")
    refused("NOT_FOUND", call, "RemoveVar", { kind = "secret", name = "X" })
    assert.matches("without domains", refused("UNIMPLEMENTED", call, "SetVar",
      { kind = "secret", name = "Z", value = "1", domains = { "a.com" } }))
  end)

  it("are kept over a kill, in files for one user", function()
    set("secret", "KEPT", "hush-hush")
    local box = compute.box:create "k"
    service:restart "KILL"
    assert.equal("hush-hush", value(compute.box:get(box.id), "KEPT"))
    local f <close> = io.popen(("grep -rl hush-hush %s/vars | xargs stat -c %%a")
      :format(service.state))
    assert.equal("600\n", f:read "a")
    assert.is_nil(service:errors():find("hush", 1, true))
  end)

  it("stand beside API keys of two kinds", function()
    local made = call("CreateApiKey", { name = "ci", kind = "org",
      org = "acme" })
    refused("INVALID_ARGUMENT", call, "CreateApiKey",
      { name = "x", kind = "root" })
    local by_id = {}
    for _, key in ipairs(call("ListApiKeys").keys) do by_id[key.id] = key end
    local key = by_id[made.id]
    assert.equal("org", key.kind)
    assert.equal("acme", key.org)
    assert.equal("local user", key.created_by)
    assert.is_true(key.mine)
    assert.equal(0, key.last_used_at or 0)
    do
      local c <close> = service:connect { api_key = made.api_key }
      c:whoami()
    end
    for _, k in ipairs(call("ListApiKeys").keys) do by_id[k.id] = k end
    assert.is_true(by_id[made.id].last_used_at >= os.time() - 60)
  end)
end)
