#include "clean.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawner/host.h"

/* In a user namespace as boxes have it, whose ids are the owners' there. */
static _Noreturn void child(const char *cache, int out) {
  bx_host h = {.box_id = 0};
  bx_error e;
  int err = geteuid() == 0 ? 0 : bx_userns_enter(&h, &e);
  if (!err) err = bx_base_clean(cache);
  _exit(write(out, &err, sizeof err) == (ssize_t)sizeof err ? 0 : 1);
}

static int clean(const char *cache) {
  int p[2], err = EIO;
  if (pipe2(p, O_CLOEXEC) < 0) return errno;
  pid_t pid = fork();
  if (pid == 0) child(cache, p[1]);
  if (pid < 0) err = errno;
  close(p[1]);
  if (pid > 0 && read(p[0], &err, sizeof err) != (ssize_t)sizeof err) err = EIO;
  close(p[0]);
  while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
  return err;
}

int bx_sandbox_clean(char *message, size_t size) {
  char cache[BX_PATH_MAX];
  if (bx_base_cache(cache) != 0 || access(cache, F_OK) < 0) {
    snprintf(message, size, "local boxes have nothing in the cache");
    return 0;
  }
  int err = clean(cache);
  if (!err)
    snprintf(message, size, "removed %s", cache);
  else if (err == EBUSY)
    snprintf(message, size, "a service of local boxes uses %s: end it first",
             cache);
  else
    snprintf(message, size, "cannot remove %s: %s", cache, strerror(err));
  return err;
}
