#include "router.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink.h"
#include "router_filter.h"

#define TABLE 100      /* of the destinations that boxes do not reach */
#define FIRST_DEVICE 16 /* number of the device of place 0 */
#define BOX_DEVICE 15   /* of a box's: with one alike the kernel takes its link
                           for down, for a second */

/* ---- routes of the machine ----------------------------------------------- */

static bool same(const bx_prefix *a, const bx_prefix *b) {
  return a->address == b->address && a->length == b->length;
}

static bool has(const bx_prefixes *set, const bx_prefix *p) {
  for (size_t i = 0; i < set->n; i++)
    if (same(&set->list[i], p)) return true;
  return false;
}

static void add(bx_prefixes *set, bx_prefix p) {
  if (has(set, &p)) return;
  if (set->n == set->max) {
    size_t max = set->max ? 2 * set->max : 32;
    bx_prefix *list = realloc(set->list, max * sizeof *list);
    if (!list) {
      set->err = ENOMEM;
      return;
    }
    set->list = list;
    set->max = max;
  }
  set->list[set->n++] = p;
}

static const struct rtmsg *route_of(const struct nlmsghdr *m, bx_prefix *p) {
  const struct rtmsg *rt = NLMSG_DATA(m);
  if (m->nlmsg_type != RTM_NEWROUTE || rt->rtm_family != AF_INET) return NULL;
  int left = (int)RTM_PAYLOAD(m);
  *p = (bx_prefix){0, rt->rtm_dst_len};
  for (struct rtattr *a = RTM_RTA(rt); RTA_OK(a, left); a = RTA_NEXT(a, left))
    if (a->rta_type == RTA_DST) {
      memcpy(&p->address, RTA_DATA(a), sizeof p->address);
      p->address = ntohl(p->address);
    }
  return rt;
}

/* Its own addresses, those of broadcasts, and whole networks that it takes for
   itself. */
static void take_own(void *to, const struct nlmsghdr *m) {
  bx_prefix p;
  const struct rtmsg *rt = route_of(m, &p);
  if (rt && rt->rtm_table == RT_TABLE_LOCAL && p.length) add(to, p);
}

static void take_route(void *to, const struct nlmsghdr *m) {
  bx_prefix p;
  /* a default route, or one in two halves as VPNs have it, takes all */
  if (route_of(m, &p) && p.length > 7) add(to, p);
}

static int list_routes(int table, bx_prefixes *set,
                       void (*take)(void *, const struct nlmsghdr *)) {
  bx_nl_request r;
  struct rtmsg body = {.rtm_family = AF_INET,
                       .rtm_table = (unsigned char)table};
  int fd = bx_nl_open(0);
  if (fd < 0) return errno;
  bx_nl_begin(&r, RTM_GETROUTE, 0, &body, sizeof body);
  int err = bx_nl_dump(fd, &r, take, set);
  close(fd);
  return err ? err : set->err;
}

static bool overlap(const bx_prefixes *set, uint32_t network) {
  for (size_t i = 0; i < set->n; i++) {
    unsigned n = set->list[i].length < 16 ? set->list[i].length : 16;
    if ((set->list[i].address ^ network) >> 16 >> (16 - n) == 0) return true;
  }
  return false;
}

uint32_t bx_router_resolver(uint32_t network) { return network + 0xFF03; }

void bx_router_dotted(uint32_t address, char *text) {
  struct in_addr a = {htonl(address)};
  inet_ntop(AF_INET, &a, text, INET_ADDRSTRLEN);
}

uint32_t bx_router_network(void) {
  static const uint32_t tries[] = {0x0AD50000, 0x0A4D0000, 0xAC1D0000,
                                   0xC6130000}; /* 10.213, 10.77, 172.29,
                                                   198.19 */
  bx_prefixes set = {0};
  size_t i = 0, last = sizeof tries / sizeof *tries - 1;
  if (list_routes(RT_TABLE_UNSPEC, &set, take_route) == 0)
    while (i < last && overlap(&set, tries[i])) i++;
  free(set.list);
  return tries[i];
}

/* ---- refused destinations ------------------------------------------------ */

