/*
** init: the agent, the first process of a box. It reaps, runs commands, signals
** and freezes them, carries out file calls in children, and dies with the spawner
** or with its link to it. It is root of the box (boxd, where that has one
** id) with no more rights than the box has, closed to inspection from inside (not dumpable), and reads nothing
** but the spawner's messages.
*/
#ifndef BX_AGENT_H
#define BX_AGENT_H

#include <poll.h>
#include <sys/types.h>

#include "../spawner/host.h"
#include "../link.h"

typedef struct bx_command bx_command;
struct bx_command {
  bx_command *next;
  uint64_t id;
  pid_t pid;   /* also its process group and session */
  bool exited; /* kept as long as its group lives, or with a PTY its session */
  bool pty;
};

typedef struct bx_worker bx_worker;
struct bx_worker { /* a child that carries out a file call and answers itself */
  bx_worker *next;
  uint64_t id;
  pid_t pid;
  int answer; /* read end: its answer */
};

typedef struct bx_output bx_output; /* output.c */

typedef struct bx_agent {
  bx_link link;
  uint64_t box;
  const bx_host *host;
  uint32_t processes;
  bool net_host; /* it shares the machine's network */
  int proc;      /* the /proc with the agent's numbers of processes */
  int group;     /* where commands move to (cgroup_tree.h), or -1 */
  pid_t system;  /* systemd, with whose end the box ends, or 0 */
  bx_command *commands;
  bx_worker *workers;
  bx_output *outputs;
  struct pollfd *watched; /* with room for all of them */
  nfds_t room;
  int signals; /* signalfd of SIGCHLD */
  int oom;     /* this process's oom_score_adj, or -1 */
  char oom_own[16];
  pid_t *kept; /* stopped by another before we froze the box */
  size_t nkept;
  bool frozen;
} bx_agent;

/* fd: the agent's own /proc/PID/oom_score_adj, open both ways, or -1. Keeps the
** agent from being ended when memory runs out, as long as there is anything
** else in the box. */
void bx_agent_know_oom(bx_agent *a, int fd);

/* Runs the agent; returns when the link is gone. */
void bx_agent_run(bx_agent *a);

/* What a process gives up before it runs a program of the box: limits, and
** signals as this one has them. */
void bx_agent_limit(const bx_host *h, uint32_t processes);
void bx_agent_reset_signals(void);

/* Continues file calls, which what runs in the box may have stopped. */
void bx_agent_wake_workers(const bx_agent *a);

/* Each carries out one request and fills the reply. */
void bx_agent_exec(bx_agent *a, const bx_msg *m, bx_msg *reply);
void bx_agent_connect(const bx_agent *a, const bx_msg *m, bx_msg *reply);
void bx_agent_sockets(bx_msg *reply);
void bx_agent_signal(bx_agent *a, const bx_msg *m, bx_msg *reply);
void bx_agent_suspend(bx_agent *a, bx_msg *reply);
void bx_agent_resume(bx_agent *a, bx_msg *reply);

/* Holds the read ends of a command's stdout and stderr, without reading: 0 or
** an errno. Forgets them; or drops, from now on, their bytes. */
int bx_output_keep(bx_agent *a, uint64_t id, int out, int err);
void bx_output_forget(bx_agent *a, uint64_t id);
void bx_output_drop(bx_agent *a, uint64_t id);

/* Fills in what to wait for, in a->watched: how many. Then acts on the due
** ones. */
nfds_t bx_output_watch(const bx_agent *a, struct pollfd *p);
void bx_output_turn(bx_agent *a, const struct pollfd *p);

/* Sends a signal to every process of a session; 0 only asks if there is one.
   0 or an errno, ESRCH for none. */
int bx_session_signal(const bx_agent *a, pid_t session, int signo);

/* Runs in a child of the agent. */
void bx_file_call(const bx_host *h, const bx_msg *m, bx_msg *reply);

#endif
