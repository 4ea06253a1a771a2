/*
** The base: where boxes cannot be shown the machine's files under their own
** ids (host.h, idmapped), the kernel refuses to change those files in a box,
** as their owner is not one of the box's. What a box can own is built once in
** the user's cache and laid over the machine's: the folders of /usr and /opt,
** so that files in them can be made, replaced and deleted, and copies of /etc
** and /var as far as every user may read them, in place of the machine's. It is
** built anew when the machine's packages have changed.
*/
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"
#include "tree.h"

/* Deeper than any package goes, and within the open files of any user. */
#define DEPTH_MAX 100

typedef struct building {
  const bx_host *host;
  bool files; /* copies, not only folders */
  dev_t dev;
  dev_t own_dev; /* the folder that holds the new base */
  ino_t own_ino;
  char path[BX_PATH_MAX];
} building;

static int grow(building *b, int from, int to, int depth);

static int give(const bx_host *h, int at, const char *name,
                const struct stat *st) {
  return fchownat(at, name, bx_host_id(h, st->st_uid),
                  bx_host_id(h, st->st_gid), AT_SYMLINK_NOFOLLOW) < 0
             ? errno
             : 0;
}

static int add_folder(building *b, int from, int to, const char *name,
                      const struct stat *st, int depth) {
  int err = 0;
  if (mkdirat(to, name, 0700) < 0) return errno;
  int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (out < 0) err = errno;
  /* files that not every user can read stay empty, as do hidden ones */
  mode_t all = S_IROTH | S_IXOTH;
  bool enter = in >= 0 && (st->st_mode & all) == all && st->st_dev == b->dev && depth < DEPTH_MAX &&
               bx_layer_shows(b->path) &&
               (st->st_dev != b->own_dev || st->st_ino != b->own_ino);
  if (!err && enter) {
    err = grow(b, in, out, depth);
    in = -1;
  }
  if (in >= 0) close(in);
  if (!err) err = give(b->host, to, name, st);
  if (!err && fchmod(out, st->st_mode & 07777) < 0) err = errno;
  if (out >= 0) close(out);
  return err;
}

static int add_file(const bx_host *h, int from, int to, const char *name) {
  struct stat st;
  ssize_t n = 1;
  int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (in < 0) return 0; /* not this user's to read */
  if (fstat(in, &st) < 0 || !(st.st_mode & S_IROTH)) {
    close(in);
    return 0; /* nor every user's */
  }
  int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  int err = out < 0 ? errno : 0;
  while (!err && n > 0) {
    n = sendfile(out, in, NULL, 1 << 20);
    if (n < 0) err = errno;
  }
  if (!err) {
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    err = give(h, to, name, &st);
    if (!err && (fchmod(out, st.st_mode & 0777) < 0 || futimens(out, times) < 0))
      err = errno;
  }
  close(in);
  if (out >= 0) close(out);
  return err;
}

static int add_link(const bx_host *h, int from, int to, const char *name,
                    const struct stat *st) {
  char target[BX_PATH_MAX];
  ssize_t n = readlinkat(from, name, target, sizeof target - 1);
  if (n < 0) return errno;
  target[n] = '\0';
  return symlinkat(target, to, name) < 0 ? errno : give(h, to, name, st);
}

static int add_entry(building *b, int from, int to, const char *name,
                     int depth) {
  struct stat st;
  if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return 0;
  if (S_ISDIR(st.st_mode)) return add_folder(b, from, to, name, &st, depth + 1);
  if (!b->files) return 0;
  if (S_ISREG(st.st_mode)) return add_file(b->host, from, to, name);
  return S_ISLNK(st.st_mode) ? add_link(b->host, from, to, name, &st) : 0;
}

/* Closes `from`. */
static int grow(building *b, int from, int to, int depth) {
  size_t len = strlen(b->path);
  int err = 0;
  DIR *d = fdopendir(from);
  if (!d) {
    err = errno;
    close(from);
    return err;
  }
  for (struct dirent *n; !err && (n = readdir(d));) {
    if (strcmp(n->d_name, ".") == 0 || strcmp(n->d_name, "..") == 0) continue;
    size_t room = sizeof b->path - len;
    if ((size_t)snprintf(b->path + len, room, "/%s", n->d_name) >= room)
      err = ENAMETOOLONG;
    else
      err = add_entry(b, from, to, n->d_name, depth);
  }
  b->path[len] = '\0';
  closedir(d);
  return err;
}

static int build(const bx_host *h, const char *cache, const char *to) {
  struct stat own;
  int err = mkdir(to, 0711) < 0 || stat(cache, &own) < 0 ? errno : 0;
  int out = err ? -1 : open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (!err && out < 0) err = errno;
  for (unsigned i = 0; i < h->nfolders && !err; i++) {
    const char *name = h->folders[i].name;
    building b = {.host = h, .own_dev = own.st_dev,
                  .own_ino = own.st_ino};
    struct stat st;
    b.files = h->folders[i].copied;
    snprintf(b.path, sizeof b.path, "/%s", name);
    if (stat(b.path, &st) < 0) continue;
    b.dev = st.st_dev;
    int top = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    err = top < 0 ? errno : add_folder(&b, top, out, name, &st, 0);
    if (top >= 0) close(top);
  }
  if (out >= 0) close(out);
  return err;
}

/* ---- once ---------------------------------------------------------------- */

/* A mount below a folder cannot be left out by an ordinary user, nor does an
   overlay take it in. */
