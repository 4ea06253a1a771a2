#include "reflection.h"

#include <stdio.h>
#include <string.h>

#include "../core/wire.h"

#define NOT_FOUND 5
#define UNIMPLEMENTED 12
#define DEPTH_MAX 32 /* of messages in messages */

/* Field numbers of google/protobuf/descriptor.proto. */
enum {
  SET_FILE = 1,
  FILE_NAME = 1, FILE_PACKAGE = 2, FILE_MESSAGE = 4, FILE_ENUM = 5,
  FILE_SERVICE = 6, FILE_EXTENSION = 7,
  MESSAGE_FIELD = 2, MESSAGE_NESTED = 3, MESSAGE_ENUM = 4,
  MESSAGE_EXTENSION = 6, MESSAGE_ONEOF = 8,
  ENUM_VALUE = 2,
  SERVICE_METHOD = 2,
  ANY_NAME = 1
};

/* Field numbers of grpc/reflection/v1/reflection.proto. */
enum {
  ASK_HOST = 1, ASK_FILE = 3, ASK_SYMBOL = 4, ASK_EXTENSION = 5,
  ASK_EXTENSION_NUMBERS = 6, ASK_SERVICES = 7,
  TELL_HOST = 1, TELL_REQUEST = 2, TELL_FILE = 4, TELL_SERVICES = 6,
  TELL_ERROR = 7
};

bool bx_reflection_serves(const char *path) {
  return strcmp(path, "/grpc.reflection.v1.ServerReflection/"
                      "ServerReflectionInfo") == 0 ||
         strcmp(path, "/grpc.reflection.v1alpha.ServerReflection/"
                      "ServerReflectionInfo") == 0;
}

static bx_bytes text(const char *s) {
  return (bx_bytes){(const unsigned char *)s, strlen(s)};
}

/* The bytes of a message's field; empty when it is not there. */
static bx_bytes get(bx_bytes message, uint32_t number) {
  bx_reader r = bx_reader_of(message);
  bx_bytes part;
  uint32_t id;
  bx_bytes found = {NULL, 0};
  while (bx_read_bytes(&r, &id, &part))
    if (id == number) found = part;
  return found;
}

/* Takes "name" or "name." off the front of the symbol. */
static bool take_name(bx_bytes *symbol, bx_bytes name) {
  if (name.len > symbol->len ||
      (name.len && memcmp(symbol->data, name.data, name.len) != 0))
    return false;
  bool whole = symbol->len == name.len;
  if (!whole && (symbol->data[name.len] != '.' || symbol->len == name.len + 1))
    return false;
  size_t n = name.len + !whole;
  symbol->data += n;
  symbol->len -= n;
  return true;
}

/* Does one of the message's fields `number` have exactly that name? */
static bool names(bx_bytes message, uint32_t number,
                  bx_bytes symbol) {
  bx_reader r = bx_reader_of(message);
  bx_bytes part;
  uint32_t id;
  while (bx_read_bytes(&r, &id, &part))
    if (id == number &&
        bx_bytes_equal(get(part, ANY_NAME), symbol))
      return true;
  return false;
}

static bool in_enum(bx_bytes e, bx_bytes symbol) {
  return take_name(&symbol, get(e, ANY_NAME)) &&
         (symbol.len == 0 || names(e, ENUM_VALUE, symbol));
}

static bool in_service(bx_bytes service, bx_bytes symbol) {
  return take_name(&symbol, get(service, ANY_NAME)) &&
         (symbol.len == 0 || names(service, SERVICE_METHOD, symbol));
}

static bool in_message(bx_bytes message, bx_bytes symbol,
                       int depth) {
  bx_reader r = bx_reader_of(message);
  bx_bytes part;
  uint32_t id;
  if (depth > DEPTH_MAX || !take_name(&symbol, get(message, ANY_NAME)))
    return false;
  if (symbol.len == 0 || names(message, MESSAGE_FIELD, symbol) ||
      names(message, MESSAGE_ONEOF, symbol) ||
      names(message, MESSAGE_EXTENSION, symbol))
    return true;
  while (bx_read_bytes(&r, &id, &part)) {
    if (id == MESSAGE_NESTED && in_message(part, symbol, depth + 1))
      return true;
    if (id == MESSAGE_ENUM && in_enum(part, symbol)) return true;
  }
  return false;
}

static bool in_file(bx_bytes file, bx_bytes symbol) {
  bx_bytes package = get(file, FILE_PACKAGE);
  bx_reader r = bx_reader_of(file);
  bx_bytes part;
  uint32_t id;
  if (package.len && !take_name(&symbol, package)) return false;
  if (names(file, FILE_EXTENSION, symbol)) return true;
  while (bx_read_bytes(&r, &id, &part)) {
    if ((id == FILE_MESSAGE && in_message(part, symbol, 0)) ||
        (id == FILE_ENUM && in_enum(part, symbol)) ||
        (id == FILE_SERVICE && in_service(part, symbol)))
      return true;
  }
  return false;
}

/* The answers, each added to the response. */

