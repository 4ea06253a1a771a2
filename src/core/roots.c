#include "roots.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX (16 << 20)

static const char *const places[] = {
    "/etc/ssl/certs/ca-certificates.crt", /* Debian, Ubuntu, Arch, Gentoo */
    "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* ... the newest */
    "/etc/ssl/ca-bundle.pem",                            /* openSUSE */
    "/etc/ssl/cert.pem",                                 /* Alpine */
};
#define PLACES (sizeof places / sizeof *places)

const char *bx_roots_named(void) {
  const char *named = getenv("SSL_CERT_FILE");
  return named && *named ? named : NULL;
}

static bx_class no_place(bx_error *e) {
  char list[400] = "";
  for (size_t i = 0; i < PLACES; i++)
    snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s",
             i ? ", " : "", places[i]);
  return bx_error_set(e, BX_CONNECTION,
                      "this machine has no certificates of authorities: none of "
                      "%s can be read; install the package ca-certificates, or "
                      "name a file by SSL_CERT_FILE or ca_file", list);
}

static FILE *open_place(const char **path) {
  FILE *f = NULL;
  for (size_t i = 0; i < PLACES && !f; i++) {
    *path = places[i];
    f = fopen(*path, "re");
  }
  return f;
}

static bool read_all(FILE *f, bx_buf *out) {
  size_t n;
  do {
    if (out->len > BYTES_MAX || !bx_buf_reserve(out, 65536)) return false;
    n = fread(out->data + out->len, 1, 65536, f);
    out->len += n;
  } while (n > 0);
  return !ferror(f) && bx_buf_terminate(out);
}

bx_class bx_roots_read(const char *ca_file, bx_buf *out, bx_error *e) {
  const char *path = ca_file ? ca_file : bx_roots_named();
  FILE *f = path ? fopen(path, "re") : open_place(&path);
  if (!f && !ca_file && !bx_roots_named()) return no_place(e);
  if (!f)
    return bx_error_set(e, ca_file ? BX_INVALID_ARGUMENT : BX_CONNECTION,
                        "can't read the certificates in %s: %s%s", path,
                        strerror(errno), ca_file ? "" : " (SSL_CERT_FILE)");
  bool ok = read_all(f, out);
  fclose(f);
  if (!ok)
    return bx_error_set(e, BX_INVALID_ARGUMENT,
                        "can't read the certificates in %s", path);
  if (!strstr(out->data, "-----BEGIN CERTIFICATE-----"))
    return bx_error_set(e, BX_INVALID_ARGUMENT,
                        "%s holds no PEM certificate", path);
  return BX_OK;
}
