/* Box, and its files. */
#include <lauxlib.h>
#include <string.h>

#include "boxd.pb-c.h"
#include "error.h"
#include "exec.h"
#include "lease.h"
#include "method_private.h"
#include "path.h"
#include "type.h"
#include "types.h"

#define OF(name) &boxd__api__v1__##name##__descriptor
#define ON .self = "vm_id"
#define STATUS(s) .sets = {{"status", .value = s}}
#define SETS(to, from) .sets = {{to, .request = from}}
#define GIVES(to, from) .sets = {{to, .reply = from}}
#define TEXT(of) {.name = of, .field = of}
#define ARG(of) .args = {TEXT(of)}
#define PORT \
  .args = {{.name = "vm_port", .field = "vm_port", .sort = LBX_PORT}}

static const ProtobufCMessageDescriptor *const messages[] = {
    OF(get_vm_response), OF(create_vm_response), OF(fork_vm_response),
    OF(create_vm_from_template_response), NULL};

static const lbx_param usage[] = {
    TEXT("since"), {.name = "until_time", .field = "until"}, TEXT("org"), {0}};
static const lbx_param protocol[] = {TEXT("protocol"), {0}};

#define WAIT {.name = "wait", .type = LUA_TBOOLEAN, .wider = true}
static const lbx_param reboot[] = {WAIT, {0}};
static const lbx_param resize[] = {
    TEXT("vcpu"),
    {.name = "memory", .field = "memory_bytes", .sort = LBX_SIZE}, WAIT, {0}};
static const lbx_param destroy[] = {
    {.name = LBX_MISSING_OK, .type = LUA_TBOOLEAN}, {0}};
static const lbx_param labels[] = {TEXT("remove"), TEXT("replace_all"), {0}};
static const lbx_param mkdir[] = {
    {.name = "mode", .any = true, .wider = true},
    {.name = "owner", .type = LUA_TSTRING, .wider = true}, {0}};

/* ---- what rows of Box check, and what they set ---- */

static void complete_size(lua_State *L) {
  lua_getfield(L, LBX_OPTIONS, "vcpu");
  lua_getfield(L, LBX_OPTIONS, "memory_bytes");
  if (lua_isnil(L, -1) && lua_isnil(L, -2))
    lbx_error_invalid(L, "resize: vcpu or memory expected; either names a "
                      "size");
  lua_pop(L, 2);
}

/* A whole number of seconds, or the text of { cron = }. */
static void read_deletion(lua_State *L, int idx, const char *method) {
  static const char *const names[] = {"cron", NULL};
  if (lua_istable(L, idx)) {
    lbx_options(L, idx, method, names);
    if (lua_getfield(L, idx, "cron") == LUA_TNIL)
      lbx_error_invalid(L, "%s: a number of seconds, or { cron = } expected",
                        method);
    if (lua_type(L, -1) != LUA_TSTRING)
      lbx_error_usage(L, "bad option 'cron' to '%s' (string expected, got %s)",
                      method, lbx_type_name(L, -1));
    lua_replace(L, idx);
  } else if (!lua_isinteger(L, idx)) {
    lbx_error_usage(L, "bad argument #1 to '%s' (integer expected, got %s)",
                    method, lbx_type_name(L, idx));
  } else if (lua_tointeger(L, idx) < 0) {
    lbx_error_invalid(L, "%s: seconds: an integer from 0 on expected, not %s",
                      method, lbx_push_shown(L, idx));
  }
}

static void complete_deletion(lua_State *L) {
  lua_pushvalue(L, 2);
  lua_setfield(L, LBX_OPTIONS, lua_isinteger(L, 2) ? "delete_after_secs"
                                                   : "delete_after_cron");
}

static void read_labels(lua_State *L, int idx, const char *method) {
  lbx_path root = LBX_PATH_ROOT(method);
  lbx_path at = LBX_PATH_NAME(&root, method);
  if (!lua_istable(L, idx))
    lbx_error_usage(L, "bad argument #1 to '%s' (table expected, got %s)",
                    method, lbx_type_name(L, idx));
  lua_pushvalue(L, idx);
  lbx_check_map(L, &at);
  lua_pop(L, 1);
}

static void complete_labels(lua_State *L) {
  bool removes = lua_getfield(L, LBX_OPTIONS, "remove") != LUA_TNIL;
  lua_pop(L, 1);
  if (removes && lbx_option_on(L, "replace_all"))
    lbx_error_invalid(L, "set_labels: replace_all removes every other label, so "
                      "that it takes no remove");
}

/* "on", "sleep_only" or "off", or true or false. */
static void read_mode(lua_State *L, int idx, const char *method) {
  if (lua_isboolean(L, idx)) {
    lua_pushstring(L, lua_toboolean(L, idx) ? "on" : "off");
    lua_replace(L, idx);
  }
  if (lua_type(L, idx) != LUA_TSTRING)
    lbx_error_usage(L, "bad argument #1 to '%s' (string expected, got %s)",
                    method, lbx_type_name(L, idx));
}

