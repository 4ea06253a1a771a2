#include "fault.h"

#include <curl/curl.h>
#include <cjson/cJSON.h>
#include <dlfcn.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

const char *const fault_names[] = {"lua",  "c",       "cjson",
                                   "curl", "openssl", NULL};

/* The switch is one for this process and all that are forked from it, the
** embedded service's spawner and its boxes' first processes among them. */
static struct {
  atomic_int armed;
  atomic_long requests, first, last, refused;
} *shared;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long live[FAULT_KINDS];

void fault_arm(fault_kind kind, long at, long times) {
  shared->armed = (int)kind;
  shared->requests = shared->refused = 0;
  shared->first = at;
  shared->last = times ? at + times - 1 : 0;
}

long fault_disarm(void) {
  shared->last = 0;
  return shared->refused;
}

bool fault_strikes(fault_kind kind) {
  if (!shared || (int)kind != shared->armed || !shared->last) return false;
  long n = ++shared->requests;
  if (n < shared->first || n > shared->last) return false;
  shared->refused++;
  errno = ENOMEM;
  return true;
}

long fault_live(fault_kind kind) {
  pthread_mutex_lock(&lock);
  long n = live[kind];
  pthread_mutex_unlock(&lock);
  return n;
}

static void count(fault_kind kind, long change) {
  pthread_mutex_lock(&lock);
  live[kind] += change;
  pthread_mutex_unlock(&lock);
}

/* ---- Lua's ---- */

/* ---- Ours: the live blocks, and the caller of each ---- */

#define SLOTS (1 << 18)

typedef struct slot {
  void *block; /* NULL: never used; SLOTS' own address: free again */
  void *asker;
  long number;
} slot;

static slot slots[SLOTS];
static long numbers;
#define FREED ((void *)slots)

static slot *find(const void *block) {
  size_t i = ((uintptr_t)block >> 4) * 2654435761u % SLOTS;
  while (slots[i].block && slots[i].block != block) i = (i + 1) % SLOTS;
  return &slots[i];
}

static void *note(void *block, void *asker) {
  if (!block) return NULL;
  pthread_mutex_lock(&lock);
  size_t i = ((uintptr_t)block >> 4) * 2654435761u % SLOTS;
  while (slots[i].block && slots[i].block != FREED) i = (i + 1) % SLOTS;
  slots[i] = (slot){block, asker, ++numbers};
  live[FAULT_C]++;
  pthread_mutex_unlock(&lock);
  return block;
}

/* Where no search goes on from here, the slot is as good as new. */
static void release(slot *s) {
  size_t i = (size_t)(s - slots);
  s->block = FREED;
  if (slots[(i + 1) % SLOTS].block) return;
  for (; slots[i].block == FREED; i = (i + SLOTS - 1) % SLOTS)
    slots[i].block = NULL;
}

/* What others have asked for may be freed by us too. */
static void forget(const void *block) {
  if (!block) return;
  pthread_mutex_lock(&lock);
  slot *s = find(block);
  if (s->block) {
    release(s);
    live[FAULT_C]--;
  }
  pthread_mutex_unlock(&lock);
}

long fault_mark(void) { return numbers; }

