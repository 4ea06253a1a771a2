#include "curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

#include "io.h"
#include "loop_private.h"
#include "runtime.h"
#include "wipe.h"

#define LIBRARY "libcurl.so.4"
#define IDLE_CONNECTIONS 8L /* kept for later requests */

struct bx_curl {
  bx_loop *loop;
  CURLM *multi;
  bx_timer timer;      /* when libcurl wants a turn */
  bx_transfer *first;  /* all that were added */
  struct peer *firing; /* whose event libcurl is handling */
  bool broken;         /* a watch or the timer could not be set: */
  bx_error error;      /* ... why */
  bool spoiled;        /* the multi handle is not to be used again */
  bool secret;         /* ... once no transfer is left */
};

/* A socket of libcurl's that it wants watched; libcurl keeps the pointer. */
typedef struct peer {
  bx_watch watch;
  bx_curl *curl;
  uint32_t want;
  bool armed;
} peer;

/* Loading. */

static bx_curl_library library;

static bool find_functions(void *so, bx_error *e) {
#define X(name)                                                           \
  *(void **)&library.name = dlsym(so, "curl_" #name);                     \
  if (!library.name) {                                                    \
    bx_error_set(e, BX_BOXD,                                              \
                 LIBRARY " has no curl_" #name ": it is too old; 7.85 "   \
                         "or later is needed (Debian package libcurl4)"); \
    return false;                                                         \
  }
  BX_CURL_FUNCTIONS(X)
#undef X
  *(void **)&library.ssl_ctx_set_options = dlsym(so, "SSL_CTX_set_options");
  return true;
}

static bool start_library(bx_error *e) {
  sigset_t old;
  bx_block_signals(&old);
  CURLcode rc = library.global_init_mem(
      CURL_GLOBAL_DEFAULT, bx_wipe_malloc, bx_wipe_free, bx_wipe_realloc,
      bx_wipe_strdup, bx_wipe_calloc);
  bx_restore_signals(&old);
  if (rc)
    bx_error_set(e, BX_BOXD, "libcurl can't start: %s",
                 library.easy_strerror(rc));
  return rc == 0;
}

static bool load(bx_error *e) {
  void *so = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (!so)
    bx_error_set(e, BX_BOXD,
                 "HTTP requests need libcurl, which can't be loaded: %s "
                 "(install the Debian package libcurl4)",
                 dlerror());
  return so && find_functions(so, e) && start_library(e);
}

/* What kept it from loading, such as too few descriptors, may be over at the
** next try. */
const bx_curl_library *bx_curl_load(bx_error *e) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static bool loaded;
  pthread_mutex_lock(&lock);
  bool ok = loaded || load(e);
  loaded = ok;
  pthread_mutex_unlock(&lock);
  return ok ? &library : NULL;
}

/* The list of transfers. */

static void link_transfer(bx_curl *c, bx_transfer *t) {
  t->prev = NULL;
  t->next = c->first;
  if (c->first) c->first->prev = t;
  c->first = t;
  t->added = true;
  t->doomed = false;
}

static void take_off(bx_curl *c, bx_transfer *t) {
  sigset_t old;
  bx_block_signals(&old);
  library.multi_remove_handle(c->multi, t->easy);
  bx_restore_signals(&old);
  if (t->prev)
    t->prev->next = t->next;
  else
    c->first = t->next;
  if (t->next) t->next->prev = t->prev;
  t->added = false;
  c->secret = c->secret || t->secret;
}

/* Driving. */

static void finish_done(bx_curl *c) {
  CURLMsg *m;
  int left;
  while ((m = library.multi_info_read(c->multi, &left))) {
    if (m->msg != CURLMSG_DONE) continue;
    CURLcode result = m->data.result;
    char *owner = NULL;
    library.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &owner);
    bx_transfer *t = (bx_transfer *)(void *)owner;
    take_off(c, t);
    t->finished(t, result, NULL);
  }
}

static bool start_multi(bx_curl *c);

/* libcurl 7.88, short of memory, leaves a socket's entry behind that divides by
** zero once a socket has its number again. */
static void replace_multi(bx_curl *c) {
  sigset_t old;
  bx_block_signals(&old);
  for (bx_transfer *t = c->first; t; t = t->next)
    library.multi_remove_handle(c->multi, t->easy);
  library.multi_cleanup(c->multi);
  bx_restore_signals(&old);
  bx_timer_stop(c->loop, &c->timer);
  start_multi(c); /* else the next transfer tries */
}

/* Ends all requests under way, but none begun meanwhile: what
** libcurl waits for can't be watched, so it would wait for ever. */
static void finish_broken(bx_curl *c) {
  bx_error e = c->error;
  c->broken = false;
  for (bx_transfer *t = c->first; t; t = t->next) t->doomed = true;
  if (c->spoiled) replace_multi(c);
  for (bx_transfer *t = c->first; t;) {
    if (t->doomed) {
      take_off(c, t);
      t->finished(t, CURLE_OK, &e);
      t = c->first;
    } else {
      t = t->next;
    }
  }
}

static void break_down(bx_curl *c, const bx_error *e) {
  c->broken = true;
  c->error = *e;
}

static void break_memory(bx_curl *c) {
  bx_error e;
  bx_error_set(&e, BX_BOXD, "not enough memory");
  break_down(c, &e);
}

static void arm(peer *p) {
  bx_error e;
  p->armed = bx_io_arm(p->curl->loop, &p->watch, p->want, &e) == BX_OK;
  if (!p->armed) break_down(p->curl, &e);
}

