#include "box_start.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <grp.h>
#include <unistd.h>

#include "../init/init.h"
#include "../init/seccomp.h"
#include "box_systemd.h"
#include "cgroup_tree.h"
#include "rootfs.h"
#include "../spawn_private.h"

#define DISKS_MAX 64
#define LINK_FD 3
#define OOM_FD 4
#define PROC_FD 5
#define GROUP_FD 6
#define SYSTEMD_FD 7

/* What the first process has of its own, but its link. */
typedef struct own {
  int oom;  /* its /proc/PID/oom_score_adj, or -1 */
  int proc; /* a /proc with its numbers, where the box's has others, or -1 */
  int group[2]; /* in and out of systemd's control groups, or -1 */
  bx_systemd systemd;
} own;

/* What the first process of a box and its maker share while it is made. */
typedef struct making {
  const bx_host *host;
  const bx_router *router;
  const bx_msg *m;
  pid_t spawner;
  int agent;   /* the first process's link */
  int sync[2]; /* [0] the maker's, [1] the first process's */
  struct {     /* in shared memory: how the first process fared so far */
    int err;
    bx_error error;
  } *note;
} making;

/* ---- the first process --------------------------------------------------- */

static int loopback_up(void) {
  struct ifreq r = {.ifr_name = "lo"};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  r.ifr_flags = IFF_UP | IFF_RUNNING;
  int err = ioctl(fd, SIOCSIFFLAGS, &r) < 0 ? errno : 0;
  close(fd);
  return err;
}

/* Proxies reach a box at its interface. One without a network has this address,
   and nothing leads there from outside. */
static int give_address(void) {
  struct ifreq r = {.ifr_name = "eth0"};
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_addr = {htonl(BX_ALONE_ADDRESS)}};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;
  if (fd < 0) return errno;
  if (ioctl(fd, SIOCGIFADDR, &r) < 0) {
    strcpy(r.ifr_name, BX_ALONE_INTERFACE);
    memcpy(&r.ifr_addr, &a, sizeof a);
    if (ioctl(fd, SIOCSIFADDR, &r) < 0) err = errno;
  }
  close(fd);
  return err;
}

/* Root of the box, or boxd where that has one id, and nothing more. In this
   order: rights dropped first are not needed after, and a filter of calls
   without no_new_privs, which would be the end of sudo, needs one. */
static int become_first(const making *k) {
  uid_t id = k->host->id_count > 1 ? 0 : BX_USER_ID;
  if (k->host->id_count > 1 && setgroups(0, NULL) < 0) return errno;
  if (setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0) return errno;
  const char *name = k->m->s[1].p;
  if (sethostname(name, strlen(name)) < 0) return errno;
  int err = k->m->n[2] ? 0 : loopback_up();
  if (!err && !k->m->n[2]) err = give_address();
  if (!err) err = bx_confine_syscalls();
  if (!err) err = bx_confine_capabilities();
  if (err) return err;
  /* changed credentials cleared it; not dumpable: no process in the box looks
     into this process, which was forked from the service */
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
    return errno;
  return chdir("/") < 0 ? errno : 0;
}

/* Nothing of the spawner's stays open but the link, and its own: each at its
   number, or -1. */
static void keep(const making *k, own *o) {
  int from[] = {k->agent, o->oom, o->proc, o->group[0], o->systemd.link};
  enum { KEPT = sizeof from / sizeof *from };
  for (int i = 0; i < KEPT; i++) /* out of the way */
    if (from[i] >= 0) from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, LINK_FD + KEPT);
  for (int i = 0; i < KEPT; i++)
    if (from[i] < 0)
      close(LINK_FD + i);
    else if (dup3(from[i], LINK_FD + i, O_CLOEXEC) < 0)
      _exit(1);
  close_range(LINK_FD + KEPT, ~0u, 0);
  if (o->oom >= 0) o->oom = OOM_FD;
  if (o->proc >= 0) o->proc = PROC_FD;
  if (o->group[0] >= 0) o->group[0] = GROUP_FD;
  if (o->systemd.link >= 0) o->systemd.link = SYSTEMD_FD;
}

