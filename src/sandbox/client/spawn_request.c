/* The requests of spawn.h as messages. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spawn.h"
#include "../spawn_private.h"

#define COMMAND_MAX ((size_t)64 << 20)

static uint64_t refuse(bx_error *e, const char *why) {
  bx_error_set(e, BX_INVALID_ARGUMENT, "%s", why);
  return 0;
}

static const char no_hostname[] = "a box needs a hostname of 1 to 64 bytes";

static bool absolute(const char *path) { return path && path[0] == '/'; }

static bool is_hostname(const char *name) {
  return name && *name && strlen(name) <= 64;
}

/* "SOURCE\0TARGET\0ro\0" each, one after another; NULL: no memory. */
static char *pack_mounts(const bx_mount *m, size_t n, size_t *len) {
  size_t total = 0;
  for (size_t i = 0; i < n; i++)
    total += strlen(m[i].source) + strlen(m[i].target) + 5;
  char *all = malloc(total + 1), *at = all;
  if (!all) return NULL;
  for (size_t i = 0; i < n; i++) {
    at = stpcpy(at, m[i].source) + 1;
    at = stpcpy(at, m[i].target) + 1;
    at = stpcpy(at, m[i].read_only ? "ro" : "rw") + 1;
  }
  *len = total;
  return all;
}

/* START: n0 memory, n1 processes, n2 net_host, n3 outgoing; s0 dir, s1
   hostname, s2 mounts. ATTACH: s0 mount. */
uint64_t bx_box_start(bx_spawner *sp, const bx_box_spec *spec, bx_error *e) {
  if (!absolute(spec->dir))
    return refuse(e, "the folder of a box must be an absolute path");
  if (!is_hostname(spec->hostname)) return refuse(e, no_hostname);
  for (size_t i = 0; i < spec->nmounts; i++)
    if (!absolute(spec->mounts[i].source) || !absolute(spec->mounts[i].target))
      return refuse(e, "both paths of a mount must be absolute");
  bx_msg m = {.type = BX_M_START};
  size_t len;
  char *mounts = pack_mounts(spec->mounts, spec->nmounts, &len);
  if (!mounts) {
    bx_error_errno(e, BX_INTERNAL, ENOMEM, "cannot start a box");
    return 0;
  }
  m.n[0] = (int64_t)spec->limits.memory;
  m.n[1] = spec->limits.processes ? spec->limits.processes : 4096;
  m.n[2] = spec->net_host;
  m.n[3] = spec->outgoing && !spec->net_host;
  m.s[0] = bx_bytes_str(spec->dir);
  m.s[1] = bx_bytes_str(spec->hostname);
  m.s[2] = bx_bytes_of(mounts, len);
  uint64_t id = bx_spawner_request(sp, &m, e);
  free(mounts);
  return id;
}

static uint64_t plain(bx_spawner *sp, bx_message type, uint64_t box,
                      bx_error *e) {
  bx_msg m = {.type = type, .box = box};
  return bx_spawner_request(sp, &m, e);
}

uint64_t bx_box_kill(bx_spawner *sp, uint64_t box, bx_error *e) {
  return plain(sp, BX_M_KILL, box, e);
}

uint64_t bx_box_suspend(bx_spawner *sp, uint64_t box, bx_error *e) {
  return plain(sp, BX_M_SUSPEND, box, e);
}

uint64_t bx_box_resume(bx_spawner *sp, uint64_t box, bx_error *e) {
  return plain(sp, BX_M_RESUME, box, e);
}

/* HOSTNAME: s0 name. */
uint64_t bx_box_hostname(bx_spawner *sp, uint64_t box, const char *hostname,
                         bx_error *e) {
  if (!is_hostname(hostname)) return refuse(e, no_hostname);
  bx_msg m = {
      .type = BX_M_HOSTNAME, .box = box, .s = {bx_bytes_str(hostname)}};
  return bx_spawner_request(sp, &m, e);
}

/* LIMIT: n0 memory. */
uint64_t bx_box_memory(bx_spawner *sp, uint64_t box, uint64_t bytes,
                       bx_error *e) {
  if (bytes == 0) return refuse(e, "a limit of memory is 1 byte or more");
  bx_msg m = {.type = BX_M_LIMIT, .box = box, .n = {(int64_t)bytes}};
  return bx_spawner_request(sp, &m, e);
}

uint64_t bx_disk_attach(bx_spawner *sp, uint64_t box, const bx_mount *mount,
                        bx_error *e) {
  if (!absolute(mount->source) || !absolute(mount->target))
    return refuse(e, "both paths of a mount must be absolute");
  bx_msg m = {.type = BX_M_ATTACH, .box = box};
  size_t len;
  char *packed = pack_mounts(mount, 1, &len);
  if (!packed) {
    bx_error_errno(e, BX_INTERNAL, ENOMEM, "cannot attach a disk");
    return 0;
  }
  m.s[0] = bx_bytes_of(packed, len);
  uint64_t id = bx_spawner_request(sp, &m, e);
  free(packed);
  return id;
}

