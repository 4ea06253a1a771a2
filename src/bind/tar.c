#include "tar.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define BLOCK 512
#define NAME_MAX_LEN 100   /* of a field without its end */
#define SIZE_MAX_OCTAL 077777777777ll
#define NANO 1000000000

/* A header's fields, as they lie in its block. */
typedef struct header {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8];
  char type, target[100], magic[8], rest[BLOCK - 265];
} header;

_Static_assert(sizeof(header) == BLOCK, "a header is one block");

typedef struct text {
  const char *s;
  size_t len;
} text;

static void copy(char *to, text from) {
  memcpy(to, from.s, from.len < NAME_MAX_LEN ? from.len : NAME_MAX_LEN);
}

/* The sum is over the block with blanks in its place. */
static void add_sum(header *h) {
  unsigned sum = 0;
  memset(h->checksum, ' ', sizeof h->checksum);
  for (size_t i = 0; i < BLOCK; i++) sum += ((unsigned char *)h)[i];
  snprintf(h->checksum, sizeof h->checksum, "%06o", sum);
}

static void add_header(luaL_Buffer *b, text name, char type, unsigned mode,
                       long long size, long long seconds, text target) {
  header *h = (header *)luaL_prepbuffsize(b, BLOCK);
  memset(h, 0, BLOCK);
  copy(h->name, name);
  copy(h->target, target);
  snprintf(h->mode, sizeof h->mode, "%07o", mode);
  memcpy(h->uid, "0000000", 8);
  memcpy(h->gid, "0000000", 8);
  snprintf(h->size, sizeof h->size, "%011llo",
           size > SIZE_MAX_OCTAL ? 0ll : size);
  snprintf(h->mtime, sizeof h->mtime, "%011llo",
           seconds < 0 || seconds > SIZE_MAX_OCTAL ? 0ll : seconds);
  h->type = type;
  memcpy(h->magic, "ustar\00000", 8);
  add_sum(h);
  luaL_addsize(b, BLOCK);
}

/* "LEN name=value\n", where LEN counts its own digits. */
static void add_record(luaL_Buffer *b, const char *name, text value) {
  char digits[24];
  size_t rest = strlen(name) + value.len + 3, len = rest;
  do
    len = rest + (size_t)snprintf(digits, sizeof digits, "%zu", len);
  while (snprintf(NULL, 0, "%zu", len) + rest != len);
  snprintf(digits, sizeof digits, "%zu ", len);
  luaL_addstring(b, digits);
  luaL_addstring(b, name);
  luaL_addchar(b, '=');
  luaL_addlstring(b, value.s, value.len);
  luaL_addchar(b, '\n');
}

/* Pushes the records of the extended header. */
static void push_records(lua_State *L, text name, text target, long long size,
                         lua_Integer ns) {
  luaL_Buffer b;
  char number[48];
  lua_Integer rest = ns % NANO;
  if (rest < 0) rest += NANO;
  int n = snprintf(number, sizeof number, "%lld.%09lld",
                   (long long)((ns - rest) / NANO), (long long)rest);
  luaL_buffinit(L, &b);
  add_record(&b, "mtime", (text){number, (size_t)n});
  if (name.len > NAME_MAX_LEN) add_record(&b, "path", name);
  if (target.len > NAME_MAX_LEN) add_record(&b, "linkpath", target);
  if (size > SIZE_MAX_OCTAL) {
    n = snprintf(number, sizeof number, "%lld", size);
    add_record(&b, "size", (text){number, (size_t)n});
  }
  luaL_pushresult(&b);
}

int lbx_tar_header(lua_State *L) {
  static const text none = {"", 0}, extended = {"./pax", 5};
  text name, target, records;
  name.s = luaL_checklstring(L, 1, &name.len);
  const char *type = luaL_checkstring(L, 2);
  unsigned mode = (unsigned)luaL_checkinteger(L, 3);
  long long size = luaL_checkinteger(L, 4);
  lua_Integer ns = luaL_checkinteger(L, 5);
  target.s = luaL_optlstring(L, 6, "", &target.len);
  push_records(L, name, target, size, ns);
  records.s = lua_tolstring(L, -1, &records.len);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  add_header(&b, extended, 'x', 0644, (long long)records.len, 0, none);
  luaL_addlstring(&b, records.s, records.len);
  size_t pad = (BLOCK - records.len % BLOCK) % BLOCK;
  memset(luaL_prepbuffsize(&b, BLOCK), 0, pad);
  luaL_addsize(&b, pad);
  add_header(&b, name, *type, mode, size, ns / NANO, target);
  luaL_pushresult(&b);
  return 1;
}
