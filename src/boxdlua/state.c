/*
** The Lua state of boxdlua and its memory. A reply is a table of some dozens of
** fields, and most of what malloc spends on one is finding out anew what Lua
** passes it: the size. So blocks of up to 2 KiB come from lists by size and go
** back to them, without a lock or a header; larger ones are malloc's. Freed
** blocks stay the state's, to be used again, as most of malloc's do.
*/
#include "state.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../bind/lua_compat.h"
#include "boxdlua.h"

#define GRAIN 16
#ifdef __SANITIZE_ADDRESS__
#define SMALL_MAX 0 /* it must see every block by itself */
#else
#define SMALL_MAX 2048
#endif
#define CHUNK 32768

typedef struct block {
  struct block *next;
} block;

static struct {
  block *unused[SMALL_MAX / GRAIN + 1]; /* by size in grains */
  char *next, *end;                     /* the free part of the newest chunk */
} pool;

static size_t grains(size_t size) { return (size + GRAIN - 1) / GRAIN; }

static void release(void *p, size_t size) {
  block *b = p;
  if (!p) return;
  if (size > SMALL_MAX) {
    free(p);
    return;
  }
  b->next = pool.unused[grains(size)];
  pool.unused[grains(size)] = b;
}

/* The rest of the last chunk goes to the list of its size. */
static bool add_chunk(void) {
  char *chunk = malloc(CHUNK);
  if (!chunk) return false;
  if (pool.next < pool.end)
    release(pool.next, (size_t)(pool.end - pool.next));
  pool.next = chunk;
  pool.end = chunk + CHUNK;
  return true;
}

static void *obtain(size_t size) {
  if (size > SMALL_MAX) return malloc(size);
  size_t n = grains(size);
  block *b = pool.unused[n];
  if (b) {
    pool.unused[n] = b->next;
    return b;
  }
  if (n * GRAIN > (size_t)(pool.end - pool.next) && !add_chunk()) return NULL;
  void *p = pool.next;
  pool.next += n * GRAIN;
  return p;
}

static void *resize(void *p, size_t old, size_t size) {
  if (old > SMALL_MAX && size > SMALL_MAX) return realloc(p, size);
  if (grains(old) == grains(size)) return p;
  void *to = obtain(size);
  /* Lua relies on it that getting smaller never fails; a block may be larger
  ** than its list says. */
  if (!to) return size < old ? p : NULL;
  memcpy(to, p, old < size ? old : size);
  release(p, old);
  return to;
}

static void *allocate(void *ud, void *p, size_t old, size_t size) {
  (void)ud;
  if (!p) return size == 0 ? NULL : obtain(size);
  if (size > 0) return resize(p, old, size);
  release(p, old);
  return NULL;
}

/* As the standard one: on and off by "@on" and "@off", pieces of a message one
** after the other. */
static void warn(void *ud, const char *message, int more) {
  static bool on, begun;
  (void)ud;
  if (!begun && !more && message[0] == '@') {
    if (strcmp(message, "@on") == 0) on = true;
    if (strcmp(message, "@off") == 0) on = false;
    return;
  }
  if (on) {
    fprintf(stderr, "%s%s%s", begun ? "" : "Lua warning: ", message,
            more ? "" : "\n");
    fflush(stderr);
  }
  begun = more;
}

/* All that runs is protected: memory ran out before it could be. */
static int panic(lua_State *L) {
  const char *message = lua_tostring(L, -1);
  host_complain(message ? message : "(error without a message)");
  return 0;
}

lua_State *host_state_new(void) {
  lua_State *L = lbx_newstate(allocate, NULL);
  if (!L) return NULL;
  lua_atpanic(L, panic);
  lua_setwarnf(L, warn, NULL);
  return L;
}
