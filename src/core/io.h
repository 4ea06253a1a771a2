/*
** io: one helper thread that waits on file descriptors with epoll and wakes
** the loop's queue. It never runs a callback: a watch fires on the loop's
** thread, in bx_loop_poll. All functions here are for the loop's thread.
**
** A watch is embedded in its owner, which must call bx_io_forget before it
** closes the descriptor or frees the watch.
*/
#ifndef BX_IO_H
#define BX_IO_H

#include <stdint.h>
#include <sys/epoll.h>

#include "error.h"
#include "loop.h"

typedef struct bx_watch bx_watch;
struct bx_watch {
  int fd;
  unsigned slot; /* io's own; 0: not known to io */
  void (*fire)(bx_watch *w, uint32_t events); /* EPOLLIN, EPOLLHUP, ... */
};

/* Asks for one firing when any of `events` (EPOLLIN, EPOLLOUT) comes, or an
** error or hang-up; replaces the earlier request. The descriptor must be one
** that epoll takes (no regular files). */
bx_class bx_io_arm(bx_loop *loop, bx_watch *w, uint32_t events, bx_error *e);

/* No firing from here on, not even of events already seen. Idempotent. */
void bx_io_forget(bx_loop *loop, bx_watch *w);

/* At most `most`, and one in `parts` of the descriptors that this process can
** have: a bound for what others open here. */
unsigned bx_io_share(unsigned most, unsigned parts);

/* For the loop only. */
bx_io *bx_io_new(bx_loop *loop, bx_error *e);
void bx_io_free(bx_io *io);

#endif
