#include "request.h"

#include <ctype.h>
#include <lauxlib.h>
#include <string.h>
#include <strings.h>

#include "../await.h"
#include "../error.h"
#include "../type.h"
#include "../fd.h"
#include "serve.h"

#define HEADERS_MAX 32

typedef struct lbx_http_request {
  bx_loop *loop;
  bx_request *request; /* NULL: answered, or its socket was taken */
  bx_event gone;       /* set when its client has left, and with that */
} lbx_http_request;

static lbx_http_request *check_request(lua_State *L) {
  return luaL_checkudata(L, 1, LBX_HTTP_REQUEST);
}

/* The request, which the caller owns now; waiters for its client go on. */
static bx_request *let_go(lbx_http_request *x) {
  bx_request *r = x->request;
  x->request = NULL;
  r->gone = NULL;
  bx_event_set(x->loop, &x->gone);
  return r;
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
  x->loop = lbx_state_get(L)->loop;
  x->request = bx_port_take(p);
  x->request->gone = &x->gone;
  if (x->request->left) bx_event_set(x->loop, &x->gone);
  push_fields(L, x->request);
  lua_setiuservalue(L, -2, 1);
}

static bool is_own(const char *name) {
  return strcasecmp(name, "connection") == 0 ||
         strcasecmp(name, "content-length") == 0 ||
         strcasecmp(name, "transfer-encoding") == 0;
}

typedef struct answer_headers {
  const char *type; /* the Content-Type, or NULL */
  const char *lines[HEADERS_MAX + 1];
  size_t count;
} answer_headers;

/* The value on the top of the stack under the name at that index. */
static void check_header(lua_State *L, int name_at) {
  size_t len;
  if (lua_type(L, name_at) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
    lbx_error_invalid(L, "headers are a table of strings, or lists of them, "
                         "by name");
  const char *name = lua_tostring(L, name_at);
  const char *value = lua_tolstring(L, -1, &len);
  if (!bx_http1_is_value(value, len) || *name == '\0' || is_own(name) ||
      name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-_")] != '\0')
    lbx_error_invalid(L, "'%.80s' is not a header that can be set", name);
}

/* Adds it as a line, which the table at 5 keeps; a type's the table at 3. */
static void add_header(lua_State *L, int name_at, answer_headers *h) {
  check_header(L, name_at);
  const char *name = lua_tostring(L, name_at), *value = lua_tostring(L, -1);
  if (strcasecmp(name, "content-type") == 0) {
    h->type = value;
    return;
  }
  if (h->count == HEADERS_MAX) lbx_error_invalid(L, "too many headers");
  h->lines[h->count++] = lua_pushfstring(L, "%s: %s", name, value);
  lua_rawseti(L, 5, (lua_Integer)h->count);
}

/* The table at 3. */
static void read_headers(lua_State *L, answer_headers *h) {
  for (lua_pushnil(L); lua_next(L, 3); lua_settop(L, 6)) {
    if (!lua_istable(L, 7)) {
      add_header(L, 6, h);
      continue;
    }
    for (lua_Integer i = 1; lua_rawgeti(L, 7, i) != LUA_TNIL; i++) {
      add_header(L, 6, h);
      lua_settop(L, 7);
    }
  }
}

/* request:answer(status, headers, body): headers and body may be nil. A header
** whose value is a list is sent once for each, in their order. */
static int m_answer(lua_State *L) {
  lbx_http_request *x = check_request(L);
  lua_Integer status = luaL_checkinteger(L, 2);
  size_t len;
  const char *body = luaL_optlstring(L, 4, "", &len);
  answer_headers h = {0};
  luaL_argcheck(L, status >= 200 && status <= 599, 2, "no HTTP status");
  if (!x->request) return lbx_error_invalid(L, "the request is answered");
  lua_settop(L, 4);
  lua_newtable(L);
  if (!lua_isnil(L, 3)) {
    luaL_checktype(L, 3, LUA_TTABLE);
    read_headers(L, &h);
  }
  bx_request *r = let_go(x);
  bx_port_answer(r, (int)status, h.type, h.lines, body, len);
  return 0;
}

/* request:take() -> the client's socket, an Fd, for an answer of another form;
** nil when the client is gone */
static int m_take(lua_State *L) {
  lbx_http_request *x = check_request(L);
  if (!x->request) return lbx_error_invalid(L, "the request is answered");
  int *fd = lbx_new_fd(L);
  *fd = bx_port_take_socket(let_go(x));
  return *fd < 0 ? 0 : 1;
}

static int wait_gone_k(lua_State *L, int status, lua_KContext ctx) {
  lbx_http_request *x = check_request(L);
  (void)status;
  while (!x->gone.set)
    lbx_await(L, &(lbx_wait){.event = &x->gone}, ctx, wait_gone_k);
  lua_pushboolean(L, x->request != NULL);
  return 1;
}

/* request:wait_gone() -> true once the client has left (it may have closed its
** half only), false once the request is answered or its socket taken */
static int m_wait_gone(lua_State *L) {
  check_request(L);
  lua_settop(L, 1);
  return wait_gone_k(L, LUA_OK, 0);
}

static int m__gc(lua_State *L) {
  lbx_http_request *x = check_request(L);
  if (x->request) bx_request_free(let_go(x));
  return 0;
}

static int request_field(lua_State *L, const char *name) {
  check_request(L);
  lua_getiuservalue(L, 1, 1);
  lua_getfield(L, -1, name);
  return 1;
}

void lbx_open_http_request(lua_State *L) {
  static const luaL_Reg methods[] = {{"answer", m_answer},
                                     {"take", m_take},
                                     {"wait_gone", m_wait_gone},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", m__gc}, {"__close", m__gc}, {NULL, NULL}};
  lbx_newtype(L, LBX_HTTP_REQUEST, NULL, meta);
  lbx_index_fields(L, LBX_HTTP_REQUEST, methods, request_field);
}
