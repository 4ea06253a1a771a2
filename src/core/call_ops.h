/*
** call_ops: the operations of a call's batches, for call.c only. What they
** point at outlives the batch: it is the call's.
*/
#ifndef BX_CALL_OPS_H
#define BX_CALL_OPS_H

#include "call.h"

static inline grpc_op op_headers(bx_call *c) {
  grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};
  op.data.send_initial_metadata.count = 1;
  op.data.send_initial_metadata.metadata = &c->metadata;
  return op;
}

static inline grpc_op op_message(grpc_byte_buffer *message) {
  grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
  op.data.send_message.send_message = message;
  return op;
}

static inline grpc_op op_half_close(void) {
  return (grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
}

static inline grpc_op op_initial(bx_call *c) {
  grpc_op op = {.op = GRPC_OP_RECV_INITIAL_METADATA};
  op.data.recv_initial_metadata.recv_initial_metadata = &c->initial;
  return op;
}

static inline grpc_op op_receive(grpc_byte_buffer **into) {
  grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
  op.data.recv_message.recv_message = into;
  return op;
}

static inline grpc_op op_status(bx_call *c) {
  grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
  op.data.recv_status_on_client.trailing_metadata = &c->trailing;
  op.data.recv_status_on_client.status = &c->status;
  op.data.recv_status_on_client.status_details = &c->details;
  return op;
}

#endif
