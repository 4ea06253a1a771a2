/*
** timed PROGRAM [ARGS]: runs it, then prints its cost: milliseconds from
** before its start to after its end, and its peak of resident KiB. A small
** process of its own, as a child's peak starts with its parent's size.
*/
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec * 1e-6;
}

int main(int argc, char **argv) {
  pid_t pid;
  int status;
  struct rusage used;
  double start = now();
  if (argc < 2) return 2;
  int rc = posix_spawnp(&pid, argv[1], NULL, NULL, argv + 1, environ);
  if (rc != 0) {
    fprintf(stderr, "timed: %s: %s\n", argv[1], strerror(rc));
    return 2;
  }
  if (wait4(pid, &status, 0, &used) != pid) return 2;
  printf("%.3f %ld\n", now() - start, used.ru_maxrss);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
