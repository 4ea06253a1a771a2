/* The command line of boxdlua: lua(1)'s options and its own. */
#include "boxdlua.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/text.h"

const char host_options_help[] =
    "Options of lua(1):\n"
    "  -e stat          execute string 'stat'\n"
    "  -i               enter interactive mode after executing 'script'\n"
    "  -l mod           require library 'mod' into global 'mod'\n"
    "  -l g=mod         require library 'mod' into global 'g'\n"
    "  -v               show version information\n"
    "  -E               ignore Lua's environment variables\n"
    "  -W               turn warnings on\n"
    "  --               stop handling options\n"
    "  -                stop handling options and execute stdin\n"
    "Options of boxdlua:\n"
    "  --local          run against an embedded service that is started for\n"
    "                   this run and gone with it (or BOXD_LOCAL=1)\n"
    "  --serve          run the embedded service in the foreground, with\n"
    "    --listen A       on this address (default 127.0.0.1:9443)\n"
    "    --state DIR      keeping its state here (default\n"
    "                     $XDG_STATE_HOME/boxd)\n"
    "    --net MODE       boxes' network: private (default) or host\n"
    "    --max-boxes N    at most N boxes\n"
    "    --limits WHAT    production (default): what boxd.sh limits is limited\n"
    "                     here; none: it is not\n"
    "    --init WHAT      the first process of boxes: boxd's own (boxd, default),\n"
    "                     or systemd, for systemctl, units and journals\n"
    "    --exec-survives  commands outlive the call that started them\n"
    "  --dry-run        provision shows its plan and changes nothing\n"
    "                   (or BOXD_DRY_RUN=1)\n"
    "  --resume FILE    provision goes on by this journal: with what failed or\n"
    "                   was not reached\n"
    "  --trace FILE     write a timeline of tasks and calls, for Perfetto or\n"
    "                   chrome://tracing\n"
    "  --doctor         check endpoint, TLS, credentials, contract, and whether\n"
    "                   boxes can run here; say what to do\n"
    "    --ca-file FILE   trusting the authorities in it\n"
    "  --clean          remove what local boxes have in this user's cache\n"
    "                   (~/.cache/boxd); a later start makes it again\n"
    "  --version        show version information\n"
    "  -h, --help       show this\n";

/* argv while it is read: `at` is the option's index. */
typedef struct reader {
  host_options *o;
  int at;
  char *message;
  size_t size;
} reader;

static int refuse(reader *r, const char *fmt, const char *what) {
  snprintf(r->message, r->size, fmt, what);
  return -1;
}

/* -e and -l: the rest of the word, or the next one. */
static int read_action(reader *r, char kind) {
  host_options *o = r->o;
  const char *text = o->argv[r->at] + 2;
  if (*text == '\0') {
    text = o->argv[r->at + 1];
    if (text == NULL || text[0] == '-')
      return refuse(r, "'%s' needs argument", o->argv[r->at]);
    r->at++;
  }
  o->actions[o->action_count++] = (host_action){kind, text};
  return 0;
}

static int read_short(reader *r) {
  host_options *o = r->o;
  const char *word = o->argv[r->at];
  if (word[1] == 'e' || word[1] == 'l') return read_action(r, word[1]);
  if (word[2] != '\0') return refuse(r, "unrecognized option '%s'", word);
  switch (word[1]) {
    case 'i': o->interactive = true; break;
    case 'v': o->version = true; break;
    case 'h': o->help = true; break;
    case 'E': o->ignore_env = true; break;
    case 'W': o->actions[o->action_count++] = (host_action){'W', ""}; break;
    default: return refuse(r, "unrecognized option '%s'", word);
  }
  return 0;
}

/*
** 1 and the value of `--name VALUE` or `--name=VALUE`; 0 when the word is
** another option; -1 when the value is missing.
*/
static int long_value(reader *r, const char *name, const char **value) {
  const char *word = r->o->argv[r->at];
  size_t n = strlen(name);
  if (strncmp(word, name, n) != 0) return 0;
  if (word[n] == '=') {
    *value = word + n + 1;
  } else if (word[n] == '\0') {
    *value = r->o->argv[r->at + 1];
    if (*value != NULL) r->at++;
  } else {
    return 0;
  }
  if (*value == NULL || **value == '\0')
    return refuse(r, "'%s' needs a value", name);
  return 1;
}

static int read_number(reader *r, const char *name, const char *value, long low,
                       long *result) {
  char *end;
  errno = 0;
  *result = strtol(value, &end, 10);
  if (errno == 0 && *end == '\0' && *result >= low && *result <= INT_MAX)
    return 0;
  snprintf(r->message, r->size, "'%s' takes a whole number from %ld, not '%s'",
           name, low, value);
  return -1;
}

/* The options that only --serve has; 0 when the word is none of them. */
static int read_serve_option(reader *r) {
  host_options *o = r->o;
  const char *value = NULL;
  long number;
  int found;
  if ((found = long_value(r, "--listen", &o->listen)) != 0) return found;
  if ((found = long_value(r, "--state", &o->state)) != 0) return found;
  if ((found = long_value(r, "--net", &value)) != 0) {
    if (found > 0 && strcmp(value, "private") && strcmp(value, "host"))
      return refuse(r, "'--net' takes private or host, not '%s'", value);
    o->net = value;
    return found;
  }
  if ((found = long_value(r, "--limits", &value)) != 0) {
    if (found > 0 && strcmp(value, "production") && strcmp(value, "none"))
      return refuse(r, "'--limits' takes production or none, not '%s'", value);
    o->limits = value;
    return found;
  }
  if ((found = long_value(r, "--init", &value)) != 0) {
    if (found > 0 && strcmp(value, "boxd") && strcmp(value, "systemd"))
      return refuse(r, "'--init' takes boxd or systemd, not '%s'", value);
    o->init = value;
    return found;
  }
  if ((found = long_value(r, "--max-boxes", &value)) != 0)
    return found < 0 ? -1
           : read_number(r, "--max-boxes", value, 1, &o->max_boxes) ? -1 : 1;
  if (strcmp(o->argv[r->at], "--exec-survives") == 0) {
    o->exec_survives = true;
    return 1;
  }
  /* Not in the help: how --local's child passes its address to its parent. */
  if ((found = long_value(r, "--announce", &value)) != 0) {
    if (found < 0 || read_number(r, "--announce", value, 3, &number)) return -1;
    o->announce = (int)number;
  }
  return found;
}

