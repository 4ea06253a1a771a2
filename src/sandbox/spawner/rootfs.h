/*
** rootfs: the file system of one box, mounted at HOST->base/root in the
** caller's own mount namespace. Runs in a child of the spawner made for it.
**
** What a box's folder holds: fs (its / : home, root, tmp, srv and whatever it
** makes there), upper/NAME and work/NAME for each folder of the system.
*/
#ifndef BX_ROOTFS_H
#define BX_ROOTFS_H

#include "host.h"

/* Makes the missing parts of the box's folder. All functions here return 0, or
** an errno with `e` filled. */
int bx_rootfs_prepare(const bx_host *h, const char *dir, const char *hostname,
                      bx_error *e);

/* / at HOST->base/root, so that others can mount below it. */
int bx_rootfs_base(const bx_host *h, const char *dir, bx_error *e);

/* The rest, but /proc and /sys. memory: the box's, in bytes, of which
** the files in /dev/shm and /run can take a part; 0: no limit. */
int bx_rootfs_mount(const bx_host *h, const char *dir, uint64_t memory,
                    bx_error *e);

/* Another size of memory, in a caller that has the root of the box: 0 or an
** errno, EBUSY where more is in use. */
int bx_rootfs_memory(uint64_t memory);

/* /proc of the caller's pid namespace, /proc/sys read-only, with a new boot id,
** kept in the box's folder. */
int bx_rootfs_proc(const bx_host *h, const char *dir, bx_error *e);

/* /sys of the caller's network namespace, read-only; where the machine refuses
** that, boxes have an empty /sys. */
void bx_rootfs_sys(const bx_host *h);

/* A tree of control groups of the machine, where systemd looks for its own; after
** /sys. */
int bx_rootfs_cgroup(const bx_host *h, const char *tree, bx_error *e);

/* Makes HOST->base/root the root of the mount namespace and drops the rest. */
int bx_rootfs_pivot(const bx_host *h, bx_error *e);

/* A folder of the machine as a mount not yet anywhere: a descriptor, or -1
** with errno. An empty one is given to boxd. */
int bx_disk_open(const bx_host *h, const char *source, bool read_only);
/* Puts it at a path of the caller's root, made if missing, or takes it away: 0
** or an errno. `fds` is bx_disk_fds, opened before the caller took that root.
** */
int bx_disk_fds(void);
int bx_disk_place(const bx_host *h, int fds, int tree, const char *target);
int bx_disk_remove(const bx_host *h, int fds, const char *target);

#endif
