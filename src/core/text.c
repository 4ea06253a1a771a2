#include "text.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Bytes of the sequence at s, 0 when it is not valid UTF-8. */
static size_t utf8_sequence(const unsigned char *s, size_t left) {
  unsigned char lead = s[0], low = 0x80, high = 0xBF;
  size_t n;
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  n = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (left < n) return 0;
  if (lead == 0xE0) low = 0xA0;  /* shorter forms exist */
  if (lead == 0xED) high = 0x9F; /* surrogates */
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F; /* above U+10FFFF */
  if (s[1] < low || s[1] > high) return 0;
  for (size_t i = 2; i < n; i++)
    if ((s[i] & 0xC0) != 0x80) return 0;
  return n;
}

size_t bx_text_utf8_prefix(const char *s, size_t len) {
  size_t i = 0;
  while (i < len) {
    uint64_t word;
    while (len - i >= sizeof word) { /* most text is ASCII */
      memcpy(&word, s + i, sizeof word);
      if (word & UINT64_C(0x8080808080808080)) break;
      i += sizeof word;
    }
    if (i == len) break;
    size_t n = utf8_sequence((const unsigned char *)s + i, len - i);
    if (n == 0) break;
    i += n;
  }
  return i;
}

bool bx_text_utf8(const char *s, size_t len) {
  return bx_text_utf8_prefix(s, len) == len;
}

const char *bx_text_show(char *out, size_t cap, const char *s, size_t len) {
  size_t o = 0;
  for (size_t i = 0; i < len;) {
    size_t n = utf8_sequence((const unsigned char *)s + i, len - i);
    bool plain = n > 1 || (n == 1 && isprint((unsigned char)s[i]));
    size_t need = plain ? n : 4;
    if (o + need + sizeof "..." > cap) {
      memcpy(out + o, "...", 3);
      o += 3;
      break;
    }
    if (plain)
      memcpy(out + o, s + i, n);
    else
      snprintf(out + o, 5, "\\x%02X", (unsigned char)s[i]);
    o += need;
    i += n ? n : 1;
  }
  out[o] = '\0';
  return out;
}

/* Reads a "K", "Ki", "KB" or "KiB" into its shift; -1 when it is none. */
static int size_shift(const char *s, size_t len) {
  static const char units[] = "KMGT";
  if (len == 0) return 0;
  const char *unit = memchr(units, toupper((unsigned char)*s), 4);
  if (!unit) return -1;
  size_t i = 1;
  if (i < len && (s[i] == 'i' || s[i] == 'I')) i++;
  if (i < len && (s[i] == 'b' || s[i] == 'B')) i++;
  return i == len ? 10 * (int)(unit - units + 1) : -1;
}

bx_class bx_text_size(const char *s, size_t len, uint64_t *bytes,
                      bx_error *e) {
  char shown[64];
  uint64_t n = 0;
  size_t i = 0;
  bool over = false;
  for (; i < len && s[i] >= '0' && s[i] <= '9'; i++) {
    uint64_t digit = (uint64_t)(s[i] - '0');
    over = over || n > ((uint64_t)INT64_MAX - digit) / 10;
    n = over ? n : n * 10 + digit;
  }
  int shift = i ? size_shift(s + i, len - i) : -1;
  if (shift < 0)
    return bx_error_set(e, BX_INVALID_ARGUMENT,
        "'%s' is not a size: write digits, then K, M, G or T if need be, as "
        "in 512M, 4G, 20GiB or 1073741824",
        bx_text_show(shown, sizeof shown, s, len));
  if (over || n > (uint64_t)INT64_MAX >> shift)
    return bx_error_set(e, BX_INVALID_ARGUMENT,
        "the size '%s' is too large: a size is less than 8388608T",
        bx_text_show(shown, sizeof shown, s, len));
  *bytes = n << shift;
  return BX_OK;
}

#define NAME_MAX_LEN 63

static int least(int a, int b) { return a < b ? a : b; }

/* Edits, swaps of neighbours counting as one, that turn a into b. */
static int distance(const char *a, size_t na, const char *b, size_t nb) {
  int rows[3][NAME_MAX_LEN + 1];
  int *before = rows[0], *prev = rows[1], *row = rows[2];
  for (size_t j = 0; j <= nb; j++) prev[j] = (int)j;
  for (size_t i = 1; i <= na; i++) {
    row[0] = (int)i;
    for (size_t j = 1; j <= nb; j++) {
      char x = (char)tolower((unsigned char)a[i - 1]);
      char y = (char)tolower((unsigned char)b[j - 1]);
      row[j] = least(least(prev[j], row[j - 1]) + 1, prev[j - 1] + (x != y));
      if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
          y == tolower((unsigned char)a[i - 2]))
        row[j] = least(row[j], before[j - 2] + 1);
    }
    int *spare = before;
    before = prev, prev = row, row = spare;
  }
  return prev[nb];
}

/* How far a candidate is: edits up to a limit that grows with the word, then
   a shared beginning ("mem" for "memory"); INT_MAX when it is not near. */
static int nearness(const char *word, size_t len, const char *candidate) {
  size_t clen = strlen(candidate), common = clen < len ? clen : len;
  int limit = len < 2 ? 0 : len < 6 ? 1 : (int)(len / 3);
  if (clen > NAME_MAX_LEN) return INT_MAX;
  int d = distance(word, len, candidate, clen);
  if (d <= limit) return d;
  bool begins = common >= 3 && strncasecmp(word, candidate, common) == 0;
  return begins ? NAME_MAX_LEN : INT_MAX;
}

const char *bx_text_nearest(const char *word, const char *const *candidates,
                            size_t n) {
  const char *best = NULL;
  int best_distance = INT_MAX;
  size_t len = strlen(word);
  if (len > NAME_MAX_LEN) return NULL;
  for (size_t i = 0; i < n; i++) {
    int d = nearness(word, len, candidates[i]);
    if (d < best_distance) {
      best = candidates[i];
      best_distance = d;
    }
  }
  return best;
}
