/*
** fault: allocations that fail on request, for the torture program only, into
** which the client's objects are linked with --wrap. Every allocator that we
** hand memory requests to is counted apart: Lua's, our own malloc, cJSON's
** hooks, libcurl's and OpenSSL's callbacks. Nothing of it is in boxdlua.
**
** Any thread may allocate; one thread at a time arms and reads.
*/
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>
#include <stddef.h>

typedef enum fault_kind {
  FAULT_LUA,
  FAULT_C,
  FAULT_CJSON,
  FAULT_CURL,
  FAULT_OPENSSL,
  FAULT_KINDS
} fault_kind;

extern const char *const fault_names[FAULT_KINDS + 1]; /* NULL at the end */

/* Installs the hooks of the libraries, before they are used at all. NULL, or
** what could not be. */
const char *fault_install(void);

/* From the at-th request of the kind on (from 1), `times` of them fail. */
void fault_arm(fault_kind kind, long at, long times);

/* No more failures; returns how many there were since fault_arm. */
long fault_disarm(void);

/* Blocks in use; bytes, for Lua. */
long fault_live(fault_kind kind);

/* Counts the request: is it to fail? */
bool fault_strikes(fault_kind kind);

/* A lua_Alloc; ud is a long, the bytes in use, or NULL: never fails. */
void *fault_lua_alloc(void *ud, void *block, size_t old, size_t size);

/* Blocks of FAULT_C that are younger than `mark` and in use go to stderr with
** the address that asked for them. */
long fault_mark(void);
void fault_report(long mark);

#endif