void fault_report(long mark) {
  for (slot *s = slots; s < slots + SLOTS; s++)
    if (s->block && s->block != FREED && s->number > mark) {
      Dl_info where = {0};
      dladdr(s->asker, &where);
      fprintf(stderr, "  block %ld: asked for at %s+0x%zx\n", s->number,
              where.dli_fname ? where.dli_fname : "?",
              (size_t)((char *)s->asker - (char *)where.dli_fbase));
    }
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_asprintf(char **s, const char *format, ...);

#define ASKER __builtin_return_address(0)

void *__wrap_malloc(size_t size) {
  if (fault_strikes(FAULT_C)) return NULL;
  return note(__real_malloc(size), ASKER);
}

void *__wrap_calloc(size_t n, size_t size) {
  if (fault_strikes(FAULT_C)) return NULL;
  return note(__real_calloc(n, size), ASKER);
}

/* The old block is forgotten first: once it is freed another thread may be
** given its address. */
void *__wrap_realloc(void *block, size_t size) {
  if (fault_strikes(FAULT_C)) return NULL;
  forget(block);
  void *grown = __real_realloc(block, size);
  return grown ? note(grown, ASKER) : (note(block, ASKER), NULL);
}

void __wrap_free(void *block) {
  forget(block);
  __real_free(block);
}

char *__wrap_strndup(const char *s, size_t n) {
  if (fault_strikes(FAULT_C)) return NULL;
  size_t len = strnlen(s, n);
  char *copy = __real_malloc(len + 1);
  if (!copy) return NULL;
  memcpy(copy, s, len);
  copy[len] = '\0';
  return note(copy, ASKER);
}

char *__wrap_strdup(const char *s) { return __wrap_strndup(s, SIZE_MAX); }

int __wrap_asprintf(char **s, const char *format, ...) {
  va_list arguments;
  if (fault_strikes(FAULT_C)) return -1;
  va_start(arguments, format);
  int n = vasprintf(s, format, arguments);
  va_end(arguments);
  if (n >= 0) note(*s, ASKER);
  return n;
}

/* ---- Lua's ---- */

/* Lua takes it for granted that a block can shrink. */
void *fault_lua_alloc(void *ud, void *block, size_t old, size_t size) {
  long *bytes = ud;
  size_t had = block ? old : 0;
  if (bytes && size > had && fault_strikes(FAULT_LUA)) return NULL;
  if (bytes) *bytes += (long)size - (long)had;
  if (size) return __real_realloc(block, size);
  __real_free(block);
  return NULL;
}

/* ---- The libraries' ---- */

static void *get(fault_kind kind, size_t size) {
  void *block = fault_strikes(kind) ? NULL : __real_malloc(size);
  if (block) count(kind, 1);
  return block;
}

static void *regrow(fault_kind kind, void *block, size_t size) {
  if (fault_strikes(kind)) return NULL;
  void *grown = __real_realloc(block, size);
  if (grown && !block) count(kind, 1);
  return grown;
}

static void give(fault_kind kind, void *block) {
  if (block) count(kind, -1);
  __real_free(block);
}

static void *json_malloc(size_t size) { return get(FAULT_CJSON, size); }
static void json_free(void *block) { give(FAULT_CJSON, block); }

static void *curl_malloc(size_t size) { return get(FAULT_CURL, size); }
static void curl_free_(void *block) { give(FAULT_CURL, block); }

static void *curl_realloc(void *block, size_t size) {
  return regrow(FAULT_CURL, block, size);
}

static void *curl_calloc(size_t n, size_t size) {
  void *block = get(FAULT_CURL, n * size);
  return block ? memset(block, 0, n * size) : NULL;
}

static char *curl_strdup(const char *s) {
  size_t size = strlen(s) + 1;
  char *copy = get(FAULT_CURL, size);
  return copy ? memcpy(copy, s, size) : NULL;
}

static void *ssl_malloc(size_t size, const char *file, int line) {
  (void)file, (void)line;
  return get(FAULT_OPENSSL, size);
}

static void *ssl_realloc(void *block, size_t size, const char *file, int line) {
  (void)file, (void)line;
  if (size) return regrow(FAULT_OPENSSL, block, size);
  give(FAULT_OPENSSL, block);
  return NULL;
}

static void ssl_free(void *block, const char *file, int line) {
  (void)file, (void)line;
  give(FAULT_OPENSSL, block);
}

const char *fault_install(void) {
  void *at = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return "there is no memory to begin with";
  shared = at;
  cJSON_Hooks hooks = {json_malloc, json_free};
  if (!CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free))
    return "OpenSSL has been used already";
  ERR_clear_error(); /* has the thread's list of errors made, which stays */
  cJSON_InitHooks(&hooks);
  /* As the client loads it; the first to start it sets its allocator. */
  void *so = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  CURLcode (*init)(long, curl_malloc_callback, curl_free_callback,
                   curl_realloc_callback, curl_strdup_callback,
                   curl_calloc_callback) = NULL;
  if (so) *(void **)&init = dlsym(so, "curl_global_init_mem");
  if (!init || init(CURL_GLOBAL_DEFAULT, curl_malloc, curl_free_, curl_realloc,
                    curl_strdup, curl_calloc))
    return "libcurl can't be started";
  return NULL;
}
