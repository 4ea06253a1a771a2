/* The services of an account: c.domain, c.network, c.token,
** c.api_key, c.env, c.secret. They return plain tables. */
#include <lauxlib.h>

#include "method.h"
#include "types.h"

#define TEXT(of) {.name = of, .field = of}
#define EXPIRES {.name = "expires_in", .field = "expires_in_secs"}
#define SERVICE(of, rows) \
  {.name = of, .metatable = "boxd." of, .methods = rows}

/* c.domain: a domain of one's own that leads to a box. The 0.1 contract binds
** domains, today's has custom domains. */

static const lbx_method custom_domains[4];

#define BIND(rpc)                                                     \
  "bind", rpc, .args = {TEXT("domain"),                               \
                        {.name = "box", .field = "vm_id",             \
                         .sort = LBX_OBJECT, .of = &lbx_box_type}},   \
  .before = &lbx_get_box, .era = true
#define LIST(rpc) \
  "list", rpc, .result = LBX_FIELD, .field = "domains", .era = true
#define UNBIND(rpc) "unbind", rpc, .args = {TEXT("domain")}, .era = true

static const lbx_method domain_methods[] = {
    {BIND("BindDomain"), .otherwise = &custom_domains[0]},
    {LIST("ListDomains"), .otherwise = &custom_domains[1]},
    {UNBIND("UnbindDomain"), .otherwise = &custom_domains[2]},
    {0}};
static const lbx_method custom_domains[] = {
    {BIND("AddCustomDomain"), .result = LBX_FIELD, .field = "domain",
     .otherwise = &domain_methods[0]},
    {LIST("ListCustomDomains"), .otherwise = &domain_methods[1]},
    {UNBIND("RemoveCustomDomain"), .otherwise = &domain_methods[2]},
    {0}};
const lbx_type lbx_domains_type = SERVICE("Domains", domain_methods);

static const lbx_method network_methods[] = {
    {"create", "CreateNetwork",
     .args = {{.name = "name", .field = "name", .optional = true}},
     .result = LBX_WHOLE},
    {"list", "ListNetworks", .result = LBX_FIELD, .field = "networks"},
    {0}};
const lbx_type lbx_networks_type = SERVICE("Networks", network_methods);

static const lbx_param token[] = {EXPIRES, {0}};
static const lbx_method token_methods[] = {
    {"create", "CreateToken", .options = token, .result = LBX_WHOLE},
    {"list", "ListTokens", .result = LBX_FIELD, .field = "tokens"},
    {"revoke", "RevokeToken", .args = {TEXT("jti")}},
    {0}};
const lbx_type lbx_tokens_type = SERVICE("Tokens", token_methods);

static const lbx_param api_key[] = {TEXT("name"), TEXT("org"), TEXT("kind"),
                                    EXPIRES, {0}};
static const lbx_method api_key_methods[] = {
    {"create", "CreateApiKey", .options = api_key, .result = LBX_WHOLE},
    {"list", "ListApiKeys", .result = LBX_FIELD, .field = "keys"},
    {"delete", "DeleteApiKey", .args = {TEXT("id")}},
    {0}};
const lbx_type lbx_api_keys_type = SERVICE("ApiKeys", api_key_methods);

/* c.env and c.secret */

/* Leaves only these fields of what a list's element on the top has. */
static void keep_fields(lua_State *L, const char *const *names) {
  lua_newtable(L);
  for (; *names; names++) {
    lua_getfield(L, -2, *names);
    lua_setfield(L, -2, *names);
  }
  lua_remove(L, -2);
}

static void keep_fields_of_all(lua_State *L, const char *const *names) {
  for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
    keep_fields(L, names);
    lua_rawseti(L, -2, i);
  }
  lua_pop(L, 1);
}

static void finish_plain(lua_State *L) {
  static const char *const names[] = {"name", "value", "scope", NULL};
  keep_fields_of_all(L, names);
  for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
    if (lua_getfield(L, -1, "value") == LUA_TNIL) {
      lua_pushliteral(L, "");
      lua_setfield(L, -3, "value");
    }
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
}

/* A secret is never given back. */
static void finish_secrets(lua_State *L) {
  static const char *const names[] = {"name", "scope", "domains",
                                      "bound_machines", NULL};
  keep_fields_of_all(L, names);
}

static const lbx_param org[] = {TEXT("org"), {0}};
static const lbx_param scope[] = {TEXT("scope"), TEXT("org"), {0}};
static const lbx_param domains[] = {TEXT("scope"), TEXT("org"),
                                    TEXT("domains"), {0}};

#define SAYS .result = LBX_FIELD, .field = "message"
#define VARIABLES(of, set_options, finish)                                  \
  {"set", "SetVar", .args = {TEXT("name"), TEXT("value")},                  \
   .options = set_options, .fixed = {"kind", of}, SAYS},                    \
  {"delete", "RemoveVar", .args = {TEXT("name")}, .options = scope,         \
   .fixed = {"kind", of}, SAYS},                                            \
  {"move", "SetSecretScope",                                                \
   .args = {TEXT("name"), TEXT("from"), TEXT("to")}, .options = org, SAYS}, \
  {"list", "ListVars", .options = org, .fixed = {"kind", of},               \
   .result = LBX_FIELD, .field = "vars", .done = finish},                   \
  {0}

static const lbx_method env_methods[] = {
    VARIABLES("env", scope, finish_plain)};
static const lbx_method secret_methods[] = {
    VARIABLES("secret", domains, finish_secrets)};
const lbx_type lbx_env_type = SERVICE("Env", env_methods);
const lbx_type lbx_secrets_type = SERVICE("Secrets", secret_methods);
