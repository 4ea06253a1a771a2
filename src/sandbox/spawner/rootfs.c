#include "rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int failed(bx_error *e, int err, const char *what, const char *path) {
  bx_error_set(e, BX_INTERNAL, "cannot make the box: %s %s: %s", what, path,
               strerror(err));
  return err;
}

static int make_dir(const bx_host *h, const char *path, mode_t mode) {
  if (mkdir(path, mode) < 0) return errno == EEXIST ? 0 : errno;
  if (chown(path, h->box_id, h->box_id) < 0 || chmod(path, mode) < 0)
    return errno;
  return 0;
}

static int make_link(const bx_host *h, const char *target, const char *path) {
  if (symlink(target, path) < 0) return errno == EEXIST ? 0 : errno;
  return lchown(path, h->box_id, h->box_id) < 0 ? errno : 0;
}

/* A file of a new home, as this machine gives it to new users. */
static int add_skeleton(int home, const char *name, uint32_t owner) {
  char path[64], text[16384];
  snprintf(path, sizeof path, "/etc/skel/%s", name);
  int in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (in < 0) return 0;
  ssize_t n = read(in, text, sizeof text);
  close(in);
  if (n < 0) return 0;
  int out = openat(home, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (out < 0) return errno;
  int err = write(out, text, (size_t)n) != n || fchown(out, owner, owner) < 0
                ? errno ? errno : EIO
                : 0;
  close(out);
  return err;
}

/* boxd's, if it is not there. The box owns the folders above it: links in them
   are never followed. */
static int make_home(const bx_host *h, const char *dir) {
  static const char *const files[] = {".bashrc", ".profile", ".bash_logout"};
  char path[BX_PATH_MAX];
  uint32_t owner = bx_host_user(h);
  int err = bx_path(path, "%s/fs/home", dir);
  if (err) return err;
  int above = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (above < 0) return 0; /* the box's own doing */
  bool made = mkdirat(above, BX_USER_NAME, 0750) == 0;
  if (!made && errno != EEXIST) err = errno;
  int home = made ? openat(above, BX_USER_NAME,
                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                  : -1;
  if (made && (home < 0 || fchown(home, owner, owner) < 0)) err = errno;
  for (size_t i = 0; made && !err && i < sizeof files / sizeof *files; i++)
    err = add_skeleton(home, files[i], owner);
  if (home >= 0) close(home);
  close(above);
  return err;
}

/* Own folders at the top; those of the system are mount points. */
static int make_tree(const bx_host *h, const char *dir, bx_error *e) {
  static const struct {
    const char *name;
    mode_t mode;
  } own[] = {{"fs", 0755},      {"fs/home", 0755},  {"fs/root", 0700},
             {"fs/tmp", 01777}, {"fs/run", 0755},   {"fs/dev", 0755},
             {"fs/proc", 0555}, {"fs/sys", 0555},   {"fs/srv", 0755},
             {"fs/mnt", 0755},  {"fs/media", 0755}, {"upper", 0711},
             {"work", 0711}};
  char path[BX_PATH_MAX];
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
    int err = bx_path(path, "%s/%s", dir, own[i].name);
    if (!err) err = make_dir(h, path, own[i].mode);
    if (err) return failed(e, err, "folder", path);
  }
  for (unsigned i = 0; i < h->nfolders * 3; i++) {
    static const char *const kind[] = {"fs", "upper", "work"};
    const char *name = h->folders[i / 3].name;
    struct stat st = {.st_mode = 0755};
    bx_path(path, "/%s", name);
    if (i % 3 == 1 && stat(path, &st) < 0) st.st_mode = 0755;
    int err = bx_path(path, "%s/%s/%s", dir, kind[i % 3], name);
    if (!err) err = make_dir(h, path, st.st_mode & 07777);
    if (err) return failed(e, err, "folder", path);
  }
  int err_home = make_home(h, dir);
  if (err_home) return failed(e, err_home, "folder", BX_HOME);
  for (unsigned i = 0; i < h->nlinks; i++) {
    int err = bx_path(path, "%s/fs/%s", dir, h->links[i].name);
    if (!err) err = make_link(h, h->links[i].target, path);
    if (err) return failed(e, err, "link", path);
  }
  return 0;
}

/* A box owns the files in this folder: never follow its links. */
static int put_file(const bx_host *h, int dir, const char *name,
                    const char *text) {
  unlinkat(dir, name, 0);
  int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                  0644);
  if (fd < 0) return errno;
  size_t n = strlen(text);
  int err = write(fd, text, n) == (ssize_t)n &&
                    fchown(fd, h->box_id, h->box_id) == 0
                ? 0
                : errno ? errno : EIO;
  close(fd);
  return err;
}

