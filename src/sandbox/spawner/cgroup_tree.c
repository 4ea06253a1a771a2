#include "cgroup_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TREE_PATH (BX_CGROUP_PATH + 80)
#define GROUPS_MAX "1000" /* of a box: each takes memory of the kernel's */
#define DEPTH_MAX "32"

void bx_cgroup_tree_path(char path[TREE_PATH], const bx_cgroups *g,
                         pid_t spawner, uint64_t box) {
  char name[BX_CGROUP_NAME];
  bx_cgroup_name(name, spawner, box);
  snprintf(path, TREE_PATH, "%s/%s/box", g->tree, name);
}

/* ---- where they are made ------------------------------------------------- */

/* Groups can be made there, and processes of this group moved into them. */
static bool usable(const char *dir) {
  char path[TREE_PATH], own[TREE_PATH];
  snprintf(own, sizeof own, "%s/cgroup.procs", dir);
  snprintf(path, sizeof path, "%s/boxd-%d-0", dir, (int)getpid());
  if (access(own, W_OK) < 0 || mkdir(path, 0755) < 0) return false;
  return rmdir(path) == 0;
}

/* The path of this process's group below the folder where they are mounted. */
static bool own_group(char *path, size_t size, const char *dir) {
  char line[512];
  bool found = false;
  FILE *f = fopen("/proc/self/cgroup", "re");
  while (f && !found && fgets(line, sizeof line, f)) {
    line[strcspn(line, "\n")] = '\0';
    found = strncmp(line, "0::/", 4) == 0 &&
            snprintf(path, size, "%s%s", dir, line + 3) < (int)size;
  }
  if (f) fclose(f);
  return found;
}

void bx_cgroup_tree_consider(bx_cgroups *g, const char *dir) {
  char own[BX_CGROUP_PATH];
  if (usable(dir))
    snprintf(g->tree, sizeof g->tree, "%s", dir);
  else if (own_group(own, sizeof own, dir) && usable(own))
    memcpy(g->tree, own, sizeof own);
}

/* ---- made and removed ---------------------------------------------------- */

/* What the kernel's documentation names for a group that is handed on. */
static int hand_over(const char *tree, uint32_t owner) {
  static const char *const files[] = {"", "/cgroup.procs", "/cgroup.threads",
                                      "/cgroup.subtree_control"};
  char path[TREE_PATH + 32];
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    snprintf(path, sizeof path, "%s%s", tree, files[i]);
    if (chown(path, owner, owner) < 0) return errno;
  }
  return 0;
}

static int open_processes(const char *group) {
  char path[TREE_PATH + 32];
  snprintf(path, sizeof path, "%s/cgroup.procs", group);
  return open(path, O_WRONLY | O_CLOEXEC);
}

static int make(const char *above, const char *tree, uint32_t owner,
                int fd[2]) {
  if (mkdir(above, 0755) < 0 && errno != EEXIST) return errno;
  if (mkdir(tree, 0755) < 0 && errno != EEXIST) return errno;
  int err = bx_cgroup_put(tree, "cgroup.max.descendants", GROUPS_MAX);
  if (!err) err = bx_cgroup_put(tree, "cgroup.max.depth", DEPTH_MAX);
  if (!err) err = hand_over(tree, owner);
  if (!err && (fd[0] = open_processes(tree)) < 0) err = errno;
  if (!err && (fd[1] = open_processes(above)) < 0) err = errno;
  return err ? err : bx_cgroup_move(fd[0]);
}

int bx_cgroup_tree_join(const bx_cgroups *g, pid_t spawner, uint64_t box,
                        uint32_t owner, int fd[2]) {
  char tree[TREE_PATH], above[TREE_PATH];
  if (!*g->tree) return ENOENT;
  bx_cgroup_tree_path(tree, g, spawner, box);
  memcpy(above, tree, sizeof above);
  *strrchr(above, '/') = '\0';
  int err = make(above, tree, owner, fd);
  /* another spawner's sweep may have come between */
  return err == ENOENT || err == ENODEV ? make(above, tree, owner, fd) : err;
}

int bx_cgroup_move(int fd) { return write(fd, "0", 1) < 0 ? errno : 0; }

static void remove_below(int dir, const char *name) {
  int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *d = fd < 0 ? NULL : fdopendir(fd);
  if (!d && fd >= 0) close(fd);
  for (struct dirent *n; d && (n = readdir(d));)
    if (n->d_type == DT_DIR && strcmp(n->d_name, ".") != 0 &&
        strcmp(n->d_name, "..") != 0)
      remove_below(fd, n->d_name);
  if (d) closedir(d);
  unlinkat(dir, name, AT_REMOVEDIR);
}

static bool populated(const char *dir, const char *name) {
  char file[300];
  snprintf(file, sizeof file, "%s/cgroup.events", name);
  return bx_cgroup_says(dir, file, "populated 1");
}

void bx_cgroup_tree_remove(const char *dir, const char *name) {
  if (populated(dir, name)) return;
  int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  remove_below(fd, name);
  close(fd);
}

/* ---- tried --------------------------------------------------------------- */

static int divide(const bx_cgroups *g, pid_t spawner, uint32_t owner) {
  char tree[TREE_PATH], scope[TREE_PATH + 16];
  int fd[2], err = bx_cgroup_tree_join(g, spawner, 0, owner, fd);
  if (err) return err;
  if (setgroups(0, NULL) < 0 || setresgid(owner, owner, owner) < 0 ||
      setresuid(owner, owner, owner) < 0)
    return errno;
  bx_cgroup_tree_path(tree, g, spawner, 0);
  snprintf(scope, sizeof scope, "%s/init.scope", tree);
  if (mkdir(scope, 0755) < 0) return errno;
  return bx_cgroup_put(scope, "cgroup.procs", "0");
}

int bx_cgroup_tree_try(const bx_cgroups *g, uint32_t owner) {
  char name[BX_CGROUP_NAME];
  int status = 0;
  pid_t self = getpid();
  if (!*g->tree) return ENOENT;
  pid_t pid = fork();
  if (pid == 0) _exit(divide(g, self, owner));
  if (pid < 0) return errno;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return errno;
  bx_cgroup_name(name, self, 0);
  bx_cgroup_tree_remove(g->tree, name);
  return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}
