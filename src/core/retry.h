/*
** retry: when a call that may be repeated is. gRPC's own retries end the
** process when a peer leaves out its status (an assertion of gRPC 1.51), so we
** repeat by their rules ourselves. Owns nothing.
*/
#ifndef BX_RETRY_H
#define BX_RETRY_H

#include <grpc/grpc.h>

/* Seconds until try number `tries` + 1: 0.1 doubled with each, at most 1, give
** or take a fifth; what the server asks for goes before. Negative: it asks not
** to be tried again. */
double bx_retry_after(unsigned tries, const grpc_metadata_array *trailing);

#endif
