/*
** spawn: the service's hold on the spawner, the small process that makes local
** boxes and runs their commands. It is forked early, while the service has
** one thread and little memory, and dies with it; every box dies with either.
**
** All functions are for one thread, never block on the spawner and never run
** anybody's code. A request is copied, queued if need be, and answered later
** by ONE event of kind BX_SPAWN_REPLY that carries the number the request
** function returned (but for bx_exec_drop); other events report changes that no
** request caused. Watch bx_spawner_fd for input and call bx_spawner_next until
** it returns 0: that also sends queued requests.
**
** Numbers: a request function returns the request's number, never 0; on 0
** nothing was sent and `e` says why (bad argument, no memory, spawner gone).
** The number of bx_box_start is the box's handle from then on, the number of
** bx_box_exec the command's; both may be used before their replies are there
** (requests for one box are carried out in the order they were made, but for
** files, which are read and written beside the rest).
**
** Descriptors in an event belong to the caller the moment bx_spawner_next
** returns; those it does not want it must close (bx_spawn_event_clear does,
** for all that are not -1). Descriptors in a request are duplicated or handed
** over as said there. All are close-on-exec.
*/
#ifndef BX_SPAWN_H
#define BX_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../core/error.h"

typedef struct bx_spawner bx_spawner;

typedef struct bx_spawner_options {
  /* The service's state folder, absolute: hidden inside boxes. Box folders
     and disks may be below it. */
  const char *state_dir;
  /* More absolute paths of this machine to hide; NULL-terminated, or NULL. */
  const char *const *hidden;
  /* As root: the first of the 65536 user and group ids of this machine that
     boxes use. 0: 100000. Must not change while box folders exist. */
  uint32_t id_base;
  /* Boxes that ask for it have a network; the process that passes on their
     packets is started with the spawner. */
  bool outgoing;
  /* systemd is the first process that a box sees. Without the control groups,
     ids or program for it no box can be made. */
  bool systemd;
  /* The state folder is for this run: it is removed when the boxes have ended,
     whatever ended the service. Files below it have owners that only the spawner
     acts for. */
  bool passing;
} bx_spawner_options;

/* Forks the spawner and returns at once; BX_SPAWN_READY is its first event
** (but for a BX_SPAWN_NOTE),
** and requests may be made before. NULL: `e` is filled. Call it before any
** thread exists. */
bx_spawner *bx_spawner_start(const bx_spawner_options *o, bx_error *e);

/* Readable when bx_spawner_next has something. Watch for input only. */
int bx_spawner_fd(const bx_spawner *sp);

/* The process id of the spawner, a child of the caller: bx_spawner_stop reaps
** it. */
pid_t bx_spawner_pid(const bx_spawner *sp);

/* Ends every box and the spawner, waits for it (milliseconds, or until a passing
** state is removed), frees all. NULL is allowed. In a forked child of the caller only frees. */
void bx_spawner_stop(bx_spawner *sp);

/* ---- events ------------------------------------------------------------- */

typedef enum bx_spawn_kind {
  /* The spawner is set up (err 0), or this machine cannot make boxes (err and
     error name the missing part; every request then fails the same way).
     text: one line a limit: "processes: cgroup", "memory: not enforced ...". */
  BX_SPAWN_READY = 1,
  BX_SPAWN_REPLY,    /* id: the request's number */
  BX_SPAWN_EXIT,     /* id: the command's number; status, as wait(2) has it.
                        Comes after the reply to its bx_box_exec, once */
  BX_SPAWN_BOX_GONE, /* id: the box's handle. Its first process died though
                        nobody asked: everything in it is dead. Comes after
                        the BX_SPAWN_EXIT (killed) of its commands; calls on
                        the handle now fail */
  BX_SPAWN_NOTE,     /* text: a line the user should see, as that the first
                        start copies files for some seconds (before READY),
                        or that boxes have no network.
                        id: the box it is about, or 0 */
  BX_SPAWN_LOST      /* the spawner itself died; all boxes are dead, no more
                        events come, every request fails. bx_spawner_stop it */
} bx_spawn_kind;

#define BX_SPAWN_FDS 3

typedef struct bx_spawn_event {
  bx_spawn_kind kind;
  uint64_t id;
  int err;        /* errno of a failed request; 0: it succeeded */
  bx_error error; /* when err != 0: class and a message to show */
  pid_t pid;      /* of a started box's first process, or a started command:
                     this machine's number for the first, the number that the
                     first process has for the second */
  int status;     /* BX_SPAWN_EXIT */
  int fds[BX_SPAWN_FDS]; /* -1 where there is none */
  uint64_t value; /* see the request */
  char *text;     /* see the request; NUL-terminated beyond len; or NULL */
  size_t len;
} bx_spawn_event;

/* 1: *ev is filled (clear it when done); 0: nothing more now. */
int bx_spawner_next(bx_spawner *sp, bx_spawn_event *ev);

