/*
** quote: any words as a command's arguments and a variable's value, read back
** by a real sh that stays for all inputs. A quote that were wrong would have it
** run the input: it can start no program, write no file, signal nobody and
** open no socket.
*/
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/text.h"
#include "state.h"

#define WORDS_MAX 64
#define ANSWER_SECONDS 10
#define END "end of the answer"

static const char shell[] = "/bin/sh";
static int to_shell, from_shell;

static bool deny(scmp_filter_ctx filter, const char *name) {
  int number = seccomp_syscall_resolve_name(name);
  return number == __NR_SCMP_ERROR ||
         seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0) == 0;
}

/* No opening for writing. */
static bool deny_writing(scmp_filter_ctx filter, int number, unsigned flags) {
  for (unsigned mode = O_WRONLY; mode <= O_RDWR; mode++)
    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 1,
                         SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, O_ACCMODE, mode)))
      return false;
  return true;
}

/* The one program that may still be started is the shell, from here. */
static bool confine(void) {
  static const char *const names[] = {
      "execveat", "kill", "tkill", "tgkill", "unlink", "unlinkat", "rename",
      "renameat", "renameat2", "rmdir", "mkdir", "mkdirat", "truncate",
      "creat", "openat2", "chmod", "fchmodat", "chown", "fchownat", "mknod",
      "mknodat", "link", "linkat", "symlink", "symlinkat", "mount", "umount2",
      "socket", "ptrace", "setrlimit", "prlimit64"};
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  bool ok = filter != NULL;
  for (size_t i = 0; ok && i < sizeof names / sizeof *names; i++)
    ok = deny(filter, names[i]);
  ok = ok &&
       seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(execve), 1,
                        SCMP_CMP(0, SCMP_CMP_NE, (uintptr_t)shell, 0)) == 0 &&
       deny_writing(filter, SCMP_SYS(open), 1) &&
       deny_writing(filter, SCMP_SYS(openat), 2) && seccomp_load(filter) == 0;
  seccomp_release(filter);
  return ok;
}

static _Noreturn void become_shell(int in, int out) {
  char *const argv[] = {(char *)shell, NULL};
  char *const env[] = {"PATH=", "LC_ALL=C.UTF-8", NULL};
  dup2(in, 0);
  dup2(out, 1);
  dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  /* In / a '*' that is not quoted finds something. */
  if (chdir("/") == 0 && confine()) execve(shell, argv, env);
  _exit(127);
}

static void start_shell(void) {
  int in[2], out[2];
  signal(SIGPIPE, SIG_IGN);
  if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) fuzz_fail("no pipe");
  pid_t pid = fork();
  if (pid < 0) fuzz_fail("no process for sh");
  if (pid == 0) become_shell(in[0], out[1]);
  close(in[0]);
  close(out[1]);
  to_shell = in[1];
  from_shell = out[0];
}

static void send_all(const char *s, size_t len) {
  while (len) {
    ssize_t n = write(to_shell, s, len);
    if (n <= 0) fuzz_fail("sh has ended");
    s += n;
    len -= (size_t)n;
  }
}

/* Reads the answer's first bytes: as many as it must have. */
static void read_answer(bx_buf *answer, size_t len, const bx_buf *sent) {
  if (!bx_buf_reserve(answer, len)) fuzz_fail("no memory");
  while (answer->len < len) {
    struct pollfd p = {.fd = from_shell, .events = POLLIN};
    int ready = poll(&p, 1, ANSWER_SECONDS * 1000);
    if (ready < 0 && errno == EINTR) continue; /* libFuzzer's own clock */
    if (ready <= 0)
      fuzz_fail("too little comes of: %.*s", (int)sent->len, sent->data);
    ssize_t n = read(from_shell, answer->data + answer->len, len - answer->len);
    if (n <= 0) fuzz_fail("sh ended at: %.*s", (int)sent->len, sent->data);
    answer->len += (size_t)n;
  }
}

/* The words between the input's NULs. */
static size_t split(const char *s, size_t len, bx_str *words) {
  size_t n = 0;
  const char *end = s + len;
  while (s < end && n < WORDS_MAX) {
    const char *stop = memchr(s, '\0', (size_t)(end - s));
    if (!stop) stop = end;
    words[n++] = (bx_str){s, (size_t)(stop - s)};
    s = stop + 1;
  }
  return n;
}

static void check(bx_class failed, const bx_error *e) {
  if (failed) fuzz_fail("refused: %s", e->message);
}

/* printf '%s\0' WORD... "$v", with v exported before, then the mark. */
static void compose(bx_buf *line, const bx_str *words, size_t n) {
  bx_error e;
  bx_str argv[WORDS_MAX + 2] = {{"printf", 6}, {"%s\\0", 4}};
  bx_env env = {{"v", 1}, words[n - 1]};
  memcpy(argv + 2, words, n * sizeof *words);
  check(bx_text_prelude(line, (bx_str){NULL, 0}, &env, 1, &e), &e);
  check(bx_text_command(line, argv, n + 2, &e), &e);
  if (!bx_text_utf8(line->data, line->len)) fuzz_fail("not UTF-8");
  if (!bx_buf_adds(line, " \"$v\"; printf '" END "\\0'\n"))
    fuzz_fail("no memory");
}

/* What sh must answer: the words, the last once more as "$v", the mark. */
static void expect(bx_buf *answer, const bx_str *words, size_t n) {
  for (size_t i = 0; i <= n; i++) {
    const bx_str *w = &words[i < n ? i : n - 1];
    if (!bx_buf_add(answer, w->s, w->len) || !bx_buf_add(answer, "", 1))
      fuzz_fail("no memory");
  }
  if (!bx_buf_add(answer, END, sizeof END)) fuzz_fail("no memory");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  bx_str words[WORDS_MAX];
  bx_buf line = {0}, wanted = {0}, answer = {0};
  size_t n = split((const char *)data, len, words);
  if (n == 0) return 0;
  if (!to_shell) start_shell();
  compose(&line, words, n);
  expect(&wanted, words, n);
  send_all(line.data, line.len);
  read_answer(&answer, wanted.len, &line);
  if (memcmp(answer.data, wanted.data, wanted.len))
    fuzz_fail("other words come of: %.*s", (int)line.len, line.data);
  bx_buf_free(&line);
  bx_buf_free(&wanted);
  bx_buf_free(&answer);
  return 0;
}
