/*
** The way out of a box: pasta, started beside it, which passes on connections
** from the box's network namespace as this machine's own. It never reaches
** this machine's loopback (--no-map-gw), and nothing reaches the box by it.
**
** pasta changes its credentials, which would clear its death signal, so it
** runs under a process that keeps its own and is the first of a pid namespace:
** with that, pasta ends.
*/
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawner.h"

enum { NET_FD = 7, USER_FD = 8 };

static _Noreturn void run_pasta(const bx_host *h) {
  char path[BX_PATH_MAX];
  char *argv[24], *env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
  static char *const fixed[] = {
      "--foreground", "--quiet", "--stderr", "--config-net", "--no-map-gw",
      "-t", "none", "-u", "none", "-T", "none", "-U", "none",
      "--netns", "/proc/self/fd/7", "--userns", "/proc/self/fd/8"};
  size_t n = 0;
  snprintf(path, sizeof path, "%s", h->pasta);
  argv[n++] = "pasta";
  for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) argv[n++] = fixed[i];
  if (h->privileged) {
    argv[n++] = "--runas";
    argv[n++] = "0:0";
  }
  argv[n] = NULL;
  execve(path, argv, env);
  fprintf(stderr, "cannot run %s: %s\n", path, strerror(errno));
  _exit(127);
}

static _Noreturn void keeper(const bx_host *h, int net, int user, int err) {
  sigset_t none;
  int status;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "boxd-net");
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  int high[3] = {fcntl(net, F_DUPFD, 16), fcntl(user, F_DUPFD, 16),
                 fcntl(err, F_DUPFD, 16)};
  if (dup2(high[0], NET_FD) < 0 || dup2(high[1], USER_FD) < 0 ||
      dup2(high[2], 2) < 0)
    _exit(1);
  close_range(3, NET_FD - 1, 0);
  close_range(USER_FD + 1, ~0u, 0);
  pid_t pid = fork();
  if (pid == 0) run_pasta(h);
  close_range(NET_FD, USER_FD, 0);
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  _exit(1);
}

static void tell(bx_hub *hub, uint64_t box, const char *why) {
  char text[400];
  snprintf(text, sizeof text, "boxes have no network: %s", why);
  bx_msg m = {.type = BX_M_NOTE, .id = box};
  m.s[1] = bx_bytes_of(text, strlen(text));
  bx_hub_say(hub, &m);
}

void bx_hub_net_start(bx_hub *hub, bx_box *box, int net, int user) {
  int err[2];
  box->net_error = -1;
  if (!*hub->host.pasta) {
    tell(hub, box->id, "pasta is not installed (package passt)");
    return;
  }
  if (access("/dev/net/tun", R_OK | W_OK) < 0) {
    tell(hub, box->id, "this user may not open /dev/net/tun, or it is missing");
    return;
  }
  if (pipe2(err, O_CLOEXEC | O_NONBLOCK) < 0) {
    tell(hub, box->id, strerror(errno));
    return;
  }
  box->net = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL,
                            NULL, 0);
  if (box->net == 0) keeper(&hub->host, net, user, err[1]);
  close(err[1]);
  box->net_error = err[0];
  if (box->net > 0) return;
  tell(hub, box->id, strerror(errno));
  bx_hub_net_stop(box);
}

void bx_hub_net_stop(bx_box *box) {
  if (box->net > 0) kill(box->net, SIGKILL);
  if (box->net_error >= 0) close(box->net_error);
  box->net = 0;
  box->net_error = -1;
}

/* The last line that pasta said, without its end. */
static void last_line(int fd, char *line, size_t size) {
  char text[1024];
  ssize_t n = read(fd, text, sizeof text - 1);
  snprintf(line, size, "pasta ended");
  if (n <= 0) return;
  text[n] = '\0';
  while (n > 0 && text[n - 1] == '\n') text[--n] = '\0';
  const char *last = strrchr(text, '\n');
  snprintf(line, size, "pasta: %.250s", last ? last + 1 : text);
}

bool bx_hub_net_ended(bx_hub *hub, pid_t pid) {
  char why[300];
  for (bx_box *b = hub->boxes; b; b = b->next) {
    if (b->net != pid) continue;
    last_line(b->net_error, why, sizeof why);
    b->net = 0;
    bx_hub_net_stop(b);
    tell(hub, b->id, why);
    return true;
  }
  return false;
}
