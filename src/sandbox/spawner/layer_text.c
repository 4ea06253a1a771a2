#include "layer_text.h"

#include "host.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char bx_layer_sudoers[] =
    "Defaults env_reset\n"
    "root ALL=(ALL:ALL) ALL\n"
    "%sudo ALL=(ALL:ALL) NOPASSWD:ALL\n"
    "@includedir /etc/sudoers.d\n";

const char bx_layer_sudoers_boxd[] = "boxd ALL=(ALL:ALL) NOPASSWD:ALL\n";

const char bx_layer_policy[] =
    "#!/bin/sh\n"
    "# A local box has no service manager: packages only install.\n"
    "exit 101\n";

const char bx_layer_tmpfiles[] =
    "# Commands run before systemd is up: what they put here stays.\n"
    "d /tmp 1777 root root -\n"
    "d /var/tmp 1777 root root -\n";

static int append(char **text, size_t *len, const char *s, size_t n) {
  char *grown = realloc(*text, *len + n + 1);
  if (!grown) return -1;
  memcpy(grown + *len, s, n);
  grown[*len += n] = '\0';
  *text = grown;
  return 0;
}

static int append_own(char **text, size_t *len, const char *own) {
  char line[64];
  int n = snprintf(line, sizeof line, "nameserver %s\n", own);
  return append(text, len, line, (size_t)n);
}

char *bx_layer_locked(const char *names, const char *rest) {
  char *text = calloc(1, 1), line[1024];
  size_t len = 0;
  FILE *f = fopen(names, "re");
  while (text && f && fgets(line, sizeof line, f)) {
    size_t n = strcspn(line, ":\n");
    if (n == 0 || line[n] != ':') continue;
    if (append(&text, &len, line, n) < 0 ||
        append(&text, &len, rest, strlen(rest)) < 0 ||
        append(&text, &len, "\n", 1) < 0) {
      free(text);
      text = NULL;
    }
  }
  if (f) fclose(f);
  return text;
}

/* ---- users --------------------------------------------------------------- */

/* The third field of a line like those of passwd and group. */
static long id_of(const char *line) {
  const char *p = strchr(line, ':');
  p = p ? strchr(p + 1, ':') : NULL;
  return p ? strtol(p + 1, NULL, 10) : -1;
}

static bool is_named(const char *line, const char *name) {
  size_t n = strlen(name);
  return strncmp(line, name, n) == 0 && line[n] == ':';
}

/* Of boxd's name or number: it has its own. */
static bool is_replaced(const char *line) {
  return is_named(line, BX_USER_NAME) || id_of(line) == BX_USER_ID;
}

char *bx_layer_users(const char *file) {
  static const char own[] = BX_USER_NAME ":x:1000:1000::" BX_HOME ":/bin/bash\n";
  char *text = calloc(1, 1), line[1024];
  size_t len = 0;
  FILE *f = fopen(file, "re");
  bool ok = text != NULL;
  while (ok && f && fgets(line, sizeof line, f))
    ok = is_replaced(line) || append(&text, &len, line, strlen(line)) == 0;
  if (f) fclose(f);
  if (ok && append(&text, &len, own, sizeof own - 1) == 0) return text;
  free(text);
  return NULL;
}

/* A line of a group, with boxd as its last member. */
static int append_member(char **text, size_t *len, const char *line) {
  size_t n = strcspn(line, "\n");
  bool first = n > 0 && line[n - 1] == ':';
  if (append(text, len, line, n) < 0) return -1;
  if (!first && append(text, len, ",", 1) < 0) return -1;
  return append(text, len, BX_USER_NAME "\n", sizeof BX_USER_NAME);
}

static int append_group(char **text, size_t *len, const char *name, int id) {
  char line[80];
  int n = snprintf(line, sizeof line, "%s:x:%d:" BX_USER_NAME "\n", name, id);
  return append(text, len, line, (size_t)n);
}

/* The highest number of a system's group that none has. */
static int free_group(const bool taken[1000]) {
  int id = 999;
  while (id > 100 && taken[id]) id--;
  return id;
}

char *bx_layer_groups(const char *file) {
  static const char own[] = BX_USER_NAME ":x:1000:\n";
  char *text = calloc(1, 1), *line = NULL;
  size_t len = 0, room = 0;
  bool taken[1000] = {false}, sudo = false, docker = false, ok = text != NULL;
  FILE *f = fopen(file, "re");
  while (ok && f && getline(&line, &room, f) > 0) {
    long id = id_of(line);
    if (is_replaced(line)) continue;
    if (id >= 0 && id < 1000) taken[id] = true;
    bool member = is_named(line, "sudo") || is_named(line, "docker");
    sudo = sudo || is_named(line, "sudo");
    docker = docker || is_named(line, "docker");
    ok = member ? append_member(&text, &len, line) == 0
                : append(&text, &len, line, strlen(line)) == 0;
  }
  free(line);
  if (f) fclose(f);
  if (ok && !sudo) ok = append_group(&text, &len, "sudo", taken[27] ? free_group(taken) : 27) == 0;
  if (ok && !docker) ok = append_group(&text, &len, "docker", free_group(taken)) == 0;
  if (ok && append(&text, &len, own, sizeof own - 1) == 0) return text;
  free(text);
  return NULL;
}

/* ---- name servers -------------------------------------------------------- */

/* A name server that boxes do not reach: of this machine alone, or, for boxes
   with a resolver of their own, one of IPv6. */
static bool out_of_reach(const char *address, const char *own) {
  return strncmp(address, "127.", 4) == 0 || strncmp(address, "::1", 3) == 0 ||
         (own && strchr(address, ':'));
}

static char *servers_of(const char *file, const char *own, int *found) {
  char *text = calloc(1, 1), line[512];
  size_t len = 0;
  if (own && text && append_own(&text, &len, own) < 0) {
    free(text);
    return NULL;
  }
  FILE *f = fopen(file, "re");
  while (text && f && fgets(line, sizeof line, f)) {
    const char *at = line + strspn(line, " \t");
    if (strncmp(at, "nameserver", 10) == 0) {
      const char *address = at + 10 + strspn(at + 10, " \t");
      if (out_of_reach(address, own)) continue;
      ++*found;
    } else if (strncmp(at, "search", 6) != 0 && strncmp(at, "options", 7) != 0) {
      continue;
    }
    if (append(&text, &len, line, strlen(line)) < 0) {
      free(text);
      text = NULL;
    }
  }
  if (f) fclose(f);
  return text;
}

char *bx_layer_resolv(const char *own) {
  static const char *const files[] = {"/etc/resolv.conf",
                                      "/run/systemd/resolve/resolv.conf",
                                      "/run/NetworkManager/no-stub-resolv.conf"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    int found = 0;
    char *text = servers_of(files[i], own, &found);
    if (!text || found || own) return text;
    free(text);
  }
  return strdup("");
}
