#include "token.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct bx_token {
  unsigned refs;
  bx_token *next;
  char *identity;
  const void *claimant; /* who exchanges the key; NULL: nobody */
  atomic_uint version;  /* of value; also read without the lock */
  bx_token_value value;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the rest */
static bx_token *tokens;

static void hold(void) { pthread_mutex_lock(&lock); }

static void let_go(void) { pthread_mutex_unlock(&lock); }

/* A forked child must not find the lock held by a thread that it does not have. */
static void watch_forks(void) { pthread_atfork(hold, let_go, let_go); }

double bx_token_clock(void) {
  struct timespec ts;
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void wipe(char *s) {
  if (s) OPENSSL_cleanse(s, strlen(s));
  free(s);
}

void bx_token_clear(bx_token_value *v) {
  wipe(v->bearer);
  free(v->service_url);
  v->bearer = v->service_url = NULL;
}

/* False: no memory, and *to is as it was. */
static bool copy(bx_token_value *to, const bx_token_value *from) {
  bx_token_value v = *from;
  v.bearer = from->bearer ? strdup(from->bearer) : NULL;
  v.service_url = from->service_url ? strdup(from->service_url) : NULL;
  if (!v.bearer != !from->bearer || !v.service_url != !from->service_url) {
    bx_token_clear(&v);
    return false;
  }
  bx_token_clear(to);
  *to = v;
  return true;
}

static void destroy(bx_token *t) {
  wipe(t->identity);
  bx_token_clear(&t->value);
  free(t);
}

/* NULL: no memory. */
static bx_token *make(const char *identity) {
  bx_token *t = calloc(1, sizeof *t);
  if (t) t->identity = strdup(identity);
  if (t && t->identity) return t;
  free(t);
  return NULL;
}

/* Under the lock. NULL: no memory. */
static bx_token *find(const char *identity) {
  bx_token *t = tokens;
  while (t && strcmp(t->identity, identity) != 0) t = t->next;
  if (t || !(t = make(identity))) return t;
  t->next = tokens;
  tokens = t;
  return t;
}

bx_token *bx_token_open(const char *identity) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, watch_forks);
  hold();
  bx_token *t = find(identity);
  if (t) t->refs++;
  let_go();
  return t;
}

void bx_token_unref(bx_token *t) {
  if (!t) return;
  hold();
  if (--t->refs == 0) {
    bx_token **at = &tokens;
    while (*at != t) at = &(*at)->next;
    *at = t->next;
    destroy(t);
  }
  let_go();
}

void bx_token_take(bx_token *t, unsigned *seen, bx_token_value *v) {
  if (!t || atomic_load(&t->version) == *seen) return;
  hold();
  if (copy(v, &t->value)) *seen = t->version;
  let_go();
}

void bx_token_give(bx_token *t, unsigned *seen, const bx_token_value *v) {
  if (!t) return;
  hold();
  if (copy(&t->value, v)) *seen = ++t->version;
  let_go();
}

bool bx_token_claim(bx_token *t, const void *who) {
  if (!t) return true;
  hold();
  if (!t->claimant) t->claimant = who;
  bool ours = t->claimant == who;
  let_go();
  return ours;
}

void bx_token_release(bx_token *t, const void *who) {
  if (!t) return;
  hold();
  if (t->claimant == who) t->claimant = NULL;
  let_go();
}