/* Lets libcurl work, which may start a thread that resolves a name. */
static void act(bx_curl *c, curl_socket_t fd, int what) {
  sigset_t old;
  bx_error e;
  int running;
  bx_block_signals(&old);
  CURLMcode rc = library.multi_socket_action(c->multi, fd, what, &running);
  bx_restore_signals(&old);
  if (!rc) return;
  bx_error_set(&e, BX_BOXD, "libcurl: %s", library.multi_strerror(rc));
  break_down(c, &e);
  c->spoiled = true;
}

/* libcurl 8 reads all responses into a buffer of its multi handle, and keeps
** it. */
static void forget_secret(bx_curl *c) {
  if (!c->secret || c->first) return;
  c->secret = false;
  replace_multi(c);
}

static void settle(bx_curl *c) {
  if (c->broken) finish_broken(c);
  finish_done(c);
  forget_secret(c);
}

static void peer_fired(bx_watch *w, uint32_t events) {
  peer *p = (peer *)((char *)w - offsetof(peer, watch));
  bx_curl *c = p->curl;
  int what = 0;
  if (events & (EPOLLIN | EPOLLHUP)) what |= CURL_CSELECT_IN;
  if (events & EPOLLOUT) what |= CURL_CSELECT_OUT;
  if (events & (EPOLLERR | EPOLLHUP)) what |= CURL_CSELECT_ERR;
  p->armed = false;
  c->firing = p;
  act(c, w->fd, what);
  /* libcurl reports changes only; unchanged, it wants more events. */
  if (c->firing && p->want && !p->armed) arm(p);
  c->firing = NULL;
  settle(c);
}

static void timer_fired(bx_timer *t) {
  bx_curl *c = (bx_curl *)((char *)t - offsetof(bx_curl, timer));
  act(c, CURL_SOCKET_TIMEOUT, 0);
  settle(c);
}

/* libcurl's callbacks, from within its functions. A failure is not returned to
** it (it would never use the multi handle again) but kept for settle. */

static void drop_peer(bx_curl *c, curl_socket_t fd, peer *p) {
  if (!p) return;
  bx_io_forget(c->loop, &p->watch);
  library.multi_assign(c->multi, fd, NULL);
  if (c->firing == p) c->firing = NULL;
  free(p);
}

static peer *new_peer(bx_curl *c, curl_socket_t fd) {
  peer *p = calloc(1, sizeof *p);
  if (!p) return NULL;
  p->curl = c;
  p->watch.fd = fd;
  p->watch.fire = peer_fired;
  library.multi_assign(c->multi, fd, p);
  return p;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *curl,
                     void *socketp) {
  bx_curl *c = curl;
  peer *p = socketp;
  (void)easy;
  if (what == CURL_POLL_REMOVE) {
    drop_peer(c, fd, p);
    return 0;
  }
  if (!p && !(p = new_peer(c, fd))) {
    break_memory(c);
    return 0;
  }
  p->want = 0;
  if (what & CURL_POLL_IN) p->want |= EPOLLIN;
  if (what & CURL_POLL_OUT) p->want |= EPOLLOUT;
  if (p->want)
    arm(p);
  else
    bx_io_forget(c->loop, &p->watch);
  return 0;
}

static int on_timer(CURLM *multi, long ms, void *curl) {
  bx_curl *c = curl;
  (void)multi;
  if (ms < 0) {
    bx_timer_stop(c->loop, &c->timer);
    return 0;
  }
  double at = bx_now() + (double)ms * 1e-3;
  if (!bx_timer_start(c->loop, &c->timer, at)) break_memory(c);
  return 0;
}

/* The loop's multi handle. */

static bool start_multi(bx_curl *c) {
  c->multi = library.multi_init();
  c->spoiled = false;
  if (!c->multi) return false;
  library.multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  library.multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
  library.multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  library.multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
  library.multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS);
  return true;
}

static bx_curl *of_loop(bx_loop *loop, bx_error *e) {
  if (!bx_loop_io(loop, e) || !bx_curl_load(e)) return NULL;
  bx_curl *c = loop->curl ? loop->curl : calloc(1, sizeof *c);
  if (!c || (!c->multi && !start_multi(c))) {
    if (!loop->curl) free(c);
    bx_error_set(e, BX_BOXD, "not enough memory");
    return NULL;
  }
  c->loop = loop;
  c->timer.fire = timer_fired;
  return loop->curl = c;
}

bx_class bx_curl_add(bx_loop *loop, bx_transfer *t, bx_error *e) {
  bx_curl *c = of_loop(loop, e);
  if (!c) return e->class_;
  if (!c->first) c->broken = false; /* no waiter is left */
  library.easy_setopt(t->easy, CURLOPT_PRIVATE, (char *)(void *)t);
  CURLMcode rc = library.multi_add_handle(c->multi, t->easy);
  if (rc)
    return bx_error_set(e, BX_BOXD, "libcurl: %s", library.multi_strerror(rc));
  link_transfer(c, t);
  if (!c->broken) return BX_OK;
  *e = c->error;
  take_off(c, t);
  return e->class_;
}

void bx_curl_remove(bx_loop *loop, bx_transfer *t) {
  if (t->added) take_off(loop->curl, t);
}

void bx_curl_free(bx_curl *c) {
  sigset_t old;
  bx_block_signals(&old);
  library.multi_cleanup(c->multi);
  bx_restore_signals(&old);
  bx_timer_stop(c->loop, &c->timer);
  free(c);
}
