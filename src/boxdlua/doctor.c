#include "doctor.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <lauxlib.h>

#include "../bind/await.h"
#include "../bind/client.h"
#include "../bind/error.h"
#include "../bind/type.h"
#include "../core/roots.h"
#include "../sandbox/probe.h"

#define SOCKET_TYPE "boxd.doctor.Socket"
#define TLS_TYPE "boxd.doctor.TLS"
#define CALL_TYPE "boxd.doctor.Call"

static int fail(lua_State *L, const char *message) {
  luaL_pushfail(L);
  lua_pushstring(L, message);
  return 2;
}

/* ---- names and sockets ---- */

/* resolve(host) -> list of addresses */
static int m_resolve(lua_State *L) {
  const char *host = luaL_checkstring(L, 1);
  struct addrinfo *list, hints = {.ai_socktype = SOCK_STREAM};
  char text[INET6_ADDRSTRLEN + 1];
  int rc = getaddrinfo(host, NULL, &hints, &list);
  if (rc != 0) return fail(L, gai_strerror(rc));
  lua_newtable(L); /* its only error, out of memory, ends the doctor */
  lua_Integer n = 0;
  for (struct addrinfo *a = list; a != NULL; a = a->ai_next)
    if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0,
                    NI_NUMERICHOST) == 0) {
      lua_pushstring(L, text);
      lua_rawseti(L, -2, ++n);
    }
  freeaddrinfo(list);
  return 1;
}

static bool finish_connect(int fd, int milliseconds) {
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  int error = 0;
  socklen_t size = sizeof error;
  int n;
  do n = poll(&p, 1, milliseconds);
  while (n < 0 && errno == EINTR);
  if (n == 0) errno = ETIMEDOUT;
  if (n <= 0) return false;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  errno = error;
  return error == 0;
}

/* Connects *fd, which the caller owns, within the seconds; errno otherwise. */
static bool connect_to(const struct addrinfo *a, double seconds, int *fd) {
  *fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (*fd < 0) return false;
  if (connect(*fd, a->ai_addr, a->ai_addrlen) == 0) return true;
  return errno == EINPROGRESS && finish_connect(*fd, (int)(seconds * 1000));
}

/* connect(address, port, seconds) -> a socket */
static int m_connect(lua_State *L) {
  const char *address = luaL_checkstring(L, 1);
  const char *port = luaL_checkstring(L, 2);
  double seconds = luaL_checknumber(L, 3);
  struct addrinfo *a, hints = {.ai_socktype = SOCK_STREAM,
                               .ai_flags = AI_NUMERICHOST};
  int *fd = lbx_new(L, sizeof *fd, 0, SOCKET_TYPE);
  *fd = -1;
  int rc = getaddrinfo(address, port, &hints, &a);
  if (rc != 0) return fail(L, gai_strerror(rc));
  bool ok = connect_to(a, seconds, fd);
  int why = errno;
  freeaddrinfo(a);
  return ok ? 1 : fail(L, strerror(why));
}

static int m__gc_socket(lua_State *L) {
  int *fd = lua_touserdata(L, 1);
  if (*fd >= 0) close(*fd);
  *fd = -1;
  return 0;
}

/* ---- TLS ---- */

typedef struct tls {
  SSL_CTX *context;
  SSL *ssl;
} tls;

static int m__gc_tls(lua_State *L) {
  tls *t = lua_touserdata(L, 1);
  SSL_free(t->ssl);
  SSL_CTX_free(t->context);
  *t = (tls){0};
  return 0;
}

/* roots([file]) -> true: the certificates that calls would trust can be read */
static int m_roots(lua_State *L) {
  bx_error e;
  bx_buf pem = {0};
  bool ok = bx_roots_read(luaL_optstring(L, 1, NULL), &pem, &e) == BX_OK;
  bx_buf_free(&pem);
  if (!ok) return fail(L, e.message);
  lua_pushboolean(L, true);
  return 1;
}

