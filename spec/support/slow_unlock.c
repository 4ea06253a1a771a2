/* Preloaded by a spec: whenever the main thread lets go of a lock, the other
** threads get a turn before it goes on. */
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

int pthread_mutex_unlock(pthread_mutex_t *mutex) {
  static int (*real)(pthread_mutex_t *);
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
  int rc = real(mutex);
  if (getpid() == gettid()) usleep(20);
  return rc;
}