static bool named_already(int dir, const char *line) {
  char old[80];
  int fd = openat(dir, "hostname", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = read(fd, old, sizeof old);
  close(fd);
  return n == (ssize_t)strlen(line) && memcmp(old, line, (size_t)n) == 0;
}

/* At the first start, and after a fork under a new name. */
static int write_names(const bx_host *h, const char *dir, const char *hostname,
                       bx_error *e) {
  char path[BX_PATH_MAX], line[80], hosts[320], id[34];
  unsigned char random[16];
  int err = bx_path(path, "%s/upper/etc", dir);
  int at = err ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (at < 0) return failed(e, err ? err : errno, "folder", path);
  snprintf(line, sizeof line, "%.64s\n", hostname);
  snprintf(hosts, sizeof hosts,
           "127.0.0.1\tlocalhost\n127.0.1.1\t%.64s\n"
           "::1\tlocalhost ip6-localhost ip6-loopback\n"
           "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
           hostname);
  if (!named_already(at, line)) {
    if (getrandom(random, sizeof random, 0) < 0) err = errno;
    for (unsigned i = 0; i < 16; i++) sprintf(id + 2 * i, "%02x", random[i]);
    strcpy(id + 32, "\n");
    if (!err) err = put_file(h, at, "hosts", hosts);
    if (!err) err = put_file(h, at, "machine-id", id);
    if (!err) err = put_file(h, at, "hostname", line);
  }
  close(at);
  return err ? failed(e, err, "files in", path) : 0;
}

int bx_rootfs_prepare(const bx_host *h, const char *dir, const char *hostname,
                      bx_error *e) {
  if (mkdir(dir, 0700) < 0 && errno != EEXIST)
    return failed(e, errno, "folder", dir);
  int err = make_tree(h, dir, e);
  return err ? err : write_names(h, dir, hostname, e);
}

static int set_flags(const char *path, uint64_t flags) {
  struct mount_attr attr = {.attr_set = flags};
  return mount_setattr(AT_FDCWD, path, 0, &attr, sizeof attr) < 0 ? errno : 0;
}

int bx_rootfs_base(const bx_host *h, const char *dir, bx_error *e) {
  char fs[BX_PATH_MAX], root[BX_PATH_MAX];
  int err = bx_path(fs, "%s/fs", dir);
  if (!err) err = bx_path(root, "%s/root", h->base);
  if (!err && mount(fs, root, NULL, MS_BIND, NULL) < 0) err = errno;
  if (!err) err = set_flags(root, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
  return err ? failed(e, err, "mount", fs) : 0;
}

static int mount_folder(const bx_host *h, const char *dir,
                        const bx_folder *f) {
  char upper[BX_PATH_MAX], work[BX_PATH_MAX], at[BX_PATH_MAX];
  int err = bx_path(upper, "%s/upper/%s", dir, f->name);
  if (!err) err = bx_path(work, "%s/work/%s", dir, f->name);
  if (!err) err = bx_path(at, "%s/root/%s", h->base, f->name);
  return err ? err : bx_host_overlay(h, f, upper, work, at);
}

#define RUN_FLAGS (MS_NOSUID | MS_NODEV)
#define SHM_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)

/* Files in memory count for the box: some of its memory must be left, since
   no process that is ended gives any of this back. */
#define SHM_PART 2
#define RUN_PART 4
#define INODE_BYTES 16384 /* of memory, for a file each */

/* Mount options that limit a file system in memory; "" for no limit. */
static void size_option(char text[96], uint64_t memory, unsigned part) {
  text[0] = '\0';
  if (memory)
    snprintf(text, 96, ",size=%llu,nr_inodes=%llu",
             (unsigned long long)(memory / part),
             (unsigned long long)(memory / part / INODE_BYTES + 64));
}

static int mount_tmpfs(const bx_host *h, const char *name, const char *mode,
                       const char *size, unsigned long flags) {
  char at[BX_PATH_MAX], data[192];
  int err = bx_path(at, "%s/root/%s", h->base, name);
  snprintf(data, sizeof data, "mode=%s,uid=%u,gid=%u%s", mode, h->box_id,
           h->box_id, size);
  if (!err && mount("tmpfs", at, "tmpfs", flags, data) < 0) err = errno;
  return err;
}

/* This machine's root makes its own nodes, others borrow the machine's. */
static int make_device(const bx_host *h, const char *name, unsigned major_,
                       unsigned minor_) {
  char at[BX_PATH_MAX], from[64];
  int err = bx_path(at, "%s/root/dev/%s", h->base, name);
  if (err) return err;
  if (h->privileged) {
    if (mknod(at, S_IFCHR | 0666, makedev(major_, minor_)) < 0 ||
        chown(at, h->box_id, h->box_id) < 0 || chmod(at, 0666) < 0)
      return errno;
    return 0;
  }
  snprintf(from, sizeof from, "/dev/%s", name);
  int fd = open(at, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return errno;
  close(fd);
  if (mount(from, at, NULL, MS_BIND, NULL) < 0) return errno;
  return set_flags(at, MOUNT_ATTR_NOSUID);
}

static int make_links(const bx_host *h) {
  static const char *const links[][2] = {{"/proc/self/fd", "fd"},
                                         {"/proc/self/fd/0", "stdin"},
                                         {"/proc/self/fd/1", "stdout"},
                                         {"/proc/self/fd/2", "stderr"},
                                         {"pts/ptmx", "ptmx"}};
  char at[BX_PATH_MAX];
  for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
    int err = bx_path(at, "%s/root/dev/%s", h->base, links[i][1]);
    if (!err) err = make_link(h, links[i][0], at);
    if (err) return err;
  }
  return 0;
}

static int make_dev(const bx_host *h, uint64_t memory) {
  static const struct {
    const char *name;
    unsigned major_, minor_;
  } devices[] = {{"null", 1, 3}, {"zero", 1, 5},    {"full", 1, 7},
                 {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
  char at[BX_PATH_MAX], data[96];
  int err = mount_tmpfs(h, "dev", "755", ",size=1m", MS_NOSUID | MS_NOEXEC);
  for (size_t i = 0; i < sizeof devices / sizeof *devices && !err; i++)
    err = make_device(h, devices[i].name, devices[i].major_, devices[i].minor_);
  if (!err) err = make_links(h);
  for (int i = 0; i < 2 && !err; i++) {
    err = bx_path(at, "%s/root/dev/%s", h->base, i ? "shm" : "pts");
    if (!err) err = make_dir(h, at, 0755);
  }
  size_option(data, memory, SHM_PART);
  if (!err)
    err = mount_tmpfs(h, "dev/shm", "1777", data, SHM_FLAGS);
  if (!err) err = bx_path(at, "%s/root/dev/pts", h->base);
  /* tty is group 5, where boxes have it */
  snprintf(data, sizeof data, "newinstance,ptmxmode=0666,mode=620,gid=%u",
           h->id_count > 1 ? h->box_id + 5 : h->box_id);
  if (!err && mount("devpts", at, "devpts", MS_NOSUID | MS_NOEXEC, data) < 0)
    err = errno;
  return err;
}

int bx_rootfs_mount(const bx_host *h, const char *dir, uint64_t memory,
                    bx_error *e) {
  char lock[BX_PATH_MAX], size[96];
  int err = 0;
  for (unsigned i = 0; i < h->nfolders; i++) {
    err = mount_folder(h, dir, &h->folders[i]);
    if (err) return failed(e, err, "mount /", h->folders[i].name);
  }
  err = bx_sudo_mount(h);
  if (err) return failed(e, err, "mount", "sudo");
  err = make_dev(h, memory);
  if (err) return failed(e, err, "mount", "/dev");
  size_option(size, memory, RUN_PART);
  err = mount_tmpfs(h, "run", "755", size, RUN_FLAGS);
  if (!err) err = bx_path(lock, "%s/root/run/lock", h->base);
  if (!err) err = make_dir(h, lock, 01777);
  /* one of its own, which systemd would mount */
  if (!err && h->systemd)
    err = mount_tmpfs(h, "run/lock", "1777", ",size=5m", RUN_FLAGS);
  return err ? failed(e, err, "mount", "/run") : 0;
}

static int resize(const char *at, uint64_t memory, unsigned part,
                  unsigned long flags) {
  char size[96];
  size_option(size, memory, part);
  if (mount(NULL, at, NULL, MS_REMOUNT | flags, size + 1) == 0) return 0;
  return errno == EINVAL ? EBUSY : errno;
}

int bx_rootfs_memory(uint64_t memory) {
  int err = resize("/dev/shm", memory, SHM_PART, SHM_FLAGS);
  return err ? err : resize("/run", memory, RUN_PART, RUN_FLAGS);
}

/* A random UUID as text, version 4. */
static int make_uuid(char text[38]) {
  unsigned char r[16];
  if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r) return EIO;
  r[6] = (r[6] & 0x0F) | 0x40;
  r[8] = (r[8] & 0x3F) | 0x80;
  char *p = text;
  for (unsigned i = 0; i < sizeof r; i++)
    p += sprintf(p, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                 r[i]);
  strcpy(p, "\n");
  return 0;
}

/* A boot of the box has an id of its own, as one of a machine has. */
static int mount_boot_id(const bx_host *h, const char *dir) {
  char from[BX_PATH_MAX], at[BX_PATH_MAX], id[38];
  int err = make_uuid(id);
  if (!err) err = bx_path(from, "%s/boot_id", dir);
  if (!err) err = bx_path(at, "%s/root/proc/sys/kernel/random/boot_id", h->base);
  int folder = err ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return err ? err : errno;
  err = put_file(h, folder, "boot_id", id);
  close(folder);
  if (!err && mount(from, at, NULL, MS_BIND, NULL) < 0) err = errno;
  return err ? err
             : set_flags(at, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                 MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

int bx_rootfs_proc(const bx_host *h, const char *dir, bx_error *e) {
  char at[BX_PATH_MAX], sys[BX_PATH_MAX];
  int err = bx_path(at, "%s/root/proc", h->base);
  if (!err) err = bx_path(sys, "%s/root/proc/sys", h->base);
  unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (!err && mount("proc", at, "proc", flags, NULL) < 0) err = errno;
  if (!err && mount(sys, sys, NULL, MS_BIND, NULL) < 0) err = errno;
  if (!err) err = mount_boot_id(h, dir);
  if (!err) err = set_flags(sys, MOUNT_ATTR_RDONLY);
  return err ? failed(e, err, "mount", "/proc") : 0;
}

void bx_rootfs_sys(const bx_host *h) {
  char at[BX_PATH_MAX];
  if (bx_path(at, "%s/root/sys", h->base) == 0)
    (void)mount("sysfs", at, "sysfs",
                MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL);
}

int bx_rootfs_cgroup(const bx_host *h, const char *tree, bx_error *e) {
  char at[BX_PATH_MAX];
  int err = bx_path(at, "%s/root/sys/fs/cgroup", h->base);
  if (!err && mount(tree, at, NULL, MS_BIND, NULL) < 0) err = errno;
  if (!err)
    err = set_flags(at, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  return err ? failed(e, err, "mount", "/sys/fs/cgroup") : 0;
}

int bx_rootfs_pivot(const bx_host *h, bx_error *e) {
  char root[BX_PATH_MAX];
  int err = bx_path(root, "%s/root", h->base);
  if (!err && (chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
               umount2(".", MNT_DETACH) < 0 || chdir("/") < 0))
    err = errno;
  return err ? failed(e, err, "pivot to", root) : 0;
}