/* Those of the buffer that can't be read are not trusted. */
static void trust(X509_STORE *store, const bx_buf *pem) {
  BIO *text = BIO_new_mem_buf(pem->data, (int)pem->len);
  X509 *certificate;
  while (text && (certificate = PEM_read_bio_X509(text, NULL, NULL, NULL))) {
    X509_STORE_add_cert(store, certificate);
    X509_free(certificate);
  }
  BIO_free(text);
  ERR_clear_error(); /* the end of the text is one */
}

/* Asks for HTTP/2 and takes any certificate, so that it can be looked at. */
static const char *prepare(tls *t, const char *host, const bx_buf *roots) {
  static const unsigned char h2[] = {2, 'h', '2'};
  t->context = SSL_CTX_new(TLS_client_method());
  if (t->context == NULL) return "OpenSSL can't start";
  trust(SSL_CTX_get_cert_store(t->context), roots);
  t->ssl = SSL_new(t->context);
  if (t->ssl == NULL) return "OpenSSL can't start";
  SSL_set_alpn_protos(t->ssl, h2, sizeof h2);
  X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
  if (!X509_VERIFY_PARAM_set1_ip_asc(param, host)) {
    SSL_set_tlsext_host_name(t->ssl, host);
    SSL_set1_host(t->ssl, host);
  }
  return NULL;
}

/* The handshake on a socket that does not block. */
static const char *shake_hands(SSL *ssl, int fd, double seconds) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  time_t until = now.tv_sec + (time_t)seconds + 1;
  SSL_set_fd(ssl, fd);
  for (;;) {
    int rc = SSL_connect(ssl);
    if (rc == 1) return NULL;
    int why = SSL_get_error(ssl, rc);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (why == SSL_ERROR_WANT_WRITE)
      p.events = POLLOUT;
    else if (why != SSL_ERROR_WANT_READ)
      return "the other side speaks no TLS";
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec >= until) return "no answer";
    poll(&p, 1, (int)(until - now.tv_sec) * 1000);
  }
}

static void set_name(lua_State *L, const char *field, X509_NAME *name) {
  char text[256] = "";
  X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof text);
  if (text[0] == '\0') X509_NAME_oneline(name, text, sizeof text);
  lua_pushstring(L, text);
  lua_setfield(L, -2, field);
}

/* The certificate, which the caller owns; its table is on top. */
static void describe(lua_State *L, X509 *certificate) {
  int days = 0, seconds = 0;
  set_name(L, "subject", X509_get_subject_name(certificate));
  set_name(L, "issuer", X509_get_issuer_name(certificate));
  ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate));
  lua_pushinteger(L, days);
  lua_setfield(L, -2, "days");
}

/* certificate(socket, host, seconds [, roots]) -> { subject=, issuer=, days=
** left, problem= why it is not trusted or nil, http2= } */
static int m_certificate(lua_State *L) {
  int *fd = luaL_checkudata(L, 1, SOCKET_TYPE);
  const char *host = luaL_checkstring(L, 2);
  double seconds = luaL_checknumber(L, 3);
  const char *ca_file = luaL_optstring(L, 4, NULL);
  const unsigned char *alpn;
  unsigned n;
  tls *t = lbx_new(L, sizeof *t, 0, TLS_TYPE);
  bx_error e;
  bx_buf roots = {0};
  bool ok = bx_roots_read(ca_file, &roots, &e) == BX_OK;
  const char *why = ok ? prepare(t, host, &roots) : e.message;
  bx_buf_free(&roots);
  if (why == NULL) why = shake_hands(t->ssl, *fd, seconds);
  if (why != NULL) return fail(L, why);
  lua_createtable(L, 0, 5);
  X509 *certificate = SSL_get0_peer_certificate(t->ssl);
  if (certificate == NULL) return fail(L, "the other side has no certificate");
  describe(L, certificate);
  long verdict = SSL_get_verify_result(t->ssl);
  if (verdict != X509_V_OK) {
    lua_pushstring(L, X509_verify_cert_error_string(verdict));
    lua_setfield(L, -2, "problem");
  }
  SSL_get0_alpn_selected(t->ssl, &alpn, &n);
  lua_pushboolean(L, n == 2);
  lua_setfield(L, -2, "http2");
  return 1;
}

/* ---- reflection ---- */

typedef struct call_ud {
  bx_call *call;
} call_ud;

