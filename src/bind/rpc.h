/*
** rpc: the table of the contract's RPCs, one row each.
*/
#ifndef LBX_RPC_H
#define LBX_RPC_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* Bit 1: requests are a stream; bit 2: replies are. */
typedef enum lbx_kind {
  LBX_UNARY = 0,
  LBX_CLIENT = 1,
  LBX_SERVER = 2,
  LBX_BIDI = 3
} lbx_kind;

typedef struct lbx_rpc {
  const char *name; /* "GetVm" */
  const char *path; /* "/boxd.api.v1.BoxdApi/GetVm" */
  lbx_kind kind;
  bool reads; /* changes nothing, so it is repeated when UNAVAILABLE */
  const char *successor; /* what took its place in today's service, or NULL */
} lbx_rpc;

/* NULL: the contract has no such RPC. */
const lbx_rpc *lbx_rpc_find(const char *name);

/* The RPC whose name is nearest to a misspelt one, or NULL. */
const char *lbx_rpc_nearest(const char *name);

const ProtobufCMessageDescriptor *lbx_rpc_request(const lbx_rpc *rpc);
const ProtobufCMessageDescriptor *lbx_rpc_reply(const lbx_rpc *rpc);

#endif
