#include "wake.h"

#include "loop.h"

bool bx_wake_open(bx_wake *w, grpc_completion_queue *queue) {
  w->lame = grpc_lame_client_channel_create("wake", GRPC_STATUS_UNKNOWN, "");
  w->call = grpc_channel_create_call(
      w->lame, NULL, GRPC_PROPAGATE_DEFAULTS, queue,
      grpc_slice_from_static_string("/wake"), NULL, bx_timespec(BX_FOREVER),
      NULL);
  return w->call != NULL;
}

/* An empty batch is done at once. */
void bx_wake_send(bx_wake *w) {
  grpc_call_start_batch(w->call, NULL, 0, &w->tag, NULL);
}

void bx_wake_close(bx_wake *w) {
  if (w->call) grpc_call_unref(w->call);
  if (w->lame) grpc_channel_destroy(w->lame);
  w->call = NULL;
  w->lame = NULL;
}
