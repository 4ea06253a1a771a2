/* The services of an account: c.domain, c.network, c.token,
** c.api_key, c.env, c.secret. They return plain tables. */
#include "method.h"
#include "types.h"

#define TEXT(of) {.name = of, .field = of}
#define EXPIRES {.name = "expires_in", .field = "expires_in_secs"}
#define SERVICE(of, rows, file, lua)                                        \
  {.name = of, .metatable = "boxd." of, .methods = rows, .module = file,   \
   .composed = lua}

/* A custom domain: its RPCs differ by era, so all is Lua. */
static const lbx_method none[] = {{0}};
static const char *const domain_composed[] = {"bind", "list", "unbind", NULL};
const lbx_type lbx_domains_type =
    SERVICE("Domains", none, "boxd.domain", domain_composed);

static const lbx_method network_methods[] = {
    {"create", "CreateNetwork",
     .args = {{.name = "name", .field = "name", .sort = LBX_OPTIONAL}},
     .result = LBX_WHOLE},
    {"list", "ListNetworks", .result = LBX_FIELD, .field = "networks"},
    {0}};
const lbx_type lbx_networks_type =
    SERVICE("Networks", network_methods, NULL, NULL);

static const lbx_param token[] = {EXPIRES, {0}};
static const lbx_method token_methods[] = {
    {"create", "CreateToken", .options = token, .result = LBX_WHOLE},
    {"list", "ListTokens", .result = LBX_FIELD, .field = "tokens"},
    {"revoke", "RevokeToken", .args = {TEXT("jti")}},
    {0}};
const lbx_type lbx_tokens_type = SERVICE("Tokens", token_methods, NULL, NULL);

static const lbx_param api_key[] = {TEXT("name"), TEXT("org"), TEXT("kind"),
                                    EXPIRES, {0}};
static const lbx_method api_key_methods[] = {
    {"create", "CreateApiKey", .options = api_key, .result = LBX_WHOLE},
    {"list", "ListApiKeys", .result = LBX_FIELD, .field = "keys"},
    {"delete", "DeleteApiKey", .args = {TEXT("id")}},
    {0}};
const lbx_type lbx_api_keys_type =
    SERVICE("ApiKeys", api_key_methods, NULL, NULL);

/* c.env and c.secret */

static const lbx_param org[] = {TEXT("org"), {0}};
static const lbx_param scope[] = {TEXT("scope"), TEXT("org"), {0}};
static const lbx_param domains[] = {TEXT("scope"), TEXT("org"),
                                    TEXT("domains"), {0}};

#define SAYS .result = LBX_FIELD, .field = "message"
#define VARIABLES(of, set_options)                                          \
  {"set", "SetVar", .args = {TEXT("name"), TEXT("value")},                  \
   .options = set_options, .fixed = {"kind", of}, SAYS},                    \
  {"delete", "RemoveVar", .args = {TEXT("name")}, .options = scope,         \
   .fixed = {"kind", of}, SAYS},                                            \
  {"move", "SetSecretScope",                                                \
   .args = {TEXT("name"), TEXT("from"), TEXT("to")}, .options = org, SAYS}, \
  {0}

static const lbx_method env_methods[] = {VARIABLES("env", scope)};
static const lbx_method secret_methods[] = {VARIABLES("secret", domains)};
static const char *const listed[] = {"list", NULL};
const lbx_type lbx_env_type =
    SERVICE("Env", env_methods, "boxd.variables", listed);
const lbx_type lbx_secrets_type =
    SERVICE("Secrets", secret_methods, "boxd.variables", listed);
