/*
** arena: memory for one message, freed whole. It is a userdata ("boxd.Arena"),
** made before anything is put in it, so that nothing leaks whenever Lua throws.
** Blocks live until the reset, the close or the collection.
*/
#ifndef LBX_ARENA_H
#define LBX_ARENA_H

#include <lua.h>
#include <stddef.h>

/* An arena holds no more: a message of 64 MiB could otherwise unfold into
   many times that, as two bytes on the wire make a whole struct. */
#define LBX_ARENA_MAX ((size_t)512 << 20)

typedef struct lbx_arena lbx_arena;

/* Pushes a new arena. Its first 2 KiB are inside: small messages need no
   malloc. __gc and __close reset it. */
lbx_arena *lbx_arena_new(lua_State *L);

/* The state's own arena, reset. Its user must be done with it before
   Lua code can run (allocating an object may run a finalizer): the next to
   take it resets it. Nothing is pushed. */
lbx_arena *lbx_arena_scratch(lua_State *L);

/* len zeroed bytes, aligned for any type; NULL when memory or LBX_ARENA_MAX
   is exhausted. */
void *lbx_arena_alloc(lbx_arena *a, size_t len);

/* Forgets all allocations and frees all but the first block; idempotent. The
   arena can be used again. */
void lbx_arena_reset(lbx_arena *a);

#endif
