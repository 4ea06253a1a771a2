/*
** alarm: a timer of the kernel's that wakes a loop by its io, as gRPC begins its
** wait anew, with the whole time, after each signal and each stop (Ctrl-Z).
*/
#ifndef BX_ALARM_H
#define BX_ALARM_H

#include "loop.h"

/* Wakes the loop at a time of bx_now, or before: one that is set for an earlier
** time stays. Without memory or descriptors for it nothing happens: a wait that
** is interrupted is late then. */
void bx_alarm_set(bx_loop *loop, double at);

/* After the loop's io. */
void bx_alarm_free(bx_loop *loop);

#endif
