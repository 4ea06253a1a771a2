#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Well under the default socket buffer, so that a packet always fits. */
#define PACKET_MAX (64 * 1024)
#define BODY_MAX ((uint64_t)256 << 20)
/* Without memory to queue a message, how often and long room is waited for. */
#define FULL_TRIES 20
#define FULL_MS 50

typedef struct header {
  uint32_t type;
  uint32_t in_memfd; /* the body is in the last descriptor */
  uint64_t id, box;
  int64_t n[BX_MSG_NUMS];
  uint64_t len[BX_MSG_STRS];
} header;

struct bx_queued {
  bx_queued *next;
  unsigned nfd;
  int fd[BX_MSG_FDS + 1];
  size_t len;
  char data[];
};

bx_bytes bx_bytes_str(const char *s) {
  return s ? (bx_bytes){s, strlen(s) + 1} : (bx_bytes){NULL, 0};
}

static void close_fds(const int *fd, unsigned n) {
  for (unsigned i = 0; i < n; i++)
    if (fd[i] >= 0) close(fd[i]);
}

void bx_msg_clear(bx_msg *m) {
  close_fds(m->fd, m->nfd);
  free(m->body);
  *m = (bx_msg){0};
}

void bx_msg_fail_with(bx_msg *m, int err, const bx_error *e) {
  m->n[0] = err;
  m->n[1] = e->class_;
  m->s[0] = bx_bytes_str(e->message);
}

void bx_msg_fail(bx_msg *m, int err, const char *what) {
  static bx_error e; /* the message's strings point here until it is sent */
  bx_class c = err == ENOENT                      ? BX_NOT_FOUND
               : err == EINVAL || err == E2BIG    ? BX_INVALID_ARGUMENT
               : err == ECONNREFUSED || err == ECONNABORTED ? BX_CONNECTION
               : err == EAGAIN || err == ENOSPC   ? BX_QUOTA_EXCEEDED
                                                  : BX_INTERNAL;
  bx_error_errno(&e, c, err, what);
  bx_msg_fail_with(m, err, &e);
}

void bx_msg_check(bx_msg *m) {
  if (m->lost) bx_msg_fail(m, m->lost, "cannot read the answer");
}

int bx_msg_take(bx_msg *m, unsigned i) {
  if (i >= m->nfd) return -1;
  int fd = m->fd[i];
  m->fd[i] = -1;
  return fd;
}

