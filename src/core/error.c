#include "error.h"

#include <grpc/status.h>
#include <stdio.h>
#include <string.h>

static const char *const class_names[BX_CLASS_COUNT] = {
    NULL,
    "BoxdError",
    "AuthenticationError",
    "NotFoundError",
    "QuotaExceededError",
    "InvalidArgumentError",
    "TimeoutError",
    "ConnectionError",
    "InternalError",
    "CancelledError",
    "ConflictError",
    "PermissionDeniedError",
    "CommandError",
    "ProvisionError",
};

/* One row a gRPC status, at its number. */
static const struct {
  const char *name;
  bx_class class_;
} statuses[] = {
    {"OK", BX_OK},
    {"CANCELLED", BX_CANCELLED},
    {"UNKNOWN", BX_INTERNAL},
    {"INVALID_ARGUMENT", BX_INVALID_ARGUMENT},
    {"DEADLINE_EXCEEDED", BX_TIMEOUT},
    {"NOT_FOUND", BX_NOT_FOUND},
    {"ALREADY_EXISTS", BX_CONFLICT},
    {"PERMISSION_DENIED", BX_PERMISSION_DENIED},
    {"RESOURCE_EXHAUSTED", BX_QUOTA_EXCEEDED},
    {"FAILED_PRECONDITION", BX_CONFLICT},
    {"ABORTED", BX_CONFLICT},
    {"OUT_OF_RANGE", BX_BOXD},
    {"UNIMPLEMENTED", BX_BOXD},
    {"INTERNAL", BX_INTERNAL},
    {"UNAVAILABLE", BX_CONNECTION},
    {"DATA_LOSS", BX_BOXD},
    {"UNAUTHENTICATED", BX_AUTHENTICATION},
};
#define ALREADY_EXISTS 6 /* the number of its row */
#define STATUS_COUNT ((int)(sizeof statuses / sizeof *statuses))

const char *bx_class_name(bx_class c) {
  return c > BX_OK && c < BX_CLASS_COUNT ? class_names[c] : NULL;
}

const char *bx_status_name(int status) {
  return status >= 0 && status < STATUS_COUNT ? statuses[status].name
                                              : "UNKNOWN";
}

static bx_class class_of(int status) {
  return status >= 0 && status < STATUS_COUNT ? statuses[status].class_
                                              : BX_BOXD;
}

bool bx_class_is(bx_class c, int status, bx_class wanted) {
  if (c == BX_OK) return false;
  if (wanted == BX_BOXD || wanted == c) return true;
  if (c == BX_PERMISSION_DENIED) return wanted == BX_AUTHENTICATION;
  return c == BX_CONFLICT && status == ALREADY_EXISTS &&
         wanted == BX_INVALID_ARGUMENT;
}

/* Drops a UTF-8 sequence that the end of the buffer cut. */
static void trim_utf8(char *s) {
  size_t n = strlen(s), back = 0;
  while (back < 3 && back < n && ((unsigned char)s[n - 1 - back] & 0xC0) == 0x80)
    back++;
  if (back == n) return;
  unsigned char lead = (unsigned char)s[n - 1 - back];
  size_t need = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
  if (need > back) s[n - 1 - back] = '\0';
}

bx_class bx_error_vset(bx_error *e, bx_class c, const char *fmt, va_list ap) {
  e->class_ = c;
  e->status = BX_NO_STATUS;
  int n = vsnprintf(e->message, sizeof e->message, fmt, ap);
  if (n >= (int)sizeof e->message) trim_utf8(e->message);
  return c;
}

bx_class bx_error_set(bx_error *e, bx_class c, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  bx_error_vset(e, c, fmt, ap);
  va_end(ap);
  return c;
}

bx_class bx_error_from_status(bx_error *e, int status, const char *details,
                              size_t len) {
  bool cut = len >= sizeof e->message;
  if (cut) len = sizeof e->message - 1;
  memcpy(e->message, details, len);
  e->message[len] = '\0';
  if (cut) trim_utf8(e->message);
  if (len == 0)
    snprintf(e->message, sizeof e->message, "the server gave no message");
  /* Today's gRPC does so itself; 1.51 leaves a number that has no meaning. */
  if (status < 0 || status >= STATUS_COUNT) status = GRPC_STATUS_UNKNOWN;
  e->status = status;
  return e->class_ = class_of(status);
}

static bool says(const bx_error *e, int status, const char *words) {
  return e->status == status && strncmp(e->message, words, strlen(words)) == 0;
}

void bx_error_explain(bx_error *e, double seconds) {
  size_t n = strlen(e->message);
  if (e->status == GRPC_STATUS_RESOURCE_EXHAUSTED &&
      strstr(e->message, "Received message larger than max"))
    snprintf(e->message + n, sizeof e->message - n,
             ": a message holds 64 MiB at most; box:download and box:upload "
             "move larger files");
  else if (says(e, GRPC_STATUS_DEADLINE_EXCEEDED, "Deadline Exceeded") ||
           says(e, GRPC_STATUS_DEADLINE_EXCEEDED,
                "Stream removed (Deadline Exceeded")) /* today's gRPC */
    snprintf(e->message, sizeof e->message,
             "not done within its timeout of %.3g s", seconds);
}

bx_class bx_error_errno(bx_error *e, bx_class c, int errnum, const char *what) {
  return bx_error_set(e, c, "%s: %s", what, strerror(errnum));
}

void bx_error_clear(bx_error *e) {
  e->class_ = BX_OK;
  e->status = BX_NO_STATUS;
  e->message[0] = '\0';
}
