/* Jobs: children of the spawner that make boxes, mount into them, and copy and
   remove folders. Each answers once, on a link of its own. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "box_start.h"
#include "rootfs.h"
#include "spawner.h"
#include "tree.h"

/* The message names the one of both paths that can't be mounted, or be mounted
   on. */
static void attach(const bx_host *h, const bx_msg *m, int mounts,
                   bx_msg *reply) {
  const char *source = m->s[0].p, *target = source + strlen(source) + 1;
  const char *mode = target + strlen(target) + 1, *at = source;
  char what[BX_PATH_MAX + 64];
  int tree = bx_disk_open(h, source, strcmp(mode, "ro") == 0);
  int err = tree < 0 ? errno : 0;
  int fds = err ? -1 : bx_disk_fds();
  if (!err && (fds < 0 || setns(mounts, CLONE_NEWNS) < 0)) err = errno;
  if (!err) {
    at = target;
    err = bx_disk_place(h, fds, tree, target);
  }
  if (!err) return;
  snprintf(what, sizeof what, "cannot mount %s%s",
           at == source ? "" : "a disk at ", at);
  bx_msg_fail(reply, err, what);
}

static int detach(const bx_host *h, const bx_msg *m, int mounts) {
  int fds = bx_disk_fds();
  if (fds < 0 || setns(mounts, CLONE_NEWNS) < 0) return errno;
  return bx_disk_remove(h, fds, m->s[0].p);
}

static int name_box(const bx_msg *m, int names) {
  if (setns(names, CLONE_NEWUTS) < 0) return errno;
  return sethostname(m->s[0].p, strlen(m->s[0].p)) < 0 ? errno : 0;
}

/* Where memory is not limited, /dev/shm and /run still are. */
static int limit(const bx_host *h, const bx_msg *m, uint64_t box, int mounts) {
  uint64_t bytes = (uint64_t)m->n[0];
  int err = bx_cgroup_memory(&h->cgroups, getppid(), box, bytes);
  if (err && err != ENOTSUP) return err;
  int failed = setns(mounts, CLONE_NEWNS) < 0 ? errno : bx_rootfs_memory(bytes);
  return failed ? failed : err;
}

static void carry_out(bx_hub *hub, const bx_msg *m, const bx_box *box,
                      bx_msg *reply) {
  int mounts = box ? box->mounts : -1;
  uint64_t bytes = 0;
  int err;
  switch (m->type) {
    case BX_M_ATTACH: attach(&hub->host, m, mounts, reply); break;
    case BX_M_DETACH:
      err = detach(&hub->host, m, mounts);
      if (err) bx_msg_fail(reply, err, "cannot take the disk from the box");
      break;
    case BX_M_HOSTNAME:
      err = name_box(m, box ? box->names : -1);
      if (err) bx_msg_fail(reply, err, "cannot name the box");
      break;
    case BX_M_LIMIT:
      err = limit(&hub->host, m, box ? box->id : 0, mounts);
      if (err) bx_msg_fail(reply, err, "cannot limit the box's memory");
      break;
    case BX_M_COPY:
      err = bx_tree_copy(m->s[0].p, m->s[1].p, "work", &bytes);
      if (err) bx_msg_fail(reply, err, "cannot copy the box's files");
      reply->n[3] = (int64_t)bytes;
      break;
    default:
      err = bx_tree_remove(m->s[0].p);
      if (err == ENOENT) err = 0;
      if (err) bx_msg_fail(reply, err, "cannot remove the folder");
  }
}

static _Noreturn void child(bx_hub *hub, const bx_msg *m, const bx_box *box,
                            int sock) {
  bx_link answer;
  bx_msg reply = {.type = BX_M_REPLY, .id = m->id};
  int go = -1;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  bx_link_open(&answer, sock);
  if (m->type == BX_M_START)
    bx_box_make(&hub->host, &hub->net.router, m, m->fd[0], &reply, &go);
  else
    carry_out(hub, m, box, &reply);
  bx_link_send(&answer, &reply);
  bx_box_go(go);
  _exit(0);
}

void bx_hub_job(bx_hub *hub, bx_msg *m, bx_box *box) {
  int pair[2] = {-1, -1};
  bx_job *job = calloc(1, sizeof *job);
  int err = job ? 0 : ENOMEM;
  if (!err && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
    err = errno;
  pid_t pid = err ? -1 : fork();
  if (pid == 0) child(hub, m, box, pair[1]);
  if (pid < 0 && !err) err = errno;
  if (pair[1] >= 0) close(pair[1]);
  if (!err) {
    *job = (bx_job){hub->jobs, pid, m->id, box ? box->id : 0,
                    m->type == BX_M_START, {0}};
    bx_link_open(&job->link, pair[0]);
    hub->jobs = job;
    return;
  }
  if (pair[0] >= 0) close(pair[0]);
  free(job);
  bx_msg reply = {.type = BX_M_REPLY, .id = m->id};
  bx_msg_fail(&reply, err, "the box spawner cannot start a helper");
  if (m->type == BX_M_START)
    bx_hub_made(hub, box, &reply);
  else
    bx_hub_say(hub, &reply);
}

static void answered(bx_hub *hub, bx_job *job, bx_msg *m) {
  bx_box *box = job->start ? bx_hub_box(hub, job->box) : NULL;
  if (box)
    bx_hub_made(hub, box, m);
  else
    bx_hub_say(hub, m);
  job->id = 0; /* reported */
}

void bx_hub_job_hear(bx_hub *hub, bx_job *job) {
  bx_msg m;
  if (job->id == 0 || bx_link_recv(&job->link, &m) != 1) return;
  m.id = job->id;
  bx_msg_check(&m);
  answered(hub, job, &m);
  bx_msg_clear(&m);
}

void bx_hub_job_end(bx_hub *hub, bx_job *job) {
  bx_job **at = &hub->jobs;
  bx_hub_job_hear(hub, job);
  if (job->id) {
    bx_msg m = {.type = BX_M_REPLY, .id = job->id};
    bx_msg_fail(&m, EIO, "a helper of the box spawner was killed");
    answered(hub, job, &m);
  }
  while (*at != job) at = &(*at)->next;
  *at = job->next;
  bx_link_close(&job->link);
  free(job);
}