void bx_link_open(bx_link *l, int fd) {
  l->fd = fd;
  l->first = NULL;
  l->last = &l->first;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void drop_first(bx_link *l) {
  bx_queued *q = l->first;
  l->first = q->next;
  if (!l->first) l->last = &l->first;
  close_fds(q->fd, q->nfd);
  free(q);
}

void bx_link_close(bx_link *l) {
  while (l->first) drop_first(l);
  if (l->fd >= 0) close(l->fd);
  l->fd = -1;
}

bool bx_link_pending(const bx_link *l) { return l->first != NULL; }

static int write_all(int fd, const char *p, size_t n) {
  while (n > 0) {
    ssize_t w = write(fd, p, n);
    if (w < 0 && errno == EINTR) continue;
    if (w < 0) return errno;
    p += w;
    n -= (size_t)w;
  }
  return 0;
}

/* The strings of a message as a file, for those beyond a packet. */
static int body_memfd(const bx_msg *m) {
  int fd = memfd_create("boxd-message", MFD_CLOEXEC);
  if (fd < 0) return -1;
  for (int i = 0; i < BX_MSG_STRS; i++) {
    int err = write_all(fd, m->s[i].p, m->s[i].n);
    if (err) {
      close(fd);
      errno = err;
      return -1;
    }
  }
  return fd;
}

/* A message as it goes: its header, its strings or none, its descriptors. */
typedef struct packet {
  header h;
  struct iovec iov[1 + BX_MSG_STRS];
  size_t niov, len;
  int fd[BX_MSG_FDS + 1];
  unsigned nfd;
} packet;

/* Takes the message's descriptors, also when it fails by an errno. */
static int make_packet(packet *p, const bx_msg *m) {
  *p = (packet){.h = {.type = m->type, .id = m->id, .box = m->box},
                .nfd = m->nfd, .niov = 1, .len = sizeof p->h};
  memcpy(p->h.n, m->n, sizeof p->h.n);
  if (m->nfd) memcpy(p->fd, m->fd, m->nfd * sizeof(int));
  p->iov[0] = (struct iovec){&p->h, sizeof p->h};
  for (int i = 0; i < BX_MSG_STRS; i++) {
    p->h.len[i] = m->s[i].n;
    p->len += m->s[i].n;
    p->iov[p->niov++] = (struct iovec){(void *)(uintptr_t)m->s[i].p, m->s[i].n};
  }
  if (p->len <= PACKET_MAX) return 0;
  int extra = body_memfd(m);
  if (extra < 0) return errno;
  p->h.in_memfd = 1;
  p->fd[p->nfd++] = extra;
  p->niov = 1;
  p->len = sizeof p->h;
  return 0;
}

/* The packet in memory of its own, whose the descriptors are then. */
static bx_queued *copy_packet(const packet *p) {
  bx_queued *q = malloc(sizeof *q + p->len);
  if (!q) return NULL;
  q->next = NULL;
  q->len = p->len;
  q->nfd = p->nfd;
  if (p->nfd) memcpy(q->fd, p->fd, p->nfd * sizeof(int));
  char *at = q->data;
  for (size_t i = 0; i < p->niov; i++) {
    if (p->iov[i].iov_len) memcpy(at, p->iov[i].iov_base, p->iov[i].iov_len);
    at += p->iov[i].iov_len;
  }
  return q;
}

static int send_packet(int sock, struct iovec *iov, size_t niov, const int *fd,
                       unsigned nfd) {
  union {
    struct cmsghdr align;
    char buf[CMSG_SPACE((BX_MSG_FDS + 1) * sizeof(int))];
  } control;
  struct msghdr mh = {.msg_iov = iov, .msg_iovlen = niov};
  if (nfd) {
    memset(&control, 0, sizeof control);
    mh.msg_control = control.buf;
    mh.msg_controllen = CMSG_SPACE(nfd * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(nfd * sizeof(int));
    memcpy(CMSG_DATA(c), fd, nfd * sizeof(int));
  }
  while (sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
    if (errno != EINTR) return errno;
  return 0;
}

/* ETOOMANYREFS: too many descriptors under way; the reader takes some. */
static bool is_full(int err) {
  return err == EAGAIN || err == ENOBUFS || err == ETOOMANYREFS;
}

int bx_link_flush(bx_link *l) {
  while (l->first) {
    bx_queued *q = l->first;
    int err = send_packet(l->fd, &(struct iovec){q->data, q->len}, 1, q->fd,
                          q->nfd);
    if (is_full(err)) return 0;
    if (err) return err;
    drop_first(l);
  }
  return 0;
}

/* EAGAIN: not all that waits before it has gone yet, or the socket is full. */
static int send_now(bx_link *l, packet *p) {
  int err = bx_link_flush(l);
  if (!err && l->first) err = EAGAIN;
  if (!err) err = send_packet(l->fd, p->iov, p->niov, p->fd, p->nfd);
  return is_full(err) ? EAGAIN : err;
}

int bx_link_send(bx_link *l, const bx_msg *m) {
  packet p;
  if (l->fd < 0) {
    close_fds(m->fd, m->nfd);
    return EPIPE;
  }
  int err = make_packet(&p, m);
  if (!err) err = send_now(l, &p);
  for (int try = 0; err == EAGAIN; try++) {
    bx_queued *q = copy_packet(&p);
    if (q) {
      *l->last = q;
      l->last = &q->next;
      return 0;
    }
    if (try == FULL_TRIES) err = ENOMEM;
    poll(&(struct pollfd){l->fd, POLLOUT, 0}, 1, FULL_MS);
    if (err == EAGAIN) err = send_now(l, &p);
  }
  close_fds(p.fd, p.nfd);
  return err;
}

/* The bytes of all strings: of the packet, or of the memfd it came with. */
static bool read_strings(int fd, const char *p, char *to, size_t n) {
  if (fd < 0) memcpy(to, p, n);
  for (size_t got = 0; fd >= 0 && got < n;) {
    ssize_t r = pread(fd, to + got, n - got, (off_t)got);
    if (r == 0 || (r < 0 && errno != EINTR)) return false;
    if (r > 0) got += (size_t)r;
  }
  return true;
}

/* Makes room for a NUL behind each, from the last one on. */
static void part_strings(bx_msg *m, const header *h, size_t total) {
  char *from = m->body + total;
  for (int i = BX_MSG_STRS - 1; i >= 0; i--) {
    size_t len = h->len[i];
    from -= len;
    memmove(from + i, from, len);
    from[i + (ptrdiff_t)len] = '\0';
    m->s[i] = (bx_bytes){from + i, len};
  }
}

/* 0, -1: there is something wrong with the strings. */
static int load_body(bx_msg *m, const header *h, const char *p, size_t n) {
  uint64_t total = 0;
  for (int i = 0; i < BX_MSG_STRS; i++) {
    m->s[i] = (bx_bytes){"", 0};
    if (h->len[i] > BODY_MAX) return -1;
    total += h->len[i];
  }
  if (m->lost && h->in_memfd) return 0; /* the file was not had either */
  int fd = h->in_memfd && m->nfd ? m->fd[--m->nfd] : -1;
  bool ok = total <= BODY_MAX && (h->in_memfd ? fd >= 0 : total == n);
  if (ok && total > 0) m->body = malloc(total + BX_MSG_STRS);
  if (ok && total > 0 && !m->body) m->lost = ENOMEM;
  if (ok && m->body) ok = read_strings(fd, p, m->body, total);
  if (ok && m->body) part_strings(m, h, total);
  close_fds(&fd, 1);
  return ok ? 0 : -1;
}

static void take_fds(bx_msg *m, struct msghdr *mh) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    unsigned n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    const char *data = (const char *)CMSG_DATA(c);
    for (unsigned i = 0; i < n; i++) {
      int fd;
      memcpy(&fd, data + i * sizeof fd, sizeof fd);
      if (m->nfd < BX_MSG_FDS)
        m->fd[m->nfd++] = fd;
      else
        close(fd);
    }
  }
}

int bx_link_recv(bx_link *l, bx_msg *m) {
  static char data[PACKET_MAX]; /* each process has one thread that reads */
  union {
    struct cmsghdr align;
    char buf[CMSG_SPACE((BX_MSG_FDS + 1) * sizeof(int))];
  } control;
  struct iovec iov = {data, sizeof data};
  struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
  mh.msg_control = control.buf;
  mh.msg_controllen = sizeof control.buf;
  ssize_t n;
  header h;
  *m = (bx_msg){0};
  if (l->fd < 0) return -1;
  do n = recvmsg(l->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  if (n < 0) return errno == EAGAIN ? 0 : -1;
  if (n == 0) return -1;
  take_fds(m, &mh);
  if ((size_t)n < sizeof h || (mh.msg_flags & MSG_TRUNC)) {
    bx_msg_clear(m);
    return -1;
  }
  if (mh.msg_flags & MSG_CTRUNC) { /* there was no room for all of them */
    close_fds(m->fd, m->nfd);
    m->nfd = 0;
    m->lost = EMFILE;
  }
  memcpy(&h, data, sizeof h);
  m->type = h.type;
  m->id = h.id;
  m->box = h.box;
  memcpy(m->n, h.n, sizeof h.n);
  if (load_body(m, &h, data + sizeof h, (size_t)n - sizeof h) == 0) return 1;
  bx_msg_clear(m);
  return -1;
}
