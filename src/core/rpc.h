/*
** rpc: the table of the contract's RPCs, one row each. All of it is constant.
*/
#ifndef BX_RPC_H
#define BX_RPC_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* Bit 1: requests are a stream; bit 2: replies are. */
typedef enum bx_kind {
  BX_UNARY = 0,
  BX_CLIENT = 1,
  BX_SERVER = 2,
  BX_BIDI = 3
} bx_kind;

typedef struct bx_rpc {
  const char *name; /* "GetVm" */
  const char *path; /* "/boxd.api.v1.BoxdApi/GetVm" */
  bx_kind kind;
  bool reads; /* changes nothing, so it is repeated when UNAVAILABLE */
  const char *successor; /* what took its place in today's service, or NULL */
} bx_rpc;

/* NULL: the contract has no such RPC. */
const bx_rpc *bx_rpc_find(const char *name);

/* The RPC whose name is nearest to a misspelt one, or NULL. */
const char *bx_rpc_nearest(const char *name);

const ProtobufCMessageDescriptor *bx_rpc_request(const bx_rpc *rpc);
const ProtobufCMessageDescriptor *bx_rpc_reply(const bx_rpc *rpc);

#endif
