/*
** error: a failure, as a class and a message in a fixed buffer, so that
** reporting needs no allocation. The caller owns the bx_error; core functions
** fill it and return its class (BX_OK is 0: success).
*/
#ifndef BX_ERROR_H
#define BX_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Classes of the public API, in the order of bx_class_names. */
typedef enum bx_class {
  BX_OK = 0,
  BX_BOXD,           /* BoxdError: any status without a class of its own */
  BX_AUTHENTICATION,
  BX_NOT_FOUND,
  BX_QUOTA_EXCEEDED,
  BX_INVALID_ARGUMENT,
  BX_TIMEOUT,
  BX_CONNECTION,
  BX_INTERNAL,
  BX_CANCELLED,
  BX_CONFLICT,
  BX_PERMISSION_DENIED,
  BX_COMMAND,           /* a command ended with another exit code than 0 */
  BX_PROVISION,         /* a step of provision failed */
  BX_CLASS_COUNT
} bx_class;

#define BX_NO_STATUS (-1) /* the error did not come from a gRPC status */
#define BX_MESSAGE_MAX 1024

typedef struct bx_error {
  bx_class class_;
  int status;                   /* gRPC status number, or BX_NO_STATUS */
  char message[BX_MESSAGE_MAX]; /* always terminated, cut on a UTF-8 boundary */
} bx_error;

/* "NotFoundError"; NULL for BX_OK. */
const char *bx_class_name(bx_class c);

/* "NOT_FOUND" for 5; "UNKNOWN" for numbers that gRPC does not define. */
const char *bx_status_name(int status);

/* Is an error of this class and status (or BX_NO_STATUS) an instance of `wanted`
** too? Every one is of BX_BOXD; a refused permission is of BX_AUTHENTICATION and
** a taken name of BX_INVALID_ARGUMENT, as both were before they had a class of
** their own. */
bool bx_class_is(bx_class c, int status, bx_class wanted);

/* Fills e (status BX_NO_STATUS) and returns c. No argument may be e's own message. */
bx_class bx_error_set(bx_error *e, bx_class c, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bx_class bx_error_vset(bx_error *e, bx_class c, const char *fmt, va_list ap);

/* Fills e from a gRPC status and its details (bytes, not terminated). */
bx_class bx_error_from_status(bx_error *e, int status, const char *details,
                              size_t len);

/* Says what to do where gRPC's own words do not: at a message over the limit, and
** at the end of a call's seconds. */
void bx_error_explain(bx_error *e, double seconds);

/* Fills e with "WHAT: strerror(errnum)". */
bx_class bx_error_errno(bx_error *e, bx_class c, int errnum, const char *what);

void bx_error_clear(bx_error *e);

#endif
