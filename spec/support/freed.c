/* Preloaded by a spec: a line on stderr for every block that is freed while a
** token, or the request for one, is in it. */
#include <malloc.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

void __libc_free(void *block);

static const char *const secrets[] = {"eyJhbGciOi", "\"api_key\":\"bxk_",
                                      "\"api_key\":\"bxd_"};

static void look(const void *block, size_t size) {
  static const char line[] = "freed with a secret in it\n";
  for (int i = 0; i < 2; i++)
    if (memmem(block, size, secrets[i], strlen(secrets[i])) &&
        write(STDERR_FILENO, line, sizeof line - 1) < 0)
      _exit(3);
}

void free(void *block) {
  if (block) look(block, malloc_usable_size(block));
  __libc_free(block);
}

/* Always elsewhere, so that leftovers are seen. */
void *realloc(void *block, size_t size) {
  void *to = malloc(size);
  if (!block || !to) return to;
  size_t old = malloc_usable_size(block);
  memcpy(to, block, old < size ? old : size);
  free(block);
  return to;
}
