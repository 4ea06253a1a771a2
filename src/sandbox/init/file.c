/* File calls, in a child of the agent: in the box, as boxd, so that paths
   and links mean the same as there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"
#include "file_tree.h"
#include "user.h"
#include "../spawn_private.h"

#define OPEN_FLAGS                                                        \
  (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_DIRECTORY |      \
   O_NOFOLLOW)

/* Instead of EACCES for what belongs to the process that looks. */
#define EACCES_OWN EREMOTE

/* What a call reads and fills. The text lives until the answer is sent. */
typedef struct call {
  const char *path, *path2;
  int flags;
  mode_t mode;
  bx_msg *reply;
  char *text;
  size_t len;
} call;

static int append(call *c, const void *p, size_t n) {
  char *grown = realloc(c->text, c->len + n);
  if (!grown && c->len + n) return ENOMEM;
  c->text = grown;
  memcpy(c->text + c->len, p, n);
  c->len += n;
  return 0;
}

/* ---- open ---------------------------------------------------------------- */

static int check_kind(int fd, int flags, uint64_t *size) {
  struct stat st;
  if (fstat(fd, &st) < 0) return errno;
  *size = (uint64_t)st.st_size;
  if (S_ISDIR(st.st_mode)) return flags & O_DIRECTORY ? 0 : EISDIR;
  return S_ISREG(st.st_mode) ? 0 : EINVAL;
}

/* Why an open failed: a link that is not a path looks like a loop of links, and
   one is refused by its kind, not for want of a right. */
static int why_not_open(const char *path, int err) {
  struct stat st;
  if (err == ENXIO || err == EACCES_OWN) return EINVAL;
  if (err != ELOOP) return err;
  return stat(path, &st) < 0 && errno == ELOOP ? ELOOP : EINVAL;
}

/* Links of /proc that are not paths (exe, fd, cwd) would lead to what this
   process has open, and /proc/self is this process and not the box's. */
static int open_path(const char *path, int flags, mode_t mode) {
  struct open_how how = {.flags = (uint64_t)flags,
                         .mode = flags & O_CREAT ? mode & 07777 : 0,
                         .resolve = RESOLVE_NO_MAGICLINKS};
  char own[32], link[32], real[PATH_MAX];
  int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
  if (fd < 0) return -1;
  int n = snprintf(own, sizeof own, "/proc/%d/", (int)getpid());
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  if (readlink(link, real, sizeof real) > n && memcmp(real, own, (size_t)n) == 0) {
    close(fd);
    errno = EACCES_OWN;
    return -1;
  }
  return fd;
}

static int call_open(call *c) {
  uint64_t size = 0;
  int flags = (c->flags & OPEN_FLAGS & ~O_TRUNC) | O_CLOEXEC | O_NOCTTY;
  /* O_NONBLOCK: a FIFO, or a device, is refused and not waited for */
  int fd = open_path(c->path, flags | O_NONBLOCK, c->mode ? c->mode : 0644);
  if (fd < 0) return why_not_open(c->path, errno);
  int err = check_kind(fd, flags, &size);
  if (!err && (c->flags & O_TRUNC)) {
    err = ftruncate(fd, 0) < 0 ? errno : 0;
    size = 0;
  }
  if (!err && fcntl(fd, F_SETFL, flags & O_APPEND) < 0) err = errno;
  if (err) {
    close(fd);
    return err;
  }
  c->reply->n[3] = (int64_t)size;
  c->reply->fd[c->reply->nfd++] = fd;
  return 0;
}

/* ---- folders ------------------------------------------------------------- */

static int absolute(const char *path, char out[PATH_MAX]) {
  const char *home = path[0] == '/' ? "" : BX_HOME "/";
  int n = snprintf(out, PATH_MAX, "%s%s", home, path);
  return n >= PATH_MAX ? ENAMETOOLONG : 0;
}