static int m__gc_call(lua_State *L) {
  call_ud *u = lua_touserdata(L, 1);
  if (u->call == NULL) return 0;
  bx_call_cancel(u->call, "the caller no longer waits");
  bx_call_unref(u->call);
  u->call = NULL;
  return 0;
}

static void await(lua_State *L, bx_event *event) {
  while (!event->set) lbx_await(L, &(lbx_wait){.event = event}, 0, NULL);
}

static int push_bytes(lua_State *L, grpc_byte_buffer *buffer) {
  grpc_byte_buffer_reader reader;
  if (!grpc_byte_buffer_reader_init(&reader, buffer))
    return fail(L, "the answer can't be read");
  grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
  grpc_byte_buffer_reader_destroy(&reader);
  lua_pushlstring(L, (const char *)GRPC_SLICE_START_PTR(all),
                  GRPC_SLICE_LENGTH(all));
  grpc_slice_unref(all);
  return 1;
}

/* reflect(client, version "v1" or "v1alpha", question, seconds) -> the answer's
** bytes; or nil, message and the status's number */
static int m_reflect(lua_State *L) {
  static const char *const versions[] = {"v1", "v1alpha", NULL};
#define REFLECTION(version)                                     \
  {.name = "ServerReflectionInfo", .kind = BX_BIDI,              \
   .path = "/grpc.reflection." version ".ServerReflection/" \
           "ServerReflectionInfo"}
  static const bx_rpc rpcs[] = {REFLECTION("v1"), REFLECTION("v1alpha")};
  size_t n;
  const bx_rpc *rpc = &rpcs[luaL_checkoption(L, 2, NULL, versions)];
  const char *question = luaL_checklstring(L, 3, &n);
  double deadline = lbx_client_deadline(L, 4);
  call_ud *u = lbx_new(L, sizeof *u, 0, CALL_TYPE);
  bx_call *c = u->call = lbx_client_prepare(L, 1, rpc, deadline);
  grpc_slice slice = grpc_slice_from_copied_buffer(question, n);
  bx_call_start(c, grpc_raw_byte_buffer_create(&slice, 1), true);
  grpc_slice_unref(slice);
  bx_call_recv(c);
  await(L, &c->received);
  if (c->message != NULL) return push_bytes(L, c->message);
  await(L, &c->finished);
  fail(L, c->error.class_ ? c->error.message : "it answered nothing");
  lua_pushinteger(L, c->error.status);
  return 3;
}

/* sandbox() -> list of { name=, ok=, needed=, text= } */
static int m_sandbox(lua_State *L) {
  bx_probe_line lines[BX_PROBE_MAX];
  size_t n = bx_sandbox_probe(lines);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    lua_createtable(L, 0, 4);
    lua_pushstring(L, lines[i].name);
    lua_setfield(L, -2, "name");
    lua_pushboolean(L, lines[i].ok);
    lua_setfield(L, -2, "ok");
    lua_pushboolean(L, lines[i].needed);
    lua_setfield(L, -2, "needed");
    lua_pushstring(L, lines[i].text);
    lua_setfield(L, -2, "text");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

int luaopen_doctor_probe(lua_State *L) {
  static const luaL_Reg functions[] = {{"resolve", m_resolve},
                                       {"connect", m_connect},
                                       {"roots", m_roots},
                                       {"certificate", m_certificate},
                                       {"reflect", m_reflect},
                                       {"sandbox", m_sandbox},
                                       {NULL, NULL}};
  static const luaL_Reg socket_meta[] = {
      {"__gc", m__gc_socket}, {"__close", m__gc_socket}, {NULL, NULL}};
  static const luaL_Reg tls_meta[] = {{"__gc", m__gc_tls}, {NULL, NULL}};
  static const luaL_Reg call_meta[] = {{"__gc", m__gc_call}, {NULL, NULL}};
  lbx_newtype(L, SOCKET_TYPE, NULL, socket_meta);
  lbx_newtype(L, TLS_TYPE, NULL, tls_meta);
  lbx_newtype(L, CALL_TYPE, NULL, call_meta);
  luaL_newlib(L, functions);
  return 1;
}
