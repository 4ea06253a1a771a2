/* Output of commands without a reader: the box's first process
   holds the read ends of their pipes too, and from the service's word on reads
   and drops, so that background processes can go on writing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "init.h"

#define DROP_MAX (1 << 20) /* bytes at once: others get a turn */

struct bx_output {
  bx_output *next;
  uint64_t id;
  int fd[2]; /* stdout and stderr; -1: no writer is left */
  bool drop;
};

static void close_end(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void free_output(bx_output *o) {
  close_end(&o->fd[0]);
  close_end(&o->fd[1]);
  free(o);
}

/* Room to watch one more, so that watching cannot fail. */
static int make_room(bx_agent *a) {
  nfds_t n = 2 + 2; /* the link and the signals; the new one */
  for (bx_output *o = a->outputs; o; o = o->next) n += 2;
  if (n <= a->room) return 0;
  struct pollfd *grown = realloc(a->watched, 2 * n * sizeof *grown);
  if (!grown) return ENOMEM;
  a->watched = grown;
  a->room = 2 * n;
  return 0;
}

int bx_output_keep(bx_agent *a, uint64_t id, int out, int err) {
  int failed = make_room(a);
  bx_output *o = failed ? NULL : malloc(sizeof *o);
  if (!o) return ENOMEM;
  *o = (bx_output){a->outputs, id,
                   {fcntl(out, F_DUPFD_CLOEXEC, 16),
                    fcntl(err, F_DUPFD_CLOEXEC, 16)}, false};
  if (o->fd[0] < 0 || o->fd[1] < 0) {
    failed = errno;
    free_output(o);
    return failed;
  }
  a->outputs = o;
  return 0;
}

static bx_output *find(const bx_agent *a, uint64_t id) {
  bx_output *o = a->outputs;
  while (o && o->id != id) o = o->next;
  return o;
}

void bx_output_forget(bx_agent *a, uint64_t id) {
  bx_output *o = find(a, id);
  if (!o) return;
  close_end(&o->fd[0]);
  close_end(&o->fd[1]); /* the next turn frees it */
}

void bx_output_drop(bx_agent *a, uint64_t id) {
  bx_output *o = find(a, id);
  if (o) o->drop = true;
}

nfds_t bx_output_watch(const bx_agent *a, struct pollfd *p) {
  nfds_t n = 0;
  for (bx_output *o = a->outputs; o; o = o->next)
    for (int i = 0; i < 2; i++)
      p[n++] = (struct pollfd){o->fd[i], o->drop ? POLLIN : 0, 0};
  return n;
}

/* The other end is closed, or all of it was read. */
static bool drop(int fd) {
  char buffer[64 << 10];
  for (size_t done = 0; done < DROP_MAX;) {
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n == 0) return true;
    if (n < 0) return errno != EAGAIN && errno != EINTR;
    done += (size_t)n;
  }
  return false;
}

void bx_output_turn(bx_agent *a, const struct pollfd *p) {
  for (bx_output **at = &a->outputs; *at;) {
    bx_output *o = *at;
    for (int i = 0; i < 2; i++, p++) {
      bool ended = (p->revents & POLLIN) ? drop(p->fd)
                                         : (p->revents & (POLLHUP | POLLERR)) != 0;
      if (ended) close_end(&o->fd[i]);
    }
    if (o->fd[0] >= 0 || o->fd[1] >= 0) {
      at = &o->next;
      continue;
    }
    *at = o->next;
    free(o);
  }
}
