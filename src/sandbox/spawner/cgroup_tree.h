/*
** cgroup_tree: control groups of version 2 that a box divides by itself, as
** systemd in it does. A box's tree is a group below the one named after it;
** its root may make and remove groups there and move its processes between
** them, and changes no limit of the tree itself.
**
** They are made at the top, or, as an ordinary user, in the service's own
** group where that was delegated to the user.
*/
#ifndef BX_CGROUP_TREE_H
#define BX_CGROUP_TREE_H

#include "cgroup.h"

/* A folder of a mounted hierarchy of version 2: remembers it in `g` where trees
** can be made there. */
void bx_cgroup_tree_consider(bx_cgroups *g, const char *dir);

/* Makes the tree of a box for the spawner's user `owner` and moves the calling
** process to its root: 0 or an errno. fd: for bx_cgroup_move, [0] to there, [1]
** out of the tree, whatever rights the caller has by then. */
int bx_cgroup_tree_join(const bx_cgroups *g, pid_t spawner, uint64_t box,
                        uint32_t owner, int fd[2]);

/* Moves the calling process: 0 or an errno. Takes 0.05 ms, and up to 15 where no
** process was moved for a while. */
int bx_cgroup_move(int fd);

/* The path of a box's tree, on this machine. */
void bx_cgroup_tree_path(char path[BX_CGROUP_PATH + 80], const bx_cgroups *g,
                         pid_t spawner, uint64_t box);

/* Does with a tree, in a child, what systemd does first: 0, or the errno of
** what failed. ENOENT: there is no place for trees. */
int bx_cgroup_tree_try(const bx_cgroups *g, uint32_t owner);

/* Removes the group `name` of the folder `dir`, and what is below it, if no
** process lives there. */
void bx_cgroup_tree_remove(const char *dir, const char *name);

#endif