static void complete_mode(lua_State *L) {
  const char *mode = lua_tostring(L, 2);
  bool off = strcmp(mode, "off") == 0;
  if (!off && strcmp(mode, "on") != 0 && strcmp(mode, "sleep_only") != 0)
    lbx_error_invalid(L, "set_bot_protection: \"on\", \"sleep_only\" or \"off\" "
                      "expected, not %s", lbx_push_shown(L, 2));
  lua_pushboolean(L, !off);
  lua_setfield(L, LBX_OPTIONS, "enabled");
}

void lbx_box_forget(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LBX_LIVING);
  lua_pushvalue(L, idx);
  lua_pushnil(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  lbx_end_lease(L, idx);
}

static void forget(lua_State *L) { lbx_box_forget(L, 1); }

static bool is_leased(lua_State *L) {
  bool leased = lbx_push_lease(L, 1);
  lua_pop(L, 1);
  return leased;
}

/* Is the address one of this machine, which is reached without TLS? */
static bool is_here(const char *domain) {
  return strncmp(domain, "127.", 4) == 0 ||
         strncmp(domain, "localhost", 9) == 0;
}

/* The domain on the top becomes a url, if it is none. */
static void add_scheme(lua_State *L) {
  const char *domain = lua_tostring(L, -1);
  if (!domain || strstr(domain, "://")) return;
  lua_pushfstring(L, "%s%s", is_here(domain) ? "http://" : "https://", domain);
  lua_replace(L, -2);
}

/* ---- proxies ---- */

/* The name is for a service from before `vm`. */
#define BY_NAME .self = "vm", .self_name = "vm_name"

/* A port, or "auto": the service finds it. */
static void read_port(lua_State *L, int idx, const char *method) {
  if (lua_type(L, idx) == LUA_TSTRING &&
      strcmp(lua_tostring(L, idx), "auto") == 0)
    return;
  if (!lua_isinteger(L, idx))
    lbx_error_usage(L, "bad argument #1 to '%s' (integer or \"auto\" expected, "
                    "got %s)", method, lbx_type_name(L, idx));
  if (lua_tointeger(L, idx) < 0 || lua_tointeger(L, idx) > 65535)
    lbx_error_invalid(L, "%s: a port is 0 to 65535, not %s", method,
                      lbx_push_shown(L, idx));
  lua_tostring(L, idx);
}

static void add_url(lua_State *L) {
  lua_getfield(L, -1, "domain");
  add_scheme(L);
  lua_setfield(L, -2, "url");
}

