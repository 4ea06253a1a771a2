#include "config.h"

#include <lauxlib.h>

#include "boxd.pb-c.h"
#include "error.h"
#include "path.h"
#include "types.h"

typedef ProtobufCMessageDescriptor Message;

#define CREATE &boxd__api__v1__create_vm_request__descriptor
#define FROM_SNAPSHOT \
  &boxd__api__v1__create_vm_from_snapshot_request__descriptor
#define SAME(of) .name = of, .field = of

static const lbx_param lifecycle[] = {
    {.name = "auto_suspend_timeout", .field = "auto_suspend_timeout_secs"},
    {.name = "auto_destroy_timeout", .field = "auto_destroy_timeout_secs"},
    {0}};

static const lbx_param proxy[] = {
    {SAME("name"), .needed = true}, {SAME("port"), .sort = LBX_PORT}, {0}};

static const lbx_param network[] = {
    {SAME("ssh"), .on = true}, {SAME("proxies"), .fields = proxy}, {0}};

static const lbx_param volume[] = {
    {SAME("disk_id"), .sort = LBX_OBJECT, .of = &lbx_disk_type,
     .needed = true},
    {SAME("mount_path"), .needed = true}, {SAME("read_only")}, {0}};

const lbx_param lbx_config[] = {
    {SAME("vcpu")},
    {.name = "memory", .field = "memory_bytes", .sort = LBX_SIZE},
    {.name = "disk", .field = "disk_bytes", .sort = LBX_SIZE},
    {SAME("env"), .sort = LBX_VARIABLES, .in = CREATE},
    {SAME("cmd"), .in = CREATE},
    {SAME("restart_policy"), .either = {"always", "never"}, .in = CREATE},
    {.name = "lifecycle", .field = "srf", .fields = lifecycle},
    {SAME("network"), .fields = network},
    {SAME("idle_ignore_outbound")},
    {SAME("volumes"), .fields = volume},
    {0}};

const lbx_method lbx_config_disks = {"list", "ListDisks", .field = "disks"};

/* ---- timers beside a config ---- */

void lbx_config_read_timer(lua_State *L, int idx, const char *method) {
  if (lua_isinteger(L, idx) && lua_tointeger(L, idx) >= 0 &&
      lua_tointeger(L, idx) <= UINT32_MAX)
    return;
  if (lua_type(L, idx) != LUA_TNUMBER)
    lbx_error_usage(L, "bad option '%s' to '%s' (integer expected, got %s)",
                    lua_tostring(L, idx - 1), method, lbx_type_name(L, idx));
  lbx_error_invalid(L, "%s: %s is an integer of seconds from 0 on, not %s",
                    method, lua_tostring(L, idx - 1), lbx_push_shown(L, idx));
}

/* Sets a field of config.srf, beside those that are there; the value is on the
** top. */
static void set_timer(lua_State *L, int fields, const char *name) {
  luaL_getsubtable(L, fields, "config");
  luaL_getsubtable(L, -1, "srf");
  if (lua_getfield(L, -1, name) != LUA_TNIL &&
      !lua_rawequal(L, -1, -4))
    lbx_error_invalid(L, "config.lifecycle has another value of a timer that is "
                      "given beside it: give one");
  lua_pushvalue(L, -4);
  lua_setfield(L, -3, name);
  lua_pop(L, 3);
}

void lbx_config_place_suspend(lua_State *L, int idx, const Message *d) {
  (void)d;
  set_timer(L, idx, "auto_suspend_timeout_secs");
}

void lbx_config_place_destroy(lua_State *L, int idx, const Message *d) {
  (void)d;
  set_timer(L, idx, "auto_destroy_timeout_secs");
}

/* Timers that were read before the config, on the top, go into it. */
static void take_timers(lua_State *L, int fields) {
  int config = lua_gettop(L);
  if (lua_getfield(L, fields, "config") == LUA_TTABLE &&
      lua_getfield(L, -1, "srf") == LUA_TTABLE) {
    luaL_getsubtable(L, config, "srf");
    for (lua_pushnil(L); lua_next(L, -3); lua_pop(L, 1)) {
      lua_pushvalue(L, -2);
      if (lua_rawget(L, -4) != LUA_TNIL && !lua_rawequal(L, -1, -2))
        lbx_error_invalid(L, "config.lifecycle has another value of a timer that "
                          "is given beside it: give one");
      lua_pop(L, 1);
      lua_pushvalue(L, -2);
      lua_pushvalue(L, -2);
      lua_rawset(L, -5);
    }
  }
  lua_settop(L, config);
}

/* env, cmd and restart_policy go beside the VmConfig; nothing is left of one
** with nothing else. */
void lbx_config_place(lua_State *L, int idx, const Message *d) {
  for (const lbx_param *p = lbx_config; p->name; p++) {
    if (!p->in || lua_getfield(L, -1, p->field) == LUA_TNIL) {
      if (p->in) lua_pop(L, 1);
      continue;
    }
    if (d != p->in)
      lbx_error_invalid(L, "config.%s: %s", p->name,
                        d == FROM_SNAPSHOT
                            ? "a box from a snapshot takes it from there"
                            : "only create of a box takes it");
    lua_setfield(L, idx, p->field);
    lua_pushnil(L);
    lua_setfield(L, -2, p->field);
  }
  if (d == CREATE) {
    if (lua_getfield(L, idx, "restart_policy") == LUA_TNIL) {
      lua_pushliteral(L, "always");
      lua_setfield(L, idx, "restart_policy");
    }
    lua_pop(L, 1);
  }
  take_timers(L, idx);
  lua_pushnil(L);
  if (lua_next(L, -2)) {
    lua_pop(L, 2);
  } else {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
}

int lbx_box_config(lua_State *L) {
  lbx_path root = LBX_PATH_ROOT("config");
  lbx_path at = LBX_PATH_NAME(&root, "config");
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    return 1;
  }
  if (!lua_istable(L, 1))
    lbx_error_usage(L, "bad argument #1 to 'BoxConfig' (table expected, got "
                    "%s)", lbx_type_name(L, 1));
  lua_pushvalue(L, 1);
  lbx_read_record(L, lbx_config, &boxd__api__v1__vm_config__descriptor, &at);
  lua_settop(L, 1);
  return 1;
}
