#include "user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GROUPS_MAX 64

/* A box may have made anything of it: only a regular file is read. */
static FILE *open_groups(void) {
  struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
                         .resolve = RESOLVE_NO_MAGICLINKS};
  struct stat st;
  int fd = (int)syscall(SYS_openat2, AT_FDCWD, "/etc/group", &how, sizeof how);
  if (fd < 0) return NULL;
  FILE *f = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? fdopen(fd, "r") : NULL;
  if (!f) close(fd);
  return f;
}

static bool has_member(const struct group *g) {
  for (char **m = g->gr_mem; *m; m++)
    if (strcmp(*m, BX_USER_NAME) == 0) return true;
  return false;
}

/* Not initgroups: it would load libraries of the box into this process. */
static int set_groups(void) {
  gid_t list[GROUPS_MAX] = {BX_USER_ID};
  size_t n = 1;
  FILE *f = open_groups();
  for (struct group *g; f && n < GROUPS_MAX && (g = fgetgrent(f));)
    if (g->gr_gid < BX_IDS && has_member(g)) list[n++] = g->gr_gid;
  if (f) fclose(f);
  return setgroups(n, list) < 0 ? errno : 0;
}

int bx_user_become(const bx_host *h) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
  int err = h->id_count > 1 ? set_groups() : 0;
  if (err) return err;
  if (setresgid(BX_USER_ID, BX_USER_ID, BX_USER_ID) < 0 ||
      setresuid(BX_USER_ID, BX_USER_ID, BX_USER_ID) < 0 ||
      syscall(SYS_capset, &header, none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
    return errno;
  return 0;
}
