#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../spawn_private.h"

bx_spawner *bx_spawner_start(const bx_spawner_options *o, bx_error *e) {
  int pair[2];
  if (!o->state_dir || o->state_dir[0] != '/') {
    bx_error_set(e, BX_INVALID_ARGUMENT,
                 "the state folder must be an absolute path");
    return NULL;
  }
  bx_spawner *sp = calloc(1, sizeof *sp);
  if (!sp || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
    bx_error_errno(e, BX_INTERNAL, errno, "cannot start the box spawner");
    free(sp);
    return NULL;
  }
  sp->owner = getpid();
  sp->pid = fork();
  if (sp->pid == 0) {
    close(pair[0]);
    bx_spawner_main(pair[1], o);
  }
  close(pair[1]);
  bx_link_open(&sp->link, pair[0]);
  if (sp->pid > 0) return sp;
  bx_error_errno(e, BX_INTERNAL, errno, "cannot fork the box spawner");
  bx_link_close(&sp->link);
  free(sp);
  return NULL;
}

int bx_spawner_fd(const bx_spawner *sp) { return sp->link.fd; }
pid_t bx_spawner_pid(const bx_spawner *sp) { return sp->pid; }

void bx_spawner_stop(bx_spawner *sp) {
  if (!sp) return;
  bx_link_close(&sp->link); /* the spawner ends all boxes, then itself */
  if (sp->owner == getpid())
    while (waitpid(sp->pid, NULL, 0) < 0 && errno == EINTR) continue;
  free(sp);
}

uint64_t bx_spawner_request(bx_spawner *sp, bx_msg *m, bx_error *e) {
  m->id = ++sp->last_id;
  if (m->type == BX_M_START) m->box = m->id;
  int err = sp->lost ? EPIPE : bx_link_send(&sp->link, m);
  if (err == 0) return m->id;
  if (err == EPIPE || err == ECONNRESET)
    bx_error_set(e, BX_INTERNAL,
                 "the process that runs local boxes has ended; restart the "
                 "service");
  else
    bx_error_errno(e, BX_INTERNAL, err, "cannot ask the box spawner");
  return 0;
}

static void fill_event(bx_spawn_event *ev, bx_msg *m) {
  ev->id = m->id;
  if (m->type == BX_M_EXIT) {
    ev->kind = BX_SPAWN_EXIT;
    ev->status = (int)m->n[0];
    return;
  }
  if (m->type == BX_M_GONE) {
    ev->kind = BX_SPAWN_BOX_GONE;
    return;
  }
  ev->kind = m->type == BX_M_READY  ? BX_SPAWN_READY
             : m->type == BX_M_NOTE ? BX_SPAWN_NOTE
                                    : BX_SPAWN_REPLY;
  bx_msg_check(m);
  ev->err = (int)m->n[0];
  ev->pid = (pid_t)m->n[2];
  ev->value = (uint64_t)m->n[3];
  for (unsigned i = 0; i < BX_SPAWN_FDS; i++) ev->fds[i] = bx_msg_take(m, i);
  bool known = m->n[1] > BX_OK && m->n[1] < BX_CLASS_COUNT;
  if (ev->err)
    bx_error_set(&ev->error, known ? (bx_class)m->n[1] : BX_INTERNAL, "%s",
                 m->s[0].p);
  if (m->s[1].n) { /* the body is the event's now; the text moves to its head */
    ev->len = m->s[1].n;
    memmove(m->body, m->s[1].p, ev->len + 1);
    ev->text = m->body;
    m->body = NULL;
  }
}

int bx_spawner_next(bx_spawner *sp, bx_spawn_event *ev) {
  bx_msg m;
  *ev = (bx_spawn_event){.fds = {-1, -1, -1}};
  if (sp->lost && sp->told) return 0;
  /* A full socket empties only as the spawner answers: so this is the time to
     send what waits. */
  int got = bx_link_recv(&sp->link, &m);
  if (got >= 0 && bx_link_flush(&sp->link) != 0 && got == 0) got = -1;
  if (got == 0) return 0;
  if (got < 0) {
    sp->lost = sp->told = true;
    ev->kind = BX_SPAWN_LOST;
    return 1;
  }
  fill_event(ev, &m);
  bx_msg_clear(&m);
  return 1;
}

void bx_spawn_event_clear(bx_spawn_event *ev) {
  for (int i = 0; i < BX_SPAWN_FDS; i++) {
    if (ev->fds[i] >= 0) close(ev->fds[i]);
    ev->fds[i] = -1;
  }
  free(ev->text);
  ev->text = NULL;
  ev->len = 0;
}

int bx_pty_resize(int master, uint16_t cols, uint16_t rows) {
  struct winsize size = {.ws_col = cols ? cols : 80, .ws_row = rows ? rows : 24};
  return ioctl(master, TIOCSWINSZ, &size) < 0 ? errno : 0;
}
