#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "boxd.folder"
#define NANO 1000000000

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

static void set_integer(lua_State *L, const char *field, lua_Integer n) {
  lua_pushinteger(L, n);
  lua_setfield(L, -2, field);
}

/* Those that an integer has, which end in 1677 and 2262. */
static lua_Integer nanoseconds(struct timespec t) {
  const lua_Integer most = LUA_MAXINTEGER / NANO;
  if (t.tv_sec >= most) return LUA_MAXINTEGER;
  if (t.tv_sec <= -most) return LUA_MININTEGER;
  return t.tv_sec * (lua_Integer)NANO + t.tv_nsec;
}

/* Pushes { kind=, mode=, size=, mtime= }. */
static void push_stat(lua_State *L, const struct stat *st) {
  lua_createtable(L, 0, 6);
  lua_pushstring(L, kind_of(st->st_mode));
  lua_setfield(L, -2, "kind");
  set_integer(L, "mode", st->st_mode & 0777);
  set_integer(L, "size", st->st_size);
  set_integer(L, "mtime", nanoseconds(st->st_mtim));
}

static int refuse(lua_State *L, int err) {
  luaL_pushfail(L);
  lua_pushstring(L, err == ENOTDIR ? "not a folder" : strerror(err));
  return 2;
}

/* Pushes the entry of a folder. False: errno. */
static bool push_entry(lua_State *L, int folder, const char *name) {
  char target[PATH_MAX];
  struct stat st;
  if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return false;
  push_stat(L, &st);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "name");
  if (!S_ISLNK(st.st_mode)) return true;
  ssize_t n = readlinkat(folder, name, target, sizeof target);
  if (n < 0) return false;
  lua_pushlstring(L, target, (size_t)n);
  lua_setfield(L, -2, "target");
  return true;
}

int lbx_folder(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  DIR **d = push_owner(L);
  lua_Integer n = 0;
  if (!(*d = opendir(path))) return refuse(L, errno);
  lua_newtable(L);
  int list = lua_gettop(L);
  for (;;) {
    errno = 0;
    struct dirent *entry = readdir(*d);
    if (!entry && errno) return refuse(L, errno);
    if (!entry) return 1;
    const char *name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
    if (push_entry(L, dirfd(*d), name))
      lua_rawseti(L, list, ++n);
    else if (errno != ENOENT) /* else it went meanwhile */
      return refuse(L, errno);
    lua_settop(L, list);
  }
}

int lbx_folder_kind(lua_State *L) {
  struct stat st;
  if (lstat(luaL_checkstring(L, 1), &st) != 0) return 0;
  lua_pushstring(L, kind_of(st.st_mode));
  return 1;
}

int lbx_folder_stat(lua_State *L) {
  struct stat st;
  if (stat(luaL_checkstring(L, 1), &st) != 0) return refuse(L, errno);
  push_stat(L, &st);
  return 1;
}

static int close_stream(lua_State *L) {
  luaL_Stream *s = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  return luaL_fileresult(L, fclose(s->f) == 0, NULL);
}

/* Not to be waited for, as a pipe or a terminal would be; reading such a file
** is as usual. errno; 0: *fd is open. */
static int open_regular(const char *path, int *fd, struct stat *st) {
  *fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (*fd < 0) return errno == ENXIO ? ENOTSUP : errno;
  int err = fstat(*fd, st) != 0       ? errno
            : S_ISDIR(st->st_mode)    ? EISDIR
            : !S_ISREG(st->st_mode)   ? ENOTSUP
            : fcntl(*fd, F_SETFL, 0) < 0 ? errno
                                         : 0;
  if (err) close(*fd);
  return err;
}

int lbx_folder_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  luaL_Stream *s = lua_newuserdatauv(L, sizeof *s, 0);
  struct stat st = {0};
  int fd;
  s->closef = NULL;
  luaL_setmetatable(L, LUA_FILEHANDLE);
  int err = open_regular(path, &fd, &st);
  if (err == ENOTSUP) {
    luaL_pushfail(L);
    lua_pushliteral(L, "it is a pipe, a socket or a device, not a regular "
                       "file");
    return 2;
  }
  if (err) return refuse(L, err);
  s->f = fdopen(fd, "r");
  if (!s->f) {
    err = errno;
    close(fd);
    return refuse(L, err);
  }
  s->closef = close_stream;
  push_stat(L, &st);
  return 2;
}

static mode_t check_mode(lua_State *L, int idx) {
  return (mode_t)luaL_checkinteger(L, idx) & 07777;
}

static int answer(lua_State *L, int err) {
  if (err) return refuse(L, err);
  lua_pushboolean(L, 1);
  return 1;
}

int lbx_folder_make(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  mode_t mode = lua_isnoneornil(L, 2) ? 0777 : check_mode(L, 2);
  return answer(L, mkdir(path, mode) != 0 ? errno : 0);
}

int lbx_folder_set_mode(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  mode_t mode = check_mode(L, 2);
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return refuse(L, errno);
  int err = fchmod(fd, mode) != 0 ? errno : 0;
  close(fd);
  return answer(L, err);
}

int lbx_folder_private(lua_State *L) {
  int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  int fd = open(luaL_checkstring(L, 1), flags, 0600);
  if (fd >= 0) close(fd);
  return answer(L, fd < 0 ? errno : 0);
}

int lbx_folder_mask(lua_State *L) {
  mode_t mask = umask(077);
  umask(mask);
  lua_pushinteger(L, mask);
  return 1;
}

int lbx_folder_set_time(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lua_Integer ns = luaL_checkinteger(L, 2), rest = ns % NANO;
  if (rest < 0) rest += NANO;
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                              {.tv_sec = (ns - rest) / NANO, .tv_nsec = rest}};
  int bad = utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
  return answer(L, bad ? errno : 0);
}

int lbx_folder_link(lua_State *L) {
  int bad = symlink(luaL_checkstring(L, 1), luaL_checkstring(L, 2));
  return answer(L, bad ? errno : 0);
}
