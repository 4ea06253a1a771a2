#include "layer_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* sudo without a password and without a program that gains rights: the box's
   root may become any user, other users none. */
const char bx_layer_sudo[] =
    "#!/bin/sh\n"
    "# sudo of a local box: commands already run as root here.\n"
    "die() { echo \"sudo: $*\" >&2; exit 1; }\n"
    "usage() { echo 'usage: sudo [-EHnSkKbiPsv] [-u user] [-g group] "
    "[-D dir] [VAR=value ...] [command [argument ...]]'; }\n"
    "user=root group= login= shell= back= dir= keep= only=\n"
    "while [ $# -gt 0 ]; do\n"
    "  case $1 in\n"
    "    --) shift; break ;;\n"
    "    -u|--user) [ $# -gt 1 ] || die \"option $1 needs a user\"\n"
    "      user=$2; shift ;;\n"
    "    --user=*) user=${1#*=} ;;\n"
    "    -g|--group) [ $# -gt 1 ] || die \"option $1 needs a group\"\n"
    "      group=$2; shift ;;\n"
    "    --group=*) group=${1#*=} ;;\n"
    "    -D|--chdir) [ $# -gt 1 ] || die \"option $1 needs a folder\"\n"
    "      dir=$2; shift ;;\n"
    "    --chdir=*) dir=${1#*=} ;;\n"
    "    -p|--prompt|-C|-h|-r|-t|-T|-R) [ $# -gt 1 ] || die \"option $1 needs "
    "a value\"\n"
    "      shift ;;\n"
    "    -E|--preserve-env|--preserve-env=*) keep=1 ;;\n"
    "    -i|--login) login=1 ;;\n"
    "    -s|--shell) shell=1 ;;\n"
    "    -b|--background) back=1 ;;\n"
    "    -v|--validate|-k|--reset-timestamp|-K|--remove-timestamp) only=1 ;;\n"
    "    -l|--list) echo '(ALL : ALL) NOPASSWD: ALL'; exit 0 ;;\n"
    "    -V|--version) echo 'Sudo of a local box'; exit 0 ;;\n"
    "    --help) usage; exit 0 ;;\n"
    "    -H|--set-home|-n|--non-interactive|-S|--stdin|-A|--askpass|-P|"
    "--preserve-groups|-B|--bell|-N|--no-update) ;;\n"
    "    -u?*) user=${1#-u} ;;\n"
    "    -g?*) group=${1#-g} ;;\n"
    "    -[EHnSkKbisvPA][EHnSkKbisvPAu]*)\n"
    "      first=${1%\"${1#??}\"}; rest=-${1#??}; shift\n"
    "      set -- \"$first\" \"$rest\" \"$@\"; continue ;;\n"
    "    -*) usage >&2; die \"unknown option $1\" ;;\n"
    "    *) break ;;\n"
    "  esac\n"
    "  shift\n"
    "done\n"
    "case $user in '#'*) user=${user#?}\n"
    "  user=$(id -nu \"$user\" 2>/dev/null || echo \"#$user\") ;; esac\n"
    "id \"$user\" >/dev/null 2>&1 || die \"unknown user $user\"\n"
    "while :; do case ${1-} in\n"
    "  [a-zA-Z_]*=*) export \"$1\"; shift ;;\n"
    "  *) break ;;\n"
    "esac; done\n"
    "if [ $# -eq 0 ] && [ -z \"$login$shell\" ]; then\n"
    "  [ -n \"$only\" ] && exit 0\n"
    "  usage >&2; exit 1\n"
    "fi\n"
    "[ \"$(id -u)\" = 0 ] || [ \"$(id -nu)\" = \"$user\" ] ||\n"
    "  die 'only root may become another user in a local box'\n"
    "home=$(getent passwd \"$user\" | cut -d: -f6)\n"
    "prog=$(getent passwd \"$user\" | cut -d: -f7)\n"
    "export SUDO_USER=\"${SUDO_USER:-$(id -nu)}\" SUDO_UID=\"${SUDO_UID:-$(id "
    "-u)}\" SUDO_GID=\"${SUDO_GID:-$(id -g)}\" SUDO_COMMAND=\"${*:-$prog}\"\n"
    "export USER=\"$user\" LOGNAME=\"$user\"\n"
    "[ -n \"$keep\" ] || export HOME=\"${home:-/}\"\n"
    "[ -z \"$dir\" ] || cd -- \"$dir\" || exit 1\n"
    "if [ -n \"$login\" ]; then\n"
    "  export HOME=\"${home:-/}\" SHELL=\"${prog:-/bin/sh}\"\n"
    "  cd -- \"$HOME\" 2>/dev/null || cd /\n"
    "fi\n"
    "if [ -n \"$login$shell\" ]; then\n"
    "  [ -n \"$login\" ] || prog=${SHELL:-${prog:-/bin/sh}}\n"
    "  opt=; [ -z \"$login\" ] || opt=-l\n"
    "  if [ $# -gt 0 ]; then\n"
    "    line=\n"
    "    for a; do line=\"$line '$(printf %s \"$a\" | sed \"s/'/'\\\\\\\\''/g\")'\"; done\n"
    "    set -- \"${prog:-/bin/sh}\" $opt -c \"$line\"\n"
    "  else\n"
    "    set -- \"${prog:-/bin/sh}\" $opt\n"
    "  fi\n"
    "fi\n"
    "if [ \"$(id -nu)\" != \"$user\" ] || [ -n \"$group\" ]; then\n"
    "  if [ -n \"$group\" ]; then\n"
    "    set -- setpriv --reuid \"$user\" --regid \"$group\" --init-groups "
    "-- \"$@\"\n"
    "  else\n"
    "    set -- setpriv --reuid \"$user\" --regid \"$(id -g \"$user\")\" "
    "--init-groups -- \"$@\"\n"
    "  fi\n"
    "fi\n"
    "if [ -n \"$back\" ]; then \"$@\" & exit 0; fi\n"
    "command -v -- \"$1\" >/dev/null 2>&1 || { echo \"sudo: $1: command not "
    "found\" >&2; exit 1; }\n"
    "exec \"$@\"\n";

const char bx_layer_policy[] =
    "#!/bin/sh\n"
    "# A local box has no service manager: packages only install.\n"
    "exit 101\n";

const char bx_layer_apt[] =
    "# This box has one user id: apt cannot become _apt.\n"
    "APT::Sandbox::User \"root\";\n";

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