/* A destination that ends the search in TABLE: `type` says how. */
static int set_route(int control, const bx_prefix *p, unsigned char type,
                     bool there) {
  bx_nl_request r;
  uint32_t address = htonl(p->address);
  struct rtmsg body = {.rtm_family = AF_INET,
                       .rtm_dst_len = (unsigned char)p->length,
                       .rtm_table = TABLE,
                       .rtm_protocol = RTPROT_STATIC,
                       .rtm_scope = RT_SCOPE_UNIVERSE,
                       .rtm_type = type};
  bx_nl_begin(&r, there ? RTM_NEWROUTE : RTM_DELROUTE,
              there ? NLM_F_CREATE | NLM_F_REPLACE : 0, &body, sizeof body);
  bx_nl_put(&r, RTA_DST, &address, sizeof address);
  return bx_nl_ask(control, &r);
}

/* Not on the internet; the boxes; and the addresses of cloud metadata. */
static void add_fixed(bx_prefixes *set, uint32_t network) {
  static const bx_prefix fixed[] = {
      {0x00000000, 8}, {0x7F000000, 8},  {0xE0000000, 3}, {0xA9FE0000, 16},
      {0xC0000000, 24}, {0x646464C8, 32}, {0xA83F8110, 32}};
  for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) add(set, fixed[i]);
  add(set, (bx_prefix){network, 16});
}

/* New ones first: at no time is less refused than both have. */
static int refuse(bx_router *r, bx_prefixes *wanted) {
  int err = 0;
  for (size_t i = 0; i < wanted->n && !err; i++)
    if (!has(&r->refused, &wanted->list[i]))
      err = set_route(r->control, &wanted->list[i], RTN_UNREACHABLE, true);
  for (size_t i = 0; i < r->refused.n && !err; i++)
    if (!has(wanted, &r->refused.list[i]))
      err = set_route(r->control, &r->refused.list[i], RTN_UNREACHABLE, false);
  if (err) return err;
  free(r->refused.list);
  r->refused = *wanted;
  *wanted = (bx_prefixes){0};
  return 0;
}

int bx_router_refresh(bx_router *r) {
  char news[4096];
  bx_prefixes wanted = {0};
  while (recv(r->watch, news, sizeof news, 0) > 0 || errno == EINTR ||
         errno == ENOBUFS)
    continue;
  add_fixed(&wanted, r->network);
  int err = list_routes(RT_TABLE_LOCAL, &wanted, take_own);
  if (!err) err = refuse(r, &wanted);
  free(wanted.list);
  return err;
}

static int add_rule(int control, uint32_t order, const char *from,
                    unsigned char table) {
  bx_nl_request r;
  struct fib_rule_hdr body = {
      .family = AF_INET, .table = table, .action = FR_ACT_TO_TBL};
  bx_nl_begin(&r, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
  bx_nl_put_u32(&r, FRA_PRIORITY, order);
  if (from) bx_nl_put(&r, FRA_IIFNAME, from, strlen(from) + 1);
  return bx_nl_ask(control, &r);
}

/* Packets from outside and the router's own errors use the main table alone; all
   others, so those of every box, first look into TABLE. */
static int set_rules(const bx_router *r) {
  bx_prefix resolver = {bx_router_resolver(r->network), 32};
  int err = set_route(r->control, &resolver, RTN_THROW, true);
  if (!err) err = add_rule(r->control, 1, "wan0", RT_TABLE_MAIN);
  if (!err) err = add_rule(r->control, 2, "lo", RT_TABLE_MAIN);
  return err ? err : add_rule(r->control, 3, NULL, TABLE);
}

/* ---- making -------------------------------------------------------------- */

static int fail(bx_error *e, int err, const char *doing) {
  bx_error_errno(e, BX_INTERNAL, err, doing);
  return err;
}

int bx_router_make(const bx_host *h, bx_router *r, bx_error *e) {
  r->watch = bx_nl_open(RTMGRP_IPV4_ROUTE);
  if (r->watch < 0) return fail(e, errno, "cannot watch the machine's addresses");
  r->user = bx_userns_make(h, &r->net);
  if (r->user < 0) return fail(e, errno, "cannot make the router's namespaces");
  int err = bx_router_filter(h, r, e);
  if (err) return err;
  err = bx_router_refresh(r);
  if (!err) err = set_rules(r);
  return err ? fail(e, err, "cannot set the router's routes") : 0;
}

void bx_router_drop(bx_router *r) {
  int *fds[] = {&r->user, &r->net, &r->control, &r->watch};
  for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
    if (*fds[i] >= 0) close(*fds[i]);
    *fds[i] = -1;
  }
  free(r->refused.list);
  r->refused = (bx_prefixes){0};
}