/* Closes descriptors not taken (set those taken to -1), frees text. */
void bx_spawn_event_clear(bx_spawn_event *ev);

/* ---- boxes -------------------------------------------------------------- */

typedef struct bx_mount {
  const char *source; /* folder of this machine, absolute */
  const char *target; /* in the box, absolute; made if missing */
  bool read_only;
} bx_mount;

typedef struct bx_limits {
  uint64_t memory;    /* bytes; 0: none. Enforced where READY says so */
  uint32_t processes; /* 0: 4096 */
} bx_limits;

typedef struct bx_box_spec {
  const char *dir;      /* absolute; holds the box's files, made if missing.
                           One running box a folder: the caller sees to it */
  const char *hostname; /* also in the box's /etc/hosts */
  bx_limits limits;
  bool net_host;        /* share this machine's network */
  bool outgoing;        /* else: connections to the outside, where the option
                           of the spawner allows them. Where there are none, a
                           BX_SPAWN_NOTE says why, once for all boxes */
  const bx_mount *mounts;
  size_t nmounts;
} bx_box_spec;

/* Makes the sandbox from its folder and starts its first process; nothing else
** runs in it, but systemd where that was asked for, which begins to boot as the
** reply comes. Reply: pid. */
uint64_t bx_box_start(bx_spawner *sp, const bx_box_spec *spec, bx_error *e);

/* Kills everything in the box. Reply when all of it is dead and its mounts are
** released (after the BX_SPAWN_EXIT of its commands); the handle is void. */
uint64_t bx_box_kill(bx_spawner *sp, uint64_t box, bx_error *e);

/* Freezes every process of the box; resume continues those that were not
** stopped before. Suspending twice, resuming what runs: success. Exec in a
** frozen box works and runs: resume first. File calls work. */
uint64_t bx_box_suspend(bx_spawner *sp, uint64_t box, bx_error *e);
uint64_t bx_box_resume(bx_spawner *sp, uint64_t box, bx_error *e);

/* Names the running box anew for what runs in it; its files /etc/hostname and
** /etc/hosts are the caller's. */
uint64_t bx_box_hostname(bx_spawner *sp, uint64_t box, const char *hostname,
                         bx_error *e);

/* Limits the running box to `bytes` of memory, not 0. ENOTSUP: not enforced
** here; EBUSY: it uses more than that. */
uint64_t bx_box_memory(bx_spawner *sp, uint64_t box, uint64_t bytes,
                       bx_error *e);

/* Mounts a folder into the running box, or takes it away. A busy one is taken
** away all the same, and stays usable by processes that have it open. The
** folder is given to the box's root user if it is empty. Only after the reply
** to bx_box_start. Errors: EAGAIN (box not started yet), ENOENT (source), EBUSY
** (something is mounted at the target), EINVAL (target not allowed, or on
** detach nothing of ours is there). */
uint64_t bx_disk_attach(bx_spawner *sp, uint64_t box, const bx_mount *m,
                        bx_error *e);
uint64_t bx_disk_detach(bx_spawner *sp, uint64_t box, const char *target,
                        bx_error *e);

/* A TCP connection to the port at the address of the box's interface (127.0.0.1
** with net_host), made by the box's first process. Reply: fds[0], non-blocking,
** connected; ECONNREFUSED when no process listens there. */
uint64_t bx_net_connect(bx_spawner *sp, uint64_t box, uint16_t port,
                        bx_error *e);

/* What asks the kernel about the sockets of the box's network: fds[0], a socket
** of NETLINK_SOCK_DIAG that does not block. It works as long as it is open, also
** while the box is suspended. */
uint64_t bx_net_sockets(bx_spawner *sp, uint64_t box, bx_error *e);

/* ---- commands ----------------------------------------------------------- */

typedef struct bx_exec_spec {
  const char *command; /* for sh -c; any length up to 64 MiB, no NUL */
  size_t command_len;
  const char *const *env; /* "NAME=value", NULL-terminated, or NULL; over the
                             defaults PATH HOME USER LOGNAME SHELL LANG, TERM
                             with a PTY */
  const char *cwd;        /* missing: ENOENT. NULL: /home/boxd, or / where the box
                             has removed that */
  bool pty;
  uint16_t cols, rows;    /* 0: 80, 24 */
  bool root;              /* as the box's root, where it has one, not as boxd */
} bx_exec_spec;

/* Runs a command in the box in a session and process group of its own. Reply,
** once it runs: pid, fds[0] stdin, fds[1] stdout, fds[2] stderr; with a PTY
** fds[0] the master, nothing else. Non-blocking. An exit never waits for the
** output to be read, nor the other way round: take a command as done when
** both the BX_SPAWN_EXIT and the ends of stdout and stderr are there (a
** background process may hold those open for ever). A PTY master at its end
** reads EIO. Failure to run sh (no sh in the box, bad cwd) is an error. */
uint64_t bx_box_exec(bx_spawner *sp, uint64_t box, const bx_exec_spec *spec,
                     bx_error *e);