static bool has_mounts(const char *folder) {
  char line[4096], at[1024];
  size_t n = strlen(folder);
  bool found = false;
  FILE *f = fopen("/proc/self/mounts", "re");
  while (f && !found && fgets(line, sizeof line, f))
    found = sscanf(line, "%*s %1023s", at) == 1 && at[0] == '/' &&
            strncmp(at + 1, folder, n) == 0 && at[n + 1] == '/';
  if (f) fclose(f);
  return found;
}

/* Which folders are copied whole. /usr is too large: where something is
   mounted below it, the test of the overlays says that it cannot be shown. */
static void choose(bx_host *h) {
  for (unsigned i = 0; i < h->nfolders; i++) {
    bx_folder *f = &h->folders[i];
    f->copied = strcmp(f->name, "etc") == 0 || strcmp(f->name, "var") == 0 ||
                (!h->privileged && strcmp(f->name, "usr") != 0 &&
                 has_mounts(f->name));
  }
}

static void make_stamp(const bx_host *h, char *text, size_t size) {
  struct stat st = {0};
  unsigned copied = 0;
  for (unsigned i = 0; i < h->nfolders; i++)
    copied |= (unsigned)h->folders[i].copied << i;
  if (stat("/var/lib/dpkg/status", &st) < 0) stat("/usr", &st);
  snprintf(text, size, "4 %u %u %u %x %ld.%09ld %ld\n", h->box_id, h->id_count,
           h->nfolders, copied, (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
           (long)st.st_size);
}

static uint64_t hash(const char *text) { /* FNV-1a */
  uint64_t h = 14695981039346656037u;
  for (; *text; text++) h = (h ^ (unsigned char)*text) * 1099511628211u;
  return h;
}

int bx_base_cache(char *cache) {
  const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (base && *base == '/') return bx_path(cache, "%s/boxd", base);
  if (home && *home == '/') return bx_path(cache, "%s/.cache/boxd", home);
  return ENOENT;
}

/* The user's cache, so that it is built once and not for every state; where
   there is none, the state folder. */
static int find_cache(const bx_host *h, char *cache) {
  if (bx_base_cache(cache) != 0 || strpbrk(cache, ",:\\\""))
    return bx_path(cache, "%s", h->state);
  char *slash = strrchr(cache, '/');
  *slash = '\0';
  bool there = mkdir(cache, 0700) == 0 || errno == EEXIST;
  *slash = '/';
  if (there && (mkdir(cache, 0700) == 0 ||
                (errno == EEXIST && access(cache, W_OK) == 0)))
    return 0;
  return bx_path(cache, "%s", h->state);
}

/* Opens DIR/.lock and takes it; -1 with errno. Held until closed. */
static int lock(const char *dir, int how) {
  char path[BX_PATH_MAX];
  int err = bx_path(path, "%s/.lock", dir);
  int fd = err ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (err) errno = err;
  if (fd >= 0 && flock(fd, how) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

/* Bases that no other service uses, but for `current`. EBUSY: some are used. */
static int remove_bases(const char *cache, const char *current) {
  char path[BX_PATH_MAX];
  int err = 0;
  DIR *d = opendir(cache);
  if (!d) return errno;
  for (struct dirent *n; (n = readdir(d));) {
    if (strncmp(n->d_name, "base", 4) != 0 ||
        bx_path(path, "%s/%s", cache, n->d_name) != 0 ||
        strcmp(path, current) == 0)
      continue;
    int fd = lock(path, LOCK_EX | LOCK_NB);
    int why = fd < 0 ? errno == EWOULDBLOCK ? EBUSY : errno
                     : bx_tree_remove(path);
    if (why) err = why;
    if (fd >= 0) close(fd);
  }
  closedir(d);
  return err;
}

int bx_base_clean(const char *cache) {
  char path[BX_PATH_MAX];
  int held = lock(cache, LOCK_EX | LOCK_NB);
  if (held < 0) return errno == EWOULDBLOCK ? EBUSY : errno;
  int err = remove_bases(cache, "");
  if (!err) err = bx_path(path, "%s/.lock", cache);
  if (!err && (unlink(path) < 0 || rmdir(cache) < 0)) err = errno;
  close(held);
  return err;
}

static int build_new(bx_host *h, const char *cache,
                     void (*tell)(const char *text)) {
  char fresh[BX_PATH_MAX];
  tell("preparing local boxes for this user: copying /etc and /var, once, in a "
       "few seconds");
  remove_bases(cache, h->under);
  int err = bx_path(fresh, "%s/base.new", cache);
  if (!err && (err = bx_tree_remove(fresh)) == ENOENT) err = 0;
  if (!err) err = build(h, cache, fresh);
  if (!err && rename(fresh, h->under) < 0) err = errno;
  return err;
}

int bx_base_build(bx_host *h, void (*tell)(const char *text), bx_error *e) {
  char cache[BX_PATH_MAX], stamp[160];
  int err = find_cache(h, cache);
  choose(h);
  make_stamp(h, stamp, sizeof stamp);
  if (!err)
    err = bx_path(h->under, "%s/base-%016llx", cache,
                  (unsigned long long)hash(stamp));
  int held = err ? -1 : lock(cache, LOCK_EX); /* one builds, others wait */
  if (!err && held < 0) err = errno;
  if (!err && access(h->under, F_OK) < 0) err = build_new(h, cache, tell);
  /* shared, and as long as this process lives: it is in use */
  if (!err && lock(h->under, LOCK_SH) < 0) err = errno;
  if (held >= 0) close(held);
  if (err)
    bx_error_set(e, BX_BOXD, "cannot prepare %s for boxes: %s", h->under,
                 strerror(err));
  return err;
}