/* Makes a path. Existing folders are fine. */
static int make_path(const char *path) {
  char part[PATH_MAX];
  struct stat st;
  if (strlen(path) >= sizeof part) return ENAMETOOLONG;
  for (const char *s = path + 1;; s++) {
    if (*s != '/' && *s != '\0') continue;
    memcpy(part, path, (size_t)(s - path));
    part[s - path] = '\0';
    if (mkdir(part, 0755) < 0) {
      int err = errno;
      if (stat(part, &st) < 0) return err;
      if (!S_ISDIR(st.st_mode)) return err == EEXIST && *s ? ENOTDIR : err;
    }
    if (*s == '\0') return 0;
  }
}

static int make_parents(const char *path) {
  char part[PATH_MAX];
  const char *slash = strrchr(path, '/');
  if (!slash || slash == path) return 0;
  if ((size_t)(slash - path) >= sizeof part) return ENAMETOOLONG;
  memcpy(part, path, (size_t)(slash - path));
  part[slash - path] = '\0';
  int err = make_path(part);
  return err == EEXIST ? ENOTDIR : err;
}

/* ---- writing whole ------------------------------------------------------- */

/* Where writing to `path` ends: through links, the last one to nothing too. */
static int resolve(const char *path, char *final) {
  char target[PATH_MAX];
  if (strlen(path) >= PATH_MAX) return ENAMETOOLONG;
  strcpy(final, path);
  for (int hops = 0; hops < 40; hops++) {
    ssize_t n = readlink(final, target, sizeof target - 1);
    if (n < 0) return errno == EINVAL || errno == ENOENT ? 0 : errno;
    target[n] = '\0';
    char *slash = strrchr(final, '/');
    size_t keep = target[0] == '/' || !slash ? 0 : (size_t)(slash + 1 - final);
    if (keep + (size_t)n >= PATH_MAX) return ENAMETOOLONG;
    strcpy(final + keep, target);
  }
  return ELOOP;
}

