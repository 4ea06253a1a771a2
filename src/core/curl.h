/*
** curl: libcurl, loaded at the first request (linked in it would double the
** time a script takes to start), and the one multi handle of a loop, driven by
** the loop's watches and timers. What libcurl frees is wiped: it has had keys
** and tokens in its buffers.
**
** A transfer is embedded in its owner, with an easy handle of the owner's. From
** bx_curl_add until it has finished or bx_curl_remove, the handle is in the
** multi handle. No owner is called from within libcurl, so a transfer may be
** removed and freed at any time, also as another one finishes.
*/
#ifndef BX_CURL_H
#define BX_CURL_H

#include <curl/curl.h>
#include <stdint.h>

#include "error.h"
#include "loop.h"

typedef struct bx_curl bx_curl;

#define BX_CURL_FUNCTIONS(X)                                              \
  X(global_init_mem) X(easy_init) X(easy_cleanup) X(easy_setopt)          \
  X(easy_getinfo) X(easy_strerror) X(multi_init) X(multi_cleanup)         \
  X(multi_setopt) X(multi_add_handle) X(multi_remove_handle)              \
  X(multi_socket_action) X(multi_info_read) X(multi_assign)               \
  X(multi_strerror) X(slist_append) X(slist_free_all) X(getdate) X(url)   \
  X(url_cleanup) X(url_set) X(url_get) X(url_strerror) X(free)        \
  X(version_info)

/* libcurl's functions, by their names without "curl_". */
typedef struct bx_curl_library {
#define X(name) __typeof__(curl_##name) *name;
  BX_CURL_FUNCTIONS(X)
#undef X
  /* SSL_CTX_set_options of the OpenSSL that libcurl brings, which is not ours
  ** where ours is linked statically. NULL: it brings none. */
  uint64_t (*ssl_ctx_set_options)(void *context, uint64_t options);
} bx_curl_library;

/* NULL and e filled when libcurl can't be loaded. Never unloaded. */
const bx_curl_library *bx_curl_load(bx_error *e);

typedef struct bx_transfer bx_transfer;
struct bx_transfer {
  bx_transfer *prev, *next; /* in the loop's list */
  CURL *easy;
  bool added, doomed;
  bool secret; /* libcurl's buffers are freed after it */
  /* It is over and off the multi handle. e: what kept the loop from driving
  ** it; NULL: `result` says how it ended. May free the transfer. */
  void (*finished)(bx_transfer *t, CURLcode result, const bx_error *e);
};

/* Starts t, whose easy and finished are set. */
bx_class bx_curl_add(bx_loop *loop, bx_transfer *t, bx_error *e);

/* Ends t without a word. Idempotent. */
void bx_curl_remove(bx_loop *loop, bx_transfer *t);

/* For the loop only; every transfer has been removed. */
void bx_curl_free(bx_curl *c);

#endif
