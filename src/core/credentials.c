#include "credentials.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth.h"

#define DEFAULT_API_URL "https://boxd.sh:9443"
#define EXCHANGE_PATH "/api/v1/auth/token"

static const char *present(const char *s) { return s && *s ? s : NULL; }

/* The provided service, for a client that names none. */
static const bx_provided *provided(const bx_client_config *config) {
  return present(config->api_url) ? NULL : config->provided;
}

static bool is_key(const char *s) {
  return strncmp(s, "bxd_", 4) == 0 || strncmp(s, "bxk_", 4) == 0;
}

static bool take_token(const char *s, const char *from, bx_credentials *out) {
  if (!present(s)) return false;
  if (is_key(s))
    out->api_key = s;
  else
    out->token = s;
  out->from = from;
  return true;
}

static bool take_key(const char *s, const char *from, bx_credentials *out) {
  if (!present(s)) return false;
  out->api_key = s;
  out->from = from;
  return true;
}

static bool take_machine(bx_credentials *out) {
  static const char *const signs[] = {"BOXD_VM_ID", "BOXD_VM_NAME",
                                      "BOXD_PROXY_ENDPOINT"};
  for (size_t i = 0; i < 3 && !out->machine; i++) {
    out->machine = present(getenv(signs[i])) != NULL;
    out->from = signs[i];
  }
  return out->machine;
}

bx_class bx_credentials_find(const bx_client_config *config,
                             bx_credentials *out, bx_error *e) {
  const bx_provided *given = provided(config);
  *out = (bx_credentials){0};
  if (take_token(config->token, "token", out) ||
      take_key(config->api_key, "api_key", out) ||
      (given && take_key(given->api_key, NULL, out)) ||
      take_token(getenv("BOXD_TOKEN"), "BOXD_TOKEN", out) ||
      take_key(getenv("BOXD_API_KEY"), "BOXD_API_KEY", out) ||
      take_machine(out))
    return BX_OK;
  return bx_error_set(e, BX_AUTHENTICATION, BX_NO_CREDENTIALS);
}

static bool is_address(const char *host) {
  struct in_addr four;
  return strchr(host, ':') || inet_pton(AF_INET, host, &four) == 1;
}

/* Where the service at an endpoint exchanges keys: a deployed one at its
** console, over TLS. */
static void derive(bx_addresses *a) {
  const bx_endpoint *at = &a->api;
  if (strcasecmp(at->host, "localhost") == 0 || is_address(at->host) ||
      strncasecmp(at->host, "app.", 4) == 0) {
    snprintf(a->derived[0], BX_EXCHANGE_URL_MAX, "%s://%s" EXCHANGE_PATH,
             at->tls ? "https" : "http", at->target);
  } else {
    snprintf(a->derived[0], BX_EXCHANGE_URL_MAX, "https://app.%s" EXCHANGE_PATH,
             at->host);
    snprintf(a->derived[1], BX_EXCHANGE_URL_MAX, "https://%s" EXCHANGE_PATH,
             at->host);
    a->exchange[1] = a->derived[1];
  }
  a->exchange[0] = a->derived[0];
}

static bool is_url(const char *s) {
  size_t scheme = strncasecmp(s, "https://", 8) == 0  ? 8
                  : strncasecmp(s, "http://", 7) == 0 ? 7
                                                      : 0;
  return scheme && s[scheme] && s[scheme] != '/';
}

static const char *first(const char *a, const char *b, const char *c) {
  return present(a) ? a : present(b) ? b : present(c);
}

bx_class bx_addresses_find(const bx_client_config *config, bx_addresses *out,
                           bx_error *e) {
  const bx_provided *given = provided(config);
  const char *url = first(config->api_url, given ? given->api_url : NULL,
                          first(getenv("BOXD_BASE_URL"), getenv("BOXD_API_URL"),
                                NULL));
  const char *exchange =
      first(config->exchange_url, given ? given->exchange_url : NULL,
            getenv("BOXD_EXCHANGE_URL"));
  memset(out, 0, sizeof *out);
  out->named = url != NULL;
  if (!url) url = DEFAULT_API_URL;
  if (bx_text_endpoint(url, strlen(url), &out->api, e)) return e->class_;
  out->exchange[0] = exchange;
  if (!exchange) derive(out);
  if (is_url(out->exchange[0])) return BX_OK;
  return bx_error_set(e, BX_INVALID_ARGUMENT,
                      "exchange_url: an http:// or https:// URL expected");
}
