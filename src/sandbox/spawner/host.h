/*
** host: what the spawner prepares of this machine once, for all boxes: its own
** mount namespace, as an ordinary user a user namespace in which it is root,
** the folders of the system that boxes see, and the layer that hides the
** private files in them. One bx_host, in the spawner only; children of the
** spawner inherit it.
**
** Numbers of users: the spawner acts as root, "its" root being this machine's
** or that of its user namespace. box_id is the spawner's number for the root
** of a box, and id_count how many ids a box has from there. Where that is one,
** it is boxd's in the box, which has no root then.
*/
#ifndef BX_HOST_H
#define BX_HOST_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "cgroup.h"
#include "../client/spawn.h"

#define BX_FOLDERS_MAX 16
#define BX_IDS 65536u /* a box's, where it has more than one */

/* The user of boxes, in them. Where a box has one id, it is this. */
#define BX_USER_NAME "boxd"
#define BX_USER_ID 1000
#define BX_HOME "/home/" BX_USER_NAME

#define BX_SUDO "/usr/local/bin/sudo" /* in boxes */
#define BX_PATH_MAX PATH_MAX

typedef struct bx_folder {
  char name[32]; /* "usr": a top-level folder, shown copy-on-write */
  bool layered;  /* the layer has something for it */
  bool copied;   /* the base has all of it: the machine's own is left out */
} bx_folder;

typedef struct bx_symlink {
  char name[32]; /* "bin" */
  char target[64];
} bx_symlink;

typedef struct bx_host {
  bool privileged; /* this machine's root */
  bool systemd;    /* is the first process that boxes see */
  bool passing;    /* the state goes with the spawner */
  bool idmapped;   /* boxes see the machine's files under their own ids */
  uint32_t box_id, id_count;
  char state[BX_PATH_MAX]; /* the service's folder */
  char base[BX_PATH_MAX];  /* STATE/run: our tmpfs: lower/NAME, root */
  char layer[BX_PATH_MAX]; /* STATE/layer/NAME */
  char under[BX_PATH_MAX]; /* the base: its NAME; "" where not needed */
  bx_folder folders[BX_FOLDERS_MAX];
  unsigned nfolders;
  bx_symlink links[BX_FOLDERS_MAX];
  unsigned nlinks;
  uint32_t network;        /* of boxes (router.h), or 0: they have none */
  char slirp[256], nft[256]; /* the programs, or "" */
  bx_cgroups cgroups;
  struct rlimit nofile; /* as the service had it: what boxes get */
} bx_host;

/* Prepares all of it; 0, or an errno with `e` naming the missing part. `tell`
** gets a line for the user when it will take seconds. */
int bx_host_setup(bx_host *h, const bx_spawner_options *o,
                  void (*tell)(const char *text), bx_error *e);

/* The spawner's number for a box's user or group `id`; its root's for those
** that boxes do not have. */
uint32_t bx_host_id(const bx_host *h, uint32_t id);

/* The spawner's number for boxd. */
uint32_t bx_host_user(const bx_host *h);

/* Puts sudo, the one program that gains rights, where each box has it mounted
** from: host->base/sudo. Then mounts it below the caller's host->base/root. 0
** or an errno. */
int bx_sudo_put(const bx_host *h);
int bx_sudo_mount(const bx_host *h);

/* Removes from the state folder what only the spawner can, at its end. */
void bx_host_leave(const bx_host *h);

/* Mounts one folder of a box: 0 or an errno. */
int bx_host_overlay(const bx_host *h, const bx_folder *f, const char *upper,
                    const char *work, const char *at);

/* Builds STATE/layer afresh: what boxes see in place of this machine's own
** secrets and records. `hidden`: further absolute paths, NULL-terminated. */
int bx_layer_build(bx_host *h, const char *const *hidden, bx_error *e);

/* Whether the file at this absolute path is not hidden for being a record of
** this machine (those under /var). */
bool bx_layer_shows(const char *path);

/* Where bases are kept, a buffer of BX_PATH_MAX: 0, or an errno where neither
** XDG_CACHE_HOME nor HOME names a place. */
int bx_base_cache(char *cache);

/* Removes that folder, in a user namespace as the spawner's. EBUSY: in use. */
int bx_base_clean(const char *cache);

/* Builds the base if it is not there or not of today: see base.c. */
int bx_base_build(bx_host *h, void (*tell)(const char *text), bx_error *e);

/* Writes the id maps of a child that has just made its user namespace: its
** ids from `first` on are the spawner's from box_id on. 0 or an errno. */
int bx_host_map_ids(const bx_host *h, pid_t pid, uint32_t first);

/* Finds the programs of boxes' network on PATH. */
void bx_host_find_programs(bx_host *h);

/* What this machine lacks for that network, as a sentence, or NULL. */
const char *bx_host_no_network(const bx_host *h);

/* The part of user namespaces; see userns.c. Whether the caller is in the
** first one: root elsewhere has the rights of an ordinary user only. */
bool bx_userns_is_first(void);
int bx_userns_enter(bx_host *h, bx_error *e);
int bx_userns_write(pid_t pid, const char *file, const char *text);
/* A descriptor of a new user namespace with boxes' ids, and with `net` one of a
** network namespace that belongs to it; or -1 and errno. */
int bx_userns_make(const bx_host *h, int *net);
/* A descriptor of a process's namespace, like "net", or -1 and errno. */
int bx_ns_open(pid_t pid, const char *name);

/* Joins paths into buf of BX_PATH_MAX: 0 or ENAMETOOLONG. */
int bx_path(char *buf, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