static void agent_main(const making *k, own *o) {
  bx_agent a = {.box = k->m->id, .host = k->host,
                .processes = (uint32_t)k->m->n[1],
                .net_host = k->m->n[2] != 0, .system = o->systemd.pid};
  bx_msg ready = {.type = BX_M_READY, .id = k->m->id, .box = k->m->id};
  keep(k, o);
  bx_link_open(&a.link, LINK_FD);
  bx_agent_know_oom(&a, o->oom);
  int err = become_first(k);
  a.proc = o->proc;
  a.group = o->group[0];
  if (a.proc < 0) a.proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (!err && a.proc < 0) err = errno;
  if (err) bx_msg_fail(&ready, err, "cannot set up the box's first process");
  prctl(PR_SET_NAME, "init");
  if (bx_link_send(&a.link, &ready) != 0 || err) _exit(1);
  if (a.system) bx_systemd_go(&o->systemd, a.processes);
  bx_agent_run(&a);
  _exit(1);
}

/* Slow where groups were idle (10 ms with version 1): done while the maker
   mounts. */
static int join_group(const making *k, own *o) {
  const bx_host *h = k->host;
  int err = bx_cgroup_join(&h->cgroups, k->spawner, k->m->id,
                           (uint32_t)k->m->n[1], (uint64_t)k->m->n[0]);
  if (!err && h->systemd)
    err = bx_cgroup_tree_join(&h->cgroups, k->spawner, k->m->id, h->box_id,
                              o->group);
  if (err)
    bx_error_errno(&k->note->error, BX_INTERNAL, err,
                   "cannot limit the box's processes and memory");
  return err;
}

/* Its namespaces, and, in these, the process that becomes systemd. */
static int make_namespaces(const making *k, own *o) {
  bool systemd = k->host->systemd;
  int flags = CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWIPC, err;
  if (!k->m->n[2]) flags |= CLONE_NEWNET;
  if (systemd) flags |= CLONE_NEWCGROUP;
  err = systemd ? bx_systemd_prepare(k->host, k->m->s[0].p, &o->systemd,
                                     &o->proc, &k->note->error)
                : bx_rootfs_proc(k->host, k->m->s[0].p, &k->note->error);
  if (err) return err;
  if (unshare(flags) < 0) err = errno;
  /* changed rights closed this process, which systemd's is to follow */
  if (!err && systemd && prctl(PR_SET_DUMPABLE, 1) < 0) err = errno;
  if (!err && systemd) err = bx_systemd_move(&o->systemd, flags);
  /* systemd reads the numbers of all in its groups, and this has none for it */
  if (!err && systemd) err = bx_cgroup_move(o->group[1]);
  if (err)
    bx_error_errno(&k->note->error, BX_INTERNAL, err,
                   "cannot make the box's namespaces");
  return err;
}

/* Pid 1, still with the spawner's rights. */
static _Noreturn void first_process(const making *k) {
  own o = {.proc = -1, .group = {-1, -1}, .systemd = {.link = -1}};
  char byte;
  close(k->sync[0]);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  /* now, while this process is open to itself */
  o.oom = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
  k->note->err = join_group(k, &o);
  if (!k->note->err) k->note->err = make_namespaces(k, &o);
  if (k->note->err) _exit(1);
  if (write(k->sync[1], "u", 1) != 1 || read(k->sync[1], &byte, 1) != 1)
    _exit(1);
  close(k->sync[1]);
  agent_main(k, &o);
  _exit(1);
}

/* ---- its maker ----------------------------------------------------------- */

/* A child of the spawner, not of this process, in a new pid namespace. */
static pid_t clone_first(const making *k) {
  pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_PARENT | SIGCHLD,
                             NULL, NULL, NULL, 0);
  if (pid == 0) first_process(k);
  return pid;
}

/* Links the box's network to the router, where it is to be; and mounts its view
   of /sys. The caller ends soon, so it may stay in there. */
static void set_network(const making *k, pid_t pid, bx_msg *reply) {
  int net = bx_ns_open(pid, "net"), place = (int)k->m->n[3] - 1, err = 0;
  if (net >= 0 && place >= 0)
    err = bx_router_join(k->router, (unsigned)place, net);
  if (err) reply->s[1] = bx_bytes_str(strerror(err));
  if (net >= 0 && setns(net, CLONE_NEWNET) == 0) bx_rootfs_sys(k->host);
  if (net >= 0) close(net);
}

