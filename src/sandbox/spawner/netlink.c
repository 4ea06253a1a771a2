#include "netlink.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int bx_nl_open(uint32_t groups) {
  struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = groups};
  int strict = 1, type = SOCK_RAW | SOCK_CLOEXEC;
  int fd = socket(AF_NETLINK, groups ? type | SOCK_NONBLOCK : type,
                  NETLINK_ROUTE);
  if (fd < 0) return -1;
  /* the kernel then lists matching entries only */
  setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &strict, sizeof strict);
  if (bind(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
  int err = errno;
  close(fd);
  errno = err;
  return -1;
}

/* Where in data there is room for `size` more bytes, cleared; 0: nowhere. */
static size_t add(bx_nl_request *r, size_t size) {
  size_t at = NLMSG_ALIGN(r->head.nlmsg_len);
  if (at + NLMSG_ALIGN(size) > sizeof r->data) {
    r->full = true;
    return 0;
  }
  r->head.nlmsg_len = (uint32_t)(at + size);
  memset(r->data + at, 0, NLMSG_ALIGN(size));
  return at;
}

void bx_nl_begin(bx_nl_request *r, int type, int flags, const void *body,
                 size_t size) {
  r->full = false;
  r->head = (struct nlmsghdr){
      .nlmsg_len = NLMSG_HDRLEN,
      .nlmsg_type = (uint16_t)type,
      .nlmsg_flags = (uint16_t)(flags | NLM_F_REQUEST)};
  size_t at = add(r, size);
  if (at) memcpy(r->data + at, body, size);
}

void bx_nl_put(bx_nl_request *r, int type, const void *data, size_t size) {
  struct rtattr head = {.rta_len = (unsigned short)RTA_LENGTH(size),
                        .rta_type = (unsigned short)type};
  size_t at = add(r, RTA_LENGTH(size));
  if (!at) return;
  memcpy(r->data + at, &head, sizeof head);
  if (size) memcpy(r->data + at + RTA_LENGTH(0), data, size);
}

void bx_nl_put_u32(bx_nl_request *r, int type, uint32_t value) {
  bx_nl_put(r, type, &value, sizeof value);
}

size_t bx_nl_nest(bx_nl_request *r, int type, const void *body, size_t size) {
  size_t nest = NLMSG_ALIGN(r->head.nlmsg_len);
  bx_nl_put(r, type, body, size);
  return nest;
}

void bx_nl_close(bx_nl_request *r, size_t nest) {
  if (r->full) return;
  struct rtattr *a = (struct rtattr *)(void *)(r->data + nest);
  a->rta_len = (unsigned short)(r->head.nlmsg_len - nest);
}

static int send_request(int fd, bx_nl_request *r) {
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  if (r->full) return EMSGSIZE;
  ssize_t n = sendto(fd, r->data, r->head.nlmsg_len, 0,
                     (struct sockaddr *)&kernel, sizeof kernel);
  return n < 0 ? errno : 0;
}

/* Takes messages until the one that ends the answer: an acknowledgement, an
   error or the end of a list. */
static int read_answer(int fd, void (*take)(void *, const struct nlmsghdr *),
                       void *to) {
  static _Alignas(struct nlmsghdr) char buffer[32768];
  for (;;) {
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? errno : EIO;
    unsigned left = (unsigned)n;
    for (struct nlmsghdr *m = (struct nlmsghdr *)(void *)buffer;
         NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
      if (m->nlmsg_type == NLMSG_ERROR)
        return -((struct nlmsgerr *)NLMSG_DATA(m))->error;
      if (m->nlmsg_type == NLMSG_DONE) return 0;
      if (take) take(to, m);
    }
  }
}

int bx_nl_ask(int fd, bx_nl_request *r) {
  r->head.nlmsg_flags |= NLM_F_ACK;
  int err = send_request(fd, r);
  return err ? err : read_answer(fd, NULL, NULL);
}

int bx_nl_dump(int fd, bx_nl_request *r,
               void (*take)(void *to, const struct nlmsghdr *m), void *to) {
  r->head.nlmsg_flags |= NLM_F_DUMP;
  int err = send_request(fd, r);
  return err ? err : read_answer(fd, take, to);
}
