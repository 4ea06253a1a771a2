/*
** reflection: gRPC server reflection, v1 and v1alpha alike (their messages
** have the same form), as a pure function over the compiled-in contract.
*/
#ifndef BX_REFLECTION_H
#define BX_REFLECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "../core/buf.h"

/* The contract: a FileDescriptorSet, generated from proto/. */
extern const unsigned char bx_proto_descriptor[];
extern const size_t bx_proto_descriptor_len;

/* Is this path ("/grpc.reflection.v1.ServerReflection/...") reflection's one
** method in either version? */
bool bx_reflection_serves(const char *path);

/* Adds to `response` the ServerReflectionResponse to one
** ServerReflectionRequest, both in wire form; set: a FileDescriptorSet. What
** can't be answered gets an error_response. False: the request is no valid
** message, or memory is out (the response is then incomplete). */
bool bx_reflection_answer(const void *set, size_t set_len, const void *request,
                          size_t len, bx_buf *response);

#endif
