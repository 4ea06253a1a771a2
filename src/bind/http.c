#include "http.h"

#include <string.h>

#include "../core/http.h"
#include "await.h"
#include "error.h"
#include "type.h"

#define TYPE "boxd.HttpCall" /* an HttpRequest is what a Server has */
#define WHAT "http.request"
#define TIMEOUT_SECONDS 60.0
#define BODY_BYTES_MAX (64 << 20)
#define REDIRECTS 5
#define REDIRECTS_MAX 50

/* Stack slots of a request. */
enum { OPTIONS = 1, REQUEST, LINES, POINTERS, METHOD };

static void release(void *arg) {
  bx_http **h = arg;
  bx_http_free(*h);
  *h = NULL;
}

static int m__gc(lua_State *L) {
  release(lua_touserdata(L, 1));
  return 0;
}

/* Arguments. */

/* The string at idx as C text. */
static const char *check_text(lua_State *L, int idx, const char *what) {
  size_t len;
  const char *s = lua_tolstring(L, idx, &len);
  if (strlen(s) != len) lbx_error_invalid(L, WHAT ": %s has a NUL in it", what);
  return s;
}

/* Pushes the option, which keeps the text, or nil. */
static const char *push_option(lua_State *L, const char *name) {
  const char *s = lbx_opt_string(L, OPTIONS, name, NULL, NULL);
  return s ? check_text(L, -1, name) : NULL;
}

/* Appends "name: value" to the lines; name is at -2, value on top, popped. */
static void add_line(lua_State *L) {
  const char *name = check_text(L, -2, "a header's name");
  if (!lua_isstring(L, -1))
    lbx_error_invalid(L, WHAT ": the header '%s' is a %s: a string or a list "
                      "of them is expected", name, luaL_typename(L, -1));
  if (strchr(name, ':'))
    lbx_error_invalid(L, WHAT ": the header name '%s' has a colon in it", name);
  lua_pushfstring(L, "%s: %s", name, check_text(L, -1, "a header"));
  lua_rawseti(L, LINES, (lua_Integer)lua_rawlen(L, LINES) + 1);
  lua_pop(L, 1);
}

/* Headers: names to a value or a list of values each. */
static void add_lines(lua_State *L) {
  if (lua_getfield(L, OPTIONS, "headers") == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  if (!lua_istable(L, -1))
    luaL_error(L, "bad option 'headers' (table expected, got %s)",
               luaL_typename(L, -1));
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      lbx_error_invalid(L, WHAT ": headers are { [name] = value }, not a list");
    lua_pushvalue(L, -2);
    if (!lua_istable(L, -2)) {
      lua_pushvalue(L, -2);
      add_line(L);
    } else {
      lua_Integer n = luaL_len(L, -2);
      for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, -2, i);
        add_line(L);
      }
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* Pushes the lines' addresses, NULL at the end; the table keeps the lines. */
static const char *const *push_pointers(lua_State *L) {
  size_t n = lua_rawlen(L, LINES);
  const char **p = lua_newuserdatauv(L, (n + 1) * sizeof *p, 0);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, LINES, (lua_Integer)i + 1);
    p[i] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  p[n] = NULL;
  return p;
}

/* Pushes the method in capitals, since case counts. */
static const char *push_method(lua_State *L, bool body) {
  const char *s = push_option(L, "method");
  luaL_Buffer b;
  if (!s) s = body ? "POST" : "GET";
  luaL_buffinit(L, &b);
  for (; *s; s++)
    luaL_addchar(&b, *s >= 'a' && *s <= 'z' ? *s - 'a' + 'A' : *s);
  luaL_pushresult(&b);
  return lua_tostring(L, -1);
}

/* The answer. */

