#include "retry.h"

#include <grpc/slice.h>
#include <math.h>

#include "loop.h"

#define BACKOFF_SECONDS 0.1
#define BACKOFF_SECONDS_MAX 1.0
#define JITTER 0.2 /* share of it, either way */
#define PUSHBACK "grpc-retry-pushback-ms"
#define PUSHBACK_DIGITS_MAX 9

/* Whole milliseconds in seconds; negative: not such a number. */
static double pushback(grpc_slice value) {
  const uint8_t *s = GRPC_SLICE_START_PTR(value);
  size_t len = GRPC_SLICE_LENGTH(value);
  double ms = 0;
  if (len == 0 || len > PUSHBACK_DIGITS_MAX) return -1;
  for (size_t i = 0; i < len; i++) {
    if (s[i] < '0' || s[i] > '9') return -1;
    ms = ms * 10 + (s[i] - '0');
  }
  return ms / 1000;
}

/* Enough to part clients that failed together. */
static double jitter(void) {
  return 1 - JITTER + 2 * JITTER * fmod(bx_now() * 1e6, 1.0);
}

double bx_retry_after(unsigned tries, const grpc_metadata_array *trailing) {
  for (size_t i = 0; i < trailing->count; i++)
    if (grpc_slice_str_cmp(trailing->metadata[i].key, PUSHBACK) == 0)
      return pushback(trailing->metadata[i].value);
  double seconds = BACKOFF_SECONDS * exp2((double)tries - 1);
  return fmin(seconds, BACKOFF_SECONDS_MAX) * jitter();
}
