/*
** roots: where this machine keeps the certificates of the authorities that it
** trusts, one PEM file.
*/
#ifndef BX_ROOTS_H
#define BX_ROOTS_H

#include "buf.h"
#include "error.h"

/* The file that SSL_CERT_FILE names, or NULL. The environment's. */
const char *bx_roots_named(void);

/* Reads the certificates into `out`, which the caller frees, with a zero byte
** after them: those of ca_file, else of SSL_CERT_FILE, else of the first of the
** files where Linux distributions keep them. BX_INVALID_ARGUMENT: ca_file can't
** be read, or the file holds no PEM certificate. BX_CONNECTION: there is no
** other file, or it can't be read. */
bx_class bx_roots_read(const char *ca_file, bx_buf *out, bx_error *e);

#endif
