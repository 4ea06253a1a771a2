/* sudo of boxes: the one program there whose mode gives rights. All else is
   mounted nosuid. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"

/* The program, built from src/sudo. */
extern const unsigned char bx_sudo_program[];
extern const unsigned long bx_sudo_size;

int bx_sudo_put(const bx_host *h) {
  char path[BX_PATH_MAX];
  int err = bx_path(path, "%s/sudo", h->base);
  int fd = err ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return err ? err : errno;
  if (write(fd, bx_sudo_program, bx_sudo_size) != (ssize_t)bx_sudo_size)
    err = errno ? errno : EIO;
  /* owner before mode: a change of owner clears setuid bits */
  if (!err && (fchown(fd, h->box_id, h->box_id) < 0 || fchmod(fd, 04755) < 0))
    err = errno;
  close(fd);
  return err;
}

/* -1: the box has put something else there. Its links end in the box. */
static int find_place(const bx_host *h) {
  char root[BX_PATH_MAX];
  struct open_how how = {.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
                         .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  struct stat st;
  if (bx_path(root, "%s/root", h->base) != 0) return -1;
  int top = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int fd = (int)syscall(SYS_openat2, top, BX_SUDO, &how, sizeof how);
  if (top >= 0) close(top);
  if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
    close(fd);
    return -1;
  }
  return fd;
}

int bx_sudo_mount(const bx_host *h) {
  struct mount_attr attr = {
      .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME,
      .attr_clr = MOUNT_ATTR_NOSUID | MOUNT_ATTR__ATIME};
  char path[BX_PATH_MAX];
  int at = find_place(h), err = bx_path(path, "%s/sudo", h->base);
  if (at < 0 || err) return err;
  int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (fd < 0 ||
      mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0 ||
      move_mount(fd, "", at, "",
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
    err = errno;
  if (fd >= 0) close(fd);
  close(at);
  return err;
}
