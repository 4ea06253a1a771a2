#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static bx_class no_memory(bx_error *e) {
  return bx_error_set(e, BX_INTERNAL, "out of memory building a command");
}

static bx_class no_nul(bx_str s, const char *what, bx_error *e) {
  if (s.len == 0 || !memchr(s.s, '\0', s.len)) return BX_OK;
  return bx_error_set(e, BX_INVALID_ARGUMENT,
      "%s holds a NUL byte, which no command line can carry: send such data "
      "through stdin or a file", what);
}

/* Bytes that mean nothing to any shell, whatever their place in a word. */
static bool is_bare(bx_str s) {
  static const char safe[] = "abcdefghijklmnopqrstuvwxyz"
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@:,./+-";
  for (size_t i = 0; i < s.len; i++)
    if (!memchr(safe, s.s[i], sizeof safe - 1)) return false;
  return s.len > 0;
}

/* Words that a shell reads as syntax where a command begins. */
static bool is_reserved(bx_str s) {
  static const char *const words[] = {
      "case", "coproc", "do",     "done",   "elif", "else",  "esac",  "fi",
      "for",  "function", "if",   "in",     "select", "then", "time",
      "until", "while"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strlen(words[i]) == s.len && memcmp(words[i], s.s, s.len) == 0)
      return true;
  return false;
}

/* The service's `sh -c` would take a command that begins so for its option. */
static bool is_option(bx_str s) {
  return s.len > 0 && (s.s[0] == '-' || s.s[0] == '+');
}

/* 'text', with each quote inside written as '\''. */
static bool add_quoted(bx_buf *out, const char *s, size_t len) {
  const char *end = s + len;
  bool ok = bx_buf_adds(out, "'");
  while (ok && s < end) {
    const char *quote = memchr(s, '\'', (size_t)(end - s));
    const char *stop = quote ? quote : end;
    ok = bx_buf_add(out, s, (size_t)(stop - s));
    if (quote) ok = ok && bx_buf_adds(out, "'\\''");
    s = quote ? quote + 1 : end;
  }
  return ok && bx_buf_adds(out, "'");
}

static bool add_octal(bx_buf *out, char c) {
  char octal[8];
  snprintf(octal, sizeof octal, "\\%03o", (unsigned)(unsigned char)c);
  return bx_buf_adds(out, octal);
}

/* Text as printf's format, inside single quotes. */
static bool add_format(bx_buf *out, const char *s, size_t len) {
  bool ok = true;
  for (size_t i = 0; ok && i < len;) {
    size_t plain = i;
    while (plain < len && !strchr("%\\'-", s[plain])) plain++;
    ok = bx_buf_add(out, s + i, plain - i);
    if (ok && plain < len) ok = add_octal(out, s[plain++]);
    i = plain;
  }
  return ok;
}

/* "$(printf '...')": how bytes that are not UTF-8 travel in a command, which
   is text. $() drops newlines at the end, so those follow in quotes. */
static bool add_printf(bx_buf *out, const char *s, size_t len) {
  size_t body = len, i = 0;
  while (body && s[body - 1] == '\n') body--;
  bool ok = bx_buf_adds(out, "\"$(printf '");
  while (ok && i < body) {
    size_t text = bx_text_utf8_prefix(s + i, body - i);
    ok = add_format(out, s + i, text);
    i += text;
    if (ok && i < body) ok = add_octal(out, s[i++]);
  }
  ok = ok && bx_buf_adds(out, "')\"");
  return ok && (body == len || add_quoted(out, s + body, len - body));
}

static bx_class add_word(bx_buf *out, bx_str arg, bool bare,
                         const char *what, bx_error *e) {
  bx_class c = no_nul(arg, what, e);
  if (c) return c;
  bool ok = bare ? bx_buf_add(out, arg.s, arg.len)
            : bx_text_utf8(arg.s, arg.len)
                ? add_quoted(out, arg.s, arg.len)
                : add_printf(out, arg.s, arg.len);
  return ok ? BX_OK : no_memory(e);
}

