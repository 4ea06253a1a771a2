/*
** credentials: the parts of a client: which credentials, where the service
** is, where keys are exchanged; from arguments, the environment and defaults,
** in the order that the README promises. Touches no network and keeps nothing:
** its results point into the configuration, the environment or itself.
**
** An empty text counts as absent everywhere.
*/
#ifndef BX_CREDENTIALS_H
#define BX_CREDENTIALS_H

#include <stdbool.h>

#include "error.h"
#include "text.h"

/* A service that comes before the environment's, for a client with no api_url
** of its own: boxdlua --local's. */
typedef struct bx_provided {
  const char *api_url, *exchange_url, *api_key;
} bx_provided;

/* All of it may be NULL. */
typedef struct bx_client_config {
  const char *token;        /* used as it is; a key if it begins as one */
  const char *api_key;      /* exchanged for a token */
  const char *api_url;      /* "https://host:port" and as bx_text_endpoint has */
  const char *exchange_url; /* where keys are exchanged: http or https */
  const char *ca_file;      /* PEM roots instead of the system's */
  const bx_provided *provided;
  double keepalive;         /* seconds between pings; 0: none */
  unsigned max_retries;     /* of a call that only reads, while the service is
                               unavailable */
} bx_client_config;

/* Initializes one. */
#define BX_CLIENT_DEFAULTS {.keepalive = 330, .max_retries = 2}

/* Seconds that a unary call has where its caller names no time. */
#define BX_CLIENT_TIMEOUT 60

/* One of the three. The configuration's owner owns the texts. */
typedef struct bx_credentials {
  const char *token, *api_key;
  const char *from; /* the argument or variable that has them; of a provided
                       service NULL */
  bool machine; /* perhaps: the gateway of a boxd machine is asked by auth */
} bx_credentials;

/* In this order: token, api_key, provided, BOXD_TOKEN, BOXD_API_KEY, signs of a
** boxd machine (BOXD_VM_ID, BOXD_VM_NAME, BOXD_PROXY_ENDPOINT). A token that
** begins with bxd_ or bxk_ is a key. BX_AUTHENTICATION: there are none. */
bx_class bx_credentials_find(const bx_client_config *config,
                             bx_credentials *out, bx_error *e);

#define BX_EXCHANGE_URL_MAX 320

/* exchange points into `derived` where it was derived: not to be copied. */
typedef struct bx_addresses {
  bx_endpoint api;
  bool named; /* ... by argument or environment, not by default */
  const char *exchange[2]; /* the second: asked where the first does not
                              exchange keys; NULL where one is named */
  char derived[2][BX_EXCHANGE_URL_MAX];
} bx_addresses;

/* The service: api_url, provided, BOXD_BASE_URL, BOXD_API_URL, boxd.sh. The
** exchange: exchange_url, provided, BOXD_EXCHANGE_URL, else the service's
** console, https://app.HOST, and then https://HOST; localhost, an address or an
** app.HOST is asked itself, as the service is. BX_INVALID_ARGUMENT: the
** text is not such an address; the message shows nothing of it that may be
** secret. */
bx_class bx_addresses_find(const bx_client_config *config, bx_addresses *out,
                           bx_error *e);

#endif
