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
  bool refused = is_empty(fd) && fchown(fd, h->box_id, h->box_id) < 0;
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

/* Folders where a mount would take from the box what it needs to be one. */
static bool allowed(const char *target) {
  static const char *const taken[] = {"/proc", "/sys", "/dev"};
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    size_t n = strlen(taken[i]);
    if (strncmp(target, taken[i], n) == 0 &&
        (target[n] == '/' || target[n] == '\0'))
      return false;
  }
  return target[0] == '/' && target[strspn(target, "/.")] != '\0';
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

/* A mount point at `target`, in the caller's root. */
static int look(const char *target, struct statx *at) {
  struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                         .resolve = RESOLVE_NO_MAGICLINKS};
  int fd = (int)syscall(SYS_openat2, AT_FDCWD, target, &how, sizeof how);
  if (fd < 0) return -1;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, at) == 0) return fd;
  close(fd);
  return -1;
}

/* The mounts a box is made of, whatever path led to them. */
static bool of_the_box(const bx_host *h, const struct statx *at) {
  char path[64] = "/";
  struct statx st;
  for (unsigned i = 0; i <= h->nfolders + 1; i++) {
    if (i > 0)
      snprintf(path, sizeof path, "/%s",
               i > h->nfolders ? "run" : h->folders[i - 1].name);
    if (statx(AT_FDCWD, path, 0, STATX_INO, &st) == 0 &&
        st.stx_dev_major == at->stx_dev_major &&
        st.stx_dev_minor == at->stx_dev_minor && st.stx_ino == at->stx_ino)
      return true;
  }
  return false;
}

int bx_disk_place(const bx_host *h, int tree, const char *target) {
  struct statx at;
  if (!allowed(target)) return EINVAL;
  int err = make_path(h, target);
  if (err) return err;
  int fd = look(target, &at);
  if (fd < 0) return errno;
  if (of_the_box(h, &at))
    err = EINVAL;
  else if (at.stx_attributes & STATX_ATTR_MOUNT_ROOT)
    err = EBUSY;
  else if (move_mount(tree, "", fd, "",
                      MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
    err = errno;
  close(fd);
  return err;
}

int bx_disk_remove(const bx_host *h, const char *target) {
  struct statx at;
  if (!allowed(target)) return EINVAL;
  int fd = look(target, &at);
  if (fd < 0) return errno;
  close(fd);
  if (!(at.stx_attributes & STATX_ATTR_MOUNT_ROOT) || of_the_box(h, &at))
    return EINVAL;
  return umount2(target, MNT_DETACH) < 0 ? errno : 0;
}