bx_class bx_text_command(bx_buf *out, const bx_str *argv, size_t argc,
                         bx_error *e) {
  if (argc == 0)
    return bx_error_set(e, BX_INVALID_ARGUMENT,
                        "there is no command: give a program to run");
  for (size_t i = 0; i < argc; i++) {
    char what[64];
    bool bare = is_bare(argv[i]) &&
                (i > 0 || (!is_reserved(argv[i]) && !is_option(argv[i])));
    snprintf(what, sizeof what, "argument %zu of the command", i + 1);
    if (i > 0 && !bx_buf_adds(out, " ")) return no_memory(e);
    bx_class c = add_word(out, argv[i], bare, what, e);
    if (c) return c;
  }
  return BX_OK;
}

bx_class bx_text_line(bx_buf *out, bx_str line, bx_error *e) {
  bx_class c = no_nul(line, "the command line", e);
  if (c) return c;
  size_t valid = bx_text_utf8_prefix(line.s, line.len);
  if (valid < line.len)
    return bx_error_set(e, BX_INVALID_ARGUMENT,
        "the command line is not UTF-8 from byte %zu on: send such data "
        "through stdin, or as an argument of exec",
        valid + 1);
  return bx_buf_add(out, line.s, line.len) ? BX_OK : no_memory(e);
}

static bool is_identifier(bx_str s) {
  for (size_t i = 0; i < s.len; i++) {
    char c = s.s[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && (i == 0 || c < '0' || c > '9')) return false;
  }
  return s.len > 0;
}

static int by_key(const void *a, const void *b) {
  const bx_str *x = &((const bx_env *)a)->key, *y = &((const bx_env *)b)->key;
  int d = memcmp(x->s, y->s, x->len < y->len ? x->len : y->len);
  return d ? d : (x->len > y->len) - (x->len < y->len);
}

static bx_class add_env(bx_buf *out, const bx_env *v, bx_error *e) {
  char shown[64], what[96];
  bx_text_show(shown, sizeof shown, v->key.s, v->key.len);
  if (!is_identifier(v->key))
    return bx_error_set(e, BX_INVALID_ARGUMENT,
        "'%s' is not a name for an environment variable: use letters, digits "
        "and '_', not beginning with a digit",
        shown);
  snprintf(what, sizeof what, "the environment variable '%s'", shown);
  if (!bx_buf_adds(out, " ") || !bx_buf_add(out, v->key.s, v->key.len) ||
      !bx_buf_adds(out, "="))
    return no_memory(e);
  return add_word(out, v->value, is_bare(v->value), what, e);
}

/* A path that is not absolute gets "./" in front: cd then never takes it for
   an option, for "-" (the folder before) or for one to look up in CDPATH. */
static bx_class add_cd(bx_buf *out, bx_str cwd, bx_error *e) {
  char tail[24];
  if (cwd.len == 0)
    return bx_error_set(e, BX_INVALID_ARGUMENT,
                        "cwd is empty: leave it out, or name a directory");
  snprintf(tail, sizeof tail, " || exit %d; ", BX_TEXT_CWD_FAILED);
  if (!bx_buf_adds(out, cwd.s[0] == '/' ? "cd " : "cd ./"))
    return no_memory(e);
  bx_class c = add_word(out, cwd, is_bare(cwd), "cwd", e);
  if (c) return c;
  return bx_buf_adds(out, tail) ? BX_OK : no_memory(e);
}

bx_class bx_text_prelude(bx_buf *out, bx_str cwd, bx_env *env, size_t n,
                         bx_error *e) {
  bx_class c = cwd.s ? add_cd(out, cwd, e) : BX_OK;
  if (c || n == 0) return c;
  qsort(env, n, sizeof *env, by_key);
  if (!bx_buf_adds(out, "export")) return no_memory(e);
  for (size_t i = 0; i < n; i++)
    if ((c = add_env(out, &env[i], e))) return c;
  return bx_buf_adds(out, "; ") ? BX_OK : no_memory(e);
}
