/*
** Signals to commands, and stopping a whole box and continuing it. Works with
** this box's processes only: a->proc, the agent's own view, shows no others.
**
** A process that stops signals its parent. So that an interactive shell does
** not report its job stopped, parents stop first, and wake last.
*/
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "init.h"
#include "../spawn_private.h"

#define ROUNDS 200
#define ROUNDS_MS 4000
#define WAITING_MS 500

typedef struct process {
  pid_t pid, parent, session;
  int depth;
  char state;
} process;

typedef struct process_list {
  process *p;
  size_t n, max;
} process_list;

static bool runs(char state) { return !strchr("TtZX", state); }

static bool read_stat(int proc, const char *path, process *p, long *threads) {
  char text[512];
  int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return false;
  text[n] = '\0';
  int parent, group, session;
  char *after = strrchr(text, ')'); /* the name may hold anything */
  if (!after ||
      sscanf(after + 1,
             " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
             "%*d %ld", &p->state, &parent, &group, &session, threads) != 5)
    return false;
  p->parent = parent;
  p->session = session;
  p->depth = 0;
  return true;
}

static DIR *open_folder(int proc, const char *path) {
  int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd < 0 ? NULL : fdopendir(fd);
  if (!d && fd >= 0) close(fd);
  return d;
}

/* The state of a process is that of its first thread, which may have ended, or
   stopped before others did: one that runs counts, then one that is stopped. */
static void look_at_threads(int proc, pid_t pid, process *p) {
  char path[64];
  process one;
  long n;
  snprintf(path, sizeof path, "%d/task", (int)pid);
  DIR *d = open_folder(proc, path);
  for (struct dirent *e; d && !runs(p->state) && (e = readdir(d));) {
    pid_t thread = (pid_t)atoi(e->d_name);
    snprintf(path, sizeof path, "%d/task/%d/stat", (int)pid, (int)thread);
    if (thread > 0 && thread != pid && read_stat(proc, path, &one, &n) &&
        (runs(one.state) || !strchr("Tt", p->state)))
      p->state = one.state;
  }
  if (d) closedir(d);
}

static bool read_process(int proc, pid_t pid, process *p) {
  char path[32];
  long threads;
  snprintf(path, sizeof path, "%d/stat", (int)pid);
  if (!read_stat(proc, path, p, &threads)) return false;
  p->pid = pid;
  if (threads > 1) look_at_threads(proc, pid, p);
  return true;
}

static int add(process_list *l, const process *p) {
  if (l->n == l->max) {
    size_t max = l->max ? 2 * l->max : 64;
    process *grown = realloc(l->p, max * sizeof *grown);
    if (!grown) return ENOMEM;
    l->p = grown;
    l->max = max;
  }
  l->p[l->n++] = *p;
  return 0;
}

static int by_depth(const void *a, const void *b) {
  const process *x = a, *y = b;
  return x->depth != y->depth ? x->depth - y->depth : x->pid - y->pid;
}

static int by_pid(const void *a, const void *b) {
  return ((const process *)a)->pid - ((const process *)b)->pid;
}

static void set_depths(process_list *l) {
  qsort(l->p, l->n, sizeof *l->p, by_pid);
  for (size_t i = 0; i < l->n; i++) {
    process key = {.pid = l->p[i].parent}, *up;
    int depth = 0;
    while (key.pid > 1 && depth < (int)l->n &&
           (up = bsearch(&key, l->p, l->n, sizeof *l->p, by_pid))) {
      key.pid = up->parent;
      depth++;
    }
    l->p[i].depth = depth;
  }
  qsort(l->p, l->n, sizeof *l->p, by_depth);
}

/* Every process of the box but the agent; parents before children. */
static int list_processes(int proc, process_list *l) {
  int err = 0;
  process p;
  DIR *d = open_folder(proc, ".");
  *l = (process_list){0};
  if (!d) return errno;
  for (struct dirent *n; !err && (n = readdir(d));) {
    pid_t pid = (pid_t)atoi(n->d_name);
    if (pid > 1 && read_process(proc, pid, &p)) err = add(l, &p);
  }
  closedir(d);
  if (err) {
    free(l->p);
    *l = (process_list){0};
  }
  if (l->n) set_depths(l);
  return err;
}

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* A busy machine takes its time. But a parent inside vfork (which looks like
   one that waits for a disk) stops only after its child: go on soon. */
