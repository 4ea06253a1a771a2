/* User namespaces: the spawner's own, as an ordinary user, and their maps. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

int bx_userns_write(pid_t pid, const char *file, const char *text) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  int err = write(fd, text, strlen(text)) < 0 ? errno : 0;
  close(fd);
  return err;
}

bool bx_userns_is_first(void) {
  unsigned long inside = 1, outside = 1, count = 0;
  FILE *f = fopen("/proc/self/uid_map", "re");
  if (!f) return false;
  int n = fscanf(f, "%lu %lu %lu", &inside, &outside, &count);
  fclose(f);
  return n == 3 && inside == 0 && outside == 0 && count >= UINT32_MAX;
}

int bx_host_map_ids(const bx_host *h, pid_t pid, uint32_t first) {
  char map[64];
  snprintf(map, sizeof map, "%u %u %u\n", first, h->box_id, h->id_count);
  int err = bx_userns_write(pid, "uid_map", map);
  return err ? err : bx_userns_write(pid, "gid_map", map);
}

int bx_ns_open(pid_t pid, const char *name) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, name);
  return open(path, O_RDONLY | O_CLOEXEC);
}

/* Lives in the new namespaces until they are held. Says 'x', or its errno. */
static _Noreturn void hold(int flags, int say) {
  char byte = 'x';
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (unshare(flags) < 0) byte = (char)-errno;
  if (write(say, &byte, 1) != 1) _exit(1);
  for (;;) pause();
}

int bx_userns_make(const bx_host *h, int *net) {
  int pipefd[2], flags = CLONE_NEWUSER | (net ? CLONE_NEWNET : 0), fd = -1;
  char byte = -EIO;
  if (pipe2(pipefd, O_CLOEXEC) < 0) return -1;
  pid_t pid = fork();
  if (pid == 0) hold(flags, pipefd[1]);
  int err = pid < 0 ? errno : 0;
  close(pipefd[1]);
  if (!err && (read(pipefd[0], &byte, 1) != 1 || byte != 'x')) err = -byte;
  if (!err) err = bx_host_map_ids(h, pid, 0);
  if (!err && (fd = bx_ns_open(pid, "user")) < 0) err = errno;
  if (!err && net && (*net = bx_ns_open(pid, "net")) < 0) err = errno;
  close(pipefd[0]);
  if (pid > 0) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
  }
  if (err && fd >= 0) close(fd);
  errno = err;
  return err ? -1 : fd;
}

/* The first range of FILE ("name:start:count") for this user with at least
   BX_IDS ids: its start, or 0. */
static unsigned long sub_range(const char *file, const char *name) {
  char line[256], number[24];
  unsigned long found = 0;
  FILE *f = fopen(file, "re");
  if (!f) return 0;
  snprintf(number, sizeof number, "%u", (unsigned)getuid());
  while (!found && fgets(line, sizeof line, f)) {
    char *start = strchr(line, ':'), *count;
    if (!start || !(count = strchr(start + 1, ':'))) continue;
    *start++ = *count++ = '\0';
    if ((strcmp(line, name) == 0 || strcmp(line, number) == 0) &&
        strtoul(count, NULL, 10) >= BX_IDS)
      found = strtoul(start, NULL, 10);
  }
  fclose(f);
  return found;
}

static int run(char *const argv[]) {
  int status;
  pid_t pid = fork();
  if (pid == 0) {
    execvp(argv[0], argv);
    _exit(127);
  }
  if (pid < 0 || waitpid(pid, &status, 0) < 0) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* newuidmap PID 0 OWN 1 1 START 65536: root of the new namespace is the user
   itself, the boxes' ids come after. */
static int map_with(const char *tool, pid_t pid, unsigned own,
                    unsigned long start) {
  char p[16], o[16], s[24], n[16];
  snprintf(p, sizeof p, "%d", (int)pid);
  snprintf(o, sizeof o, "%u", own);
  snprintf(s, sizeof s, "%lu", start);
  snprintf(n, sizeof n, "%u", BX_IDS);
  char name[16], zero[] = "0", one[] = "1";
  snprintf(name, sizeof name, "%s", tool);
  char *argv[] = {name, p, zero, o, one, one, s, n, NULL};
  return run(argv);
}

/* Runs beside the spawner, outside its new user namespace: setuid tools work
   only there. Says by one byte how it went: 'r' ranges, 's' single. Without the
   spawner's ends: it sees by their closing that there is nothing to map. */
static void mapper(pid_t target, const int go[2], const int done[2], uid_t uid,
                   gid_t gid) {
  char byte;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  close(go[1]);
  close(done[0]);
  struct passwd *pw = getpwuid(uid);
  const char *name = pw ? pw->pw_name : "";
  unsigned long u = sub_range("/etc/subuid", name);
  unsigned long g = sub_range("/etc/subgid", name);
  if (read(go[0], &byte, 1) != 1) _exit(1);
  bool ranges = u && g && map_with("newuidmap", target, uid, u) == 0 &&
                map_with("newgidmap", target, gid, g) == 0;
  _exit(write(done[1], ranges ? "r" : "s", 1) == 1 ? 0 : 1);
}

static int map_single(bx_host *h, uid_t uid, gid_t gid) {
  char map[64];
  h->box_id = 0;
  h->id_count = 1;
  snprintf(map, sizeof map, "0 %u 1\n", (unsigned)uid);
  int err = bx_userns_write(getpid(), "uid_map", map);
  if (!err) err = bx_userns_write(getpid(), "setgroups", "deny");
  snprintf(map, sizeof map, "0 %u 1\n", (unsigned)gid);
  return err ? err : bx_userns_write(getpid(), "gid_map", map);
}

int bx_userns_enter(bx_host *h, bx_error *e) {
  int go[2], done[2];
  char how = 's';
  uid_t uid = geteuid();
  gid_t gid = getegid();
  pid_t self = getpid();
  if (pipe2(go, O_CLOEXEC) < 0 || pipe2(done, O_CLOEXEC) < 0) return errno;
  pid_t helper = fork();
  if (helper == 0) mapper(self, go, done, uid, gid);
  close(go[0]);
  close(done[1]);
  int err = unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? errno : 0;
  /* an mm that changed owners is closed to the tools and to ourselves */
  if (!err) prctl(PR_SET_DUMPABLE, 1);
  if (!err && write(go[1], "x", 1) == 1 && read(done[0], &how, 1) != 1)
    how = 's';
  close(go[1]);
  close(done[0]);
  if (helper > 0) waitpid(helper, NULL, 0);
  if (err) {
    bx_error_errno(e, BX_BOXD, err,
                   "local boxes need user namespaces, which this machine "
                   "refuses to this user (a chroot has none; else see sysctl "
                   "kernel.unprivileged_userns_clone, "
                   "user.max_user_namespaces and, on Ubuntu, "
                   "kernel.apparmor_restrict_unprivileged_userns)");
    return err;
  }
  h->box_id = 1;
  h->id_count = BX_IDS;
  if (how != 'r') err = map_single(h, uid, gid);
  if (err) bx_error_errno(e, BX_BOXD, err, "cannot map user ids for boxes");
  return err;
}
