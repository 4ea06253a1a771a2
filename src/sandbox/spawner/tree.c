#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Made to exhaust a process that walks them. */
#define DEPTH_MAX 8000
#define FLAT_DEPTH 200

/* Entries removed from a folder before it is first looked at whether others
** fill it meanwhile. */
#define SWEEP 100

static bool is_dots(const char *name) {
  return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int open_dir(int at, const char *name) {
  return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool is_mount(int fd) {
  struct statx st;
  return statx(fd, "", AT_EMPTY_PATH, 0, &st) == 0 &&
         (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* ---- removing ------------------------------------------------------------ */

typedef struct removal {
  int root;          /* where folders too deep are moved to */
  unsigned moved;
} removal;

typedef struct sweep {
  long removed, due; /* the next look is when `due` are removed */
  long had;          /* entries at the last look */
} sweep;

static int remove_at(removal *r, int at, const char *name, int depth);

/* Entries of a folder, or -1. */
static long count_entries(int at) {
  long n = 0;
  int fd = open_dir(at, ".");
  DIR *d = fd < 0 ? NULL : fdopendir(fd);
  if (!d) {
    if (fd >= 0) close(fd);
    return -1;
  }
  for (struct dirent *e; (e = readdir(d));) n += !is_dots(e->d_name);
  closedir(d);
  return n;
}

/* Another entry is removed: ENOTEMPTY if others fill the folder about as fast,
** which might go on for ever. The looks double their distance, so that they
** cost little in a large folder. */
static int check_shrinks(sweep *s, const removal *r, int fd) {
  if (++s->removed < s->due) return 0;
  long n = count_entries(fd);
  if (n < 0) return errno;
  n -= r->moved; /* those were added by this removal */
  bool filled = s->due > SWEEP && n > s->had - s->due / 4;
  s->had = n;
  s->due *= 2;
  return filled ? ENOTEMPTY : 0;
}

static int remove_entries(removal *r, int fd, int depth) {
  sweep s = {.due = SWEEP};
  int err = 0;
  DIR *d = fdopendir(fd);
  if (!d) {
    err = errno;
    close(fd);
    return err;
  }
  for (struct dirent *n; !err && (n = readdir(d));)
    if (!is_dots(n->d_name)) {
      err = remove_at(r, fd, n->d_name, depth + 1);
      if (!err)
        err = check_shrinks(&s, r, fd);
      else if (err == ENOENT)
        err = 0;
    }
  closedir(d);
  return err;
}

static int remove_at(removal *r, int at, const char *name, int depth) {
  char flat[32];
  if (unlinkat(at, name, 0) == 0) return 0;
  if (errno != EISDIR && errno != EPERM) return errno;
  if (depth > FLAT_DEPTH) {
    snprintf(flat, sizeof flat, ".boxd-flat-%u", r->moved++);
    if (renameat(at, name, r->root, flat) == 0) return 0;
    if (depth > DEPTH_MAX) return ELOOP;
  }
  int fd = open_dir(at, name);
  if (fd < 0) return errno;
  if (depth > 0 && is_mount(fd)) {
    close(fd);
    return EBUSY;
  }
  int err = remove_entries(r, fd, depth);
  if (err) return err;
  return unlinkat(at, name, AT_REMOVEDIR) < 0 ? errno : 0;
}

int bx_tree_remove(const char *path) {
  removal r = {0};
  unsigned before;
  int err;
  if (unlink(path) == 0) return 0;
  if (errno != EISDIR && errno != EPERM) return errno;
  r.root = open_dir(AT_FDCWD, path);
  if (r.root < 0) return errno;
  do { /* once more for entries moved up meanwhile */
    before = r.moved;
    int again = open_dir(r.root, ".");
    err = again < 0 ? errno : remove_entries(&r, again, 0);
  } while (!err && r.moved != before);
  close(r.root);
  if (!err && rmdir(path) < 0) err = errno;
  return err;
}

/* ---- copying ------------------------------------------------------------- */

typedef struct linked {
  dev_t dev;
  ino_t ino;
  char *path; /* below the copy */
} linked;

typedef struct copying {
  int root; /* the copy */
  const char *skip;
  bool own; /* owners and attributes as far as they can be given */
  uint64_t bytes;
  linked *links;
  size_t nlinks, max;
  char *path; /* of the copied entry, below the root; of any length */
  size_t room;
} copying;

/* What a copy of one's own can do without. */
static bool waived(const copying *c) {
  return c->own && (errno == EPERM || errno == EINVAL || errno == ENOTSUP);
}

static int copy_xattrs(const copying *c, int from, int to) {
  char names[4096], value[65536];
  ssize_t n = flistxattr(from, names, sizeof names);
  if (n < 0) return errno == ENOTSUP ? 0 : errno;
  for (const char *name = names; name < names + n; name += strlen(name) + 1) {
    ssize_t len = fgetxattr(from, name, value, sizeof value);
    if (len < 0 && errno == ENODATA) continue;
    if (len < 0) return errno;
    if (fsetxattr(to, name, value, (size_t)len, 0) < 0 && !waived(c))
      return errno;
  }
  return 0;
}

/* Owner before mode: a change of owner clears setuid bits. */
static int copy_meta(const copying *c, int from, int to,
                     const struct stat *st) {
  struct timespec times[2] = {st->st_atim, st->st_mtim};
  mode_t mode = st->st_mode & 07777;
  if (fchown(to, st->st_uid, st->st_gid) < 0) {
    if (!waived(c)) return errno;
    mode &= 01777; /* setuid would be for another user */
  }
  if (fchmod(to, mode) < 0) return errno;
  int err = copy_xattrs(c, from, to);
  return err ? err : futimens(to, times) < 0 ? errno : 0;
}

static int write_range(int from, int to, off_t at, off_t end) {
  static char buf[1 << 16];
  while (at < end) {
    off_t in = at, out = at;
    ssize_t n = copy_file_range(from, &in, to, &out, (size_t)(end - at), 0);
    if (n < 0 && errno != EXDEV && errno != EINVAL && errno != ENOSYS &&
        errno != EOPNOTSUPP && errno != EPERM)
      return errno;
    if (n <= 0) {
      size_t want = end - at < (off_t)sizeof buf ? (size_t)(end - at) : sizeof buf;
      n = pread(from, buf, want, at);
      if (n == 0) return 0; /* it became shorter */
      if (n < 0 || pwrite(to, buf, (size_t)n, at) != n) return errno;
    }
    at += n;
  }
  return 0;
}

static int copy_data(int from, int to, off_t size) {
  if (ioctl(to, FICLONE, from) == 0) return 0;
  if (ftruncate(to, size) < 0) return errno;
  for (off_t at = 0; at < size;) {
    off_t data = lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) return 0;
    if (data < 0) data = at;
    off_t hole = lseek(from, data, SEEK_HOLE);
    if (hole < 0 || hole > size) hole = size;
    int err = write_range(from, to, data, hole);
    if (err) return err;
    at = hole;
  }
  return 0;
}

static int copy_file(copying *c, int from, int to, const char *name,
                     const char *as) {
  struct stat st = {0};
  int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (in < 0) return errno;
  int out = openat(to, as, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  int err = out < 0 || fstat(in, &st) < 0 ? errno : 0;
  if (!err && !S_ISREG(st.st_mode)) err = EAGAIN; /* changed under our eyes */
  if (!err) err = copy_data(in, out, st.st_size);
  if (!err) c->bytes += (uint64_t)st.st_blocks * 512;
  if (!err) err = copy_meta(c, in, out, &st);
  close(in);
  if (out >= 0) close(out);
  return err;
}

static int own_at(const copying *c, int at, const char *name,
                  const struct stat *st) {
  if (fchownat(at, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) == 0)
    return 0;
  return waived(c) ? 0 : errno;
}

static int copy_link(const copying *c, int from, int to, const char *name,
                     const char *as, const struct stat *st) {
  char target[PATH_MAX];
  struct timespec times[2] = {st->st_atim, st->st_mtim};
  ssize_t n = readlinkat(from, name, target, sizeof target - 1);
  if (n < 0) return errno;
  target[n] = '\0';
  if (symlinkat(target, to, as) < 0) return errno;
  int err = own_at(c, to, as, st);
  if (err) return err;
  return utimensat(to, as, times, AT_SYMLINK_NOFOLLOW) < 0 ? errno : 0;
}

/* Whiteouts, FIFOs, sockets. */
static int copy_node(const copying *c, int to, const char *name,
                     const struct stat *st) {
  struct timespec times[2] = {st->st_atim, st->st_mtim};
  if (mknodat(to, name, st->st_mode, st->st_rdev) < 0) return errno;
  int err = own_at(c, to, name, st);
  if (err) return err;
  if (fchmodat(to, name, st->st_mode & 07777, 0) < 0 ||
      utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
    return errno;
  return 0;
}

/* Anything but a folder, under another name if need be. */
static int copy_other(copying *c, int from, int to, const char *name,
                      const char *as, const struct stat *st) {
  if (S_ISREG(st->st_mode)) return copy_file(c, from, to, name, as);
  if (S_ISLNK(st->st_mode)) return copy_link(c, from, to, name, as, st);
  return copy_node(c, to, as, st);
}

static int by_inode(const void *a, const void *b) {
  const linked *x = a, *y = b;
  if (x->dev != y->dev) return x->dev < y->dev ? -1 : 1;
  return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* The place of this inode among those met, or where it belongs. */
static size_t find_link(const copying *c, const linked *key) {
  size_t low = 0, high = c->nlinks;
  while (low < high) {
    size_t mid = (low + high) / 2;
    if (by_inode(&c->links[mid], key) < 0)
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

/* Links what the copy has at a path, which may be longer than one call takes.
** */
static int link_from(const copying *c, const char *path, int to,
                     const char *name) {
  char part[PATH_MAX];
  int at = dup(c->root);
  while (at >= 0 && strlen(path) >= sizeof part) {
    size_t n = sizeof part - 1;
    while (path[n] != '/') n--;
    memcpy(part, path, n);
    part[n] = '\0';
    int next = open_dir(at, part);
    close(at);
    at = next;
    path += n + 1;
  }
  int err = at < 0 || linkat(at, path, to, name, 0) < 0 ? errno : 0;
  if (at >= 0) close(at);
  return err;
}

/* A file with more names than one: EAGAIN when this is its first. */
static int link_again(copying *c, int to, const char *name,
                      const struct stat *st) {
  linked key = {st->st_dev, st->st_ino, NULL};
  size_t i = find_link(c, &key);
  if (i < c->nlinks && by_inode(&c->links[i], &key) == 0)
    return link_from(c, c->links[i].path, to, name);
  if (c->nlinks == c->max) {
    size_t max = c->max ? 2 * c->max : 64;
    linked *grown = realloc(c->links, max * sizeof *grown);
    if (!grown) return ENOMEM;
    c->links = grown;
    c->max = max;
  }
  if (!(key.path = strdup(c->path))) return ENOMEM;
  memmove(c->links + i + 1, c->links + i, (c->nlinks - i) * sizeof key);
  c->links[i] = key;
  c->nlinks++;
  return EAGAIN;
}

static int copy_dir(copying *c, int from, int to, int depth);

/* Adds a name to the path, of which len bytes count. */
static int enter(copying *c, size_t len, const char *name) {
  size_t need = len + strlen(name) + 2;
  if (need > c->room) {
    char *grown = realloc(c->path, 2 * need);
    if (!grown) return ENOMEM;
    c->path = grown;
    c->room = 2 * need;
  }
  sprintf(c->path + len, "%s%s", len ? "/" : "", name);
  return 0;
}

static int copy_sub(copying *c, int from, int to, const char *name, int depth) {
  if (depth > DEPTH_MAX) return ELOOP;
  int in = open_dir(from, name);
  if (in < 0) return errno;
  if (is_mount(in)) { /* another file system is not the box's own */
    close(in);
    return mkdirat(to, name, 0755) < 0 ? errno : 0;
  }
  int out = mkdirat(to, name, 0700) < 0 ? -1 : open_dir(to, name);
  if (out < 0) {
    int err = errno;
    close(in);
    return err;
  }
  return copy_dir(c, in, out, depth);
}

static int copy_at(copying *c, int from, int to, const char *name, int depth) {
  struct stat st;
  int err;
  if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return errno;
  if (S_ISDIR(st.st_mode)) return copy_sub(c, from, to, name, depth);
  if (st.st_nlink > 1 && (err = link_again(c, to, name, &st)) != EAGAIN)
    return err;
  return copy_other(c, from, to, name, name, &st);
}

/* Closes both. */
static int copy_dir(copying *c, int from, int to, int depth) {
  struct stat st;
  size_t len = c->path ? strlen(c->path) : 0;
  int err = fstat(from, &st) < 0 ? errno : 0;
  DIR *d = fdopendir(from);
  if (!d) {
    err = errno;
    close(from);
  }
  for (struct dirent *n; !err && d && (n = readdir(d));) {
    if (is_dots(n->d_name)) continue;
    if (depth == 0 && c->skip && strcmp(n->d_name, c->skip) == 0) continue;
    err = enter(c, len, n->d_name);
    if (!err) err = copy_at(c, from, to, n->d_name, depth + 1);
    if (err == ENOENT) err = 0; /* gone meanwhile */
  }
  if (c->path) c->path[len] = '\0';
  if (!err) err = copy_meta(c, from, to, &st);
  if (d) closedir(d);
  close(to);
  return err;
}

/* A single file: its folder is opened, and it gets its new name last. */
static int copy_single(copying *c, const char *from, const char *to) {
  char in[PATH_MAX], out[PATH_MAX];
  if (strlen(from) >= sizeof in || strlen(to) >= sizeof out) return ENAMETOOLONG;
  strcpy(in, from);
  strcpy(out, to);
  int a = open(dirname(in), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int b = a < 0 ? -1 : open(dirname(out), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int err = b < 0 ? errno : 0;
  char temp[32];
  strcpy(in, from);
  snprintf(temp, sizeof temp, ".boxd-copy-%d", (int)getpid());
  struct stat st;
  if (!err && lstat(from, &st) < 0) err = errno;
  if (!err) err = copy_other(c, a, b, basename(in), temp, &st);
  if (!err && renameat2(b, temp, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
    err = errno;
  if (err && b >= 0) unlinkat(b, temp, 0);
  if (a >= 0) close(a);
  if (b >= 0) close(b);
  return err;
}

static int copy_top(copying *c, const char *from, const char *to) {
  struct stat st;
  if (lstat(from, &st) < 0) return errno;
  if (!S_ISDIR(st.st_mode)) return copy_single(c, from, to);
  int in = open_dir(AT_FDCWD, from);
  if (in < 0) return errno;
  if (mkdir(to, 0700) < 0 || (c->root = open_dir(AT_FDCWD, to)) < 0) {
    int err = errno;
    close(in);
    return err;
  }
  int out = dup(c->root), err = out < 0 ? errno : copy_dir(c, in, out, 0);
  if (out < 0) close(in);
  if (err) bx_tree_remove(to);
  return err;
}

static int copy_all(copying *c, const char *from, const char *to) {
  int err = copy_top(c, from, to);
  free(c->path);
  for (size_t i = 0; i < c->nlinks; i++) free(c->links[i].path);
  free(c->links);
  if (c->root >= 0) close(c->root);
  return err;
}

int bx_tree_copy(const char *from, const char *to, const char *skip,
                 uint64_t *bytes) {
  copying c = {.root = -1, .skip = skip};
  int err = copy_all(&c, from, to);
  *bytes = c.bytes;
  return err;
}

int bx_tree_copy_own(const char *from, const char *to) {
  copying c = {.root = -1, .own = true};
  return copy_all(&c, from, to);
}
