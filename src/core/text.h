/*
** text: pure functions on text: sizes, endpoints, shell quoting, names, UTF-8.
** They keep nothing and own nothing. Results go into a bx_buf of the
** caller, which frees it, after an error too (it then holds part of the text).
** Text is a pointer and a length, so that a NUL is seen and refused.
*/
#ifndef BX_TEXT_H
#define BX_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

typedef struct bx_str {
  const char *s;
  size_t len;
} bx_str;

/* Strict UTF-8: no surrogates, no overlong forms, nothing above U+10FFFF.
   A NUL is valid UTF-8. */
bool bx_text_utf8(const char *s, size_t len);

/* How many bytes from the start are valid UTF-8; len when all are. */
size_t bx_text_utf8_prefix(const char *s, size_t len);

/* Writes s for a message: bytes that are not printable text as \xNN, cut
   with "..." to fit cap (at least 16), always terminated. Returns out. */
const char *bx_text_show(char *out, size_t cap, const char *s, size_t len);

/* "4G", "512MiB", "20gb", "1073741824" to bytes: digits, then K M G T in
   either case with an optional i and B, powers of 1024. At most INT64_MAX,
   since sizes are Lua integers. InvalidArgument names the accepted forms. */
bx_class bx_text_size(const char *s, size_t len, uint64_t *bytes, bx_error *e);

/* The candidate that word is probably a slip of; NULL when none is near. */
const char *bx_text_nearest(const char *word, const char *const *candidates,
                            size_t n);

typedef struct bx_endpoint {
  bool tls;
  int port;
  char host[256];   /* "boxd.sh", "::1" (no brackets) */
  char target[272]; /* for gRPC: "boxd.sh:9443", "[::1]:9443" */
} bx_endpoint;

/* "http://host:port" is plaintext, "https://host:port" TLS, bare "host:port"
   TLS but plaintext for localhost, 127.0.0.0/8 and [::1]. Without a port:
   80, 443 and 9443. InvalidArgument names the fault, and never shows
   text before an '@', which may be a secret. */
bx_class bx_text_endpoint(const char *s, size_t len, bx_endpoint *out,
                          bx_error *e);

/* Appends the command line that runs a program with these arguments, each a
   word that a POSIX shell reads back byte for byte; safe words stay bare. It is
   always UTF-8, as the contract's command field must be: other bytes become a
   printf. argc 0 or a NUL: InvalidArgument. */
bx_class bx_text_command(bx_buf *out, const bx_str *argv, size_t argc,
                         bx_error *e);

/* Appends a shell command line as it is; a NUL or bad UTF-8 is refused. */
bx_class bx_text_line(bx_buf *out, bx_str line, bx_error *e);

typedef struct bx_env {
  bx_str key, value;
} bx_env;

/* The exit code of a command whose cwd could not be entered; the shell has
   written why on stderr. It is what env(1) gives for its own failures. */
#define BX_TEXT_CWD_FAILED 125

/* Appends the prefix of a command line, of any form, to give all of it a
   working directory (cwd.s NULL: none) and variables; sorts env by key. It
   ends in "; " on the command's first line, so that the line numbers of sh's
   messages stay right, and leaves $? at 0. InvalidArgument: a NUL, an empty
   cwd, a key that is not a shell identifier. */
bx_class bx_text_prelude(bx_buf *out, bx_str cwd, bx_env *env, size_t n,
                         bx_error *e);

#endif
