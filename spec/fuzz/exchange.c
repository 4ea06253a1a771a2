/*
** exchange: any bytes as the answers that a token exchange gives, the service's
** at either address and a machine's gateway's: status, headers, body, one
** exchange after another.
** A bearer comes out only of an answer that has a token, no message shows it,
** and who waits is told exactly once.
*/
#define bx_http_start real_http_start
#include "../../src/core/http.c"
#undef bx_http_start

#include <cjson/cJSON.h>

#include "core/auth.h"
#include "state.h"

#define SECRET "canary-5e55"

typedef struct waiter {
  bx_auth_wait wait;
  unsigned told;
} waiter;

static request *under_way;

/* In place of the network: the answer comes when the fuzzer gives it. */
bx_http *bx_http_start(bx_loop *loop, const bx_http_request *q,
                       void (*on_done)(bx_http *h), void *owner, bx_error *e) {
  request *r = calloc(1, sizeof *r);
  bx_error_clear(e);
  if (!r) abort();
  r->lib = bx_curl_load(e);
  if (!r->lib) fuzz_fail("%s", e->message);
  r->loop = loop;
  r->max_bytes = q->max_bytes;
  r->pub.on_done = on_done;
  r->pub.owner = owner;
  bx_error_clear(&r->pub.error);
  under_way = r;
  return &r->pub;
}

/* The next line of the input, up to a NUL, as libcurl hands it on. */
static bool feed(fuzz_input *in, request *r,
                 size_t (*to)(char *, size_t, size_t, void *)) {
  const uint8_t *stop = memchr(in->p, '\0', (size_t)(in->end - in->p));
  if (!stop) stop = in->end;
  size_t n = (size_t)(stop - in->p);
  char *copy = malloc(n + 1);
  if (!copy) abort();
  memcpy(copy, in->p, n);
  in->p = stop < in->end ? stop + 1 : stop;
  bool ok = to(copy, 1, n, r) == n;
  free(copy);
  return ok;
}

static void answer(fuzz_input *in) {
  static const long statuses[] = {200, 200, 200, 200, 401, 429, 302, 404};
  request *r = under_way;
  uint8_t how = fuzz_byte(in);
  bool whole = true;
  for (unsigned n = how >> 3 & 3; whole && n; n--)
    whole = feed(in, r, on_header);
  for (unsigned n = how >> 5; whole && n; n--) whole = feed(in, r, on_body);
  under_way = NULL;
  r->pub.status = statuses[how & 7];
  finished(&r->transfer, whole ? CURLE_OK : CURLE_WRITE_ERROR, NULL);
}

static void ready(bx_auth_wait *w, const char *bearer, const bx_error *e) {
  waiter *self = (waiter *)((char *)w - offsetof(waiter, wait));
  self->told++;
  if (!bearer == !e) fuzz_fail("neither a bearer nor an error");
  if (e && (!e->class_ || !e->message[0])) fuzz_fail("an error without words");
  if (e && strstr(e->message, SECRET)) fuzz_fail("it tells: %s", e->message);
  if (!bearer) return;
  if (strncmp(bearer, "Bearer ", 7) || !bearer[7]) fuzz_fail("no bearer");
  for (const char *s = bearer + 7; *s; s++)
    if (*s <= ' ' || *s > '~') fuzz_fail("a bearer that no header can hold");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  fuzz_input in = {data, data + len};
  bx_error e;
  uint8_t how = fuzz_byte(&in);
  bx_auth_config config = {.api_key = how & 1 ? SECRET : NULL,
                           .exchange_url = {"http://127.0.0.1:1/",
                                            how & 8 ? "http://[::1]:1/" : NULL},
                           .machine = !(how & 1),
                           .follow = true};
  bx_loop *loop = bx_loop_new();
  bx_auth *a = bx_auth_open(loop, &config, &e);
  if (!loop || !a) abort();
  for (unsigned n = 1 + (how >> 1 & 3); n; n--) {
    waiter w[2] = {{{0}, 0}, {{0}, 0}};
    for (int i = 0; i < 2; i++) w[i].wait.ready = ready;
    for (int i = 0; i < 2; i++) bx_auth_get(a, &w[i].wait);
    /* Once more at the other address, but no third time. */
    for (int i = 0; under_way && i < 2; i++) answer(&in);
    if (under_way) fuzz_fail("the key goes round");
    for (int i = 0; i < 2; i++) {
      bx_auth_drop(a, &w[i].wait);
      if (w[i].told > 1) fuzz_fail("told %u times", w[i].told);
    }
    if (how & 16) bx_auth_refused(a, "Bearer token", 12);
  }
  under_way = NULL;
  bx_auth_unref(a);
  bx_loop_free(loop);
  return 0;
}
