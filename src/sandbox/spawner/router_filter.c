#include "router_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../link.h"
#include "netlink.h"

/* %lu: connections a box, so that none takes those of others; %s: the resolver.
   Routes have dealt with addresses when this is asked. */
static const char rules[] =
    "table inet boxd {\n"
    "  set busy { type ifname; size 16384; flags dynamic; }\n"
    "  chain input {\n"
    "    type filter hook input priority 0; policy drop;\n"
    "    iifname != \"wan0\" reject with icmpx type admin-prohibited\n"
    "  }\n"
    "  chain forward {\n"
    "    type filter hook forward priority 0; policy drop;\n"
    "    meta nfproto != ipv4 drop\n"
    "    iifname \"wan0\" ct state established,related accept\n"
    "    iifname \"wan0\" drop\n"
    "    oifname != \"wan0\" drop\n"
    "    ct state invalid drop\n"
    "    ct state new add @busy { iifname ct count over %lu }"
    " reject with icmpx type admin-prohibited\n"
    "    ip daddr != %s accept\n"
    "    meta l4proto { tcp, udp } th dport 53 accept\n"
    "    reject with icmpx type admin-prohibited\n"
    "  }\n"
    "  chain postrouting {\n"
    "    type nat hook postrouting priority 100;\n"
    "    oifname \"wan0\" masquerade\n"
    "  }\n"
    "}\n";

#define CONNECTIONS_MAX 4096

/* Strict: a source that is not the box's own is dropped. */
static const char *const options[][2] = {
    {"ipv4/ip_forward", "1"},
    {"ipv4/conf/all/rp_filter", "1"},
    {"ipv4/conf/all/accept_source_route", "0"},
    {"ipv6/conf/all/disable_ipv6", "1"},
    {"ipv6/conf/default/disable_ipv6", "1"}};

static int set_option(const char *name, const char *value) {
  char path[96];
  snprintf(path, sizeof path, "/proc/sys/net/%s", name);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) /* a kernel without IPv6 */
    return errno == ENOENT && strncmp(name, "ipv6", 4) == 0 ? 0 : errno;
  int err = write(fd, value, 1) == 1 ? 0 : errno;
  close(fd);
  return err;
}

/* In the router: sends a netlink socket of there, then becomes nft. */
static _Noreturn void child(const bx_host *h, int net, int answer, int in,
                            int out) {
  char *argv[] = {"nft", "-f", "-", NULL};
  char *env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
  bx_link link;
  bx_msg m = {.nfd = 1};
  sigset_t none;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
  if (setns(net, CLONE_NEWNET) < 0 || (m.fd[0] = bx_nl_open(0)) < 0) {
    perror("cannot enter the router");
    _exit(1);
  }
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    if ((errno = set_option(options[i][0], options[i][1])) != 0) {
      perror(options[i][0]);
      _exit(1);
    }
  bx_link_open(&link, answer);
  if (bx_link_send(&link, &m) != 0) _exit(1);
  execve(h->nft, argv, env);
  perror(h->nft);
  _exit(1);
}

/* The first line of the child's errors. */
static void first_line(int fd, char *text, size_t size) {
  ssize_t n = pread(fd, text, size - 1, 0);
  text[n > 0 ? n : 0] = '\0';
  text[strcspn(text, "\n")] = '\0';
}

static int run(const bx_host *h, bx_router *r, int in, int out, bx_error *e) {
  int pair[2], status = -1;
  char why[300];
  bx_msg m;
  bx_link link;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
    return errno;
  pid_t pid = fork();
  if (pid == 0) child(h, r->net, pair[1], in, out);
  close(pair[1]);
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  bx_link_open(&link, pair[0]);
  if (pid > 0 && bx_link_recv(&link, &m) == 1) {
    r->control = bx_msg_take(&m, 0);
    bx_msg_clear(&m);
  }
  bx_link_close(&link);
  if (status == 0 && r->control >= 0) return 0;
  first_line(out, why, sizeof why);
  bx_error_set(e, BX_INTERNAL, "the filter of their router cannot be loaded "
               "by nft: %s", *why ? why : "it was killed");
  return EIO;
}

/* The process outside has a descriptor for each. */
static unsigned long connections_a_box(const bx_host *h) {
  rlim_t part = h->nofile.rlim_max / 8;
  return part < CONNECTIONS_MAX ? part : CONNECTIONS_MAX;
}

int bx_router_filter(const bx_host *h, bx_router *r, bx_error *e) {
  char text[sizeof rules + 64], resolver[16];
  bx_router_dotted(bx_router_resolver(r->network), resolver);
  int n = snprintf(text, sizeof text, rules, connections_a_box(h), resolver);
  int in = memfd_create("rules", MFD_CLOEXEC);
  int out = memfd_create("said", MFD_CLOEXEC);
  int err = in < 0 || out < 0 || pwrite(in, text, (size_t)n, 0) != n ? errno : 0;
  if (!err) err = run(h, r, in, out, e);
  if (in >= 0) close(in);
  if (out >= 0) close(out);
  if (err && !e->class_)
    bx_error_errno(e, BX_INTERNAL, err, "cannot start nft");
  return err;
}
