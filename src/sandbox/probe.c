#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawner/box_systemd.h"
#include "spawner/host.h"
#include "spawner/router.h"

/* What a child found out, one word each: 0 or an errno. */
typedef struct findings {
  int userns, overlay, proc, idmap;
  bool privileged;
  uint32_t ids;
  char network[180]; /* why boxes have none, or "" */
  char systemd[180]; /* why none runs in boxes, or "" */
} findings;

static void add(bx_probe_line *lines, size_t *n, const char *name, bool ok,
                bool needed, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

static void add(bx_probe_line *lines, size_t *n, const char *name, bool ok,
                bool needed, const char *fmt, ...) {
  if (*n == BX_PROBE_MAX) return;
  bx_probe_line *line = &lines[(*n)++];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(line->text, sizeof line->text, fmt, ap);
  va_end(ap);
  line->name = name;
  line->ok = ok;
  line->needed = needed;
}

/* An overlay in a tmpfs of our own: what the kernel allows, wherever the state
   folder will be. */
static int try_overlay(bool privileged) {
  char data[128];
  if (mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0) return errno;
  if (mkdir("/tmp/u", 0755) < 0 || mkdir("/tmp/w", 0755) < 0 ||
      mkdir("/tmp/m", 0755) < 0)
    return errno;
  snprintf(data, sizeof data, "lowerdir=/etc,upperdir=/tmp/u,workdir=/tmp/w%s",
           privileged ? "" : ",userxattr");
  return mount("overlay", "/tmp/m", "overlay", 0, data) < 0 ? errno : 0;
}

static int try_idmap(int ns) {
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP};
  int tree = open_tree(AT_FDCWD, "/usr", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) return errno;
  attr.userns_fd = (uint64_t)ns;
  return mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0 ? errno
                                                                        : 0;
}

/* A new /proc, which only a process in a new pid namespace can mount, and
   which containers that hide parts of theirs forbid. */
static int try_proc(void) {
  int status;
  if (unshare(CLONE_NEWPID) < 0) return errno;
  pid_t pid = fork();
  if (pid == 0) _exit(mount("proc", "/tmp/m", "proc", 0, NULL) < 0 ? errno : 0);
  if (pid < 0 || waitpid(pid, &status, 0) < 0) return errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

/* Makes the router of boxes, which is gone with this process. */
static void try_network(bx_host *h, char *why, size_t size) {
  bx_error e;
  bx_router r = {BX_NO_ROUTER};
  bx_error_clear(&e);
  h->network = r.network = bx_router_network();
  bx_host_find_programs(h);
  const char *missing = bx_host_no_network(h);
  if (!missing && bx_router_make(h, &r, &e) == 0) return;
  snprintf(why, size, "%.170s", missing ? missing : e.message);
}

static void try_systemd(bx_host *h, char *why, size_t size) {
  bx_error e;
  bx_error_clear(&e);
  bx_cgroup_find(&h->cgroups);
  if (bx_systemd_check(h, &e) != 0) snprintf(why, size, "%.170s", e.message);
}

static _Noreturn void child(int out) {
  bx_host h = {.box_id = 100000, .id_count = BX_IDS};
  bx_error e;
  findings f = {0};
  f.privileged = geteuid() == 0 && bx_userns_is_first() &&
                 unshare(CLONE_NEWNS) == 0;
  int ns = f.privileged ? bx_userns_make(&h, NULL) : -1;
  if (!f.privileged) f.userns = bx_userns_enter(&h, &e);
  else if (ns < 0) f.userns = errno;
  f.ids = h.id_count;
  if (!f.userns && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
    f.userns = errno;
  f.idmap = f.userns || !f.privileged ? EPERM : try_idmap(ns);
  f.overlay = f.userns ? EPERM : try_overlay(f.privileged);
  if (!f.userns) try_network(&h, f.network, sizeof f.network);
  if (!f.userns) try_systemd(&h, f.systemd, sizeof f.systemd);
  f.proc = f.userns ? EPERM : try_proc(); /* the last: nothing forks after it */
  _exit(write(out, &f, sizeof f) == (ssize_t)sizeof f ? 0 : 1);
}

static bool find_out(findings *f) {
  int p[2];
  if (pipe2(p, O_CLOEXEC) < 0) return false;
  pid_t pid = fork();
  if (pid == 0) child(p[1]);
  close(p[1]);
  bool ok = pid > 0 && read(p[0], f, sizeof *f) == (ssize_t)sizeof *f;
  close(p[0]);
  while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
  return ok;
}

static void tell_needed(bx_probe_line *l, size_t *n, const findings *f) {
  add(l, n, "user namespaces", !f->userns, true, "%s",
      !f->userns ? "allowed"
                 : "refused: a chroot has none; else see sysctl user.max_user_namespaces, "
                   "kernel.unprivileged_userns_clone and, on Ubuntu, "
                   "kernel.apparmor_restrict_unprivileged_userns");
  if (f->userns) return; /* the others need them */
  add(l, n, "overlay", !f->overlay, true, "%s",
      f->overlay ? strerror(f->overlay) : "copy-on-write views work");
  add(l, n, "proc", !f->proc, true, "%s",
      !f->proc ? "boxes get a /proc of their own"
               : "cannot be mounted: this is a container that hides parts of "
                 "its own; run it with an unmasked /proc");
}

static void tell_ids(bx_probe_line *l, size_t *n, const findings *f) {
  bool idmap = f->privileged && !f->idmap;
  if (f->userns) return;
  add(l, n, "idmapped mounts", idmap, false, "%s",
      idmap ? "boxes can change every file of the system"
      : f->privileged ? "not here (Linux 5.19, ext4, xfs or btrfs): the "
                        "machine's files belong to nobody in boxes"
                      : "need root: the machine's files belong to nobody in "
                        "boxes");
  add(l, n, "user ids", f->ids > 1, false, "%s",
      f->ids > 1 ? "65536 in a box"
                 : "one in a box, boxd's, so that sudo cannot work there: "
                   "install uidmap and give this user 65536 ids in "
                   "/etc/subuid and /etc/subgid");
}

size_t bx_sandbox_probe(bx_probe_line *lines) {
  findings f = {.userns = EPERM};
  bx_cgroups g;
  size_t n = 0;
  if (!find_out(&f)) {
    add(lines, &n, "user namespaces", false, true, "cannot start a process");
    return n;
  }
  bx_cgroup_find(&g);
  tell_needed(lines, &n, &f);
  tell_ids(lines, &n, &f);
  add(lines, &n, "processes limit", true, false, "%s",
      *g.pids ? "for each box, by a control group"
              : "for each user id of a box, by its rlimit");
  add(lines, &n, "memory limit", *g.memory != '\0', false, "%s",
      *g.memory ? "for each box, by a control group"
                : "not enforced: needs root and control groups");
  add(lines, &n, "disk limit", false, false,
      "not enforced: boxes share the disk of the state folder");
  add(lines, &n, "network", !*f.network, false, "%s%s",
      *f.network ? "boxes have none: "
                 : "boxes reach the internet, and nothing of this machine",
      f.network);
  if (!f.userns)
    add(lines, &n, "systemd", !*f.systemd, false, "%s%s",
        *f.systemd ? "not in boxes: "
                   : "runs in boxes, with --init systemd",
        f.systemd);
  return n;
}
