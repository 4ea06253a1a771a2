#include "alarm.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "loop_private.h"

struct bx_alarm {
  bx_watch watch;
  double at; /* BX_FOREVER: it is not set */
};

static void on_ring(bx_watch *w, uint32_t events) {
  bx_alarm *a = (bx_alarm *)((char *)w - offsetof(bx_alarm, watch));
  (void)events;
  a->at = BX_FOREVER;
}

static bx_alarm *new_alarm(void) {
  bx_alarm *a = calloc(1, sizeof *a);
  int fd = a ? timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK) : -1;
  if (fd < 0) {
    free(a);
    return NULL;
  }
  a->at = BX_FOREVER;
  a->watch.fd = fd;
  a->watch.fire = on_ring;
  return a;
}

/* Setting the timer clears its count: it can't ring at once. */
void bx_alarm_set(bx_loop *loop, double at) {
  bx_error e;
  if (!loop->alarm) loop->alarm = new_alarm();
  bx_alarm *a = loop->alarm;
  if (!a || at >= a->at) return;
  struct itimerspec when = {.it_value.tv_sec = (time_t)at};
  when.it_value.tv_nsec = (long)((at - (double)when.it_value.tv_sec) * 1e9);
  if (timerfd_settime(a->watch.fd, TFD_TIMER_ABSTIME, &when, NULL) == 0 &&
      bx_io_arm(loop, &a->watch, EPOLLIN, &e) == BX_OK)
    a->at = at;
}

void bx_alarm_free(bx_loop *loop) {
  if (!loop->alarm) return;
  close(loop->alarm->watch.fd);
  free(loop->alarm);
  loop->alarm = NULL;
}