typedef enum bx_scope {
  BX_SCOPE_GROUP,  /* the process group of the command */
  BX_SCOPE_SESSION /* and every process that has not left its session: jobs
                      of an interactive shell too */
} bx_scope;

/* Sends signal `signo` to a command. The group, and with a PTY the session, is
** reached even when the command itself has exited, as long as anything of it
** lives. ESRCH: none left. */
uint64_t bx_exec_signal(bx_spawner *sp, uint64_t exec, int signo,
                        bx_scope scope, bx_error *e);

/* From now on the box itself reads what a command of it, one without a PTY,
** and all that it left in the background write, and drops it: for a caller that
** closes fds[1] and fds[2] before their ends. Never answered. */
uint64_t bx_exec_drop(bx_spawner *sp, uint64_t box, uint64_t exec,
                      bx_error *e);

/* Sets the size of a PTY by its master; the foreground job gets SIGWINCH. 0 or
** an errno. */
int bx_pty_resize(int master, uint16_t cols, uint16_t rows);

/* ---- files of a running box --------------------------------------------- */
/* Carried out as boxd by a process inside it: links end inside the box, as for
** any program there, and what boxd may not do fails with EACCES or EPERM. A
** relative path starts at /home/boxd. For a
** stopped box: start it (7 ms, nothing runs in it), ask, kill it. */

typedef enum bx_file_op {
  BX_FILE_OPEN = 1, /* path, flags, mode. Reply: fds[0], value = size. flags
                       as open(2), of O_RDONLY O_WRONLY O_RDWR O_CREAT O_EXCL
                       O_TRUNC O_APPEND O_DIRECTORY O_NOFOLLOW. Only a regular
                       file, or a folder with O_RDONLY: else EISDIR, or EINVAL
                       for a device, socket or FIFO (never blocks on one) */
  BX_FILE_BEGIN,    /* path, mode. A new empty file beside `path` (beside what
                       it links to); parent folders are made. Reply: fds[0] to
                       write, text = "TEMP\0FINAL", two absolute paths. Write,
                       fsync if wanted, then COMMIT, or REMOVE the temp */
  BX_FILE_COMMIT,   /* path = TEMP, path2 = FINAL: rename over it, keeping the
                       mode and owner of a file that was there; else mode */
  BX_FILE_STAT,     /* path; O_NOFOLLOW in flags for a link itself. Reply:
                       text = one entry, see bx_file_entry */
  BX_FILE_LIST,     /* path. Reply: text = an entry each, without . and ..; of
                       more than BX_FILE_LIST_MAX, that many and one */
  BX_FILE_MKDIR,    /* path, mode; its parent is there, and it is not */
  BX_FILE_RENAME,   /* path, path2, which must not exist, even to another file
                       system */
  BX_FILE_REMOVE,   /* path, recursively; a link is removed, not followed;
                       missing: ENOENT. A folder with a mount in it: EBUSY, as for
                       RENAME, nothing being removed */
  BX_FILE_COPY      /* path -> path2, recursively, as cp -a; path2 must not
                       exist, nor be in path (EINVAL); EBUSY for a path with
                       mounts below it */
} bx_file_op;

#define BX_FILE_LIST_MAX 10000

typedef struct bx_file_spec {
  bx_file_op op;
  const char *path, *path2;
  int flags;
  mode_t mode; /* 0: 0644, folders 0755 */
  bool root;   /* as the box's root, where it has one */
} bx_file_spec;

uint64_t bx_box_file(bx_spawner *sp, uint64_t box, const bx_file_spec *spec,
                     bx_error *e);

typedef struct bx_file_entry {
  const char *name; /* STAT: the last part of the path. Lives with the text */
  const char *link; /* where a symbolic link leads, else NULL */
  mode_t mode;
  uint32_t uid, gid; /* as the box sees them */
  uint64_t size, ino;
  int64_t mtime_ns, ctime_ns;
} bx_file_entry;

/* Reads the entry at *at of a reply's text and moves *at on: true; at the end
** false. Start with *at = 0. */
bool bx_file_entry_next(const bx_spawn_event *ev, size_t *at, bx_file_entry *f);

/* ---- folders of boxes and disks, on this machine ------------------------- */

/* Copies a box's folder, for fork: deletions, links, hard links, modes,
** owners, holes survive. `to` must not exist; on failure nothing of it is
** left. A running source is best suspended meanwhile. Reply: value = bytes
** of files copied. */
uint64_t bx_dir_copy(bx_spawner *sp, const char *from, const char *to,
                     bx_error *e);

/* Removes a folder and all in it, of any owner in a box, never following
** a link, nor crossing a mount. A missing one: success. */
uint64_t bx_dir_remove(bx_spawner *sp, const char *dir, bx_error *e);

#endif
