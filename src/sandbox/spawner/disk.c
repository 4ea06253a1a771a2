/* Folders of the machine mounted into a box (rootfs.h). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rootfs.h"

static bool is_empty(int fd) {
  DIR *d = fdopendir(dup(fd));
  bool empty = true;
  if (!d) return false;
  for (struct dirent *n; (n = readdir(d));)
    if (strcmp(n->d_name, ".") != 0 && strcmp(n->d_name, "..") != 0)
      empty = false;
  closedir(d);
  return empty;
}

int bx_disk_open(const bx_host *h, const char *source, bool read_only) {
  int fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  bool refused = is_empty(fd) && fchown(fd, bx_host_user(h), bx_host_user(h)) < 0;
  int tree = refused ? -1
                     : open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE |
                                             OPEN_TREE_CLOEXEC);
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
  if (read_only) attr.attr_set |= MOUNT_ATTR_RDONLY;
  if (tree >= 0 &&
      mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0) {
    int err = errno;
    close(tree);
    tree = -1;
    errno = err;
  }
  close(fd);
  return tree;
}

/* Not where a mount would hide folders that every box needs. `path` is
   a real one: no links, no dots. */
static bool allowed(const bx_host *h, const char *path) {
  static const char *const taken[] = {"/proc", "/sys", "/dev"};
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    size_t n = strlen(taken[i]);
    if (strncmp(path, taken[i], n) == 0 && (path[n] == '/' || path[n] == '\0'))
      return false;
  }
  for (unsigned i = 0; i < h->nfolders; i++)
    if (strcmp(path + 1, h->folders[i].name) == 0) return false;
  return path[0] == '/' && path[1] != '\0' && strcmp(path, "/run") != 0;
}

static int make_path(const bx_host *h, const char *target) {
  char part[BX_PATH_MAX];
  if (strlen(target) >= sizeof part) return ENAMETOOLONG;
  for (const char *s = target + 1;; s++) {
    if (*s != '/' && *s != '\0') continue;
    memcpy(part, target, (size_t)(s - target));
    part[s - target] = '\0';
    if (mkdir(part, 0755) == 0) {
      if (lchown(part, h->box_id, h->box_id) < 0) return errno;
    } else if (errno != EEXIST) {
      return errno;
    }
    if (*s == '\0') return 0;
  }
}

/* Opens a folder in the caller's root and checks where it really is. `fds` is
   the caller's own /proc/self/fd, opened before it went into the box. */
static int look(const bx_host *h, int fds, const char *target, int *err) {
  char number[16], path[BX_PATH_MAX];
  struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                         .resolve = RESOLVE_NO_MAGICLINKS};
  int fd = (int)syscall(SYS_openat2, AT_FDCWD, target, &how, sizeof how);
  if (fd < 0) {
    *err = errno;
    return -1;
  }
  snprintf(number, sizeof number, "%d", fd);
  ssize_t n = readlinkat(fds, number, path, sizeof path - 1);
  *err = n < 0 ? errno : 0;
  path[n < 0 ? 0 : n] = '\0';
  if (!*err && !allowed(h, path)) *err = EINVAL;
  return fd;
}

int bx_disk_fds(void) {
  return open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static bool is_mount(int fd) {
  struct statx at;
  return statx(fd, "", AT_EMPTY_PATH, 0, &at) == 0 &&
         (at.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

int bx_disk_place(const bx_host *h, int fds, int tree, const char *target) {
  int err = make_path(h, target);
  if (err) return err;
  int fd = look(h, fds, target, &err);
  if (!err && is_mount(fd)) err = EBUSY;
  if (!err && move_mount(tree, "", fd, "",
                         MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
    err = errno;
  if (fd >= 0) close(fd);
  return err;
}

/* By the checked descriptor: its path may lead elsewhere by now. */
int bx_disk_remove(const bx_host *h, int fds, const char *target) {
  char number[16];
  int err, fd = look(h, fds, target, &err);
  if (!err && !is_mount(fd)) err = EINVAL;
  snprintf(number, sizeof number, "%d", fd);
  if (!err && (fchdir(fds) < 0 || umount2(number, MNT_DETACH) < 0)) err = errno;
  if (fd >= 0) close(fd);
  return err;
}
