/* The boxes of the spawner: from START to the burial of the first process. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawner.h"

static const char no_box[] = "there is no such running box";
static const char box_ended[] = "the box ended";

bx_box *bx_hub_box(bx_hub *hub, uint64_t id) {
  for (bx_box *b = hub->boxes; b; b = b->next)
    if (b->id == id && !b->buried) return b;
  return NULL;
}

static bx_entry **find_entry(bx_box *box, uint64_t id) {
  bx_entry **at = &box->entries;
  while (*at && (*at)->id != id) at = &(*at)->next;
  return at;
}

static int add_entry(bx_box *box, uint64_t id, bx_entry_state state) {
  bx_entry *e = malloc(sizeof *e);
  if (!e) return ENOMEM;
  *e = (bx_entry){box->entries, id, state};
  box->entries = e;
  return 0;
}

static void drop_entry(bx_entry **at) {
  bx_entry *e = *at;
  *at = e->next;
  free(e);
}

/* ---- start and kill ------------------------------------------------------ */

void bx_hub_start(bx_hub *hub, bx_msg *m) {
  int pair[2];
  bx_box *box = calloc(1, sizeof *box);
  if (!box || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
    bx_hub_refuse(hub, m->id, box ? errno : ENOMEM, "cannot start a box");
    free(box);
    return;
  }
  *box = (bx_box){.next = hub->boxes, .id = m->id, .mounts = -1, .names = -1};
  bx_link_open(&box->link, pair[0]);
  if (m->n[3]) box->place = bx_hub_net_place(hub, box->id);
  m->n[3] = box->place;
  hub->boxes = box;
  m->fd[m->nfd++] = pair[1]; /* for the child; closed with m */
  bx_hub_job(hub, m, box);
}

/* The last hold on its mounts must be its own, so that they are gone with it.
** */
static void kill_box(bx_box *box) {
  if (box->mounts >= 0) close(box->mounts);
  if (box->names >= 0) close(box->names);
  box->mounts = box->names = -1;
  if (box->init && !box->dead) kill(box->init, SIGKILL);
}

/* Descriptors of an unfinished box are not for the service. */
static void start_failed(bx_hub *hub, bx_box *box, const bx_msg *m) {
  bx_msg reply = {.type = BX_M_REPLY, .id = box->id, .n = {m->n[0], m->n[1]}};
  box->failed = box->told = true;
  reply.s[0] = m->s[0];
  bx_hub_say(hub, &reply);
  kill_box(box);
  if (!box->init && !box->dead) bx_hub_bury(hub, box);
}

/* A first process that fails may be reaped before its maker reports it: its
   number is free then. */
static bool reaped(pid_t pid) {
  siginfo_t info;
  return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 &&
         errno == ECHILD;
}

void bx_hub_made(bx_hub *hub, bx_box *box, bx_msg *m) {
  box->init = (pid_t)m->n[2];
  box->mounts = bx_msg_take(m, 0);
  box->names = bx_msg_take(m, 1);
  if (m->n[0] == 0 && m->s[1].n) bx_hub_net_failed(hub, box->id, m->s[1].p);
  bool gone = box->init && reaped(box->init);
  if (gone) box->init = 0;
  if (m->n[0])
    start_failed(hub, box, m);
  else if (gone)
    bx_hub_bury(hub, box);
  else if (box->kill_id)
    kill_box(box);
}

void bx_hub_kill(bx_hub *hub, bx_msg *m) {
  bx_box *box = bx_hub_box(hub, m->box);
  if (!box || box->kill_id || box->failed) {
    bx_hub_refuse(hub, m->id, ENOENT, no_box);
    return;
  }
  box->kill_id = m->id;
  kill_box(box);
}

void bx_hub_bury(bx_hub *hub, bx_box *box) {
  box->dead = true;
  bx_hub_hear(hub, box); /* its last messages */
  if (!box->told) bx_hub_refuse(hub, box->id, ECONNABORTED, box_ended);
  while (box->entries) {
    bx_entry *e = box->entries;
    if (e->state == BX_ENTRY_RUNNING) {
      bx_msg m = {.type = BX_M_EXIT, .id = e->id, .n = {SIGKILL}};
      bx_hub_say(hub, &m);
    } else if (e->state != BX_ENTRY_EXITED) {
      bx_hub_refuse(hub, e->id, ECONNABORTED, box_ended);
    }
    drop_entry(&box->entries);
  }
  kill_box(box);
  bx_cgroup_remove(&hub->host.cgroups, getpid(), box->id);
  if (box->kill_id) {
    bx_msg m = {.type = BX_M_REPLY, .id = box->kill_id};
    bx_hub_say(hub, &m);
  } else if (box->told && !box->failed) {
    bx_msg m = {.type = BX_M_GONE, .id = box->id};
    bx_hub_say(hub, &m);
  }
  bx_link_close(&box->link);
  box->init = 0;
  box->buried = true;
}

