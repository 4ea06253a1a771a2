/*
** Between a file and a stream whose messages carry its bytes in their field
** `data`: they go from the file, or from within a string, into what gRPC sends,
** and from what it has received into the file, or into boxd.Bytes. No piece of
** them is a Lua string.
*/
#include <grpc/byte_buffer.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "../core/channel.h"
#include "../core/wire.h"
#include "arena.h"
#include "bytes.h"
#include "client.h"
#include "codec.h"
#include "decode.h"
#include "error.h"
#include "stream.h"
#include "stream_private.h"
#include "type.h"

#define HEAD_MAX 15 /* bytes of a field's key and length */

static FILE *check_file(lua_State *L, int idx) {
  luaL_Stream *f = luaL_checkudata(L, idx, LUA_FILEHANDLE);
  luaL_argcheck(L, f->closef, idx, "a closed file");
  return f->f;
}

/* The number of the message's field `data`. */
static uint32_t data_field(lua_State *L, const ProtobufCMessageDescriptor *d) {
  const ProtobufCFieldDescriptor *f =
      protobuf_c_message_descriptor_get_field_by_name(d, "data");
  if (!f || f->type != PROTOBUF_C_TYPE_BYTES)
    luaL_error(L, "%s carries no data", d->short_name);
  return f->id;
}

/* ---- out ---- */

static size_t put_varint(uint8_t *to, uint64_t n) {
  size_t len = 0;
  for (; n > 127; n >>= 7) to[len++] = (uint8_t)(n | 128);
  to[len++] = (uint8_t)n;
  return len;
}

static size_t put_head(uint8_t *to, uint32_t id, size_t len) {
  size_t n = put_varint(to, (uint64_t)id << 3 | BX_WIRE_BYTES);
  return n + put_varint(to + n, len);
}

/* What gives the data: one of the two. */
typedef struct source {
  FILE *file;
  const char *bytes;
} source;

/* The one at 3: of a string, from the offset at 5 on. */
static source source_at_3(lua_State *L) {
  if (lua_type(L, 3) != LUA_TSTRING) return (source){.file = check_file(L, 3)};
  return (source){.bytes = lua_tostring(L, 3) + lua_tointeger(L, 5)};
}

static size_t get(source from, void *to, size_t n) {
  if (from.file) return fread(to, 1, n, from.file);
  memcpy(to, from.bytes, n);
  return n;
}

/* The message and up to *n bytes of the source, *n of which there were. */
static grpc_byte_buffer *read_message(const ProtobufCMessage *m, uint32_t id,
                                      source from, size_t *n) {
  uint8_t head[HEAD_MAX];
  size_t size = protobuf_c_message_get_packed_size(m);
  grpc_slice room = grpc_slice_malloc(size + HEAD_MAX + *n);
  uint8_t *start = GRPC_SLICE_START_PTR(room);
  uint8_t *data = start + size + HEAD_MAX;
  *n = get(from, data, *n);
  size_t before = size;
  if (*n > 0) before += put_head(head, id, *n); /* empty: unset, as ever */
  uint8_t *at = data - before; /* all of it right before the data */
  protobuf_c_message_pack(m, at);
  // cppcheck-suppress uninitvar ; put_head wrote the bytes that are copied
  memcpy(at + size, head, before - size);
  size_t begin = (size_t)(at - start);
  grpc_slice used = grpc_slice_sub(room, begin, begin + before + *n);
  grpc_byte_buffer *b = grpc_raw_byte_buffer_create(&used, 1);
  grpc_slice_unref(used);
  grpc_slice_unref(room);
  return b;
}

/* 1: the stream, 2: the message, 3: the file or string, 4: how many bytes. */
static int send_file_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lbx_stream *s = lua_touserdata(L, 1);
  lbx_stream_await_room(L, ctx, send_file_k);
  const ProtobufCMessageDescriptor *d = bx_rpc_request(s->rpc);
  uint32_t id = data_field(L, d);
  size_t n = (size_t)lua_tointeger(L, 4), wanted = n;
  lbx_arena *arena = lbx_arena_scratch(L);
  ProtobufCMessage *m = lbx_encode(L, 2, d, arena);
  source from = source_at_3(L); /* now: a finalizer may have closed the file */
  grpc_byte_buffer *message = read_message(m, id, from, &n);
  lbx_arena_reset(arena);
  if (n > 0 || wanted == 0)
    bx_call_send(s->call, message, false);
  else
    grpc_byte_buffer_destroy(message);
  lua_pushinteger(L, (lua_Integer)n);
  return 1;
}

