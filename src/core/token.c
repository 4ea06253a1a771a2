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
  pthread_mutex_lock(&lock);
  bx_token *t = find(identity);
  if (t) t->refs++;
  pthread_mutex_unlock(&lock);
  return t;
}

void bx_token_unref(bx_token *t) {
  if (!t) return;
  pthread_mutex_lock(&lock);
  if (--t->refs == 0) {
    bx_token **at = &tokens;
    while (*at != t) at = &(*at)->next;
    *at = t->next;
    destroy(t);
  }
  pthread_mutex_unlock(&lock);
}

void bx_token_take(bx_token *t, unsigned *seen, bx_token_value *v) {
  if (!t || atomic_load(&t->version) == *seen) return;
  pthread_mutex_lock(&lock);
  if (copy(v, &t->value)) *seen = t->version;
  pthread_mutex_unlock(&lock);
}

void bx_token_give(bx_token *t, unsigned *seen, const bx_token_value *v) {
  if (!t) return;
  pthread_mutex_lock(&lock);
  if (copy(&t->value, v)) *seen = ++t->version;
  pthread_mutex_unlock(&lock);
}

bool bx_token_claim(bx_token *t, const void *who) {
  if (!t) return true;
  pthread_mutex_lock(&lock);
  if (!t->claimant) t->claimant = who;
  bool ours = t->claimant == who;
  pthread_mutex_unlock(&lock);
  return ours;
}

void bx_token_release(bx_token *t, const void *who) {
  if (!t) return;
  pthread_mutex_lock(&lock);
  if (t->claimant == who) t->claimant = NULL;
  pthread_mutex_unlock(&lock);
}