void bx_hub_free_buried(bx_hub *hub) {
  for (bx_box **at = &hub->boxes; *at;) {
    bx_box *box = *at;
    if (box->buried) {
      *at = box->next;
      free(box);
    } else {
      at = &box->next;
    }
  }
}

/* ---- requests passed on -------------------------------------------------- */

/* A signal names a command; the box is where that is. */
static bx_box *box_of(bx_hub *hub, const bx_msg *m) {
  if (m->type != BX_M_SIGNAL) return bx_hub_box(hub, m->box);
  for (bx_box *b = hub->boxes; b; b = b->next)
    if (*find_entry(b, (uint64_t)m->n[0])) return b;
  return NULL;
}

void bx_hub_forward(bx_hub *hub, bx_msg *m) {
  bx_box *box = box_of(hub, m);
  if (m->type == BX_M_DROP) { /* not answered */
    if (box) bx_link_send(&box->link, m);
    return;
  }
  if (!box || box->kill_id || box->failed) {
    if (m->type == BX_M_SIGNAL)
      bx_hub_refuse(hub, m->id, ESRCH, "cannot signal the command");
    else
      bx_hub_refuse(hub, m->id, ECONNABORTED, no_box);
    return;
  }
  if (m->type == BX_M_ATTACH || m->type == BX_M_DETACH ||
      m->type == BX_M_HOSTNAME || m->type == BX_M_LIMIT) {
    if (box->mounts < 0)
      bx_hub_refuse(hub, m->id, EAGAIN, "the box is not started yet");
    else
      bx_hub_job(hub, m, box);
    return;
  }
  int err = add_entry(box, m->id, m->type == BX_M_EXEC ? BX_ENTRY_EXEC
                                                       : BX_ENTRY_ASKED);
  if (!err && (err = bx_link_send(&box->link, m)) != 0)
    drop_entry(&box->entries);
  m->nfd = 0;
  if (err == EPIPE || err == ECONNRESET) err = ECONNABORTED; /* it just died */
  if (err) bx_hub_refuse(hub, m->id, err, "cannot reach the box");
}

/* ---- what boxes say ------------------------------------------------------ */

static void started(bx_hub *hub, bx_box *box, bx_msg *m) {
  if (box->told) return;
  if (m->n[0]) {
    start_failed(hub, box, m);
    return;
  }
  bx_msg reply = {.type = BX_M_REPLY, .id = box->id};
  reply.n[2] = box->init;
  box->told = true;
  bx_hub_say(hub, &reply);
}

/* A box is not trusted: only what answers a request of ours gets through. */
static void said(bx_hub *hub, bx_box *box, bx_msg *m) {
  bx_entry **at = find_entry(box, m->id), *e = *at;
  bx_msg_check(m);
  if (m->type == BX_M_READY) {
    started(hub, box, m);
    return;
  }
  if (!e) return;
  if (m->type == BX_M_REPLY && e->state <= BX_ENTRY_EXEC) {
    if (e->state == BX_ENTRY_EXEC && m->n[0] == 0)
      e->state = BX_ENTRY_RUNNING;
    else
      drop_entry(at);
  } else if (m->type == BX_M_EXIT && e->state == BX_ENTRY_RUNNING) {
    e->state = BX_ENTRY_EXITED;
  } else {
    if (m->type == BX_M_FORGET && e->state == BX_ENTRY_EXITED) drop_entry(at);
    return;
  }
  bx_hub_say(hub, m);
}

int bx_hub_hear(bx_hub *hub, bx_box *box) {
  bx_msg m;
  int got;
  while ((got = bx_link_recv(&box->link, &m)) > 0) {
    /* its maker reported before it let the box speak */
    for (bx_job *j = hub->jobs; j && !box->init; j = j->next)
      if (j->box == box->id) bx_hub_job_hear(hub, j);
    said(hub, box, &m);
    bx_msg_clear(&m);
  }
  return got;
}