/* DETACH: s0 target. */
uint64_t bx_disk_detach(bx_spawner *sp, uint64_t box, const char *target,
                        bx_error *e) {
  if (!absolute(target)) return refuse(e, "a mount path must be absolute");
  bx_msg m = {.type = BX_M_DETACH, .box = box, .s = {bx_bytes_str(target)}};
  return bx_spawner_request(sp, &m, e);
}

/* CONNECT: n0 port. */
uint64_t bx_net_connect(bx_spawner *sp, uint64_t box, uint16_t port,
                        bx_error *e) {
  if (port == 0) return refuse(e, "a port is 1 to 65535");
  bx_msg m = {.type = BX_M_CONNECT, .box = box, .n = {port}};
  return bx_spawner_request(sp, &m, e);
}

uint64_t bx_net_sockets(bx_spawner *sp, uint64_t box, bx_error *e) {
  bx_msg m = {.type = BX_M_SOCKETS, .box = box};
  return bx_spawner_request(sp, &m, e);
}

/* EXEC: n0 pty, n1 cols, n2 rows, n3 as root; s0 command, s1 env ("A=1\0B=2\0"), s2 cwd. */
uint64_t bx_box_exec(bx_spawner *sp, uint64_t box, const bx_exec_spec *spec,
                     bx_error *e) {
  if (!spec->command || memchr(spec->command, 0, spec->command_len))
    return refuse(e, "a command cannot have a NUL byte in it");
  if (spec->command_len > COMMAND_MAX)
    return refuse(e, "a command can be 64 MiB long at most");
  size_t len = 0;
  for (const char *const *v = spec->env; v && *v; v++) len += strlen(*v) + 1;
  char *env = malloc(len + 1), *at = env;
  if (!env) {
    bx_error_errno(e, BX_INTERNAL, ENOMEM, "cannot run a command");
    return 0;
  }
  for (const char *const *v = spec->env; v && *v; v++) at = stpcpy(at, *v) + 1;
  bx_msg m = {.type = BX_M_EXEC,
              .box = box,
              .n = {spec->pty, spec->cols ? spec->cols : 80,
                    spec->rows ? spec->rows : 24, spec->root}};
  m.s[0] = bx_bytes_of(spec->command, spec->command_len);
  m.s[1] = bx_bytes_of(env, len);
  m.s[2] = bx_bytes_str(spec->cwd ? spec->cwd : "");
  uint64_t id = bx_spawner_request(sp, &m, e);
  free(env);
  return id;
}

/* SIGNAL: n0 exec, n1 signal, n2 scope. The spawner knows the exec's box. */
uint64_t bx_exec_signal(bx_spawner *sp, uint64_t exec, int signo,
                        bx_scope scope, bx_error *e) {
  if (signo < 1 || signo > 64) return refuse(e, "a signal is 1 to 64");
  bx_msg m = {.type = BX_M_SIGNAL, .n = {(int64_t)exec, signo, scope}};
  return bx_spawner_request(sp, &m, e);
}

/* DROP: n0 exec. */
uint64_t bx_exec_drop(bx_spawner *sp, uint64_t box, uint64_t exec,
                      bx_error *e) {
  bx_msg m = {.type = BX_M_DROP, .box = box, .n = {(int64_t)exec}};
  return bx_spawner_request(sp, &m, e);
}

/* FILE: n0 operation, n1 flags, n2 mode, n3 as root; s0 path, s1 path2. */
uint64_t bx_box_file(bx_spawner *sp, uint64_t box, const bx_file_spec *spec,
                     bx_error *e) {
  if (!spec->path || !*spec->path) return refuse(e, "a path cannot be empty");
  bool two = spec->op == BX_FILE_COMMIT || spec->op == BX_FILE_RENAME ||
             spec->op == BX_FILE_COPY;
  if (two && (!spec->path2 || !*spec->path2))
    return refuse(e, "a path cannot be empty");
  bx_msg m = {.type = BX_M_FILE,
              .box = box,
              .n = {spec->op, spec->flags, (int64_t)spec->mode, spec->root}};
  m.s[0] = bx_bytes_str(spec->path);
  m.s[1] = bx_bytes_str(two ? spec->path2 : NULL);
  return bx_spawner_request(sp, &m, e);
}

/* COPY: s0 from, s1 to. REMOVE: s0 dir. */
uint64_t bx_dir_copy(bx_spawner *sp, const char *from, const char *to,
                     bx_error *e) {
  if (!absolute(from) || !absolute(to))
    return refuse(e, "the folder of a box must be an absolute path");
  bx_msg m = {.type = BX_M_COPY,
              .s = {bx_bytes_str(from), bx_bytes_str(to)}};
  return bx_spawner_request(sp, &m, e);
}

uint64_t bx_dir_remove(bx_spawner *sp, const char *dir, bx_error *e) {
  if (!absolute(dir))
    return refuse(e, "the folder of a box must be an absolute path");
  bx_msg m = {.type = BX_M_REMOVE, .s = {bx_bytes_str(dir)}};
  return bx_spawner_request(sp, &m, e);
}