static void stop_one(int proc, pid_t pid) {
  process p;
  double start = now_ms();
  if (kill(pid, SIGSTOP) < 0) return;
  while (read_process(proc, pid, &p) && runs(p.state) &&
         now_ms() - start < (p.state == 'D' ? 2 : 500))
    sched_yield();
}

static int keep_stopped(bx_agent *a, const process_list *l) {
  free(a->kept);
  a->nkept = 0;
  a->kept = calloc(l->n + 1, sizeof *a->kept);
  if (!a->kept) return ENOMEM;
  for (size_t i = 0; i < l->n; i++)
    if (l->p[i].state == 'T' || l->p[i].state == 't')
      a->kept[a->nkept++] = l->p[i].pid;
  return 0;
}

static bool was_stopped(const bx_agent *a, pid_t pid) {
  for (size_t i = 0; i < a->nkept; i++)
    if (a->kept[i] == pid) return true;
  return false;
}

/* Rounds, because what still runs may fork. On a busy machine many of them
   pass before a child that holds its parent up has run at all. One that goes on
   waiting in the kernel, as for a child that never execs, stops before it runs
   again: it counts as stopped in the end. */
void bx_agent_suspend(bx_agent *a, bx_msg *reply) {
  int err = 0;
  bool again = true, only_wait = false;
  double start = now_ms();
  for (int round = 0; again && !err; round++) {
    process_list l;
    if (only_wait && now_ms() - start > WAITING_MS) break;
    again = false;
    only_wait = true;
    err = list_processes(a->proc, &l);
    if (!err && round == 0 && !a->frozen) err = keep_stopped(a, &l);
    for (size_t i = 0; i < l.n && !err; i++) {
      if (!runs(l.p[i].state)) continue;
      stop_one(a->proc, l.p[i].pid);
      again = true;
      only_wait = only_wait && l.p[i].state == 'D';
    }
    free(l.p);
    if (round >= ROUNDS && now_ms() - start > ROUNDS_MS) err = EAGAIN;
  }
  a->frozen = true;
  if (!err) return;
  bx_agent_resume(a, reply);
  bx_msg_fail(reply, err, "cannot freeze the box");
}

void bx_agent_resume(bx_agent *a, bx_msg *reply) {
  process_list l;
  int err = a->frozen ? list_processes(a->proc, &l) : 0;
  if (err) {
    bx_msg_fail(reply, err, "cannot resume the box");
    return;
  }
  if (!a->frozen) return;
  for (size_t i = l.n; i-- > 0;)
    if (!was_stopped(a, l.p[i].pid)) kill(l.p[i].pid, SIGCONT);
  free(l.p);
  free(a->kept);
  a->kept = NULL;
  a->nkept = 0;
  a->frozen = false;
  bx_agent_wake_workers(a);
}

int bx_session_signal(const bx_agent *a, pid_t session, int signo) {
  process_list l;
  bool any = false;
  int err = list_processes(a->proc, &l);
  if (err) return err;
  for (size_t i = 0; i < l.n; i++)
    if (l.p[i].session == session && kill(l.p[i].pid, signo) == 0) any = true;
  free(l.p);
  return any ? 0 : ESRCH;
}

void bx_agent_signal(bx_agent *a, const bx_msg *m, bx_msg *reply) {
  const bx_command *c = a->commands;
  while (c && c->id != (uint64_t)m->n[0]) c = c->next;
  int err = c ? 0 : ESRCH;
  if (!err && m->n[2] == BX_SCOPE_SESSION)
    err = bx_session_signal(a, c->pid, (int)m->n[1]);
  else if (!err && kill(-c->pid, (int)m->n[1]) < 0)
    err = errno;
  if (err) bx_msg_fail(reply, err, "cannot signal the command");
}
