#include "json.h"

#include <stdbool.h>
#include <string.h>

#include "text.h"

typedef struct scanner {
  const char *s;
  size_t len, at;
  bx_error *e;
} scanner;

/* An error with the line and column of the byte at `at`. */
static bx_class refuse(scanner *c, size_t at, const char *why) {
  size_t line = 1, column = 1;
  for (size_t i = 0; i < at; i++) {
    bool newline = c->s[i] == '\n';
    line += newline;
    column = newline ? 1 : column + 1;
  }
  return bx_error_set(c->e, BX_INVALID_ARGUMENT,
                      "invalid JSON at line %zu, column %zu: %s", line, column,
                      why);
}

/* A NUL, which no JSON text has, stands for the end. */
static char peek(const scanner *c) {
  return c->at < c->len ? c->s[c->at] : '\0';
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The 4 digits of \\u; -1 when there are not that many. */
static int scan_hex(scanner *c) {
  static const char digits[] = "0123456789abcdef";
  int value = 0;
  for (int i = 0; i < 4; i++, c->at++) {
    char b = peek(c);
    if (b >= 'A' && b <= 'F') b = (char)(b - 'A' + 'a');
    const char *digit = b ? strchr(digits, b) : NULL;
    if (!digit) return -1;
    value = value * 16 + (int)(digit - digits);
  }
  return value;
}

static bx_class scan_unicode(scanner *c) {
  size_t start = c->at;
  int code = scan_hex(c), low = 0;
  if (code >= 0xD800 && code <= 0xDBFF && c->len - c->at >= 6 &&
      memcmp(c->s + c->at, "\\u", 2) == 0) {
    c->at += 2;
    low = scan_hex(c);
  }
  if (code < 0 || low < 0) return refuse(c, c->at, "\\u wants 4 hex digits");
  if (code == 0) return refuse(c, start, "text with a NUL is refused");
  bool high = code >= 0xD800 && code <= 0xDBFF;
  bool paired = high && low >= 0xDC00 && low <= 0xDFFF;
  return code >= 0xD800 && code <= 0xDFFF && !paired
             ? refuse(c, start, "half of a surrogate pair")
             : BX_OK;
}

/* The escape after a backslash. */
static bx_class scan_escape(scanner *c) {
  char kind = peek(c);
  if (kind == '\0' || !strchr("\"\\/bfnrtu", kind))
    return refuse(c, c->at, "unknown escape");
  c->at++;
  return kind == 'u' ? scan_unicode(c) : BX_OK;
}

static bx_class scan_string(scanner *c) {
  size_t start = c->at++;
  while (c->at < c->len) {
    unsigned char b = (unsigned char)c->s[c->at];
    if (b < ' ')
      return refuse(c, c->at, "a control byte in text must be escaped");
    c->at++;
    if (b == '"') return BX_OK;
    bx_class failed = b == '\\' ? scan_escape(c) : BX_OK;
    if (failed) return failed;
  }
  return refuse(c, start, "the text has no end");
}

static size_t scan_digits(scanner *c) {
  size_t start = c->at;
  while (is_digit(peek(c))) c->at++;
  return c->at - start;
}

/* Up to 16 digits have room in an integer; more are beyond 2^53 anyway. */
static bool is_exact(const char *digits, size_t n) {
  long long value = 0;
  for (size_t i = 0; i < n && i < 17; i++) value = value * 10 + (digits[i] - '0');
  return n <= 16 && value <= BX_JSON_EXACT;
}

static bx_class scan_number(scanner *c) {
  size_t start = c->at;
  if (peek(c) == '-') c->at++;
  const char *digits = c->s + c->at;
  size_t n = scan_digits(c);
  bool whole = true;
  if (n == 0 || (n > 1 && *digits == '0'))
    return refuse(c, start, "malformed number");
  if (peek(c) == '.') {
    c->at++, whole = false;
    if (scan_digits(c) == 0) return refuse(c, start, "malformed number");
  }
  if (peek(c) == 'e' || peek(c) == 'E') {
    c->at++, whole = false;
    if (peek(c) == '+' || peek(c) == '-') c->at++;
    if (scan_digits(c) == 0) return refuse(c, start, "malformed number");
  }
  return whole && !is_exact(digits, n)
             ? refuse(c, start, "an integer beyond 2^53 would lose digits")
             : BX_OK;
}

static bx_class unexpected(scanner *c) {
  return refuse(c, c->at,
                c->at < c->len ? "unexpected here" : "unexpected end");
}

static void skip_space(scanner *c) {
  while (c->at < c->len && memchr(" \t\n\r", c->s[c->at], 4)) c->at++;
}

/* Skips space, and the byte b when it is next. */
static bool take(scanner *c, char b) {
  skip_space(c);
  if (peek(c) != b) return false;
  c->at++;
  return true;
}

static bx_class scan_word(scanner *c) {
  static const char *const words[] = {"true", "false", "null"};
  for (size_t i = 0; i < 3; i++) {
    size_t n = strlen(words[i]);
    if (c->len - c->at < n || memcmp(c->s + c->at, words[i], n)) continue;
    c->at += n;
    return BX_OK;
  }
  return unexpected(c);
}

static bx_class scan_value(scanner *c, int depth);

/* The contents of the brackets, and the closing one. */
static bx_class scan_members(scanner *c, bool object, int depth) {
  char close = object ? '}' : ']';
  bx_class failed = BX_OK;
  if (depth > BX_JSON_DEPTH) return refuse(c, c->at - 1, "nested too deeply");
  if (take(c, close)) return BX_OK;
  do {
    if (object) {
      skip_space(c);
      if (peek(c) != '"') return unexpected(c);
      if ((failed = scan_string(c))) return failed;
      if (!take(c, ':')) return unexpected(c);
    }
    if ((failed = scan_value(c, depth))) return failed;
  } while (take(c, ','));
  return take(c, close) ? BX_OK : unexpected(c);
}

static bx_class scan_value(scanner *c, int depth) {
  if (take(c, '[')) return scan_members(c, false, depth + 1);
  if (take(c, '{')) return scan_members(c, true, depth + 1);
  if (peek(c) == '"') return scan_string(c);
  if (peek(c) == '-' || is_digit(peek(c))) return scan_number(c);
  return scan_word(c);
}

bx_class bx_json_check(const char *s, size_t len, bx_error *e) {
  scanner c = {.s = s, .len = len, .e = e};
  size_t valid = bx_text_utf8_prefix(s, len);
  if (valid < len) return refuse(&c, valid, "not UTF-8");
  bx_class failed = scan_value(&c, 0);
  if (failed) return failed;
  skip_space(&c);
  return c.at == len ? BX_OK : unexpected(&c);
}
