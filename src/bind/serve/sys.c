#include "sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../sandbox/spawner/tree.h"
#include "../type.h"

#define LOCK_TYPE "boxd.Lock"
#define DIR_TYPE "boxd.Dir"

static int result(lua_State *L, bool ok, const char *path) {
  return luaL_fileresult(L, ok, path);
}

/* A folder, made or there. */
static int sys_mkdir(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  mode_t mode = (mode_t)luaL_checkinteger(L, 2);
  struct stat st;
  bool ok = mkdir(path, mode) == 0;
  if (!ok && errno == EEXIST && stat(path, &st) == 0) {
    ok = S_ISDIR(st.st_mode);
    errno = ENOTDIR;
  }
  return result(L, ok, path);
}

/* Makes the folder's entries durable: that of the file just renamed. */
static bool sync_folder(const char *path) {
  char folder[PATH_MAX];
  const char *slash = strrchr(path, '/');
  int n = slash ? (int)(slash - path) : 1;
  snprintf(folder, sizeof folder, "%.*s", n, slash ? path : ".");
  int fd = open(n == 0 ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  bool ok = fsync(fd) == 0;
  int err = errno;
  close(fd);
  errno = err;
  return ok;
}

static bool write_all(int fd, const char *data, size_t len, bool durable) {
  while (len > 0) {
    ssize_t n = write(fd, data, len);
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) {
      data += n;
      len -= (size_t)n;
    }
  }
  return !durable || fsync(fd) == 0;
}

/* sys.write(path, data [, passing]): the file has all of data or is as it was.
** It survives the machine's fall too, unless `passing`. */
static int sys_write(lua_State *L) {
  size_t len;
  char temporary[PATH_MAX];
  const char *path = luaL_checkstring(L, 1);
  const char *data = luaL_checklstring(L, 2, &len);
  bool durable = !lua_toboolean(L, 3);
  int n = snprintf(temporary, sizeof temporary, "%s.new", path);
  luaL_argcheck(L, n < (int)sizeof temporary, 1, "too long");
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return result(L, false, temporary);
  bool ok = write_all(fd, data, len, durable);
  int err = errno;
  if (close(fd) < 0 && ok) {
    ok = false;
    err = errno;
  }
  errno = err;
  ok = ok && rename(temporary, path) == 0 &&
       (!durable || sync_folder(path));
  if (!ok) {
    err = errno;
    unlink(temporary);
    errno = err;
  }
  return result(L, ok, path);
}

static int sys_unlink(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  bool gone = unlink(path) == 0 || errno == ENOENT;
  return result(L, gone && sync_folder(path), path);
}

/* A folder and all in it; links are not followed. */
static int sys_remove_tree(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  errno = bx_tree_remove(path);
  return result(L, errno == 0 || errno == ENOENT, path);
}

static int m__gc_dir(lua_State *L) {
  DIR **dir = lua_touserdata(L, 1);
  if (*dir) closedir(*dir);
  *dir = NULL;
  return 0;
}

static int sys_list(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct dirent *entry;
  lua_Integer n = 0;
  DIR **dir = lbx_new(L, sizeof *dir, 0, DIR_TYPE);
  *dir = opendir(path);
  if (!*dir) return result(L, false, path);
  lua_newtable(L);
  while (errno = 0, (entry = readdir(*dir))) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    lua_pushstring(L, entry->d_name);
    lua_rawseti(L, -2, ++n);
  }
  if (errno) return result(L, false, path);
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "sort");
  lua_pushvalue(L, -3);
  lua_call(L, 1, 0);
  lua_pop(L, 1);
  return 1;
}

static int m_close_lock(lua_State *L) {
  int *fd = luaL_checkudata(L, 1, LOCK_TYPE);
  if (*fd > 0) close(*fd - 1);
  *fd = 0;
  return 0;
}

