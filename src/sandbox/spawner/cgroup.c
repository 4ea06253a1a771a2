#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup_tree.h"

int bx_cgroup_put(const char *dir, const char *file, const char *text) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", dir, file);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  int err = write(fd, text, strlen(text)) < 0 ? errno : 0;
  close(fd);
  return err;
}

bool bx_cgroup_says(const char *dir, const char *file, const char *text) {
  char path[PATH_MAX], all[512];
  snprintf(path, sizeof path, "%s/%s", dir, file);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = read(fd, all, sizeof all - 1);
  close(fd);
  all[n < 0 ? 0 : n] = '\0';
  return strstr(all, text) != NULL;
}

/* Removes groups of boxes in which nothing lives: what killed spawners left.
   A living one's fail with EBUSY, but in the instant between being made and
   joined, which is why limit() tries twice. */
static void sweep(const char *dir) {
  DIR *d = opendir(dir);
  if (!d) return;
  for (struct dirent *n; (n = readdir(d));)
    if (strncmp(n->d_name, "boxd-", 5) == 0)
      bx_cgroup_tree_remove(dir, n->d_name);
  closedir(d);
}

/* A group can be made here: some container mounts only look writable. */
static bool usable(const char *dir, const char *file) {
  char path[BX_CGROUP_PATH + 64], probe[BX_CGROUP_PATH + 96];
  snprintf(path, sizeof path, "%s/boxd-%d-0", dir, (int)getpid());
  if (mkdir(path, 0755) < 0) return false;
  snprintf(probe, sizeof probe, "%s/%s", path, file);
  bool ok = access(probe, W_OK) == 0;
  rmdir(path);
  return ok;
}

static void consider(bx_cgroups *g, const char *dir, const char *type,
                     const char *options) {
  size_t n = strlen(dir);
  if (n >= BX_CGROUP_PATH) return;
  if (strcmp(type, "cgroup2") == 0) {
    bx_cgroup_tree_consider(g, dir);
    /* only the top takes processes and groups both; systemd has switched the
       controllers on there */
    if (!bx_cgroup_says(dir, "cgroup.controllers", "pids")) return;
    bx_cgroup_put(dir, "cgroup.subtree_control", "+pids");
    bx_cgroup_put(dir, "cgroup.subtree_control", "+memory");
    g->unified = true;
    if (usable(dir, "pids.max")) memcpy(g->pids, dir, n + 1);
    if (usable(dir, "memory.max")) memcpy(g->memory, dir, n + 1);
  } else if (strcmp(type, "cgroup") == 0) {
    if (strstr(options, "pids") && usable(dir, "pids.max"))
      memcpy(g->pids, dir, n + 1);
    if (strstr(options, "memory") && usable(dir, "memory.limit_in_bytes"))
      memcpy(g->memory, dir, n + 1);
  }
}

void bx_cgroup_find(bx_cgroups *g) {
  char line[1024], dir[256], type[32], options[256];
  *g = (bx_cgroups){.unified = false};
  FILE *f = fopen("/proc/self/mounts", "re");
  while (f && fgets(line, sizeof line, f))
    if (sscanf(line, "%*s %255s %31s %255s", dir, type, options) == 3)
      consider(g, dir, type, options);
  if (f) fclose(f);
  if (*g->pids) sweep(g->pids);
  if (*g->memory) sweep(g->memory);
  if (*g->tree) sweep(g->tree);
}

void bx_cgroup_name(char name[BX_CGROUP_NAME], pid_t spawner, uint64_t box) {
  snprintf(name, BX_CGROUP_NAME, "boxd-%d-%lu", (int)spawner, (unsigned long)box);
}

static int limit_once(const bx_cgroups *g, const char *dir, const char *path,
                      const char *file, uint64_t value) {
  char number[24];
  if (mkdir(path, 0755) < 0 && errno != EEXIST) return errno;
  snprintf(number, sizeof number, "%lu", (unsigned long)value);
  int err = value ? bx_cgroup_put(path, file, number) : 0;
  /* no way round by swapping, where the kernel counts that */
  if (!err && dir == g->memory && g->unified) bx_cgroup_put(path, "memory.swap.max", "0");
  return err ? err : bx_cgroup_put(path, "cgroup.procs", "0");
}

static int limit(const bx_cgroups *g, const char *dir, const char *group,
                 const char *file, uint64_t value) {
  char path[BX_CGROUP_PATH + 64];
  snprintf(path, sizeof path, "%s/%s", dir, group);
  int err = limit_once(g, dir, path, file, value);
  if (err == ENOENT || err == ENODEV)
    err = limit_once(g, dir, path, file, value);
  return err;
}

int bx_cgroup_join(const bx_cgroups *g, pid_t spawner, uint64_t box,
                   uint32_t processes, uint64_t memory) {
  char group[BX_CGROUP_NAME];
  int err = 0;
  bx_cgroup_name(group, spawner, box);
  if (*g->pids) /* one more: the box's first process */
    err = limit(g, g->pids, group, "pids.max", processes + 1u);
  if (!err && memory && *g->memory)
    err = limit(g, g->memory, group,
                g->unified ? "memory.max" : "memory.limit_in_bytes", memory);
  return err;
}

/* Version 2 would kill; version 1 says EBUSY by itself. */
static bool uses_more(const char *path, uint64_t memory) {
  char file[BX_CGROUP_PATH + 96];
  unsigned long used = 0;
  snprintf(file, sizeof file, "%s/memory.current", path);
  FILE *f = fopen(file, "re");
  bool known = f && fscanf(f, "%lu", &used) == 1;
  if (f) fclose(f);
  return known && used > memory;
}

int bx_cgroup_memory(const bx_cgroups *g, pid_t spawner, uint64_t box,
                     uint64_t memory) {
  char path[BX_CGROUP_PATH + 66], group[BX_CGROUP_NAME], number[24];
  if (!*g->memory) return ENOTSUP;
  bx_cgroup_name(group, spawner, box);
  snprintf(path, sizeof path, "%s/%s", g->memory, group);
  if (g->unified && uses_more(path, memory)) return EBUSY;
  snprintf(number, sizeof number, "%lu", (unsigned long)memory);
  return bx_cgroup_put(path, g->unified ? "memory.max" : "memory.limit_in_bytes",
             number);
}

void bx_cgroup_remove(const bx_cgroups *g, pid_t spawner, uint64_t box) {
  char group[BX_CGROUP_NAME];
  bx_cgroup_name(group, spawner, box);
  const char *const dirs[] = {g->pids, g->memory, g->tree};
  for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
    if (*dirs[i]) bx_cgroup_tree_remove(dirs[i], group);
}
