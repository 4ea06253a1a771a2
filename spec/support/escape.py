"""Ways out of a box, for escape_spec: `python3 - FACTS NAME...` tries these, each
in a process of its own, and prints for each a line of JSON: its name and
"refused", or "escaped" and how. Anything else means that the try itself is
broken, and fails the spec. Each is harmless also where it succeeds: it opens for
writing and closes, sends signal 0, or hands the kernel arguments that it could
not use. FACTS is JSON on the machine outside; without it, the names."""
import ctypes
import errno
import fcntl
import glob
import json
import os
import platform
import pty
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import traceback

TRIES = {}
FACTS = {}
X86 = platform.machine() == "x86_64"
LIBC = ctypes.CDLL(None, use_errno=True)


class Escaped(Exception):
    pass


def attempt(f):
    TRIES[f.__name__] = f
    return f


def call(nr_x86, nr_arm, *args, wanted=(errno.EPERM,)):
    """A system call that must fail, and in this way."""
    nr = nr_x86 if X86 else nr_arm
    if nr is None:
        return
    ctypes.set_errno(0)
    got = LIBC.syscall(ctypes.c_long(nr), *[
        ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    e = ctypes.get_errno()
    if got >= 0 or e not in wanted:
        raise Escaped("call %d: %d, %s" % (nr, got, os.strerror(e)))


def cannot(what, f, *args):
    """f must raise an OSError."""
    try:
        got = f(*args)
    except OSError:
        return
    raise Escaped("%s: %r" % (what, got))


def reads_secret(path):
    try:
        with open(path, "rb") as f:
            if FACTS["secret"].encode() in f.read(4096):
                raise Escaped("read " + path)
    except OSError:
        pass


def opens(path, flags):
    os.close(os.open(path, flags))
    return "opened"


def closed_to(path, flags=os.O_WRONLY):
    cannot(path, opens, path, flags)


def pids():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


# Paths and links.

@attempt
def path_of_a_file_outside():
    for path in FACTS["secret_files"]:
        reads_secret(path)


@attempt
def path_with_dots():
    for path in FACTS["secret_files"]:
        reads_secret("/" + "../" * 40 + path)
        reads_secret("/proc/self/cwd/" + "../" * 40 + path)


@attempt
def link_to_a_file_outside():
    for i, path in enumerate(FACTS["secret_files"]):
        link = "/home/boxd/link%d" % i
        os.symlink("/proc/1/root" + path, link)
        try:
            reads_secret(link)
        finally:
            os.unlink(link)


@attempt
def writing_to_a_file_outside():
    for path in FACTS["secret_files"]:
        closed_to(path, os.O_RDWR)
        closed_to("/proc/1/root" + path, os.O_RDWR)


@attempt
def state_folder_of_the_service():
    try:
        found = os.listdir(FACTS["state"])
    except OSError:
        return
    if found:
        raise Escaped("in the state folder: %r" % found)


@attempt
def homes_of_the_machine():
    for home, expected in (("/root", []), ("/home", ["boxd"])):
        try:
            found = os.listdir(home)
        except PermissionError:
            continue
        if found == [".ssh"] and FACTS["systemd"]:  # which it makes
            found = os.listdir(home + "/.ssh")
        if found != expected:
            raise Escaped("in %s: %r" % (home, found))


@attempt
def passwords():
    for path in ("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-"):
        try:
            lines = open(path).read().splitlines()
        except OSError:
            continue
        for line in lines:
            if len((line.split(":") + [""])[1]) > 2:
                raise Escaped("a password in " + path)


@attempt
def host_keys():
    for path in glob.glob("/etc/ssh/ssh_host_*") + glob.glob("/etc/ssl/private/*"):
        try:
            text = open(path, "rb").read()
        except OSError:
            continue
        if b"PRIVATE" in text:
            raise Escaped("a key in " + path)


@attempt
def chroot_and_climb():
    top = os.open("/", os.O_RDONLY)
    os.makedirs("/tmp/jail", exist_ok=True)
    if os.getuid() != 0:
        cannot("chroot", os.chroot, "/tmp/jail")
        return
    os.chroot("/tmp/jail")
    os.fchdir(top)
    for _ in range(60):
        os.chdir("..")
    os.chroot(".")
    for path in FACTS["secret_files"]:
        reads_secret(path)


@attempt
def file_handles():
    handle = ctypes.create_string_buffer(136)
    ctypes.memmove(handle, (ctypes.c_uint32 * 2)(8, 1), 8)
    call(304, 265, -100, handle, 0)


# /proc and /sys.

@attempt
def roots_of_processes():
    for pid in pids():
        for name in ("root", "cwd"):
            for path in FACTS["secret_files"]:
                reads_secret("/proc/%d/%s/%s" % (pid, name, path))
                reads_secret("/proc/%d/%s/%s%s" % (pid, name, "../" * 40, path))


def agents():
    """The first process, which holds the link to the spawner. Under systemd no
    process of the box sees it: those called as it is are agents by mistake."""
    if not FACTS["systemd"]:
        return [1]
    found = []
    for pid in pids():
        try:
            with open("/proc/%d/comm" % pid) as f:
                name = f.read()
        except OSError:
            continue
        if name in ("init\n", "boxd-spawner\n", "boxdlua\n"):
            found.append(pid)
    if found:
        raise Escaped("the agent is seen: %r" % found)
    return found


@attempt
def program_of_the_first_process():
    for pid in agents():
        closed_to("/proc/%d/exe" % pid, os.O_RDONLY)
        closed_to("/proc/%d/exe" % pid, os.O_WRONLY)


@attempt
def memory_of_the_first_process():
    for pid in agents():
        closed_to("/proc/%d/mem" % pid, os.O_RDONLY)
        cannot("environ", lambda: open("/proc/%d/environ" % pid).read())
        cannot("maps", lambda: open("/proc/%d/maps" % pid).read())


@attempt
def descriptors_of_the_first_process():
    for pid in agents():
        cannot("fd", os.listdir, "/proc/%d/fd" % pid)


@attempt
def kernel_settings():
    for folder, _, names in os.walk("/proc/sys"):
        for name in names:
            closed_to(os.path.join(folder, name))


@attempt
def core_pattern():
    closed_to("/proc/sys/kernel/core_pattern")
    closed_to("/proc/sys/kernel/modprobe")


@attempt
def sysrq():
    closed_to("/proc/sysrq-trigger")


@attempt
def memory_of_the_kernel():
    for path in ("/proc/kcore", "/dev/mem", "/dev/kmem", "/dev/port"):
        cannot(path, lambda: open(path, "rb").read(1))


@attempt
def log_of_the_kernel():
    for path in ("/proc/kmsg", "/dev/kmsg"):
        closed_to(path, os.O_RDONLY | os.O_NONBLOCK)
    call(103, 116, 10, 0, 0)


@attempt
def settings_in_sys():
    tried = 0
    handed = ("procs", "threads", "subtree_control") if FACTS["systemd"] else ()
    for pattern in ("/sys/kernel/*", "/sys/module/*/parameters/*",
                    "/sys/class/net/*/mtu", "/sys/power/*", "/sys/fs/cgroup/*",
                    "/sys/block/*/queue/*", "/sys/kernel/mm/*/*"):
        for path in glob.glob(pattern):
            if path in ["/sys/fs/cgroup/cgroup." + name for name in handed]:
                continue
            if os.path.isfile(path):
                tried += 1
                closed_to(path)
    if not tried:
        raise RuntimeError("nothing in /sys to try")
    if not FACTS["systemd"]:
        cannot("a new control group", os.mkdir, "/sys/fs/cgroup/escape")


@attempt
def control_groups_without_end():
    made = []
    try:
        for i in range(2000):
            made.append("/sys/fs/cgroup/escape%d" % i)
            os.mkdir(made[-1])
    except OSError:
        made.pop()
    for path in made:
        os.rmdir(path)
    if len(made) >= 2000:
        raise Escaped("made 2000")


@attempt
def control_groups_of_others():
    for path in ("/proc/self/cgroup", "/proc/1/cgroup"):
        if FACTS["systemd"] and "boxd-" in open(path).read():
            raise Escaped("the machine's groups show in " + path)
    if FACTS["systemd"]:
        return
    for folder in glob.glob("/sys/fs/cgroup/*/"):
        raise Escaped("groups at " + folder)


@attempt
def tracing():
    for path in ("/sys/kernel/tracing", "/sys/kernel/debug",
                 "/sys/kernel/security"):
        try:
            found = os.listdir(path)
        except OSError:
            continue
        if found:
            raise Escaped("%s: %r" % (path, found[:3]))


@attempt
def user_map():
    cannot("uid_map", lambda: os.write(
        os.open("/proc/self/uid_map", os.O_WRONLY), b"0 0 4294967295\n"))


@attempt
def bounds_of_a_process():
    with open("/proc/1/oom_score_adj") as f:  # commands have more than that
        now = int(f.read())
    def less():
        with open("/proc/self/oom_score_adj", "w") as f:
            f.write(str(max(now - 1, -1000) if now > -1000 else -1000))
    if now > -1000:
        cannot("oom_score_adj", less)
    cannot("nice", os.nice, -1)


# Descriptors.

@attempt
def inherited_descriptors():
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink("/proc/self/fd/" + name)
        except OSError:
            continue  # that of the listing
        if int(name) > 2:
            raise Escaped("%s is %s" % (name, target))


@attempt
def descriptors_of_others():
    for pid in agents():
        fd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
        call(438, 438, fd, 0, 0)


# Devices.

def device(kind, major, minor):
    path = "/home/boxd/device"
    try:
        os.mknod(path, kind | 0o600, os.makedev(major, minor))
    except OSError:
        return
    try:
        closed_to(path, os.O_RDONLY | os.O_NONBLOCK)
    finally:
        os.unlink(path)


@attempt
def new_block_devices():
    for line in open("/proc/partitions").read().splitlines()[2:]:
        major, minor = line.split()[:2]
        device(stat.S_IFBLK, int(major), int(minor))
    device(stat.S_IFBLK, 8, 0)
    device(stat.S_IFBLK, 254, 0)
    device(stat.S_IFBLK, 259, 0)


@attempt
def new_character_devices():
    for major, minor in ((1, 1), (1, 4), (1, 11), (10, 200), (10, 229), (5, 1)):
        device(stat.S_IFCHR, major, minor)


@attempt
def devices_that_are_there():
    usual = {"null", "zero", "full", "random", "urandom", "tty", "ptmx"}
    for folder, _, names in os.walk("/dev"):
        for name in names:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and name not in usual
                                      and not folder.startswith("/dev/pts")):
                raise Escaped(path)


# Signals and processes.

@attempt
def signal_to_a_process_outside():
    cannot("kill", os.kill, FACTS["pid"], 0)


@attempt
def signal_to_the_first_process():
    try:
        os.kill(1, signal.SIGKILL)
        os.kill(1, signal.SIGSTOP)
        time.sleep(0.02)
        os.kill(1, 0)
    except PermissionError:
        return  # boxd's, where the first process is root's
    if "T (stopped)" in open("/proc/1/status").read():
        raise Escaped("it is stopped")


@attempt
def processes_of_the_machine():
    found = pids()
    if FACTS["pid"] in found or len(found) > 20:
        raise Escaped("processes: %r" % found)


@attempt
def tracing_the_first_process():
    buffer = ctypes.create_string_buffer(8)
    mine = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
    nowhere = (ctypes.c_size_t * 2)(8, 8)  # EFAULT to one who may
    for pid in agents():
        call(101, 117, 0x4206, pid, 0, 0)  # PTRACE_SEIZE
        call(310, 270, pid, mine, 1, nowhere, 1, 0)
        call(311, 271, pid, mine, 1, nowhere, 1, 0)


# Namespaces.

@attempt
def namespaces_are_own():
    for name, outside in FACTS["namespaces"].items():
        if os.readlink("/proc/self/ns/" + name) == outside:
            raise Escaped("namespace " + name)


NEW = {"user": 0x10000000, "mnt": 0x20000, "pid": 0x20000000,
       "net": 0x40000000, "ipc": 0x8000000, "uts": 0x4000000,
       "cgroup": 0x2000000}


@attempt
def unshare():
    for flag in NEW.values():
        call(272, 97, flag)


@attempt
def clone_with_namespaces():
    for flag in NEW.values():
        call(56, 220, flag | signal.SIGCHLD, 0, 0, 0, 0)


@attempt
def clone3():
    call(435, 435, ctypes.create_string_buffer(88), 88, wanted=(errno.ENOSYS,))


@attempt
def setns():
    for name in NEW:
        for pid in (1, os.getpid()):
            try:
                fd = os.open("/proc/%d/ns/%s" % (pid, name), os.O_RDONLY)
            except OSError:
                continue
            call(308, 268, fd, 0)
            os.close(fd)
    if hasattr(os, "pidfd_open"):
        call(308, 268, os.pidfd_open(1), 0x20000)


# Mounts.

@attempt
def mounts():
    call(165, 40, b"none", b"/mnt", b"tmpfs", 0, 0)
    call(165, 40, b"/etc", b"/mnt", 0, 0x1000, 0)
    call(165, 40, b"proc", b"/mnt", b"proc", 0, 0)


@attempt
def remount_writable():
    for path in (b"/proc/sys", b"/sys", b"/"):
        call(165, 40, b"none", path, 0, 0x20 | 0x1000, 0)


@attempt
def unmount():
    for path in (b"/proc/sys", b"/etc/shadow", b"/proc"):
        call(166, 39, path, 2)


@attempt
def new_mount_calls():
    call(430, 430, b"tmpfs", 0)
    call(428, 428, -100, b"/", 1)
    call(429, 429, -100, b"/etc", -100, b"/mnt", 0)
    call(433, 433, -100, b"/", 0)
    call(442, 442, -100, b"/proc/sys", 0, 0, 0)


@attempt
def pivot_root():
    call(155, 41, b".", b".")


# Terminals.

@attempt
def typing_on_a_terminal():
    master, slave = pty.openpty()
    cannot("TIOCSTI", fcntl.ioctl, slave, 0x5412, b"x")
    cannot("TIOCLINUX", fcntl.ioctl, slave, 0x541C, b"\x02")


@attempt
def terminal_of_the_service():
    closed_to("/dev/tty", os.O_RDWR)


# Rights.

def status_line(name):
    for line in open("/proc/self/status"):
        if line.startswith(name + ":"):
            return line.split()[1]
    raise RuntimeError("no %s in status" % name)


@attempt
def capabilities():
    usual = 0xa80425fb  # what container runtimes leave
    for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"):
        more = int(status_line(name), 16) & ~usual
        if more:
            raise Escaped("%s has %x too many" % (name, more))


@attempt
def no_filter_of_calls():
    if status_line("Seccomp") != "2":
        raise Escaped("no filter")


SUDO = "/usr/local/bin/sudo"


def rights_of(program, *args):
    """What `program`, a copy of python, has as a user without rights."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(w, 1)
        os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        try:
            os.execv(program, [program, *args])
        finally:
            os._exit(127)
    os.close(w)
    text = os.fdopen(r).read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


@attempt
def setuid_programs_of_the_machine():
    for folder in ("/usr/bin", "/usr/sbin", "/usr/libexec", "/usr/local"):
        for at, _, names in os.walk(folder):
            for path in (os.path.join(at, n) for n in names):
                mode = os.lstat(path).st_mode
                if (stat.S_ISREG(mode) and mode & 0o6000 and path != SUDO and
                        not os.statvfs(path).f_flag & os.ST_NOSUID):
                    raise Escaped(path)


@attempt
def mounts_that_give_rights():
    for line in open("/proc/self/mountinfo"):
        words = line.split()
        if words[4] != SUDO and "nosuid" not in words[5].split(","):
            raise Escaped("mount " + words[4])


@attempt
def setuid_program_of_its_own():
    for folder in ("/tmp", "/home/boxd", "/dev/shm", "/run", "/usr/bin"):
        path = folder + "/own"
        try:
            shutil.copy(os.path.realpath(sys.executable), path)
        except PermissionError:
            continue  # boxd may not write there
        os.chmod(path, 0o6755)
        try:
            _, text = rights_of(path, "-c", "import os; print(os.getresuid())")
            mine = (os.getuid() or 65534,) * 3
            if text and text != "%r\n" % (mine,):
                raise Escaped("%s is %s" % (path, text))
        finally:
            os.unlink(path)


@attempt
def capabilities_of_a_file():
    path = "/home/boxd/capable"
    shutil.copy(os.path.realpath(sys.executable), path)
    all_of_them = b"\x01\0\0\x02" + b"\xff" * 16
    try:
        os.setxattr(path, "security.capability", all_of_them)
    except OSError:
        pass
    try:
        _, text = rights_of(path, "-c", "print([l for l in "
                            "open('/proc/self/status') if l[:6] == 'CapEff'])")
        if text and int(text.split("\\t")[1].split("\\")[0], 16):
            raise Escaped(text)
    finally:
        os.unlink(path)


@attempt
def sudo_changed():
    closed_to(SUDO)
    cannot("chmod", os.chmod, SUDO, 0o777)
    cannot("utime", os.utime, SUDO)
    cannot("unlink", os.unlink, SUDO)
    cannot("link", os.link, SUDO, "/usr/local/bin/other")
    cannot("rename", os.rename, SUDO, "/home/boxd/sudo")


@attempt
def sudo_for_others():
    if os.getuid() != 0:
        return  # only root can be another
    code, text = rights_of(SUDO, "-n", "id")
    if code == 0 or text:
        raise Escaped(text)


@attempt
def sudo_with_a_library():
    source = "/home/boxd/loaded"
    os.environ.update({"LD_PRELOAD": source, "LD_LIBRARY_PATH": "/home/boxd",
                       "LD_AUDIT": source})
    out = subprocess.run([SUDO, "-n", "env"], capture_output=True, text=True)
    del os.environ["LD_PRELOAD"], os.environ["LD_LIBRARY_PATH"]
    if "LD_" in out.stdout or (os.getuid() == 1000 and os.stat(SUDO).st_uid == 0 and
                                source in out.stderr):
        raise Escaped(out.stdout + out.stderr)


@attempt
def memory_of_sudo():
    if os.getuid() == 0:
        return  # root may look into its own
    sudo = subprocess.Popen([SUDO, "-n", "sleep", "5"],
                            stderr=subprocess.DEVNULL)
    time.sleep(0.05)
    try:
        with open("/proc/%d/status" % sudo.pid) as f:
            gained = "Uid:\t1000\t0\t" in f.read()
        if gained:
            closed_to("/proc/%d/mem" % sudo.pid, os.O_RDWR)
            call(101, 117, 0x4206, sudo.pid, 0, 0)
    finally:
        try:
            sudo.terminate()
        except PermissionError:
            pass  # it has become root wholly


@attempt
def calls_of_another_kind():
    if X86:  # x32, which a filter by number would miss
        call(0x40000000 | 39, None, wanted=(errno.ENOSYS,))


# The kernel's doors.

@attempt
def keys():
    call(250, 219, 0, -3, 1)
    call(248, 217, b"user", b"escape", b"x", 1, -3)
    call(249, 218, b"user", b"escape", 0, -3)


@attempt
def bpf():
    call(321, 280, 0, 0, 0)


@attempt
def perf():
    call(298, 241, ctypes.create_string_buffer(128), 0, -1, -1, 0)


@attempt
def modules():
    call(175, 105, 0, 0, b"")
    call(313, 273, -1, b"", 0)
    call(176, 106, b"no_such_module_here", 0x800)


@attempt
def kexec():
    call(246, 104, 0, 0, 0, 0)
    if X86:
        call(320, None, -1, -1, 0, 0, 0)


@attempt
def io_uring():
    call(425, 425, 1, 0)


@attempt
def userfaultfd():
    call(323, 282, 0)


@attempt
def ports_of_the_machine():
    call(172, None, 3)
    call(173, None, 0x80, 1, 1)


@attempt
def odd_sockets():
    for family in (40, 38, 16384 % 64, 31, 29):  # vsock, alg, bluetooth, can
        cannot("family %d" % family, socket.socket, family, socket.SOCK_STREAM)


@attempt
def reboot():
    call(169, 142, 1, 2, 3, 0)


@attempt
def clocks():
    call(227, 112, 0, (ctypes.c_long * 2)(-1, -1))
    call(164, 170, (ctypes.c_long * 2)(-1, -1), 0)
    call(159, 171, ctypes.create_string_buffer(256))


@attempt
def swap():
    call(167, 224, b"/nowhere", 0)
    call(168, 225, b"/nowhere")


@attempt
def quotas():
    call(179, 60, 0, 0, 0, 0)


@attempt
def accounting():
    call(163, 89, b"/nowhere/acct")


@attempt
def fanotify():
    call(300, 262, 0, 0)


@attempt
def name_of_the_machine():
    cannot("sethostname", socket.sethostname, "escaped")


# Networks.

def answers(family, address):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(0.5)
    try:
        s.connect(address)
    except OSError:
        return
    raise Escaped("reached %r" % (address,))


@attempt
def loopback_of_the_machine():
    for host in ("127.0.0.1", "127.0.0.2", "0.0.0.0"):
        answers(socket.AF_INET, (host, FACTS["port"]))
    for host in ("::1", "::ffff:127.0.0.1"):
        answers(socket.AF_INET6, (host, FACTS["port"]))


@attempt
def loopback_by_the_gateway():
    for line in open("/proc/net/route").read().splitlines()[1:]:
        gateway = int(line.split()[2], 16)
        if gateway:
            answers(socket.AF_INET, (socket.inet_ntoa(
                gateway.to_bytes(4, sys.byteorder)), FACTS["port"]))


@attempt
def abstract_sockets():
    answers(socket.AF_UNIX, "\0" + FACTS["abstract"])
    if FACTS["abstract"] in open("/proc/net/unix").read():
        raise Escaped("listed")


@attempt
def new_links():
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    # RTM_NEWLINK of one that is not there, to be changed: EPERM comes first
    body = b"\0\0\0\0" + (9999).to_bytes(4, sys.byteorder) + b"\0" * 8
    head = b"".join(n.to_bytes(size, sys.byteorder) for n, size in
                    ((16 + len(body), 4), (16, 2), (5, 2), (1, 4), (0, 4)))
    s.send(head + body)
    code = -int.from_bytes(s.recv(4096)[16:20], sys.byteorder, signed=True)
    if code != errno.EPERM:
        raise Escaped("RTM_NEWLINK: %s" % os.strerror(code))


def run(name, out):
    """The whole of a try's process, whose output goes to `out` alone."""
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.closerange(3, 100)
    try:
        TRIES[name]()
        print("refused")
    except Escaped as e:
        print("escaped:", e)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(0)


def result(name):
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        run(name, w)
    os.close(w)
    with os.fdopen(r) as f:
        text = f.read()
    os.waitpid(pid, 0)
    return text


def main():
    if len(sys.argv) < 2:
        print("\n".join(TRIES))
        return
    FACTS.update(json.loads(sys.argv[1]))
    for name in sys.argv[2:]:
        print(json.dumps([name, result(name)]), flush=True)


main()
