/* c.box: boxes are made, found and listed. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "error.h"
#include "method_private.h"
#include "type.h"
#include "types.h"

#define LABELS_MAX 64 /* in a selector */
#define LEASE_MIN 3 /* seconds: it is renewed at every third */
#define TEXT(of) {.name = of, .field = of}


static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Raises unless the value at idx is text as C has it; key: of a label, or NULL. */
static void check_label(lua_State *L, int idx, const char *method,
                        const char *key) {
  if (lua_type(L, idx) == LUA_TSTRING &&
      strlen(lua_tostring(L, idx)) == lua_rawlen(L, idx))
    return;
  lbx_error_invalid(L, "%s: labels%s%s: text without a NUL expected, not %s",
                    method, key ? "." : "", key ? key : "",
                    lbx_push_shown(L, idx));
}

/* Pushes the term of a label: its key is below its value, on the top. */
static void push_term(lua_State *L, const char *method) {
  bool listed = lua_isinteger(L, -2);
  if (!listed) check_label(L, -2, method, NULL);
  check_label(L, -1, method, listed ? NULL : lua_tostring(L, -2));
  if (listed)
    lua_pushvalue(L, -1);
  else
    lua_pushfstring(L, "%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
}

/* Labels: a map ("equals"), a list of "key=value" and "key", or both in one
** table, as the list of terms that is sent. */
static void read_selector(lua_State *L, int idx, const char *method) {
  const char *terms[LABELS_MAX] = {NULL};
  size_t n = 0;
  if (!lua_istable(L, idx))
    lbx_error_usage(L, "bad option 'labels' to '%s' (table expected, got %s)",
                    method, lbx_type_name(L, idx));
  lua_newtable(L); /* keeps the terms */
  int held = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
    if (n == LABELS_MAX) {
      lbx_error_invalid(L, "%s: too many labels", method);
      return;
    }
    push_term(L, method);
    terms[n++] = lua_tostring(L, -1);
    lua_rawsetp(L, held, terms[n - 1]);
  }
  qsort(terms, n, sizeof *terms, by_text);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    lua_pushstring(L, terms[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_replace(L, idx);
  lua_settop(L, held - 1);
}

/* Does a box have a label "key", or "key=value"? Its labels are on the top. */
static bool has_label(lua_State *L, const char *term) {
  const char *equals = strchr(term, '=');
  lua_pushlstring(L, term, equals ? (size_t)(equals - term) : strlen(term));
  lua_rawget(L, -2);
  const char *value = lua_tostring(L, -1);
  bool has = value && (!equals || strcmp(value, equals + 1) == 0);
  lua_pop(L, 1);
  return has;
}

/* A service from before labels gives every box. */
static bool has_labels(lua_State *L, int options, int box) {
  int top = lua_gettop(L);
  bool has = true;
  if (lua_getfield(L, options, "label_selector") == LUA_TTABLE) {
    lbx_record_get(L, box, "labels");
    for (lua_Integer i = 1; has && lua_rawgeti(L, top + 1, i) != LUA_TNIL; i++) {
      const char *term = lua_tostring(L, -1);
      lua_pop(L, 1);
      has = has_label(L, term);
    }
  }
  lua_settop(L, top);
  return has;
}

/* ---- making one ---- */

/* Refuses options beside `what`, which says such itself. */
static void refuse_beside(lua_State *L, int options, const lbx_method *m,
                          const char *what, const char *const *names,
                          const char *why) {
  for (; *names; names++) {
    lua_getfield(L, options, *names);
    if (lua_toboolean(L, -1))
      lbx_error_invalid(L, "%s: %s does not go with %s: %s", m->name, *names,
                        what, why);
    lua_pop(L, 1);
  }
}

static bool has_option(lua_State *L, int options, const char *name) {
  bool has = lua_getfield(L, options, name) != LUA_TNIL;
  lua_pop(L, 1);
  return has;
}

/* A spec says these itself. */
static void check_beside_spec(lua_State *L, int options, const lbx_method *m) {
  static const char *const names[] = {"image", "networks", "isolated",
                                      "labels", NULL};
  static const char *const of_config[] = {"env", "vcpu", "memory"};
  refuse_beside(L, options, m, "spec", names, "put it in the spec");
  if (lua_getfield(L, options, "config") == LUA_TTABLE)
    for (int i = 0; i < 3; i++)
      if (has_option(L, -1, of_config[i]))
        lbx_error_invalid(L, "%s: config.%s does not go with spec: put it in "
                          "the spec%s", m->name, of_config[i],
                          i == 0 ? "" : " (size)");
  lua_pop(L, 1);
}

static void check_names(lua_State *L, int options, const lbx_method *m) {
  if (lua_istable(L, 2))
    lbx_error_usage(L, "bad argument #2 to '%s' (no value expected, got %s)",
                    m->name, lbx_type_name(L, options));
  if (lua_getfield(L, options, "name") != LUA_TNIL && !lua_isnil(L, 2) &&
      !lua_rawequal(L, 2, -1)) {
    const char *inner = lbx_push_shown(L, -1), *outer = lbx_push_shown(L, 2);
    lbx_error_invalid(L, "%s: two names, %s and %s: give one", m->name, outer,
                      inner);
  }
  lua_pop(L, 1);
}

static const lbx_method create_from_snapshot, temporary_from_snapshot;

static void check_deletion(lua_State *L, int options, const lbx_method *m) {
  if (has_option(L, options, "delete_after") &&
      has_option(L, options, "delete_after_cron"))
    lbx_error_invalid(L, "%s: delete_after and delete_after_cron exclude each "
                      "other", m->name);
}

/* Of fork. */
static const lbx_method *choose_fork(lua_State *L, const lbx_method *m,
                                     int options) {
  if (lua_istable(L, options)) check_deletion(L, options, m);
  return m;
}

/* The name may be an option; a snapshot makes it another RPC. */
static const lbx_method *choose_create(lua_State *L, const lbx_method *m,
                                       int options) {
  static const char *const names[] = {"image", "shared", "networks", "team",
                                      NULL};
  if (!lua_istable(L, options)) return m;
  check_names(L, options, m);
  check_deletion(L, options, m);
  if (has_option(L, options, "spec")) check_beside_spec(L, options, m);
  if (!has_option(L, options, "from_snapshot")) return m;
  refuse_beside(L, options, m, "from_snapshot", names,
                "a snapshot is restored as it was taken");
  return &create_from_snapshot;
}

/* A lease is an end of the box's, too. */
static const lbx_method *choose_temporary(lua_State *L, const lbx_method *m,
                                          int options) {
  static const char *const names[] = {"delete_after", "delete_after_cron",
                                      NULL};
  const lbx_method *chosen = choose_create(L, m, options);
  if (!lua_istable(L, options)) return m;
  lua_getfield(L, options, "lease");
  if (lua_toboolean(L, -1))
    refuse_beside(L, options, m, "lease", names, "both say when it ends");
  lua_pop(L, 1);
  return chosen == m ? m : &temporary_from_snapshot;
}

/* false, or seconds that have a third. */
static void read_lease(lua_State *L, int idx, const char *method) {
  bool none = lua_isboolean(L, idx) && !lua_toboolean(L, idx);
  if (none || (lua_isinteger(L, idx) && lua_tointeger(L, idx) >= LEASE_MIN &&
               lua_tointeger(L, idx) <= INT32_MAX))
    return;
  if (lua_type(L, idx) != LUA_TNUMBER)
    lbx_error_usage(L, "bad option 'lease' to '%s' (integer or false expected, "
                    "got %s)", method, lbx_type_name(L, idx));
  lbx_error_invalid(L, "%s: lease is false, or an integer of seconds from %d "
                    "on, not %s", method, LEASE_MIN, lbx_push_shown(L, idx));
}

/* Merges the pieces of a spec, which is Lua's. */
static void read_spec(lua_State *L, int idx, const char *method) {
  if (!lua_istable(L, idx))
    lbx_error_usage(L, "bad option 'spec' to '%s' (table expected, got %s)",
                    method, lbx_type_name(L, idx));
  lbx_require_field(L, "boxd.spec", "spec");
  lua_pushvalue(L, idx);
  lua_call(L, 1, 1);
  lua_replace(L, idx);
}

/* What boxd.internal.new_box does once the box is there, too. */
#define SAME_AS_FORK TEXT("shared"), TEXT("networks"), TEXT("isolated"), \
  TEXT("labels"), TEXT("name"), LBX_CONFIG, LBX_TIMERS,                  \
  {.name = "wait", .type = LUA_TBOOLEAN},                                \
  {.name = "auto_hibernate_timeout", .read = lbx_config_read_timer},     \
  {.name = "delete_after", .read = lbx_config_read_timer},               \
  {.name = "delete_after_cron", .type = LUA_TSTRING}
#define TIMERS                                                              \
  {"auto_suspend_timeout_secs",                                             \
   .request = "config.srf.auto_suspend_timeout_secs"},                      \
  {"auto_destroy_timeout_secs",                                             \
   .request = "config.srf.auto_destroy_timeout_secs"}

#define CREATE_OPTIONS                                                   \
  SAME_AS_FORK, {.name = "image", .field = "image_ref"}, TEXT("org"),    \
  TEXT("team"), {.name = "spec", .field = "spec", .read = read_spec},    \
  {.name = "from_snapshot", .field = "snapshot", .sort = LBX_OBJECT,     \
   .of = &lbx_snapshot_type}

static const lbx_param create_options[] = {CREATE_OPTIONS, {0}};
static const lbx_param temporary_options[] = {
    CREATE_OPTIONS, {.name = "lease", .read = read_lease}, {0}};
static const lbx_param fork_options[] = {SAME_AS_FORK, {0}};

#define CREATE(rpc, takes, how)                                           \
  rpc, .args = {{.name = "name", .field = "name", .optional = true}},     \
  .options = takes, .result = LBX_RECORD, .of = &lbx_box_type,            \
  .sets = {{"restart_policy", .request = "restart_policy"}, TIMERS},      \
  .after = "boxd.internal.new_box", .choose = how, .disks = &lbx_config_disks

static const lbx_method create_from_snapshot = {
    "create", CREATE("CreateVmFromSnapshot", create_options, choose_create)};
/* What c.box:temporary makes its box by. */
static const lbx_method temporary = {
    "temporary", CREATE("CreateVm", temporary_options, choose_temporary)};
static const lbx_method temporary_from_snapshot = {
    "temporary",
    CREATE("CreateVmFromSnapshot", temporary_options, choose_temporary)};

static const lbx_method find_box = {"get", "ListVms", .result = LBX_FOUND,
                                    .field = "vms", .of = &lbx_box_type};
#define GET \
  {"get", "GetVm", .args = {{.name = "id", .field = "vm_id",             \
                             .sort = LBX_OBJECT}},                       \
   .result = LBX_RECORD, .of = &lbx_box_type, .otherwise = &find_box}
const lbx_method lbx_get_box = GET;

static const lbx_param list[] = {
    TEXT("org"), TEXT("all_contexts"),
    {.name = "labels", .field = "label_selector", .read = read_selector}, {0}};

/* A Box that was given knows that it is gone. */
static void forget_given(lua_State *L) {
  if (!lbx_is_record(L, LBX_GIVEN)) return;
  lua_pushliteral(L, "destroyed");
  lbx_record_set(L, LBX_GIVEN, "status");
  lbx_box_forget(L, LBX_GIVEN);
}

static const lbx_param destroy[] = {
    {.name = LBX_MISSING_OK, .type = LUA_TBOOLEAN}, {0}};

static const lbx_method service_methods[] = {
    {"create", CREATE("CreateVm", create_options, choose_create),
     .instead = "wait"},
    {"list", "ListVms", .options = list, .result = LBX_RECORDS,
     .field = "vms", .of = &lbx_box_type, .keep = has_labels},
    GET,
    {"fork", "ForkVm",
     .args = {{.name = "source", .field = "source_vm_id", .sort = LBX_OBJECT,
               .of = &lbx_box_type}},
     .options = fork_options, .result = LBX_RECORD, .of = &lbx_box_type,
     .sets = {TIMERS}, .after = "boxd.internal.new_box",
     .before = &lbx_get_box, .choose = choose_fork, .instead = "wait",
     .disks = &lbx_config_disks},
    {"destroy", "DestroyVm",
     .args = {{.name = "box", .field = "vm_id", .sort = LBX_OBJECT,
               .of = &lbx_box_type}},
     .options = destroy, .before = &lbx_get_box, .late = true,
     .done = forget_given},
    {"suggest_name", "SuggestVmName", .result = LBX_FIELD, .field = "name"},
    {0}};
static const char *const service_composed[] = {"temporary", "ensure", "sweep",
                                               NULL};

const lbx_type lbx_boxes_type = {
    .name = "Boxes", .metatable = "boxd.Boxes", .methods = service_methods,
    .module = "boxd.box", .composed = service_composed};

void lbx_open_box_core(lua_State *L) {
  lbx_push_method(L, &lbx_boxes_type, &temporary);
  lua_setfield(L, -2, "create");
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LBX_LIVING);
  lua_setfield(L, -2, "living");
}
