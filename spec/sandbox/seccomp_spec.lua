-- The system call filter of boxes, as it is compiled for x86-64 and for arm64:
-- run here by an interpreter, for every call that the kernel's headers name.

local program = require "spec.support.program"

local X86, ARM = 0xc000003e, 0xc00000b7
local I386, ARM32 = 0x40000003, 0x40000028
local ALLOW, ERRNO = 0x7fff0000, 0x00050000
local EPERM, ENOSYS, EAFNOSUPPORT = ERRNO | 1, ERRNO | 38, ERRNO | 97
local EOPNOTSUPP = ERRNO | 95

-- What no program in a box may call, where the processor has such a call.
local DENIED = { name_to_handle_at = EOPNOTSUPP }
for name in ([[ mount umount2 pivot_root open_tree move_mount fsopen fsconfig
  fsmount fspick mount_setattr setns unshare keyctl add_key request_key bpf
  perf_event_open kexec_load kexec_file_load init_module finit_module
  delete_module open_by_handle_at reboot swapon swapoff acct
  quotactl quotactl_fd syslog settimeofday clock_settime clock_adjtime adjtimex
  nfsservctl lookup_dcookie userfaultfd vhangup fanotify_init io_uring_setup
  io_uring_enter io_uring_register move_pages migrate_pages kcmp iopl ioperm
  create_module get_kernel_syms query_module uselib ustat sysfs _sysctl
  modify_ldt ]]):gmatch "%S+" do
  DENIED[name] = EPERM
end

-- asm/unistd.h of arm64 is the generic one with these.
local ARM_UNISTD = [[
#define __ARCH_WANT_RENAMEAT
#define __ARCH_WANT_NEW_STAT
#define __ARCH_WANT_SET_GET_RLIMIT
#define __ARCH_WANT_TIME32_SYSCALLS
#define __ARCH_WANT_SYS_CLONE3
#define __ARCH_WANT_MEMFD_SECRET
#include <asm-generic/unistd.h>
]]

-- What the kernel does about a call: the value of the program for it.
local function judge(instructions, arch, nr, ...)
  local args = { ... }
  for i = 1, 6 do args[i] = args[i] or 0 end
  local data = ("<I4I4I8I8I8I8I8I8I8"):pack(nr, arch, 0, table.unpack(args))
  local jumps = {
    [0x15] = function(a, k) return a == k end,
    [0x35] = function(a, k) return a >= k end,
    [0x45] = function(a, k) return a & k ~= 0 end,
  }
  local a, at = 0, 1
  while true do
    local i = assert(instructions[at], "it runs past its end")
    at = at + 1
    if i.code == 0x06 then return i.k end
    if i.code == 0x20 then
      a = ("<I4"):unpack(data, i.k + 1)
    else
      local jump = assert(jumps[i.code], "an instruction of no known kind")
      at = at + (jump(a, i.k) and i.jt or i.jf)
    end
  end
end

local function output(...)
  local r = program.run { ... }
  assert.equal(0, r.status, r.err)
  return r.out
end

-- The numbers of all calls, by name, as <sys/syscall.h> has them.
local function numbers(flags)
  local text = output("sh", "-c",
    "echo '#include <sys/syscall.h>' | cc -E -dM " .. flags .. " -")
  local macros, out = {}, {}
  for name, value in text:gmatch "#define (%S+) ([^\n]+)" do
    macros[name] = value
  end
  for name, value in pairs(macros) do
    local call = name:match "^SYS_(.*)"
    while macros[value] do value = macros[value] end
    if call then out[call] = math.tointeger(tonumber(value)) end
  end
  return out
end

local function filter(folder, flags)
  output("sh", "-c", ("cc -std=c11 -D_GNU_SOURCE -Isrc %s -o %s/filter "
    .. "spec/support/filter.c"):format(flags, folder))
  local list = {}
  for code, jt, jf, k in output(folder .. "/filter"):gmatch
    "(%d+) (%d+) (%d+) (%d+)\n" do
    list[#list + 1] = { code = tonumber(code), jt = tonumber(jt),
      jf = tonumber(jf), k = tonumber(k) }
  end
  return list
