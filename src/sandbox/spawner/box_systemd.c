#include "box_systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../init/init.h"
#include "../init/seccomp.h"
#include "cgroup_tree.h"
#include "rootfs.h"

#define PROGRAM "/usr/lib/systemd/systemd"

int bx_systemd_check(const bx_host *h, bx_error *e) {
  int err = access(PROGRAM, X_OK) < 0 ? errno : 0;
  if (err) {
    bx_error_set(e, BX_BOXD, "%s: %s (package systemd)", PROGRAM, strerror(err));
    return err;
  }
  if (h->id_count == 1) {
    bx_error_set(e, BX_BOXD,
                 "boxes of this user have no root: install uidmap and give this "
                 "user 65536 ids in /etc/subuid and /etc/subgid");
    return EPERM;
  }
  err = bx_cgroup_tree_try(&h->cgroups, h->box_id);
  if (err)
    bx_error_set(e, BX_BOXD,
                 "no control group of version 2 that this user may divide (%s): "
                 "start as root, or by systemd-run --user --scope -p "
                 "Delegate=yes", err == ENOENT ? "there is none" : strerror(err));
  return err;
}

/* ---- the process that becomes systemd ------------------------------------ */

/* Still with the spawner's rights. */
static int join(int agent, int flags) {
  int err = setns(agent, flags) < 0 ? errno : 0;
  close(agent);
  return err;
}

static int become_root(const bx_host *h, uint32_t processes) {
  if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 ||
      setresuid(0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 || chdir("/") < 0)
    return errno;
  bx_agent_limit(h, processes);
  bx_agent_reset_signals();
  int err = bx_confine_syscalls();
  return err ? err : bx_confine_capabilities();
}

static void run(void) {
  static char *const argv[] = {"systemd", "--system", "--show-status=no", NULL};
  static char *const envp[] = {
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "container=boxd", NULL};
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3 && null >= 0; fd++) dup2(null, fd);
  close_range(3, ~0u, 0);
  umask(022);
  execve(PROGRAM, argv, envp);
}

/* Each word of the agent is an int, and so is each answer. */
static _Noreturn void live(const bx_host *h, const char *dir, int link,
                           int agent, bx_error *e) {
  int word, err = bx_rootfs_proc(h, dir, e);
  prctl(PR_SET_NAME, "systemd"); /* provision looks, and then waits for it */
  if (write(link, &err, sizeof err) != sizeof err || err) _exit(1);
  if (read(link, &word, sizeof word) != sizeof word) _exit(1);
  err = join(agent, word);
  if (write(link, &err, sizeof err) != sizeof err || err) _exit(1);
  if (read(link, &word, sizeof word) != sizeof word) _exit(1);
  if (become_root(h, (uint32_t)word) == 0) run();
  _exit(1);
}

/* ---- the agent's part ---------------------------------------------------- */

static int own_proc(int *proc) {
  int fs = fsopen("proc", FSOPEN_CLOEXEC), err = fs < 0 ? errno : 0;
  if (!err && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) err = errno;
  if (!err) *proc = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID |
                            MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  if (!err && *proc < 0) err = errno;
  if (fs >= 0) close(fs);
  return err;
}

static int answer(const bx_systemd *s) {
  int err;
  return read(s->link, &err, sizeof err) == sizeof err ? err : EIO;
}

int bx_systemd_prepare(const bx_host *h, const char *dir, bx_systemd *s,
                       int *proc, bx_error *e) {
  int pair[2], self = pidfd_open(getpid(), 0);
  int err = self < 0 ? errno : own_proc(proc);
  if (!err && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
    err = errno;
  if (!err && unshare(CLONE_NEWPID) < 0) err = errno;
  if (err) {
    bx_error_errno(e, BX_INTERNAL, err, "cannot prepare the box for systemd");
    return err;
  }
  s->pid = fork();
  if (s->pid == 0) {
    close(pair[0]);
    live(h, dir, pair[1], self, e);
  }
  err = s->pid < 0 ? errno : 0;
  close(pair[1]);
  close(self);
  s->link = pair[0];
  return err ? err : answer(s);
}

int bx_systemd_move(const bx_systemd *s, int flags) {
  if (write(s->link, &flags, sizeof flags) != sizeof flags) return EIO;
  return answer(s);
}

void bx_systemd_go(bx_systemd *s, uint32_t processes) {
  int word = (int)processes;
  ssize_t n = write(s->link, &word, sizeof word);
  (void)n; /* it is dead, as the agent will see */
  close(s->link);
  s->link = -1;
}
