/*
** chunk: any bytes as the message that exec's output comes in, and as one with
** a file's bytes in it, cut into slices. Both have readers of their own:
** whatever is such a message they read as decode does.
*/
#include "../../src/bind/exec_queue.c"
#define take_message take_file
#include "../../src/bind/stream_file.c"

#include "state.h"

#define SLICES_MAX 4

static const ProtobufCMessageDescriptor *const reply =
    &boxd__api__v1__download_file_chunk__descriptor;

/* The bytes in slices, at whose sizes the first of them hint. */
static void cut(grpc_slice_buffer *sb, const uint8_t *data, size_t len) {
  grpc_slice_buffer_init(sb);
  for (size_t i = 1; len && i < SLICES_MAX; i++) {
    size_t n = len > i ? data[i] % (len + 1) : 0;
    if (n == 0) continue; /* gRPC's buffers have no empty ones */
    grpc_slice_buffer_add_indexed(sb,
                                  grpc_slice_from_copied_buffer((void *)data, n));
    data += n;
    len -= n;
  }
  if (len)
    grpc_slice_buffer_add_indexed(
        sb, grpc_slice_from_copied_buffer((void *)data, len));
}

/* Writes what of the message goes to a file without being decoded. */
static bool write_data(const grpc_slice_buffer *sb, const place *at, char *to) {
  FILE *f = fmemopen(to, sb->length + 1, "w");
  bool ok = f && put_slices((sink){.file = f}, sb, at->skip);
  if (f) fclose(f);
  return ok;
}

static void file_chunk(const uint8_t *data, size_t len) {
  lua_State *L = fuzz_state();
  grpc_slice_buffer sb;
  place at;
  size_t n;
  cut(&sb, data, len);
  char *written = malloc(len + 1);
  if (!written) fuzz_fail("no memory");
  if (sb.count > 0 && find_data(&sb, data_field(L, reply), &at) &&
      lbx_decode(L, reply, GRPC_SLICE_START_PTR(sb.slices[0]), at.before)) {
    if (!lbx_decode(L, reply, data, len)) fuzz_fail("no message, but data");
    lua_getfield(L, 2, "data");
    const char *text = lua_tolstring(L, -1, &n);
    if (n != at.len || !write_data(&sb, &at, written) ||
        memcmp(text, written, n))
      fuzz_fail("other bytes for the file");
    lua_getfield(L, 1, "total_size");
    lua_getfield(L, 2, "total_size");
    if (!lua_rawequal(L, -1, -2)) fuzz_fail("another size of the file");
  }
  free(written);
  grpc_slice_buffer_destroy(&sb);
  lua_close(L);
}

static void exec_output(const uint8_t *data, size_t len) {
  const ProtobufCMessageDescriptor *d = &boxd__api__v1__exec_chunk__descriptor;
  lbx_chunk *c = malloc(sizeof *c + len);
  lua_State *L = fuzz_state();
  int32_t exit_code = 0;
  bool is_stderr = false;
  size_t n;
  if (!c) fuzz_fail("no memory");
  *c = (lbx_chunk){.len = 0};
  memcpy(c->message, data, len);
  bool ok = read_chunk(c, len, &exit_code, &is_stderr);
  if (lbx_decode(L, d, data, len)) {
    lua_getfield(L, 1, "data");
    const char *text = lua_tolstring(L, -1, &n);
    if (!ok || n != c->len || (n && memcmp(text, c->data, n)))
      fuzz_fail("other data");
    lua_getfield(L, 1, "exit_code");
    lua_getfield(L, 1, "is_stderr");
    if (lua_tointeger(L, -2) != exit_code || lua_toboolean(L, -1) != is_stderr)
      fuzz_fail("another end");
  }
  lua_close(L);
  free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  exec_output(data, len);
  file_chunk(data, len);
  return 0;
}
