/*
** alarm: a timer of the kernel's that wakes a loop by its io, for a poll whose
** time would not end under frequent signals.
*/
#ifndef BX_ALARM_H
#define BX_ALARM_H

#include "loop.h"

/* Wakes the loop at a time of bx_now, or before: one that is set for an earlier
** time stays. Without memory or descriptors for it nothing happens: a wait is
** late then, under signals. */
void bx_alarm_set(bx_loop *loop, double at);

/* After the loop's io. */
void bx_alarm_free(bx_loop *loop);

#endif
