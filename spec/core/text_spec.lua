-- Sizes, endpoints, shell quoting (against a real sh), near names, UTF-8.

local text = require "boxd.core".text
local boxd = require "boxd"

local function refused(message, fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok, "accepted")
  assert.is_true(boxd.is_error(err, boxd.InvalidArgumentError), tostring(err))
  assert.is_truthy(err.message:find(message, 1, true),
    ("%q does not hold %q"):format(err.message, message))
end

local function scratch(content)
  local name = os.tmpname()
  local file = assert(io.open(name, "wb"))
  file:write(content)
  file:close()
  return name
end

local function read_all(name)
  local file = assert(io.open(name, "rb"))
  local content = file:read "a"
  file:close()
  os.remove(name)
  return content
end

-- Runs the command string as the service does: `sh -c STRING`, the string
-- being one argument. The string goes through a file, unquoted.
local function run(command, shell)
  local file, out, err = scratch(command .. "x"), os.tmpname(), os.tmpname()
  local _, how, code = os.execute(
    ("c=$(cat %s); exec %s -c \"${c%%x}\" >%s 2>%s </dev/null")
    :format(file, shell or "sh", out, err))
  os.remove(file)
  assert.equal("exit", how)
  return { stdout = read_all(out), stderr = read_all(err), code = code }
end