static int open_disks(const making *k, int *tree, const char **target,
                      unsigned *n, bx_error *e) {
  const char *p = k->m->s[2].p, *end = p + k->m->s[2].n;
  for (*n = 0; p < end; ++*n) {
    const char *source = p, *at = source + strlen(source) + 1;
    const char *mode = at + strlen(at) + 1;
    p = mode + strlen(mode) + 1;
    if (*n == DISKS_MAX) {
      bx_error_set(e, BX_INVALID_ARGUMENT, "a box can have %d disks at most",
                   DISKS_MAX);
      return E2BIG;
    }
    target[*n] = at;
    tree[*n] = bx_disk_open(k->host, source, strcmp(mode, "ro") == 0);
    if (tree[*n] < 0) {
      int err = errno;
      bx_error_set(e, BX_INTERNAL, "cannot mount %s in the box: %s", source,
                   strerror(err));
      return err;
    }
  }
  return 0;
}

static int place_disks(const making *k, int fds, const int *tree,
                       const char *const *target, unsigned n, bx_error *e) {
  for (unsigned i = 0; i < n; i++) {
    int err = bx_disk_place(k->host, fds, tree[i], target[i]);
    if (!err) continue;
    bx_error_set(e, BX_INTERNAL, "cannot mount a disk at %s in the box: %s",
                 target[i], strerror(err));
    return err;
  }
  return 0;
}

/* Until the first process has its namespaces and ids. */
static int join_first(const making *k, pid_t pid, bx_error *e) {
  char byte;
  if (read(k->sync[0], &byte, 1) != 1) {
    int err = k->note->err ? k->note->err : EIO;
    if (k->note->err)
      *e = k->note->error;
    else
      bx_error_set(e, BX_INTERNAL, "the box's first process was killed");
    return err;
  }
  uint32_t first = k->host->id_count > 1 ? 0 : BX_USER_ID;
  int err = bx_host_map_ids(k->host, pid, first);
  if (err) bx_error_errno(e, BX_INTERNAL, err, "cannot map the box's user ids");
  return err;
}

static int mount_groups(const making *k, bx_error *e) {
  char path[BX_CGROUP_PATH + 80];
  bx_cgroup_tree_path(path, &k->host->cgroups, k->spawner, k->m->id);
  return bx_rootfs_cgroup(k->host, path, e);
}

static int make(making *k, bx_msg *reply, bx_error *e) {
  const bx_host *h = k->host;
  int tree[DISKS_MAX];
  const char *target[DISKS_MAX];
  unsigned ndisks;
  const char *dir = k->m->s[0].p;
  int err = bx_rootfs_prepare(h, dir, k->m->s[1].p, e);
  if (!err && unshare(CLONE_NEWNS) < 0) err = errno;
  if (!err) err = bx_rootfs_base(h, dir, e);
  if (!err) err = open_disks(k, tree, target, &ndisks, e);
  if (err) return err;
  pid_t pid = clone_first(k);
  close(k->sync[1]);
  if (pid < 0) return errno;
  reply->n[2] = pid;
  err = bx_rootfs_mount(h, dir, (uint64_t)k->m->n[0], e);
  if (!err) err = join_first(k, pid, e);
  if (err) return err;
  set_network(k, pid, reply);
  if (h->systemd && (err = mount_groups(k, e)) != 0) return err;
  int ns = bx_ns_open(getpid(), "mnt"), names = bx_ns_open(pid, "uts");
  int fds = bx_disk_fds();
  if (ns < 0 || names < 0 || fds < 0) return errno;
  reply->fd[reply->nfd++] = ns;
  reply->fd[reply->nfd++] = names;
  err = bx_rootfs_pivot(h, e);
  return err ? err : place_disks(k, fds, tree, target, ndisks, e);
}

void bx_box_make(const bx_host *h, const bx_router *r, const bx_msg *m,
                 int agent, bx_msg *reply, int *go) {
  bx_error e;
  making k = {.host = h, .router = r, .m = m, .spawner = getppid(), .agent = agent};
  bx_error_clear(&e);
  *go = -1;
  k.note = mmap(NULL, sizeof *k.note, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int err = k.note == MAP_FAILED ? errno : 0;
  if (!err && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, k.sync) < 0)
    err = errno;
  if (!err) err = make(&k, reply, &e);
  if (!err) {
    *go = k.sync[0];
    return;
  }
  if (!e.class_) bx_error_errno(&e, BX_INTERNAL, err, "cannot make the box");
  bx_msg_fail_with(reply, err, &e); /* the spawner kills the pid in it */
}

void bx_box_go(int go) {
  if (go < 0) return;
  if (write(go, "g", 1) != 1) _exit(1); /* it is dead, as the spawner sees */
  close(go);
}