static int refuse_unknown(reader *r, const char *word) {
  static const char *const known[] = {
      "--local", "--serve", "--listen", "--state", "--net",
      "--trace", "--doctor", "--help", "--max-boxes", "--limits", "--init", "--exec-survives",
      "--ca-file", "--clean", "--version", "--dry-run", "--resume"};
  const char *near =
      bx_text_nearest(word, known, sizeof known / sizeof *known);
  if (near == NULL) return refuse(r, "unrecognized option '%s'", word);
  snprintf(r->message, r->size, "unrecognized option '%s': did you mean '%s'?",
           word, near);
  return -1;
}

/* Is it an option of --local, too? */
static bool is_local(const char *word) {
  return strncmp(word, "--limits", 8) == 0 ||
         strncmp(word, "--init", 6) == 0 ||
         strcmp(word, "--exec-survives") == 0;
}

static int read_long(reader *r, const char **needs_serve) {
  host_options *o = r->o;
  const char *word = o->argv[r->at];
  if (strcmp(word, "--local") == 0) {
    o->local = true;
  } else if (strcmp(word, "--serve") == 0) {
    o->serve = true;
  } else if (strcmp(word, "--doctor") == 0) {
    o->doctor = true;
  } else if (strcmp(word, "--help") == 0) {
    o->help = true;
  } else if (strcmp(word, "--version") == 0) {
    o->version = true;
  } else if (strcmp(word, "--clean") == 0) {
    o->clean = true;
  } else if (strcmp(word, "--dry-run") == 0) {
    o->dry_run = true;
  } else {
    int found = long_value(r, "--trace", &o->trace);
    if (found == 0) found = long_value(r, "--ca-file", &o->ca_file);
    if (found == 0) found = long_value(r, "--resume", &o->resume);
    if (found != 0) return found > 0 ? 0 : -1;
    found = read_serve_option(r);
    if (found == 0) return refuse_unknown(r, word);
    if (!*needs_serve || is_local(*needs_serve)) *needs_serve = word;
    return found > 0 ? 0 : -1;
  }
  return 0;
}

static int check(reader *r, const char *needs_serve) {
  host_options *o = r->o;
  if (o->help) return 0;
  if (needs_serve != NULL && !o->serve && is_local(needs_serve) && !o->local)
    return refuse(r, "'%s' goes with --serve or --local", needs_serve);
  if (needs_serve != NULL && !o->serve && !is_local(needs_serve))
    return refuse(r, "'%s' goes with --serve", needs_serve);
  if (o->ca_file != NULL && !o->doctor)
    return refuse(r, "'--ca-file' goes with %s", "--doctor");
  if (o->clean && o->argc > 2)
    return refuse(r, "'--clean' goes without %s", "anything else");
  if ((o->serve || o->doctor) && (o->dry_run || o->resume != NULL))
    return refuse(r, "'%s' goes with a script", o->dry_run ? "--dry-run"
                                                           : "--resume");
  if (!o->serve && !o->doctor) return 0;
  if (o->serve && o->doctor)
    return refuse(r, "'--serve' goes without %s", "--doctor");
  if (o->doctor && o->script < o->argc)
    return refuse(r, "'--doctor' runs no script ('%s')", o->argv[o->script]);
  if (o->doctor && (o->action_count > 0 || o->interactive))
    return refuse(r, "'--doctor' goes with %s only",
                  "--local and --ca-file");
  if (o->doctor) return 0;
  if (o->local)
    return refuse(r, "'--local' starts a service of its own: %s",
                  "leave out --local or --serve");
  if (o->script < o->argc)
    return refuse(r, "'--serve' runs no script ('%s')", o->argv[o->script]);
  if (o->action_count > 0 || o->interactive)
    return refuse(r, "'--serve' goes with %s",
                  "--listen, --state, --net, --max-boxes, --limits, --init "
                  "and --exec-survives only");
  return 0;
}

int host_options_read(host_options *o, int argc, char **argv, char *message,
                      size_t size) {
  // cppcheck-suppress ctuuninitvar ; o is what this fills
  reader r = {o, 1, message, size};
  const char *needs_serve = NULL;
  *o = (host_options){.announce = -1, .argc = argc, .argv = argv};
  o->actions = calloc((size_t)argc + 1, sizeof *o->actions);
  if (o->actions == NULL) return refuse(&r, "%s", "out of memory");
  for (; r.at < argc && argv[r.at][0] == '-'; r.at++) {
    const char *word = argv[r.at];
    if (word[1] == '\0') {
      o->from_stdin = true;
      break;
    }
    if (strcmp(word, "--") == 0) {
      r.at++;
      break;
    }
    if (word[1] == '-' ? read_long(&r, &needs_serve) : read_short(&r))
      return -1;
  }
  o->script = r.at < argc ? r.at : argc;
  return check(&r, needs_serve);
}
