#include "arena.h"

#include <stdlib.h>
#include <string.h>

#include "type.h"

#define ARENA_TYPE "boxd.Arena"
#define FIRST_BLOCK 2048
#define NEXT_BLOCK 16384

typedef struct block {
  struct block *older;
  max_align_t data[];
} block;

struct lbx_arena {
  block *newest;    /* NULL while the first block is enough */
  char *next, *end; /* the free part of the newest */
  size_t total;     /* bytes in malloc'ed blocks */
  max_align_t first[FIRST_BLOCK / sizeof(max_align_t)];
};

static bool grow(lbx_arena *a, size_t len) {
  size_t size = len > NEXT_BLOCK ? len : NEXT_BLOCK;
  if (size > LBX_ARENA_MAX - a->total) return false;
  block *b = malloc(sizeof *b + size);
  if (!b) return false;
  b->older = a->newest;
  a->newest = b;
  a->total += size;
  a->next = (char *)b->data;
  a->end = a->next + size;
  return true;
}

static void *allocate(lbx_arena *a, size_t len) {
  size_t align = _Alignof(max_align_t);
  if (len > LBX_ARENA_MAX) return NULL;
  len = (len + align - 1) / align * align;
  if (len > (size_t)(a->end - a->next) && !grow(a, len)) return NULL;
  void *p = a->next;
  a->next += len;
  return p;
}

void *lbx_arena_alloc(lbx_arena *a, size_t len) {
  void *p = allocate(a, len);
  return p ? memset(p, 0, len) : NULL;
}

void lbx_arena_reset(lbx_arena *a) {
  while (a->newest) {
    block *b = a->newest;
    a->newest = b->older;
    free(b);
  }
  a->total = 0;
  a->next = (char *)a->first;
  a->end = a->next + sizeof a->first;
}

static int m__gc(lua_State *L) {
  lbx_arena_reset(luaL_checkudata(L, 1, ARENA_TYPE));
  return 0;
}

lbx_arena *lbx_arena_new(lua_State *L) {
  static const luaL_Reg meta[] = {
      {"__gc", m__gc}, {"__close", m__gc}, {NULL, NULL}};
  lbx_room(L, 4);
  if (luaL_getmetatable(L, ARENA_TYPE) == LUA_TNIL)
    lbx_newtype(L, ARENA_TYPE, NULL, meta);
  lua_pop(L, 1);
  lbx_arena *a = lbx_new(L, sizeof *a, 0, ARENA_TYPE);
  lbx_arena_reset(a);
  return a;
}

lbx_arena *lbx_arena_scratch(lua_State *L) {
  static char key;
  lbx_room(L, 6);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TNIL) {
    lua_pop(L, 1);
    lbx_arena_new(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  }
  lbx_arena *a = lua_touserdata(L, -1);
  lua_pop(L, 1);
  lbx_arena_reset(a);
  return a;
}
