#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "boxd.folder"

static int close_folder(lua_State *L) {
  DIR **d = luaL_checkudata(L, 1, FOLDER);
  if (*d) closedir(*d);
  *d = NULL;
  return 0;
}

/* Its owner is there before it is opened: pushing may raise. */
static DIR **push_owner(lua_State *L) {
  DIR **d = lua_newuserdatauv(L, sizeof *d, 0);
  *d = NULL;
  if (luaL_newmetatable(L, FOLDER)) {
    lua_pushcfunction(L, close_folder);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, close_folder);
    lua_setfield(L, -2, "__close");
  }
  lua_setmetatable(L, -2);
  lua_toclose(L, -1);
  return d;
}

static const char *kind_of(mode_t mode) {
  if (S_ISREG(mode)) return "file";
  if (S_ISDIR(mode)) return "folder";
  return S_ISLNK(mode) ? "link" : "other";
}

static void push_entry(lua_State *L, const char *name, const struct stat *st) {
  lua_createtable(L, 0, 3);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "name");
  lua_pushstring(L, kind_of(st->st_mode));
  lua_setfield(L, -2, "kind");
  lua_pushboolean(L, S_ISREG(st->st_mode) && (st->st_mode & 0100));
  lua_setfield(L, -2, "executable");
}

static int refuse(lua_State *L, int err) {
  luaL_pushfail(L);
  lua_pushstring(L, err == ENOTDIR ? "not a folder" : strerror(err));
  return 2;
}

int lbx_folder(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  DIR **d = push_owner(L);
  lua_Integer n = 0;
  if (!(*d = opendir(path))) return refuse(L, errno);
  lua_newtable(L);
  for (;;) {
    struct stat st;
    errno = 0;
    struct dirent *entry = readdir(*d);
    if (!entry && errno) return refuse(L, errno);
    if (!entry) return 1;
    const char *name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
    if (fstatat(dirfd(*d), name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue; /* it went meanwhile */
      return refuse(L, errno);
    }
    push_entry(L, name, &st);
    lua_rawseti(L, -2, ++n);
  }
}

int lbx_folder_kind(lua_State *L) {
  struct stat st;
  if (lstat(luaL_checkstring(L, 1), &st) != 0) return 0;
  lua_pushstring(L, kind_of(st.st_mode));
  return 1;
}

int lbx_folder_make(lua_State *L) {
  if (mkdir(luaL_checkstring(L, 1), 0777) != 0) return refuse(L, errno);
  lua_pushboolean(L, 1);
  return 1;
}

int lbx_folder_executable(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct stat st;
  int err = 0, fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return refuse(L, errno);
  if (fstat(fd, &st) != 0 ||
      fchmod(fd, (st.st_mode & 07777) | (st.st_mode & 0444) >> 2) != 0)
    err = errno;
  close(fd);
  if (err) return refuse(L, err);
  lua_pushboolean(L, 1);
  return 1;
}
