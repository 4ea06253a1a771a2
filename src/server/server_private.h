/*
** server_private: declarations that server.c and server_call.c share.
*/
#ifndef BX_SERVER_PRIVATE_H
#define BX_SERVER_PRIVATE_H

#include "server.h"

/* A call that gRPC can write to, with one reference; NULL: no memory. */
bx_server_call *bx_server_call_new(bx_server *s);

/* The call has come in. False when memory is out: it can only be refused. */
bool bx_server_call_begin(bx_server_call *c, const grpc_call_details *details);

void bx_server_call_unref(bx_server_call *c);

/* Drops a reference without stopping the server. */
void bx_server_drop(bx_server *s);

#endif
