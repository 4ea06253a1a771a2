/*
** so_free: boxd.so's own gpr_free. A library that is loaded because boxd.so
** needs it looks for its functions there first, so gRPC wipes its blocks as it
** frees them: its buffers for TLS have had tokens in them. A gRPC that the host
** program had loaded before goes on with its own.
*/
#include <grpc/support/alloc.h>

#include "../../core/wipe.h"

__attribute__((visibility("default"))) void gpr_free(void *p) {
  bx_wipe_free(p);
}