/* ---- boxes --------------------------------------------------------------- */

static void put_name(bx_nl_request *r, const char *name) {
  bx_nl_put(r, IFLA_IFNAME, name, strlen(name) + 1);
  bx_nl_put_u32(r, IFLA_MTU, BX_ROUTER_MTU);
}

/* Two linked devices: b<PLACE> here, eth0 in the namespace `box`. */
static int add_pair(int fd, int device, unsigned place, int box) {
  bx_nl_request r;
  char name[IFNAMSIZ];
  struct ifinfomsg ours = {.ifi_index = device};
  struct ifinfomsg peer = {.ifi_index = BOX_DEVICE};
  snprintf(name, sizeof name, "b%u", place);
  bx_nl_begin(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ours, sizeof ours);
  put_name(&r, name);
  size_t info = bx_nl_nest(&r, IFLA_LINKINFO, NULL, 0);
  bx_nl_put(&r, IFLA_INFO_KIND, "veth", 4);
  size_t data = bx_nl_nest(&r, IFLA_INFO_DATA, NULL, 0);
  size_t at = bx_nl_nest(&r, VETH_INFO_PEER, &peer, sizeof peer);
  put_name(&r, "eth0");
  bx_nl_put_u32(&r, IFLA_NET_NS_FD, (uint32_t)box);
  bx_nl_close(&r, at);
  bx_nl_close(&r, data);
  bx_nl_close(&r, info);
  return bx_nl_ask(fd, &r);
}

static int bring_up(int fd, int device, uint32_t address) {
  bx_nl_request r;
  struct ifaddrmsg body = {.ifa_family = AF_INET,
                           .ifa_prefixlen = 30,
                           .ifa_index = (unsigned)device};
  struct ifinfomsg up = {
      .ifi_index = device, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  bx_nl_begin(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
  bx_nl_put_u32(&r, IFA_LOCAL, htonl(address));
  bx_nl_put_u32(&r, IFA_ADDRESS, htonl(address));
  int err = bx_nl_ask(fd, &r);
  if (err) return err;
  bx_nl_begin(&r, RTM_NEWLINK, 0, &up, sizeof up);
  return bx_nl_ask(fd, &r);
}

static int add_default(int fd, uint32_t gateway) {
  bx_nl_request r;
  struct rtmsg body = {.rtm_family = AF_INET,
                       .rtm_table = RT_TABLE_MAIN,
                       .rtm_protocol = RTPROT_STATIC,
                       .rtm_scope = RT_SCOPE_UNIVERSE,
                       .rtm_type = RTN_UNICAST};
  bx_nl_begin(&r, RTM_NEWROUTE, NLM_F_CREATE, &body, sizeof body);
  bx_nl_put_u32(&r, RTA_GATEWAY, htonl(gateway));
  bx_nl_put_u32(&r, RTA_OIF, BOX_DEVICE);
  return bx_nl_ask(fd, &r);
}

/* Enters a network namespace: a netlink socket in it, or -1. */
static int enter(int net) {
  return setns(net, CLONE_NEWNET) < 0 ? -1 : bx_nl_open(0);
}

int bx_router_join(const bx_router *r, unsigned place, int box) {
  uint32_t gateway = r->network + 4 * place + 1;
  int device = FIRST_DEVICE + (int)place;
  int fd = enter(r->net);
  if (fd < 0) return errno;
  int err = add_pair(fd, device, place, box);
  if (!err) err = bring_up(fd, device, gateway);
  close(fd);
  if (err) return err;
  fd = enter(box);
  if (fd < 0) return errno;
  err = bring_up(fd, BOX_DEVICE, gateway + 1);
  if (!err) err = add_default(fd, gateway);
  close(fd);
  return err;
}
