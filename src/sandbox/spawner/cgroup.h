/*
** cgroup: limits of a box's processes and memory, where this machine lets the
** spawner make control groups: as root, with version 1 or 2. A box's group is
** named by the spawner's pid and the box's number; the next spawner removes
** what a killed one left.
*/
#ifndef BX_CGROUP_H
#define BX_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BX_CGROUP_PATH 160
#define BX_CGROUP_NAME 64

typedef struct bx_cgroups {
  char pids[BX_CGROUP_PATH];   /* where groups are made; "": not enforced */
  char memory[BX_CGROUP_PATH]; /* the same folder as pids in version 2 */
  char tree[BX_CGROUP_PATH];   /* where boxes' trees are made, or "" */
  bool unified;                /* version 2 */
} bx_cgroups;

/* Finds what can be used, and removes groups in which nothing lives. */
void bx_cgroup_find(bx_cgroups *g);

/* Makes the groups of a box and moves the calling process into them: its
** children are born there. 0 or an errno. */
int bx_cgroup_join(const bx_cgroups *g, pid_t spawner, uint64_t box,
                   uint32_t processes, uint64_t memory);

/* Sets the memory limit of a box that joined: 0 or an errno, ENOTSUP where
** there is none, EBUSY when the box uses more than that: no process of it is
** to die for a new limit. */
int bx_cgroup_memory(const bx_cgroups *g, pid_t spawner, uint64_t box,
                     uint64_t memory);

/* The name of a box's groups. Writes a file of a group: 0 or an errno. */
void bx_cgroup_name(char name[BX_CGROUP_NAME], pid_t spawner, uint64_t box);
int bx_cgroup_put(const char *dir, const char *file, const char *text);

/* Has the file of a group the text? False where it can't be read. */
bool bx_cgroup_says(const char *dir, const char *file, const char *text);

/* Removes the groups of a box of this spawner, all of whose processes are
** dead. */
void bx_cgroup_remove(const bx_cgroups *g, pid_t spawner, uint64_t box);

#endif
