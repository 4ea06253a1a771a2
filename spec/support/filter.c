/*
** filter: prints the program of the system call filter, an instruction a line:
** code, jt, jf, k. Built with ARM64 and a <asm/unistd.h> of arm64's numbers,
** it prints that of arm64, on any machine. For seccomp_spec.
*/
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Takes the place of prctl. */
static int print_filter(int option, ...) {
  va_list args;
  if (option != PR_SET_SECCOMP) return 0;
  va_start(args, option);
  (void)va_arg(args, int);
  const struct sock_fprog *program = va_arg(args, const struct sock_fprog *);
  va_end(args);
  for (unsigned i = 0; i < program->len; i++)
    printf("%u %u %u %u\n", program->filter[i].code, program->filter[i].jt,
           program->filter[i].jf, program->filter[i].k);
  return 0;
}

/* The headers above are those of this machine; what follows is not. */
#ifdef ARM64
#undef __x86_64__
#undef __aarch64__
#define __aarch64__ 1
#endif
#define prctl print_filter
#include "sandbox/init/seccomp.c"

int main(void) { return bx_confine_syscalls(); }
