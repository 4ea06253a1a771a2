#include "json.h"

#include <lauxlib.h>
#include <math.h>

#include "../core/json.h"
#include "error.h"
#include "type.h"

#define TREE_TYPE "boxd.json.Tree"
#define NULL_TYPE "boxd.json.null"

static const char null_key; /* its address: where the registry has json.null */

lbx_json *lbx_json_new(lua_State *L) {
  lbx_room(L, 2);
  return lbx_new(L, sizeof(lbx_json), 0, TREE_TYPE);
}

void lbx_json_release(lbx_json *j) {
  cJSON_Delete(j->tree);
  cJSON_free(j->text);
  *j = (lbx_json){NULL, NULL};
}

int lbx_json_is_null(lua_State *L, int idx) {
  return luaL_testudata(L, idx, NULL_TYPE) != NULL;
}

static int m__gc(lua_State *L) {
  lbx_json_release(luaL_checkudata(L, 1, TREE_TYPE));
  return 0;
}

static int m__tostring_null(lua_State *L) {
  lua_pushliteral(L, "null");
  return 1;
}

static void push_number(lua_State *L, double n) {
  if (isinf(n))
    lbx_error_invalid(L, "invalid JSON: a number is too large for a float");
  if (n == floor(n) && fabs(n) <= (double)BX_JSON_EXACT &&
      !(n == 0 && signbit(n)))
    lua_pushinteger(L, (lua_Integer)n);
  else
    lua_pushnumber(L, n);
}

static void push_tree(lua_State *L, const cJSON *item);

static void push_array(lua_State *L, const cJSON *item) {
  lua_Integer i = 0;
  lua_createtable(L, cJSON_GetArraySize(item), 0);
  luaL_setmetatable(L, LBX_JSON_ARRAY);
  for (const cJSON *child = item->child; child; child = child->next) {
    push_tree(L, child);
    lua_rawseti(L, -2, ++i);
  }
}

static void push_object(lua_State *L, const cJSON *item) {
  lua_createtable(L, 0, cJSON_GetArraySize(item));
  for (const cJSON *child = item->child; child; child = child->next) {
    lua_pushstring(L, child->string);
    push_tree(L, child);
    lua_rawset(L, -3);
  }
}

/* Recurses no deeper than BX_JSON_DEPTH, which the check has seen to. */
static void push_tree(lua_State *L, const cJSON *item) {
  lbx_room(L, 4);
  if (cJSON_IsArray(item))
    push_array(L, item);
  else if (cJSON_IsObject(item))
    push_object(L, item);
  else if (cJSON_IsString(item))
    lua_pushstring(L, item->valuestring);
  else if (cJSON_IsNumber(item))
    push_number(L, item->valuedouble);
  else if (cJSON_IsBool(item))
    lua_pushboolean(L, cJSON_IsTrue(item));
  else
    lua_rawgetp(L, LUA_REGISTRYINDEX, &null_key);
}

/* json.decode(text) -> value */
static int json_decode(lua_State *L) {
  size_t len;
  bx_error e;
  luaL_checktype(L, 1, LUA_TSTRING);
  const char *s = lua_tolstring(L, 1, &len);
  if (bx_json_check(s, len, &e)) return lbx_throw(L, &e, NULL);
  lbx_json *j = lbx_json_new(L);
  j->tree = cJSON_ParseWithLength(s, len);
  if (!j->tree) return luaL_error(L, "not enough memory for this JSON");
  push_tree(L, j->tree);
  lbx_json_release(j);
  return 1;
}

/* json.array([table]) -> the table, marked */
static int json_array(lua_State *L) {
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_getmetatable(L, 1)) {
    luaL_getmetatable(L, LBX_JSON_ARRAY);
    luaL_argcheck(L, lua_rawequal(L, -1, -2), 1,
                  "the table has a metatable of its own");
    lua_settop(L, 1);
  }
  luaL_setmetatable(L, LBX_JSON_ARRAY);
  return 1;
}

static void push_null(lua_State *L) {
  static const luaL_Reg meta[] = {{"__tostring", m__tostring_null},
                                  {NULL, NULL}};
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &null_key) != LUA_TNIL) return;
  lua_pop(L, 1);
  lbx_newtype(L, NULL_TYPE, NULL, meta);
  lbx_new(L, 1, 0, NULL_TYPE);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &null_key);
}

int lbx_open_json(lua_State *L) {
  static const luaL_Reg functions[] = {{"encode", lbx_json_encode},
                                       {"decode", json_decode},
                                       {"array", json_array},
                                       {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", m__gc}, {NULL, NULL}};
  lbx_newtype(L, TREE_TYPE, NULL, meta);
  luaL_newmetatable(L, LBX_JSON_ARRAY); /* open: scripts may replace it */
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  push_null(L);
  lua_setfield(L, -2, "null");
  return 1;
}