static int call_begin(call *c) {
  char path[PATH_MAX], final[PATH_MAX], temp[PATH_MAX + 32];
  struct stat st;
  unsigned char r[6];
  int err = absolute(c->path, path);
  if (!err) err = make_parents(path);
  if (!err) err = resolve(path, final);
  if (!err) err = make_parents(final);
  if (err) return err;
  bool there = stat(final, &st) == 0;
  if (there && !S_ISREG(st.st_mode))
    return S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
  if (there && access(final, W_OK) < 0) return errno;
  const char *slash = strrchr(final, '/');
  if (slash[1] == '\0') return EISDIR;
  if (getrandom(r, sizeof r, 0) < 0) return errno;
  snprintf(temp, sizeof temp, "%.*s/.boxd-%02x%02x%02x%02x%02x%02x",
           (int)(slash - final), final, r[0], r[1], r[2], r[3], r[4], r[5]);
  int fd = open(temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  c->reply->fd[c->reply->nfd++] = fd;
  err = append(c, temp, strlen(temp) + 1);
  return err ? err : append(c, final, strlen(final));
}

static int call_commit(call *c) {
  struct stat st;
  bool old = stat(c->path2, &st) == 0;
  mode_t mode = old ? st.st_mode & 07777 : c->mode ? c->mode & 07777 : 0644;
  if (old && lchown(c->path, st.st_uid, st.st_gid) < 0) return errno;
  if (chmod(c->path, mode) < 0) return errno;
  return rename(c->path, c->path2) < 0 ? errno : 0;
}

/* ---- looking ------------------------------------------------------------- */

/* An entry: its size, the fixed part, then the name and the link's target,
   each with its NUL. bx_file_entry_next reads it. */
static int append_entry(call *c, int dir, const char *path, const char *name,
                        const struct stat *st) {
  char target[PATH_MAX] = "";
  ssize_t n = 0;
  if (S_ISLNK(st->st_mode)) {
    n = readlinkat(dir, path, target, sizeof target - 1);
    if (n < 0) return errno;
    target[n] = '\0';
  }
  bx_file_entry f = {.mode = st->st_mode, .uid = st->st_uid, .gid = st->st_gid,
                     .size = (uint64_t)st->st_size, .ino = st->st_ino,
                     .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 +
                                 st->st_mtim.tv_nsec,
                     .ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 +
                                 st->st_ctim.tv_nsec};
  int err = append(c, &f, sizeof f);
  if (!err) err = append(c, name, strlen(name) + 1);
  return err ? err : append(c, target, (size_t)n + 1);
}

bool bx_file_entry_next(const bx_spawn_event *ev, size_t *at,
                        bx_file_entry *f) {
  if (!ev->text) return false;
  const char *end = ev->text + ev->len, *p = ev->text + *at;
  if ((size_t)(end - p) < sizeof *f + 2) return false;
  memcpy(f, p, sizeof *f);
  f->name = p + sizeof *f;
  const char *link = memchr(f->name, '\0', (size_t)(end - f->name));
  if (!link) return false;
  link++;
  const char *stop = memchr(link, '\0', (size_t)(end - link));
  if (!stop) return false;
  f->link = S_ISLNK(f->mode) ? link : NULL;
  *at = (size_t)(stop + 1 - ev->text);
  return true;
}

static int call_stat(call *c) {
  struct stat st;
  int flags = c->flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
  const char *slash = strrchr(c->path, '/');
  if (fstatat(AT_FDCWD, c->path, &st, flags) < 0) return errno;
  return append_entry(c, AT_FDCWD, c->path, slash ? slash + 1 : c->path, &st);
}

static int why_not_list(const char *path, int err) {
  int why = why_not_open(path, err);
  return err == ELOOP && why == EINVAL ? EACCES : why;
}

static int call_list(call *c) {
  struct stat st;
  unsigned room = BX_FILE_LIST_MAX + 1;
  int err = 0, fd = open_path(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  DIR *d = fd < 0 ? NULL : fdopendir(fd);
  if (!d) return errno == EACCES_OWN ? EACCES : why_not_list(c->path, errno);
  for (struct dirent *n; !err && room && (n = readdir(d));) {
    if (strcmp(n->d_name, ".") == 0 || strcmp(n->d_name, "..") == 0) continue;
    if (fstatat(fd, n->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
      err = errno == ENOENT ? 0 : errno; /* gone meanwhile */
      continue;
    }
    err = append_entry(c, fd, n->d_name, n->d_name, &st);
    room--;
  }
  closedir(d);
  return err;
}

/* ---- which --------------------------------------------------------------- */

static int carry_out(call *c, bx_file_op op) {
  switch (op) {
    case BX_FILE_OPEN: return call_open(c);
    case BX_FILE_BEGIN: return call_begin(c);
    case BX_FILE_COMMIT: return call_commit(c);
    case BX_FILE_STAT: return call_stat(c);
    case BX_FILE_LIST: return call_list(c);
    case BX_FILE_RENAME: return bx_file_rename(c->path, c->path2);
    case BX_FILE_REMOVE: return bx_file_remove(c->path);
    case BX_FILE_COPY: return bx_file_copy(c->path, c->path2);
    case BX_FILE_MKDIR:
      return mkdir(c->path, c->mode ? c->mode : 0755) < 0 ? errno : 0;
  }
  return EINVAL;
}

/* n3: as the box's root, where it has one. A change of user takes the death
   signal away. */
static int take_user(const bx_host *h, const bx_msg *m) {
  int err = m->n[3] ? 0 : bx_user_become(h);
  if (!err && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) err = errno;
  return err;
}

void bx_file_call(const bx_host *h, const bx_msg *m, bx_msg *reply) {
  call c = {.path = m->s[0].p, .path2 = m->s[1].p, .flags = (int)m->n[1],
            .mode = (mode_t)m->n[2], .reply = reply};
  char what[160];
  umask(022);
  bx_file_op op = (bx_file_op)m->n[0];
  int err = take_user(h, m);
  /* a box may have removed its home: an upload makes it again */
  if (!err && chdir(BX_HOME) < 0 && c.path[0] != '/' && op != BX_FILE_BEGIN)
    err = errno;
  if (!err) err = carry_out(&c, op);
  reply->s[1] = bx_bytes_of(c.text, c.len);
  if (!err) return;
  snprintf(what, sizeof what, "%s%.120s", strlen(c.path) > 120 ? "..." : "",
           strlen(c.path) > 120 ? c.path + strlen(c.path) - 120 : c.path);
  bx_msg_fail(reply, err, what);
}