-- What a program gets as arguments.
local function arguments(list, shell)
  local command = { "printf", "%s\\0", table.unpack(list) }
  local result = run(text.quote(command), shell)
  assert.equal("", result.stderr)
  assert.equal(0, result.code)
  local got = {}
  for word in result.stdout:gmatch "([^\0]*)\0" do got[#got + 1] = word end
  return got
end

local function random_bytes(most, first)
  local bytes = {}
  for i = 1, math.random(0, most) do bytes[i] = string.char(math.random(first, 255)) end
  return table.concat(bytes)
end

describe("text.size", function()
  it("reads powers of 1024 in every spelling", function()
    for s, bytes in pairs {
      ["0"] = 0, ["1073741824"] = 1 << 30, ["4G"] = 4 << 30,
      ["512MiB"] = 512 << 20, ["20gb"] = 20 << 30, ["1k"] = 1024,
      ["3Ti"] = 3 << 40, ["1tIb"] = 1 << 40, ["007M"] = 7 << 20,
      ["9223372036854775807"] = math.maxinteger,
      ["8388607T"] = 8388607 << 40,
    } do
      assert.equal(bytes, text.size(s), s)
    end
  end)

  it("names the accepted forms", function()
    for _, s in ipairs { "", "G", "4X", "-1", "+1", "4 G", " 4G", "4G ", "4.5G",
      "4GG", "4iB", "4B", "4GBi", "0x10", "4G\0", "4\0G", "\xFF", "1e3" } do
      refused("is not a size: write digits", text.size, s)
    end
    refused("512M, 4G, 20GiB", text.size, "4X")
    refused("'4\\x00G'", text.size, "4\0G")
  end)

  it("refuses numbers that overflow", function()
    for _, s in ipairs { "9223372036854775808", "8388608T", "18014398509481984K",
      ("9"):rep(400), "99999999999999999999G" } do
      refused("too large", text.size, s)
    end
  end)
end)

describe("an endpoint", function()
  local function endpoint(s)
    return require "boxd.core".addresses { api_url = s }
  end

  local function is(s, tls, host, port, target)
    local found = endpoint(s)
    assert.same({ tls, host, port, (tls and "https://" or "http://") .. target },
      { found.tls, found.host, found.port, found.api_url })
  end

  it("reads schemes, bare hosts and ports", function()
    is("https://boxd.sh:9443", true, "boxd.sh", 9443, "boxd.sh:9443")
    is("http://boxd.sh:9443", false, "boxd.sh", 9443, "boxd.sh:9443")
    is("HTTPS://Boxd.sh/", true, "Boxd.sh", 443, "Boxd.sh:443")
    is("http://10.0.0.1", false, "10.0.0.1", 80, "10.0.0.1:80")
    is("boxd.sh:1", true, "boxd.sh", 1, "boxd.sh:1")
    is("boxd.sh", true, "boxd.sh", 9443, "boxd.sh:9443")
    is("a_b-c.d:65535/", true, "a_b-c.d", 65535, "a_b-c.d:65535")
  end)

  it("takes a bare address of this machine as plaintext", function()
    is("localhost:5", false, "localhost", 5, "localhost:5")
    is("LocalHost:5", false, "LocalHost", 5, "LocalHost:5")
    is("127.0.0.1:5", false, "127.0.0.1", 5, "127.0.0.1:5")
    is("127.255.1.2:5", false, "127.255.1.2", 5, "127.255.1.2:5")
    is("[::1]:5", false, "::1", 5, "[::1]:5")
    is("https://127.0.0.1:5", true, "127.0.0.1", 5, "127.0.0.1:5")
  end)

  it("takes nothing else as this machine", function()
    for _, host in ipairs { "127.0.0.1.evil.com", "localhost.evil.com",
      "127.evil.com", "mylocalhost", "[::2]", "[::ffff:10.0.0.1]", "128.0.0.1" } do
      assert.is_true(endpoint(host .. ":1").tls, host)
    end
  end)

  it("names the fault", function()
    for s, why in pairs {
      ["https://"] = "no host", [":5"] = "no host",
      ["http:///"] = "no host", ["h:"] = "no port", ["h:x"] = "not a number",
      ["h:1x"] = "not a number", ["h:-1"] = "not a number",
      ["h:0"] = "1 to 65535", ["h:65536"] = "1 to 65535",
      ["h:99999999999999999999"] = "1 to 65535",
      ["h:1/x"] = "a path", ["https://h/api"] = "a path", ["h//"] = "a path",
      ["h:1?x=1"] = "a query", ["h#x"] = "a fragment", ["h :1"] = "a space",
      [" h:1"] = "a space", ["h:1\n"] = "control byte",
      ["h\x7F"] = "control byte", ["\u{E9}.fr:1"] = "outside ASCII",
      ["ftp://h:1"] = "scheme", ["grpc://h"] = "scheme", ["://h"] = "scheme",
      ["::1"] = "brackets", ["::1:9443"] = "brackets", ["[::1"] = "no ']'",
      ["[]:1"] = "no host", ["[h]:1"] = "no IPv6", ["[127.0.0.1]:1"] = "no IPv6",
      ["[::1]9"] = "after the ']'", ["a..b:1"] = "'.'", [".a:1"] = "'.'",
      ["h$:1"] = "not a host name", [("a"):rep(254) .. ":1"] = "too long",
    } do
      refused(why, endpoint, s)
    end
  end)

  it("never shows what may be a secret", function()
    local ok, err = pcall(endpoint, "https://user:bxk_secret@h:1")
    assert.is_false(ok)
    assert.is_truthy(err.message:find("user name or a password", 1, true))
    assert.is_nil(tostring(err):find("bxk_secret", 1, true))
  end)
end)

describe("text.quote", function()
  it("leaves safe words bare", function()
    assert.equal("echo hello a.b/c:d@e,f+g-h_1",
      text.quote { "echo", "hello", "a.b/c:d@e,f+g-h_1" })
    assert.equal("'A=b' 'x y' '' 'it'\\''s' '~' '*'",
      text.quote { "A=b", "x y", "", "it's", "~", "*" })
  end)

  it("hands over every kind of argument as it is", function()
    local list = { "", " ", "'", "''", "a'b", "\"", "\\", "\\\\n", "$HOME", "`id`",
      "$(id)", "a\nb", "\n", "a\n\n", "\t", "*", "?", "[a]", "~", "~root", "#x", "-n",
      "--", "!", "{a,b}", "a;b", "a&&b", "|", ">x", "<x", "%s", "%", "\\0", "=",
      "A=b", "\u{E9}\u{1F600}", "\r", "\127" }
    for i = 1, 255 do list[#list + 1] = string.char(i) end
    assert.same(list, arguments(list))
    assert.same(list, arguments(list, "bash"))
  end)

  it("hands over bytes that are not UTF-8, as UTF-8 text", function()
    local list = { "\xFF", "-\xFF", "--\xFE", "\xFF\n", "\xFF\n\n\n", "\n\xFF",
      "a\xFFb%s\\n'q'\xC3", "\xC3", "\xED\xA0\x80", "\x80\x811", "\xFF0", "'\xFF'",
      "$(id)\xFF`id`\"" }
    assert.is_true(text.utf8(text.quote(list)))
    assert.same(list, arguments(list))
    assert.same(list, arguments(list, "bash"))
  end)

  it("hands over hundreds of random byte strings", function()
    math.randomseed(20260101)
    for round = 1, 12 do
      local list = {}
      for i = 1, 60 do list[i] = random_bytes(40, 1) end
      assert.is_true(text.utf8(text.quote(list)))
      assert.same(list, arguments(list, round % 3 == 0 and "bash" or "sh"))
    end
  end)

  it("runs a program named like a word of the shell's syntax", function()
    for _, word in ipairs { "if", "then", "do", "done", "case", "esac", "for",
      "while", "until", "fi", "else", "elif", "in", "function", "{", "}", "!" } do
      for _, shell in ipairs { "sh", "bash" } do
        local result = run(text.quote { word }, shell)
        assert.equal(127, result.code, word .. " in " .. shell)
      end
    end
    assert.equal("if then\n", run(text.quote { "echo", "if", "then" }).stdout)
    assert.equal(127, run(text.quote { "A=b" }).code)
  end)

  it("refuses a NUL and an empty list", function()
    refused("argument 2 of the command holds a NUL byte", text.quote, { "echo", "a\0b" })
    refused("no command", text.quote, {})
  end)
end)

describe("text.command", function()
  local folder

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute(("mkdir -p %s"):format(folder)))
  end)
  teardown(function() os.execute("rm -rf " .. folder) end)

  local LINES = {
    "printf '[%s]' \"$A\" && printf '[%s]' \"$A\"; printf '[%s]' \"$A\"",
    "printf '[%s]' \"$A\" # a comment",
    "printf '[%s]' \"$A\"\nprintf '[%s]' \"$A\"\n",
    "cat <<X\n[$A]\nX\n",
    "cat <<X\n[$A]\nX",
    "(printf '[%s]' \"$A\") | cat; sh -c 'printf [%s] \"$A\"'",
    "for i in 1 2; do printf '[%s]' \"$A\"; done",
    "f() { printf '[%s]' \"$A\"; }; f",
    "# first\nprintf '[%s]' \"$A\"",
    "\n\nprintf '[%s]' \"$A\"",
    "false || printf '[%s]' \"$A\"",
    "! false && printf '[%s]' \"$A\"",
    "{ printf '[%s]' \"$A\"; } 2>&1",
    "printf '[%s]' \"$A\" &\nwait",
  }

  it("gives env to every part of a compound command", function()
    for _, value in ipairs { "v", "", "it's $HOME `id` \\ \"", "two\nlines\n", "\xFF\n",
      "#", "a;b", "~:~" } do
      for _, line in ipairs(LINES) do
        local plain = run(text.command(line, {}))
        local expected = plain.stdout:gsub("%[%]", (("[" .. value .. "]")
          :gsub("%%", "%%%%")))
        assert.is_truthy(plain.stdout:find("[]", 1, true), line)
        for _, shell in ipairs { "sh", "bash" } do
          local result = run(text.command(line, { env = { A = value } }), shell)
          assert.equal(expected, result.stdout, line)
          assert.equal("", result.stderr)
          assert.equal(0, result.code)
        end
      end
    end
  end)

  it("gives cwd to every part of a compound command", function()
    for _, line in ipairs { "pwd && pwd; pwd", "pwd\npwd # x", "(pwd)|cat\nsh -c pwd",
      "cat <<X\n$(pwd)\nX" } do
      local result = run(text.command(line, { cwd = folder }))
      for found in result.stdout:gmatch "[^\n]+" do assert.equal(folder, found) end
      assert.is_true(#result.stdout > #folder)
      assert.equal(0, result.code)
    end
  end)

  it("enters a folder of any name", function()
    math.randomseed(5)
    local names = { "-", "--", "-P", "-x y", "a'b", "$HOME", "~", "*", "a\nb", "end\n",
      "\u{E9}", "\xFF\xFE", "\xFF\n", " ", "#", "...", "a;b" }
    for _ = 1, 20 do
      local name = random_bytes(20, 1):gsub("/", "_")
      if #name > 0 and name ~= "." and name ~= ".." then names[#names + 1] = name end
    end
    for _, name in ipairs(names) do
      local inside = text.command({ "mkdir", "-p", "./" .. name }, { cwd = folder })
      assert.equal(0, run(inside).code)
      -- Relative, and from a shell that could be led astray by CDPATH.
      local command = text.command("printf '%s/' \"$PWD\"", { cwd = name })
      for _, shell in ipairs { "sh", "bash" } do
        local result = run(text.command({ shell, "-c", command },
          { cwd = folder, env = { CDPATH = "/", OLDPWD = "/" } }))
        assert.equal("", result.stderr)
        assert.equal(folder .. "/" .. name .. "/", result.stdout)
      end
      local whole = run(text.command("printf '%s/' \"$PWD\"",
        { cwd = folder .. "/" .. name }))
      assert.equal(folder .. "/" .. name .. "/", whole.stdout)
    end
  end)

  it("runs nothing when the folder cannot be entered", function()
    for _, cwd in ipairs { folder .. "/none", "none at all", "-", "/etc/passwd" } do
      for _, line in ipairs { "echo ran", "echo ran; echo ran\necho ran",
        "echo ran || echo ran" } do
        for _, shell in ipairs { "sh", "bash" } do
          local result = run(text.command(line, { cwd = cwd, env = { A = "b" } }), shell)
          assert.equal("", result.stdout)
          assert.is_truthy(result.stderr:find("cd", 1, true))
          assert.equal(125, result.code)
        end
      end
    end
  end)

  it("keeps the exit code of the command and of sh itself", function()
    local opts = { cwd = "/", env = { A = "b" } }
    for line, code in pairs { ["exit 7"] = 7, ["false"] = 1, ["true"] = 0, [""] = 0,
      ["no-such-program"] = 127, ["sh -c 'kill -9 $$'"] = 137, ["(exit 3)"] = 3,
      ["exit"] = 0, ["# nothing"] = 0 } do
      assert.equal(code, run(text.command(line, opts)).code, line)
    end
    for _, line in ipairs { "if", "echo 'open", "&& true", "; true", "| cat", ") ",
      "for", "fi", "echo a\nif" } do
      local plain = run(text.command(line, {}))
      local result = run(text.command(line, opts))
      assert.equal(2, plain.code)
      assert.equal(2, result.code, line)
      assert.equal(plain.stdout, result.stdout)
      assert.equal(plain.stderr, result.stderr) -- with the same line numbers
    end
  end)

  it("sorts env and leaves a plain command alone", function()
    assert.equal("export A=1 B=2 C_3='x y'; echo",
      text.command({ "echo" }, { env = { C_3 = "x y", B = "2", A = "1" } }))
    assert.equal("ls | wc", text.command("ls | wc", {}))
    assert.equal("ls | wc", text.command("ls | wc", { env = {} }))
    assert.equal("cd /tmp || exit 125; export A=1; ls",
      text.command("ls", { cwd = "/tmp", env = { A = "1" } }))
  end)

  it("takes numbers in env, and no first word for an option of sh", function()
    assert.equal("export A=1; ls", text.command("ls", { env = { A = 1 } }))
    assert.equal("'-x' -y", text.command { "-x", "-y" })
    assert.equal("'+x'", text.command { "+x" })
  end)

  it("refuses keys that are not identifiers", function()
    for _, key in ipairs { "", "1A", "A-B", "A B", "A=B", "a.b", "\u{E9}", "A\0",
      "A;id", "$A" } do
      refused("not a name for an environment variable", text.command, "x",
        { env = { [key] = "v" } })
    end
    refused("got A = a table", text.command, "x", { env = { A = {} } })
    refused("strings", text.command, "x", { env = { "a" } })
  end)

  it("refuses NUL bytes, an empty cwd and a line that is not UTF-8", function()
    refused("variable 'A' holds a NUL", text.command, "x", { env = { A = "a\0" } })
    refused("cwd holds a NUL", text.command, "x", { cwd = "a\0b" })
    refused("cwd is empty", text.command, "x", { cwd = "" })
    refused("command line holds a NUL", text.command, "a\0b", {})
    refused("not UTF-8 from byte 2", text.command, "a\xFF", {})
  end)
end)

describe("text.nearest", function()
  local NAMES = { "vcpu", "memory", "disk", "env", "cmd", "restart_policy",
    "lifecycle", "network", "volumes", "name", "image", "config", "id" }

  it("finds slips, swaps and beginnings", function()
    for word, name in pairs { vcup = "vcpu", cpu = "vcpu", VCPU = "vcpu",
      memroy = "memory", mem = "memory", nmae = "name", image_ref = "image",
      restartpolicy = "restart_policy", restart = "restart_policy",
      volume = "volumes", netwrok = "network", envs = "env" } do
      assert.equal(name, text.nearest(word, NAMES), word)
    end
  end)

  it("finds nothing when nothing is near", function()
    for _, word in ipairs { "", "x", "colour", "zzzz", "ab", ("x"):rep(1000) } do
      assert.is_nil(text.nearest(word, NAMES), word)
    end
    assert.is_nil(text.nearest("vcpu", {}))
  end)
end)

describe("text.utf8", function()
  it("agrees with Lua's strict reading, byte for byte", function()
    math.randomseed(11)
    local yes, no = 0, 0
    for _ = 1, 20000 do
      local s = math.random(2) == 1 and random_bytes(6, 0x78)
        or utf8.char(math.random(0x7F, 0x10FFFF)) .. random_bytes(1, 0x60)
      -- Lua's utf8.len refuses surrogates and all above U+10FFFF too.
      local valid = utf8.len(s) ~= nil
      assert.equal(valid, text.utf8(s), ("%q"):format(s))
      if valid then yes = yes + 1 else no = no + 1 end
    end
    assert.is_true(yes > 1000 and no > 1000)
  end)

  it("refuses surrogates, overlong forms and truncated characters", function()
    for _, s in ipairs { "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF",
      "\xED\xA0\x80", "\xED\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\x80",
      "\xC3", "\xE2\x82", "\xF0\x9F\x98", "12345678\xFF", "1234567\xC3", "\xFE" } do
      assert.is_false(text.utf8(s), ("%q"):format(s))
    end
    for _, s in ipairs { "", "a\0b", "\u{7F}\u{80}\u{7FF}\u{800}",
      "\u{FFFF}\u{10000}\u{10FFFF}", "\u{D7FF}\u{E000}", "12345678\u{E9}12345678" } do
      assert.is_true(text.utf8(s), ("%q"):format(s))
    end
  end)
end)
