#include "serve_request.h"

#include <ctype.h>
#include <lauxlib.h>
#include <string.h>
#include <strings.h>

#include "error.h"
#include "serve.h"
#include "type.h"

#define HEADERS_MAX 32

typedef struct lbx_http_request {
  bx_request *request; /* NULL: answered */
} lbx_http_request;

static lbx_http_request *check_request(lua_State *L) {
  return luaL_checkudata(L, 1, LBX_HTTP_REQUEST);
}

static void push_text(lua_State *L, bx_http1_text t) {
  lua_pushlstring(L, t.data, t.len);
}

static void push_lower(lua_State *L, bx_http1_text t) {
  luaL_Buffer b;
  char *out = luaL_buffinitsize(L, &b, t.len);
  for (size_t i = 0; i < t.len; i++)
    out[i] = (char)tolower((unsigned char)t.data[i]);
  luaL_pushresultsize(&b, t.len);
}

/* Names in lower case; a header that came twice has both values, by ", ". */
static void push_headers(lua_State *L, const bx_http1 *http) {
  lua_createtable(L, 0, (int)http->count);
  for (size_t i = 0; i < http->count; i++) {
    push_lower(L, http->headers[i].name);
    lua_pushvalue(L, -1);
    bool twice = lua_rawget(L, -3) != LUA_TNIL;
    if (twice) lua_pushliteral(L, ", ");
    push_text(L, http->headers[i].value);
    if (twice)
      lua_concat(L, 3);
    else
      lua_remove(L, -2);
    lua_rawset(L, -3);
  }
}

static void push_fields(lua_State *L, const bx_request *r) {
  const bx_http1 *http = &r->http;
  bx_http1_text path = http->target;
  const char *mark = memchr(path.data, '?', path.len);
  lua_createtable(L, 0, 6);
  if (mark) {
    lua_pushlstring(L, mark + 1, (size_t)(path.data + path.len - mark - 1));
    lua_setfield(L, -2, "query");
    path.len = (size_t)(mark - path.data);
  }
  push_text(L, path);
  lua_setfield(L, -2, "path");
  push_text(L, http->method);
  lua_setfield(L, -2, "method");
  push_text(L, http->body);
  lua_setfield(L, -2, "body");
  lua_pushstring(L, r->peer);
  lua_setfield(L, -2, "peer");
  push_headers(L, http);
  lua_setfield(L, -2, "headers");
}

void lbx_push_http_request(lua_State *L, bx_port *p) {
  lbx_room(L, 8);
  lbx_http_request *x = lbx_new(L, sizeof *x, 1, LBX_HTTP_REQUEST);
  x->request = bx_port_take(p);
  push_fields(L, x->request);
  lua_setiuservalue(L, -2, 1);
}

static bool is_own(const char *name) {
  return strcasecmp(name, "connection") == 0 ||
         strcasecmp(name, "content-length") == 0 ||
         strcasecmp(name, "transfer-encoding") == 0;
}

/* The pair on the top of the stack (the value above its name). */
static void check_header(lua_State *L) {
  size_t len;
  if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
    lbx_error_invalid(L, "headers are a table of strings by name");
  const char *name = lua_tostring(L, -2), *value = lua_tolstring(L, -1, &len);
  if (!bx_http1_is_value(value, len) || *name == '\0' || is_own(name) ||
      name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-_")] != '\0')
    lbx_error_invalid(L, "'%.80s' is no header that can be set", name);
}

/* The table at 3 as lines, which the table at 5 keeps; the Content-Type, which
** the table at 3 keeps, or NULL. */
static const char *read_headers(lua_State *L, const char **lines) {
  const char *type = NULL;
  size_t n = 0;
  for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
    check_header(L);
    if (strcasecmp(lua_tostring(L, -2), "content-type") == 0) {
      type = lua_tostring(L, -1);
      continue;
    }
    if (n == HEADERS_MAX) lbx_error_invalid(L, "too many headers");
    lines[n++] = lua_pushfstring(L, "%s: %s", lua_tostring(L, -2),
                                 lua_tostring(L, -1));
    lua_rawseti(L, 5, (lua_Integer)n);
  }
  return type;
}

/* request:answer(status, headers, body): headers and body may be nil. */
static int m_answer(lua_State *L) {
  lbx_http_request *x = check_request(L);
  lua_Integer status = luaL_checkinteger(L, 2);
  size_t len;
  const char *body = luaL_optlstring(L, 4, "", &len), *type = NULL;
  const char *lines[HEADERS_MAX + 1] = {NULL};
  luaL_argcheck(L, status >= 200 && status <= 599, 2, "no HTTP status");
  if (!x->request) return lbx_error_invalid(L, "the request is answered");
  lua_settop(L, 4);
  lua_newtable(L);
  if (!lua_isnil(L, 3)) {
    luaL_checktype(L, 3, LUA_TTABLE);
    type = read_headers(L, lines);
  }
  bx_request *r = x->request;
  x->request = NULL;
  bx_port_answer(r, (int)status, type, lines, body, len);
  return 0;
}

static int m__gc(lua_State *L) {
  lbx_http_request *x = check_request(L);
  bx_request *r = x->request;
  x->request = NULL;
  if (r) bx_request_free(r);
  return 0;
}

static int request_field(lua_State *L, const char *name) {
  check_request(L);
  lua_getiuservalue(L, 1, 1);
  lua_getfield(L, -1, name);
  return 1;
}

void lbx_open_http_request(lua_State *L) {
  static const luaL_Reg methods[] = {{"answer", m_answer}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", m__gc}, {"__close", m__gc}, {NULL, NULL}};
  lbx_newtype(L, LBX_HTTP_REQUEST, NULL, meta);
  lbx_index_fields(L, LBX_HTTP_REQUEST, methods, request_field);
}