/* stream:send_file(message, file, n) -> bytes: sends the message with the next
** n bytes of the file as its data, or as many as there are; nothing when
** there is nothing of them. Waits while the transport is full.
** stream:send_file(message, string, n, offset): those of the string from there
** on, all of which it has to have. */
int lbx_stream_send_file(lua_State *L) {
  lbx_stream_sender(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Integer n = luaL_checkinteger(L, 4), offset = luaL_optinteger(L, 5, 0);
  luaL_argcheck(L, n >= 0 && n <= BX_MESSAGE_BYTES_MAX / 2, 4,
                "0 to 32 MiB expected");
  if (lua_type(L, 3) == LUA_TSTRING) {
    lua_Integer len = (lua_Integer)lua_rawlen(L, 3);
    luaL_argcheck(L, offset >= 0 && offset <= len - n, 5,
                  "bytes that the string has expected");
  }
  lua_settop(L, 5);
  source_at_3(L);
  return send_file_k(L, LUA_OK, 0);
}

/* ---- in ---- */

/* Where the data of a message is, when it is the last of its fields and what
** comes before it is in the first slice: `before` bytes, then from `skip` on,
** `len` bytes, through all slices. */
typedef struct place {
  size_t before, skip, len;
} place;

static bool find_data(const grpc_slice_buffer *sb, uint32_t id, place *at) {
  grpc_slice first = sb->slices[0];
  const uint8_t *start = GRPC_SLICE_START_PTR(first);
  bx_reader r = {start, GRPC_SLICE_END_PTR(first)};
  uint64_t key, len;
  bx_field f;
  for (;;) {
    bx_reader field = r;
    if (!bx_read_varint(&r, &key)) return false;
    if (key >> 3 == id) {
      if ((key & 7) != BX_WIRE_BYTES || !bx_read_varint(&r, &len))
        return false;
      at->before = (size_t)(field.p - start);
      at->skip = (size_t)(r.p - start);
      at->len = len;
      return len == sb->length - at->skip;
    }
    r = field;
    if (!bx_read_field(&r, &f)) return false;
  }
}

/* What takes the data: one of the two. */
typedef struct sink {
  FILE *file;
  bx_buf *bytes;
} sink;

/* The one at 2. To be looked at once nothing more can run a finalizer, which
** might close the file. */
static sink sink_at_2(lua_State *L) {
  bx_buf *bytes = lbx_bytes_test(L, 2);
  return (sink){bytes ? NULL : check_file(L, 2), bytes};
}

static bool put(sink to, const void *p, size_t n) {
  return to.bytes ? bx_buf_add(to.bytes, p, n)
                  : fwrite(p, 1, n, to.file) == n;
}

static bool put_slices(sink to, const grpc_slice_buffer *sb, size_t skip) {
  for (size_t i = 0; i < sb->count; i++) {
    const uint8_t *p = GRPC_SLICE_START_PTR(sb->slices[i]);
    size_t n = GRPC_SLICE_LENGTH(sb->slices[i]);
    if (!put(to, p + skip, n - skip)) return false;
    skip = 0;
  }
  return true;
}

/* Pushes the message without its data, which goes to what is at 2; the data's
** length in *n. False: it can't be written. */
static bool take_message(lua_State *L, lbx_stream *s, size_t *n) {
  const ProtobufCMessageDescriptor *d = bx_rpc_reply(s->rpc);
  grpc_slice_buffer *sb = &s->call->message->data.raw.slice_buffer;
  place at;
  if (sb->count > 0 && find_data(sb, data_field(L, d), &at) &&
      lbx_decode(L, d, GRPC_SLICE_START_PTR(sb->slices[0]), at.before)) {
    *n = at.len;
    return put_slices(sink_at_2(L), sb, at.skip);
  }
  lbx_client_decode(L, &s->call->message, s->rpc);
  lua_getfield(L, -1, "data");
  const char *data = lua_tolstring(L, -1, n);
  bool ok = put(sink_at_2(L), data, *n);
  lua_pop(L, 1);
  lua_pushliteral(L, "");
  lua_setfield(L, -2, "data");
  return ok;
}

static int recv_file_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  size_t n;
  lbx_stream *s = lua_touserdata(L, 1);
  if (!lbx_stream_await_message(L, ctx, recv_file_k)) return 0;
  bool ok = take_message(L, s, &n);
  int results = ok ? 2 : luaL_fileresult(L, 0, NULL); /* by errno: at once */
  lbx_stream_drop_message(s);
  if (ok)
    lua_pushinteger(L, (lua_Integer)n);
  else if (lbx_bytes_test(L, 2))
    luaL_error(L, "not enough memory");
  return results;
}

/* stream:recv_file(file or bytes) -> message, length: the next message, its data
** written to the file or added to the bytes (and "" in the table); nothing at the
** end. nil and the reason: the file can't be written. */
int lbx_stream_recv_file(lua_State *L) {
  lbx_stream *s = lbx_stream_reader(L);
  sink_at_2(L);
  data_field(L, bx_rpc_reply(s->rpc));
  lua_settop(L, 2);
  return recv_file_k(L, LUA_OK, 0);
}
