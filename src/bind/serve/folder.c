#include <fcntl.h>
#include <lauxlib.h>
#include <string.h>
#include <sys/stat.h>

#include "spawn_private.h"

static void push_entry(lua_State *L, const bx_file_entry *f) {
  static const char *const kinds[16] = {
      [S_IFDIR >> 12] = "directory", [S_IFREG >> 12] = "file",
      [S_IFLNK >> 12] = "link",      [S_IFIFO >> 12] = "fifo",
      [S_IFSOCK >> 12] = "socket",   [S_IFCHR >> 12] = "device",
      [S_IFBLK >> 12] = "device"};
  lua_createtable(L, 0, 7);
  lua_pushstring(L, f->name);
  lua_setfield(L, -2, "name");
  lua_pushstring(L, kinds[(f->mode & S_IFMT) >> 12]);
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, f->link);
  lua_setfield(L, -2, "link");
  lua_pushinteger(L, f->mode & 07777);
  lua_setfield(L, -2, "mode");
  lua_pushinteger(L, (lua_Integer)f->size);
  lua_setfield(L, -2, "size");
  lua_pushinteger(L, f->mtime_ns / 1000000000);
  lua_setfield(L, -2, "mtime");
  lua_pushinteger(L, f->ctime_ns / 1000000000);
  lua_setfield(L, -2, "ctime");
}

int lbx_push_entries(lua_State *L, request *r) {
  bx_file_entry f;
  size_t at = 0;
  lua_newtable(L);
  for (lua_Integer n = 1; bx_file_entry_next(&r->ev, &at, &f); n++) {
    push_entry(L, &f);
    lua_rawseti(L, -2, n);
  }
  return 1;
}

typedef struct file_row {
  const char *name;
  bx_file_op op;
  answer as;
  int flags;
} file_row;

static const file_row file_rows[] = {
    {"read", BX_FILE_OPEN, AS_FD, O_RDONLY},
    {"begin", BX_FILE_BEGIN, AS_BEGIN, 0},
    {"commit", BX_FILE_COMMIT, AS_TRUE, 0},
    {"stat", BX_FILE_STAT, AS_ENTRIES, 0},
    {"list", BX_FILE_LIST, AS_ENTRIES, 0},
    {"mkdir", BX_FILE_MKDIR, AS_TRUE, 0},
    {"rename", BX_FILE_RENAME, AS_TRUE, 0},
    {"remove", BX_FILE_REMOVE, AS_TRUE, 0},
    {"copy", BX_FILE_COPY, AS_TRUE, 0},
};

/* spawner:file(box, operation, path [, path2 [, mode [, as_root]]]) */
int lbx_spawner_file(lua_State *L) {
  bx_error e;
  lbx_spawner *s = lbx_check_spawner(L);
  uint64_t box = lbx_check_box(L);
  const char *name = luaL_checkstring(L, 3);
  const file_row *row = NULL;
  for (size_t i = 0; i < sizeof file_rows / sizeof *file_rows; i++)
    if (strcmp(name, file_rows[i].name) == 0) row = &file_rows[i];
  luaL_argcheck(L, row, 3, "no file operation");
  bx_file_spec spec = {.op = row->op,
                       .path = luaL_checkstring(L, 4),
                       .path2 = luaL_optstring(L, 5, NULL),
                       .flags = row->flags,
                       .mode = (mode_t)luaL_optinteger(L, 6, 0),
                       .root = lua_toboolean(L, 7)};
  request *r = lbx_new_request(L, s, row->as);
  return lbx_submit(L, r, bx_box_file(s->sp, box, &spec, &e), &e);
}

/* spawner:copy(from, to) -> bytes */
int lbx_spawner_copy(lua_State *L) {
  bx_error e;
  lbx_spawner *s = lbx_check_spawner(L);
  const char *from = luaL_checkstring(L, 2), *to = luaL_checkstring(L, 3);
  request *r = lbx_new_request(L, s, AS_VALUE);
  return lbx_submit(L, r, bx_dir_copy(s->sp, from, to, &e), &e);
}

/* spawner:remove(dir) */
int lbx_spawner_remove(lua_State *L) {
  bx_error e;
  lbx_spawner *s = lbx_check_spawner(L);
  const char *dir = luaL_checkstring(L, 2);
  request *r = lbx_new_request(L, s, AS_TRUE);
  return lbx_submit(L, r, bx_dir_remove(s->sp, dir, &e), &e);
}