end

local NATIVE = output("uname", "-m"):match "%S+"

for _, of in ipairs {
  { name = "x86-64", machine = "x86_64", arch = X86, foreign = { I386, ARM },
    known = { mount = 165, clone = 56, clone3 = 435, ioctl = 16, socket = 41,
      bpf = 321, setns = 308, unshare = 272, ptrace = 101, iopl = 172 } },
  { name = "arm64", machine = "aarch64", arch = ARM, foreign = { ARM32, X86 },
    known = { mount = 40, clone = 220, clone3 = 435, ioctl = 29, socket = 198,
      bpf = 280, setns = 268, unshare = 97, ptrace = 117 } },
} do
  describe("the filter of calls, on " .. of.name, function()
    local code, calls, folder

    setup(function()
      folder = os.tmpname()
      os.remove(folder)
      assert(os.execute("mkdir -p " .. folder .. "/include/asm"))
      local flags = ""
      if of.machine ~= NATIVE then
        if of.arch ~= ARM then return end
        local f <close> = assert(io.open(folder .. "/include/asm/unistd.h", "w"))
        f:write(ARM_UNISTD)
        f:flush()
        flags = "-DARM64 -I" .. folder .. "/include"
      end
      calls = numbers(flags)
      code = filter(folder, flags)
    end)
    teardown(function() os.execute("rm -rf " .. folder) end)

    local function run(name, ...)
      return judge(code, of.arch, assert(calls[name], name), ...)
    end

    local function checks(title, f)
      it(title, function()
        if not code then return pending("this machine has no headers for it") end
        f()
      end)
    end

    checks("has the numbers of that processor", function()
      for name, nr in pairs(of.known) do assert.equal(nr, calls[name], name) end
      assert.equal(of.known.iopl, calls.iopl)
    end)

    checks("refuses what leads out of a box, and takes every other call",
      function()
        local refused, taken = 0, 0
        for name in pairs(calls) do
          if name ~= "clone3" and name ~= "socket" then
            assert.equal(DENIED[name] or ALLOW, run(name), name)
            refused = refused + (DENIED[name] and 1 or 0)
            taken = taken + 1
          end
        end
        assert.is_true(refused >= 46, refused)
        assert.is_true(taken > 290, taken)
      end)

    checks("refuses all of them whatever their arguments are", function()
      for name, answer in pairs(DENIED) do
        if calls[name] then
          assert.equal(answer, run(name, -1, -1, -1, -1, -1, -1), name)
        end
      end
    end)

    checks("refuses calls by the numbers of other processors", function()
      for _, arch in ipairs(of.foreign) do
        for nr = 0, 500 do assert.equal(ENOSYS, judge(code, arch, nr)) end
      end
      if of.arch == X86 then -- x32
        for nr = 0x40000000, 0x40000230 do
          assert.equal(ENOSYS, judge(code, X86, nr))
        end
      end
    end)

    checks("makes no namespaces, but processes and threads", function()
      assert.equal(ENOSYS, run "clone3")
      for _, flag in ipairs { 0x00020000, 0x02000000, 0x04000000, 0x08000000,
        0x10000000, 0x20000000, 0x40000000 } do
        assert.equal(EPERM, run("clone", flag | 17))
      end
      assert.equal(ALLOW, run("clone", 17)) -- fork
      assert.equal(ALLOW, run("clone", 0x003d0f00)) -- a thread
    end)

    checks("types on no terminal", function()
      assert.equal(EPERM, run("ioctl", 0, 0x5412))
      assert.equal(EPERM, run("ioctl", 0, 0x541c))
      -- The kernel takes the low half of the request alone.
      assert.equal(EPERM, run("ioctl", 0, 0x100005412))
      assert.equal(ALLOW, run("ioctl", 0, 0x5401))
    end)

    checks("has sockets of a few families", function()
      local families = { [0] = true, [1] = true, [2] = true, [10] = true,
        [16] = true, [17] = true }
      for family = 0, 60 do
        assert.equal(families[family] and ALLOW or EAFNOSUPPORT,
          run("socket", family, 1, 0), family)
      end
    end)
  end)
end
