#include "file_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../spawner/tree.h"

/* ---- paths --------------------------------------------------------------- */

/* The path without slashes at its end, which would follow a link. */
static int bare(const char *path, char out[PATH_MAX]) {
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--;
  if (n >= PATH_MAX) return ENAMETOOLONG;
  memcpy(out, path, n);
  out[n] = '\0';
  const char *slash = strrchr(out, '/');
  const char *last = slash ? slash + 1 : out;
  return strcmp(last, ".") == 0 || strcmp(last, "..") == 0 ? EINVAL : 0;
}

/* Where a bare path really is: its folder without links, and its last part.
   "/" stays as it is. */
static int whereabouts(const char *path, char out[PATH_MAX]) {
  char folder[PATH_MAX], real[PATH_MAX];
  strcpy(folder, path);
  char *slash = strrchr(folder, '/');
  const char *last = slash ? path + (slash + 1 - folder) : path;
  if (slash == folder)
    folder[1] = '\0';
  else if (slash)
    *slash = '\0';
  else
    strcpy(folder, ".");
  if (!realpath(folder, real)) return errno;
  int n = snprintf(out, PATH_MAX, "%s%s%s", strcmp(real, "/") ? real : "",
                   "/", last);
  return n >= PATH_MAX ? ENAMETOOLONG : 0;
}

/* `path` is `folder`, or in it; both real. */
static bool within(const char *folder, const char *path) {
  // cppcheck-suppress uninitvar ; whereabouts fills both where it returns 0
  size_t n = strlen(folder);
  if (n == 1) return true;
  return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* ---- mounts -------------------------------------------------------------- */

/* Spaces and such are \\ooo there. */
static void unescape(char *s) {
  char *to = s;
  for (; *s; s++) {
    unsigned c;
    if (*s == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
      *to++ = (char)c;
      s += 3;
    } else {
      *to++ = *s;
    }
  }
  *to = '\0';
}

/* EBUSY for a path, real, with a mount below it, or that is one where `itself`
   counts, too. */
static int check_mounts(const char *real, bool itself) {
  char *line = NULL;
  size_t room = 0;
  int err = 0;
  FILE *f = fopen("/proc/self/mountinfo", "re");
  if (!f) return errno;
  while (!err && getline(&line, &room, f) > 0) {
    char *at = line;
    for (int field = 1; at && field < 5; field++)
      if ((at = strchr(at, ' '))) at++;
    if (!at) continue;
    at[strcspn(at, " ")] = '\0';
    unescape(at);
    if (within(real, at) && (itself || strcmp(real, at) != 0)) err = EBUSY;
  }
  free(line);
  fclose(f);
  return err;
}

/* ---- the calls ----------------------------------------------------------- */

/* Bare forms of both, `to` being free and not in `from`, in which nothing is
   mounted (itself: nor is it a mount). */
static int check_pair(const char *from, const char *to, char a[PATH_MAX],
                      char b[PATH_MAX], bool itself) {
  char real[PATH_MAX], real_to[PATH_MAX];
  struct stat st;
  int err = bare(from, a);
  if (!err) err = bare(to, b);
  if (!err && lstat(a, &st) < 0) err = errno;
  if (!err) err = whereabouts(a, real);
  if (!err) err = whereabouts(b, real_to);
  if (!err && lstat(b, &st) == 0) err = EEXIST;
  if (!err && within(real, real_to)) err = EINVAL;
  return err ? err : check_mounts(real, itself);
}

/* To another file system, or of a folder that the system below has: as mv
   does it. */
static int move(const char *from, const char *to) {
  int err = bx_tree_copy_own(from, to);
  return err ? err : bx_tree_remove(from);
}

int bx_file_rename(const char *from, const char *to) {
  char a[PATH_MAX], b[PATH_MAX];
  int err = check_pair(from, to, a, b, true);
  if (err) return err;
  if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_NOREPLACE) == 0) return 0;
  return errno == EXDEV ? move(a, b) : errno;
}

int bx_file_copy(const char *from, const char *to) {
  char a[PATH_MAX], b[PATH_MAX];
  int err = check_pair(from, to, a, b, false);
  return err ? err : bx_tree_copy_own(a, b);
}

int bx_file_remove(const char *path) {
  char a[PATH_MAX], real[PATH_MAX];
  int err = bare(path, a);
  if (!err) err = whereabouts(a, real);
  if (!err) err = check_mounts(real, true);
  return err ? err : bx_tree_remove(a);
}