static void add_urls(lua_State *L) {
  for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
    add_url(L);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static void finish_proxy(lua_State *L) {
  lua_pushboolean(L, false);
  lua_setfield(L, -2, "is_default");
  add_url(L);
}

/* ---- Box ---- */

/* What box.files has as well. */
#define FILE_METHODS                                                         \
  {"remove", "DeletePath", ON, ARG("path")},                                 \
  {"copy", "CopyPath", ON, .args = {TEXT("old_path"), TEXT("new_path")}},    \
  {"list_dir", "ListDir", ON, ARG("path"), .result = LBX_FIELD,              \
   .field = "entries", .also = "truncated"},                                 \
  {"mkdir", "Mkdir", ON, ARG("path"), .options = mkdir}

static const lbx_method methods[] = {
    {"start", "StartVm", ON, STATUS("running")},
    {"stop", "StopVm", ON, STATUS("stopped")},
    {"reboot", "RebootVm", ON, STATUS("running"), .options = reboot},
    {"destroy", "DestroyVm", ON, STATUS("destroyed"), .options = destroy,
     .done = forget},
    {"suspend", "SuspendVm", ON, STATUS("suspended"), .result = LBX_WHOLE},
    {"resume", "ResumeVm", ON, STATUS("running"), .result = LBX_WHOLE},
    {"hibernate", "HibernateVm", ON, STATUS("hibernated")},
    {"wake", "WakeVm", ON, STATUS("running")},
    {"refresh", "GetVm", ON, .result = LBX_REFRESH},
    {"share", "ShareVm", ON},
    {"unshare", "UnshareVm", ON},
    {"rename", "RenameVm", ON, ARG("new_name"),
     /* The service gives a new domain, which a refresh has. */
     .sets = {{"name", .request = "new_name", .reply = "name"},
              {.field = "url"},
              {.field = "access_domain"}}},
    /* Seconds without a client; 0 turns it off. */
    {"set_auto_suspend_timeout", "SetAutoSuspendTimeout", ON,
     ARG("timeout_secs"), SETS("auto_suspend_timeout_secs", "timeout_secs")},
    {"set_auto_hibernate_timeout", "SetAutoHibernateTimeout", ON,
     ARG("timeout_secs"), SETS("auto_hibernate_timeout_secs", "timeout_secs")},
    /* Whole lists, in place of the earlier ones; the result is in force. */
    {"set_networks", "SetVmNetworks", ON, ARG("networks"),
     .result = LBX_FIELD, .field = "networks", GIVES("networks", "networks")},
    {"set_egress", "SetVmEgressAllow", .self = "vm", ARG("entries"),
     .result = LBX_FIELD, .field = "entries", GIVES("egress_allow", "entries")},
    {"set_labels", "UpdateVmLabels", .self = "vm",
     .args = {{.name = "labels", .field = "set", .read = read_labels}},
     .options = labels, .complete = complete_labels, .result = LBX_FIELD,
     .field = "labels", GIVES("labels", "labels")},
    {"set_delete_after", "SetDeleteAfter", ON,
     .args = {{.name = "when", .read = read_deletion}},
     .complete = complete_deletion, .more = is_leased, .result = LBX_FIELD,
     .field = "delete_at_ms",
     .sets = {{"delete_at", .reply = "delete_at_ms"},
              {"delete_after_cron", .request = "delete_after_cron"}}},
    {"set_bot_protection", "SetBotProtection", ON,
     .args = {{.name = "mode", .field = "mode", .read = read_mode}},
     .complete = complete_mode,
     .sets = {{"bot_protection", .request = "enabled"},
              {"bot_protection_mode", .request = "mode"}}},
    {"resize", "ResizeVm", ON, .options = resize, .complete = complete_size,
     .result = LBX_WHOLE,
     .sets = {{"vcpu", .reply = "vcpu"},
              {"memory_bytes", .reply = "memory_bytes"}}},
    {"set_idle_ignore_outbound", "SetIdleIgnoreOutbound", ON, ARG("enabled"),
     SETS("idle_ignore_outbound", "enabled")},
    {"exec", .lua = lbx_box_exec},
    {"sh", .lua = lbx_box_sh},
    {"usage", "GetVmUsage", ON, .options = usage, .result = LBX_WHOLE},
    {"expose", "ExposePort", .self = "vm", PORT, .options = protocol,
     .result = LBX_WHOLE},
    {"unexpose", "UnexposePort", .self = "vm", PORT, .result = LBX_FIELD,
     .field = "forward"},
    {"exposed_ports", "ListExposedPorts", .self = "vm", .result = LBX_FIELD,
     .field = "forwards"},
    {"proxies", "ListProxies", BY_NAME, .result = LBX_FIELD,
     .field = "proxies", .done = add_urls},
    {"create_proxy", "CreateProxy", BY_NAME,
     .args = {TEXT("name"), {.name = "port", .field = "port", .sort = LBX_PORT,
                             .optional = true}},
     .result = LBX_WHOLE, .done = finish_proxy},
    {"set_proxy_port", "SetProxyPort", BY_NAME,
     .args = {{.name = "port", .field = "port", .read = read_port},
              {.name = "name", .field = "name", .optional = true}}},
    {"delete_proxy", "DeleteProxy", BY_NAME, ARG("name")},
    FILE_METHODS,
    {0}};

static const char *const composed[] = {
    "wait_until_ready", "stream_logs", "write_file", "read_file", "upload",
    "download", "download_folder", "update_spec", "up", "down", "wait_for_port",
    "publish", "stat", "exists", "job", "get_job", "jobs", "sync_to",
    "sync_from", "forward", NULL};
static const char *const shown[] = {"id", "name", "image", "public_ip",
                                    "status", NULL};
static const char *const kept[] = {"boot_time_ms", NULL};
static const char *const more[] = {"files", NULL};
static const lbx_setter setters[] = {
    {"spec", "update_spec"}, {"isolated", "update_spec"}, {NULL, NULL}};

/* box.files: the same record with other methods. */
static int files(lua_State *L) {
  if (strcmp(lua_tostring(L, 2), "files") != 0) return 0;
  return lbx_push_as(L, 1, &lbx_files_type);
}

/* Services say the domain (of the default proxy), the url, or, at times, the
** url without its scheme. */
static void push_url(lua_State *L, int idx) {
  lbx_record_get(L, idx, "access_domain");
  if (lua_isnil(L, -1)) lua_pop(L, 1);
  else lua_replace(L, -2);
  add_scheme(L);
}

const lbx_type lbx_box_type = {
    .name = "Box", .metatable = "boxd.Box", .messages = messages,
    .shown = shown, .methods = methods, .module = "boxd.box",
    .composed = composed, .kept = kept, .other = files, .more = more,
    .derived = {"url", push_url}, .setters = setters};

static const lbx_method file_methods[] = {
    FILE_METHODS,
    {"rename", "RenamePath", ON,
     .args = {TEXT("old_path"), TEXT("new_path")}},
    {0}};
static const char *const file_composed[] = {"write_file", "read_file", "upload",
                                            "download", "download_folder",
                                            "stat", "exists", NULL};
static const char *const file_shown[] = {"id", NULL};

const lbx_type lbx_files_type = {
    .name = "Files", .metatable = "boxd.Files", .messages = messages,
    .shown = file_shown, .methods = file_methods, .module = "boxd.box",
    .composed = file_composed};