/* The userdata holds the descriptor plus one, so that zeroed is none. */
static int sys_lock(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  int *lock = lbx_new(L, sizeof *lock, 0, LOCK_TYPE);
  *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) + 1;
  if (*lock == 0) return result(L, false, path);
  if (flock(*lock - 1, LOCK_EX | LOCK_NB) == 0) return 1;
  return result(L, false, path);
}

static int sys_private(lua_State *L) {
  struct stat st;
  const char *path = luaL_checkstring(L, 1);
  if (stat(path, &st) < 0) return result(L, false, path);
  lua_pushboolean(L, (st.st_mode & 077) == 0);
  if (st.st_uid == geteuid()) return 1;
  lua_pop(L, 1);
  lua_pushboolean(L, 0);
  lua_pushfstring(L, "%s belongs to another user", path);
  return 2;
}

static int sys_getuid(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)getuid());
  return 1;
}

/* sys.pause(seconds): nothing of this process's Lua runs meanwhile. */
static int sys_pause(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  luaL_argcheck(L, seconds >= 0 && seconds < 60, 1, "0 to 60 seconds");
  struct timespec t = {(time_t)seconds,
                       (long)((seconds - (double)(time_t)seconds) * 1e9)};
  nanosleep(&t, NULL);
  return 0;
}

/* sys.return_memory(): memory freed in big pieces goes back to the machine, for
** a process that lives long. */
static int sys_return_memory(lua_State *L) {
  (void)L;
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  return 0;
}

/* sys.trim_memory(): so does memory freed in small ones until now. */
static int sys_trim_memory(lua_State *L) {
  (void)L;
  malloc_trim(0);
  return 0;
}

/* sys.descriptors() -> how many this process can have now. */
static int sys_descriptors(lua_State *L) {
  struct rlimit r;
  if (getrlimit(RLIMIT_NOFILE, &r) < 0) return result(L, false, "descriptors");
  lua_pushinteger(L, r.rlim_cur > INT_MAX ? INT_MAX : (lua_Integer)r.rlim_cur);
  return 1;
}

/* sys.raise_descriptors() -> how many descriptors this process can have from
** now on: as many as it may raise its limit to. */
static int sys_raise_descriptors(lua_State *L) {
  struct rlimit r;
  if (getrlimit(RLIMIT_NOFILE, &r) < 0) return result(L, false, "descriptors");
  r.rlim_cur = r.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &r) < 0) return result(L, false, "descriptors");
  lua_pushinteger(L, r.rlim_cur > INT_MAX ? INT_MAX : (lua_Integer)r.rlim_cur);
  return 1;
}

static int sys_getcwd(lua_State *L) {
  char path[PATH_MAX];
  if (!getcwd(path, sizeof path)) return result(L, false, ".");
  lua_pushstring(L, path);
  return 1;
}

int lbx_open_sys(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"mkdir", sys_mkdir},     {"write", sys_write}, {"unlink", sys_unlink},
      {"list", sys_list},       {"lock", sys_lock},   {"private", sys_private},
      {"getuid", sys_getuid},   {"getcwd", sys_getcwd},
      {"pause", sys_pause},     {"remove_tree", sys_remove_tree},
      {"return_memory", sys_return_memory},
      {"descriptors", sys_descriptors},
      {"raise_descriptors", sys_raise_descriptors},
      {"trim_memory", sys_trim_memory},
      {NULL, NULL}};
  static const luaL_Reg dir_meta[] = {{"__gc", m__gc_dir}, {NULL, NULL}};
  static const luaL_Reg lock_methods[] = {{"close", m_close_lock},
                                          {NULL, NULL}};
  static const luaL_Reg lock_meta[] = {{"__gc", m_close_lock}, {NULL, NULL}};
  lbx_newtype(L, DIR_TYPE, NULL, dir_meta);
  lbx_newtype(L, LOCK_TYPE, lock_methods, lock_meta);
  luaL_newlib(L, functions);
  return 1;
}