static bool tell_error(bx_buf *out, int code, const char *what,
                       bx_bytes name) {
  char message[256];
  bx_buf error = {0};
  snprintf(message, sizeof message, "%s %.*s", what,
           name.len > 200 ? 200 : (int)name.len, (const char *)name.data);
  bool ok = bx_wire_add_varint(&error, 1, (uint64_t)code) &&
            bx_wire_add_bytes(&error, 2, text(message)) &&
            bx_wire_add_bytes(out, TELL_ERROR,
                              (bx_bytes){(void *)error.data, error.len});
  bx_buf_free(&error);
  return ok;
}

static bool tell_file(bx_buf *out, bx_bytes file) {
  bx_buf response = {0};
  bool ok =
      bx_wire_add_bytes(&response, 1, file) &&
      bx_wire_add_bytes(out, TELL_FILE,
                        (bx_bytes){(void *)response.data, response.len});
  bx_buf_free(&response);
  return ok;
}

static bool find_file(bx_buf *out, bx_bytes set, bx_bytes name) {
  bx_reader r = bx_reader_of(set);
  bx_bytes part;
  uint32_t id;
  while (bx_read_bytes(&r, &id, &part))
    if (id == SET_FILE &&
        bx_bytes_equal(get(part, FILE_NAME), name))
      return tell_file(out, part);
  return tell_error(out, NOT_FOUND, "no file", name);
}

static bool find_symbol(bx_buf *out, bx_bytes set, bx_bytes symbol) {
  bx_reader r = bx_reader_of(set);
  bx_bytes part;
  uint32_t id;
  while (symbol.len && bx_read_bytes(&r, &id, &part))
    if (id == SET_FILE && in_file(part, symbol))
      return tell_file(out, part);
  return tell_error(out, NOT_FOUND, "no symbol", symbol);
}

/* Adds a ServiceResponse with "package.Service" to the list. */
static bool add_service(bx_buf *list, bx_bytes package,
                        bx_bytes service) {
  bx_buf name = {0}, entry = {0};
  bx_bytes base = get(service, ANY_NAME);
  bool ok = bx_buf_add(&name, package.data, package.len) &&
            (package.len == 0 || bx_buf_adds(&name, ".")) &&
            bx_buf_add(&name, base.data, base.len) &&
            bx_wire_add_bytes(&entry, 1,
                              (bx_bytes){(void *)name.data, name.len}) &&
            bx_wire_add_bytes(list, 1,
                              (bx_bytes){(void *)entry.data, entry.len});
  bx_buf_free(&name);
  bx_buf_free(&entry);
  return ok;
}

static bool add_services(bx_buf *list, bx_bytes file) {
  bx_bytes package = get(file, FILE_PACKAGE);
  bx_reader r = bx_reader_of(file);
  bx_bytes part;
  uint32_t id;
  bool ok = true;
  while (ok && bx_read_bytes(&r, &id, &part))
    if (id == FILE_SERVICE)
      ok = add_service(list, package, part);
  return ok;
}

static bool list_services(bx_buf *out, bx_bytes set) {
  bx_buf list = {0};
  bx_reader r = bx_reader_of(set);
  bx_bytes part;
  uint32_t id;
  bool ok = true;
  while (ok && bx_read_bytes(&r, &id, &part))
    if (id == SET_FILE) ok = add_services(&list, part);
  ok = ok && bx_wire_add_bytes(out, TELL_SERVICES,
                               (bx_bytes){(void *)list.data, list.len});
  bx_buf_free(&list);
  return ok;
}

static bool answer(bx_buf *out, bx_bytes set, uint32_t ask,
                   bx_bytes what) {
  switch (ask) {
    case ASK_FILE: return find_file(out, set, what);
    case ASK_SYMBOL: return find_symbol(out, set, what);
    case ASK_SERVICES: return list_services(out, set);
    case ASK_EXTENSION:
      return tell_error(out, NOT_FOUND, "no such extension", text(""));
    case ASK_EXTENSION_NUMBERS:
      return tell_error(out, NOT_FOUND, "no extensions of", what);
    default:
      return tell_error(out, UNIMPLEMENTED, "an unknown question", text(""));
  }
}

bool bx_reflection_answer(const void *set, size_t set_len, const void *request,
                          size_t len, bx_buf *response) {
  bx_bytes files = {set, set_len}, asked = {request, len};
  bx_bytes host = {NULL, 0}, what = {NULL, 0};
  uint32_t ask = 0;
  bx_reader r = bx_reader_of(asked);
  bx_field f;
  while (r.p < r.end) {
    if (!bx_read_field(&r, &f)) return false;
    if (f.type != BX_WIRE_BYTES) continue;
    bx_bytes bytes = {f.s, (size_t)f.n};
    if (f.id == ASK_HOST) host = bytes;
    if (f.id < ASK_FILE || f.id > ASK_SERVICES) continue;
    ask = f.id; /* a oneof: the last counts */
    what = bytes;
  }
  return bx_wire_add_bytes(response, TELL_HOST, host) &&
         bx_wire_add_bytes(response, TELL_REQUEST, asked) &&
         answer(response, files, ask, what);
}