/* Adds one header to the table on top; one that is there already grows. */
static void add_header(lua_State *L, const char *line, size_t len) {
  const char *colon = memchr(line, ':', len);
  if (!colon) return; /* libcurl lets none through but folded lines */
  const char *value = colon + 1, *end = line + len;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (const char *s = line; s < colon; s++)
    luaL_addchar(&b, *s >= 'A' && *s <= 'Z' ? *s - 'A' + 'a' : *s);
  luaL_pushresult(&b);
  while (value < end && (*value == ' ' || *value == '\t')) value++;
  while (end > value && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
    end--;
  lua_pushvalue(L, -1);
  if (lua_rawget(L, -3) == LUA_TSTRING) {
    lua_pushliteral(L, ", ");
    lua_pushlstring(L, value, (size_t)(end - value));
    lua_concat(L, 3);
  } else {
    lua_pop(L, 1);
    lua_pushlstring(L, value, (size_t)(end - value));
  }
  lua_rawset(L, -3);
}

static void push_headers(lua_State *L, const bx_buf *b) {
  lua_newtable(L);
  for (size_t at = 0; at < b->len;) {
    const char *line = b->data + at;
    const char *stop = memchr(line, '\n', b->len - at);
    size_t len = stop ? (size_t)(stop - line) : b->len - at;
    add_header(L, line, len);
    at += len + 1;
  }
}

static int push_response(lua_State *L, bx_http **h) {
  if ((*h)->error.class_) {
    bx_error e = (*h)->error;
    release(h);
    return lbx_throw(L, &e, NULL);
  }
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, (*h)->status);
  lua_setfield(L, -2, "status");
  push_headers(L, &(*h)->headers);
  lua_setfield(L, -2, "headers");
  lua_pushlstring(L, (*h)->body.len ? (*h)->body.data : "", (*h)->body.len);
  lua_setfield(L, -2, "body");
  release(h);
  return 1;
}

static int request_k(lua_State *L, int status, lua_KContext ctx) {
  bx_http **h = lua_touserdata(L, REQUEST);
  (void)status;
  if (!*h) return lbx_gone(L, "the request");
  while (!(*h)->done.set) {
    lbx_wait w = {.event = &(*h)->done, .cancel = release, .arg = h};
    lbx_await(L, &w, ctx, request_k);
  }
  return push_response(L, h);
}

/* boxd.http.request{ url=, method=, headers=, body=, timeout=60, ca_file=,
** max_redirects=5 }. Upvalue 1: does it hold what a proxy may not read? */
static int request(lua_State *L) {
  static const char *const names[] = {"url",     "method",  "headers",
                                      "body",    "timeout", "ca_file",
                                      "max_redirects", NULL};
  bx_error e;
  bx_http_request q = {.max_bytes = BODY_BYTES_MAX,
                       .proxy = lua_toboolean(L, lua_upvalueindex(1))
                                    ? BX_PROXY_TUNNEL
                                    : BX_PROXY_ANY};
  luaL_checktype(L, OPTIONS, LUA_TTABLE);
  lua_settop(L, OPTIONS);
  lbx_options(L, OPTIONS, WHAT, names);
  bx_http **h = lbx_new(L, sizeof *h, 0, TYPE);
  lua_newtable(L);
  add_lines(L);
  q.headers = push_pointers(L);
  q.url = push_option(L, "url");
  if (!q.url) return lbx_error_invalid(L, WHAT ": url is missing");
  q.body = lbx_opt_string(L, OPTIONS, "body", &q.body_len, NULL);
  q.method = push_method(L, q.body != NULL);
  q.ca_file = push_option(L, "ca_file");
  q.timeout = lbx_opt_seconds(L, OPTIONS, "timeout", TIMEOUT_SECONDS);
  lua_Integer n = lbx_opt_integer(L, OPTIONS, "max_redirects", REDIRECTS);
  if (n < 0 || n > REDIRECTS_MAX)
    return lbx_error_invalid(L, WHAT ": max_redirects is 0 to %d",
                             REDIRECTS_MAX);
  q.max_redirects = (int)n;
  *h = bx_http_start(lbx_loop(L), &q, NULL, NULL, &e);
  if (!*h) return lbx_throw(L, &e, NULL);
  return request_k(L, LUA_OK, 0);
}

static int wait_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return lua_gettop(L);
}

/* boxd.http.wait, which is in a Lua file */
static int wait(lua_State *L) {
  lbx_require_field(L, "boxd.wait", "http");
  lua_insert(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, wait_k);
  return wait_k(L, LUA_OK, 0);
}

void lbx_open_http_core(lua_State *L) {
  lua_pushboolean(L, 1);
  lua_pushcclosure(L, request, 1);
  lua_setfield(L, -2, "request_privately");
}

void lbx_open_http(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", m__gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"request", request}, {"wait", wait}, {NULL, NULL}};
  lbx_newtype(L, TYPE, NULL, meta);
  luaL_newlib(L, functions);
  lua_setfield(L, -2, "http");
}
