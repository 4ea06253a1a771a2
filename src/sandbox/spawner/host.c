#include "host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "box_systemd.h"
#include "router.h"
#include "tree.h"

int bx_path(char *buf, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(buf, BX_PATH_MAX, fmt, ap);
  va_end(ap);
  return n < 0 || n >= BX_PATH_MAX ? ENAMETOOLONG : 0;
}

/* On PATH, or among the system's programs, where users' PATH has not all: its
   path in buf, or "". */
static void find(const char *name, char *buf, size_t size) {
  char dirs[4096];
  const char *path = getenv("PATH");
  snprintf(dirs, sizeof dirs, "%s:/usr/sbin:/usr/bin:/sbin:/bin",
           path ? path : "");
  for (const char *p = dirs; *p;) {
    size_t n = strcspn(p, ":");
    int len = snprintf(buf, size, "%.*s/%s", (int)n, p, name);
    if (p[0] == '/' && len > 0 && (size_t)len < size && access(buf, X_OK) == 0)
      return;
    p += n + (p[n] == ':');
  }
  *buf = '\0';
}

void bx_host_find_programs(bx_host *h) {
  find("slirp4netns", h->slirp, sizeof h->slirp);
  find("nft", h->nft, sizeof h->nft);
}

const char *bx_host_no_network(const bx_host *h) {
  static const char tun[] = "/dev/net/tun";
  if (!*h->slirp) return "slirp4netns is not installed (package slirp4netns)";
  if (!*h->nft) return "nft is not installed (package nftables)";
  if (access(tun, R_OK | W_OK) == 0) return NULL;
  return errno == ENOENT ? "/dev/net/tun is missing on this machine: "
                           "'sudo modprobe tun' makes it"
                         : "this user may not open /dev/net/tun: "
                           "'sudo chmod a+rw /dev/net/tun' allows it";
}

uint32_t bx_host_id(const bx_host *h, uint32_t id) {
  /* inside a user namespace the machine's owners all look like nobody */
  return !h->privileged || id >= h->id_count ? h->box_id : h->box_id + id;
}

uint32_t bx_host_user(const bx_host *h) {
  return h->id_count > 1 ? h->box_id + BX_USER_ID : h->box_id;
}

/* Top-level folders that hold the system itself. What else is at the top is
   somebody's data. */
static bool of_the_system(const char *name) {
  static const char *const names[] = {"usr",   "etc",   "var",    "opt",
                                      "bin",   "sbin",  "lib",    "lib32",
                                      "lib64", "libx32", "libo32", "nix",
                                      "gnu"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return false;
}

static void add_entry(bx_host *h, const char *name) {
  char path[64];
  struct stat st;
  snprintf(path, sizeof path, "/%.40s", name);
  if (!of_the_system(name) || lstat(path, &st) < 0) return;
  if (S_ISDIR(st.st_mode) && h->nfolders < BX_FOLDERS_MAX) {
    bx_folder *f = &h->folders[h->nfolders++];
    snprintf(f->name, sizeof f->name, "%.31s", name);
  } else if (S_ISLNK(st.st_mode) && h->nlinks < BX_FOLDERS_MAX) {
    bx_symlink *l = &h->links[h->nlinks];
    ssize_t n = readlink(path, l->target, sizeof l->target - 1);
    if (n <= 0) return;
    l->target[n] = '\0';
    snprintf(l->name, sizeof l->name, "%.31s", name);
    h->nlinks++;
  }
}

static int read_top(bx_host *h, bx_error *e) {
  DIR *d = opendir("/");
  if (!d) {
    bx_error_errno(e, BX_BOXD, errno, "cannot read /");
    return errno;
  }
  for (struct dirent *n; (n = readdir(d));) add_entry(h, n->d_name);
  closedir(d);
  return 0;
}

/* This machine's root: its file system as boxes' ids see it. EINVAL where the
   file system cannot be shown with other ids. */
static int idmap_lower(const bx_host *h, int ns, const char *name) {
  char from[64], to[BX_PATH_MAX];
  int err = bx_path(to, "%s/lower/%s", h->base, name);
  if (err) return err;
  snprintf(from, sizeof from, "/%s", name);
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY |
                                        MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID,
                            .userns_fd = (uint64_t)ns};
  int fd = open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (fd < 0) return errno;
  if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0 ||
      (mkdir(to, 0755) < 0 && errno != EEXIST) ||
      move_mount(fd, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0)
    err = errno;
  close(fd);
  return err;
}

/* Without idmapped mounts (older than Linux 5.19, or a file system that has
   none) boxes see the machine's files as an ordinary user's boxes do: owned
   by nobody. */
static int idmap_lowers(bx_host *h, bx_error *e) {
  int ns = bx_userns_make(h, NULL), err = 0;
  if (ns < 0) {
    err = errno;
    bx_error_set(e, BX_BOXD, "cannot make a user namespace: %s%s", strerror(err),
                 err == EPERM ? " (none can be made in a chroot: run it outside)"
                              : "");
    return err;
  }
  for (unsigned i = 0; i < h->nfolders && !err; i++)
    err = idmap_lower(h, ns, h->folders[i].name);
  h->idmapped = err == 0;
  close(ns);
  return 0;
}

static int make_base(bx_host *h, bx_error *e) {
  static const char *const dirs[] = {"lower", "empty", "guard", "root"};
  char path[BX_PATH_MAX];
  if (mkdir(h->state, 0700) < 0 && errno != EEXIST) goto failed;
  if (mkdir(h->base, 0700) < 0 && errno != EEXIST) goto failed;
  if (mount("tmpfs", h->base, "tmpfs", MS_NOSUID | MS_NODEV, "mode=711") < 0)
    goto failed;
  for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++)
    if (bx_path(path, "%s/%s", h->base, dirs[i]) != 0 || mkdir(path, 0755) < 0)
      goto failed;
  return 0;
failed:;
  int err = errno;
  bx_error_set(e, BX_BOXD, "cannot prepare %s for boxes: %s", h->base,
               strerror(err));
  return err;
}

/* The rights to read whatever its mode says, taken away or given back. */
static int override_modes(bool on) {
  enum { MODES = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH };
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct caps[2];
  if (syscall(SYS_capget, &head, caps) < 0) return errno;
  caps[0].effective &= ~(uint32_t)MODES;
  if (on) caps[0].effective |= caps[0].permitted & MODES;
  return syscall(SYS_capset, &head, caps) < 0 ? errno : 0;
}

/* Where boxes' root owns the machine's files it would read private ones, too.
   An overlay reads its lower layers as the process that mounted it: here one
   that is none of their owners and has no more rights than any user. That it
   takes a second overlay is also why the state can be below the folder. Its one
   lower folder needs another: an empty one. */
static int guard(const bx_host *h, const bx_folder *f, char *at) {
  char data[128];
  int err = bx_path(at, "%s/guard", h->base);
  if (!err && chdir(h->base) < 0) err = errno; /* its path may be private */
  if (!err) err = override_modes(false);
  if (err) return err;
  snprintf(data, sizeof data, "lowerdir=lower/%s:empty", f->name);
  if (mount("overlay", "guard", "overlay", MS_RDONLY | MS_NODEV | MS_NOSUID,
            data) < 0)
    err = errno;
  int back = override_modes(true);
  if (chdir("/") < 0) return errno;
  return err ? err : back;
}

int bx_host_overlay(const bx_host *h, const bx_folder *f, const char *upper,
                    const char *work, const char *at) {
  char lower[BX_PATH_MAX], layer[BX_PATH_MAX] = "", under[BX_PATH_MAX] = "";
  char data[4096];
  int err = h->idmapped ? guard(h, f, lower) : bx_path(lower, "/%s", f->name);
  if (!err && f->layered) err = bx_path(layer, "%s/%s:", h->layer, f->name);
  if (!err && *h->under)
    err = bx_path(under, "%s/%s%s", h->under, f->name, f->copied ? "" : ":");
  if (f->copied) *lower = '\0';
  int n = snprintf(data, sizeof data,
                   "lowerdir=%s%s%s,upperdir=%s,workdir=%s%s", layer, under,
                   lower, upper, work, h->privileged ? "" : ",userxattr");
  if (!err && (n < 0 || (size_t)n >= sizeof data)) err = ENAMETOOLONG;
  unsigned long flags = MS_NODEV | MS_NOSUID;
  if (!err && mount("overlay", at, "overlay", flags, data) < 0) err = errno;
  if (h->idmapped) umount2(lower, MNT_DETACH); /* the other one holds it */
  return err;
}

/* Mounts the overlays as a box would, so that a machine which cannot is found
   out now. */
static int try_overlays(const bx_host *h, bx_error *e) {
  char up[BX_PATH_MAX], work[BX_PATH_MAX], at[BX_PATH_MAX];
  int err = bx_path(up, "%s/try", h->layer);
  if (!err) err = bx_path(work, "%s/try-work", h->layer);
  if (!err) err = bx_path(at, "%s/root", h->base);
  if (err) return err;
  if (mkdir(up, 0755) < 0 || mkdir(work, 0755) < 0) err = errno;
  unsigned i = 0;
  while (!err && i < h->nfolders) {
    err = bx_host_overlay(h, &h->folders[i], up, work, at);
    if (!err && umount(at) < 0) err = errno;
    if (!err) i++;
  }
  if (err)
    bx_error_set(e, BX_BOXD,
                 "local boxes need overlay file systems, which fail here for "
                 "/%s%s: %s (Linux 5.11 or later for ordinary users, nothing "
                 "mounted below /usr, and a state folder on ext4, xfs or "
                 "btrfs, not on an overlay or a network: %s)",
                 h->folders[i].name, h->privileged ? "" : " as this user",
                 strerror(err), h->state);
  return err;
}

void bx_host_leave(const bx_host *h) {
  if (!*h->base) return;
  umount2(h->base, MNT_DETACH);
  rmdir(h->base);
  bx_tree_remove(h->layer);
}

int bx_host_setup(bx_host *h, const bx_spawner_options *o,
                  void (*tell)(const char *text), bx_error *e) {
  int err = 0;
  bx_error why;
  *h = (bx_host){.box_id = o->id_base ? o->id_base : 100000,
                 .id_count = BX_IDS,
                 .systemd = o->systemd,
                 .passing = o->passing};
  getrlimit(RLIMIT_NOFILE, &h->nofile);
  if (strpbrk(o->state_dir, ",:\\\"")) {
    bx_error_set(e, BX_INVALID_ARGUMENT,
                 "the state folder's path cannot have any of , : \\ \" in it");
    return EINVAL;
  }
  err = bx_path(h->state, "%s", o->state_dir);
  if (!err) err = bx_path(h->base, "%s/run", h->state);
  if (!err) err = bx_path(h->layer, "%s/layer", h->state);
  if (err) return bx_error_errno(e, BX_INVALID_ARGUMENT, err, "state"), err;
  h->privileged = geteuid() == 0 && bx_userns_is_first() &&
                  unshare(CLONE_NEWNS) == 0;
  if (!h->privileged && (err = bx_userns_enter(h, e)) != 0) return err;
  if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
    bx_error_errno(e, BX_BOXD, errno, "cannot make mounts private");
    return errno;
  }
  umask(022);
  bx_cgroup_find(&h->cgroups);
  if (o->outgoing) h->network = bx_router_network();
  bx_host_find_programs(h);
  if (!err) err = read_top(h, e);
  if (!err) err = make_base(h, e);
  if (!err && (err = bx_sudo_put(h)) != 0)
    bx_error_errno(e, BX_BOXD, err, "cannot prepare sudo for boxes");
  if (!err && h->systemd && (err = bx_systemd_check(h, &why)) != 0)
    bx_error_set(e, BX_BOXD, "--init systemd: %s", why.message);
  if (!err && h->privileged) err = idmap_lowers(h, e);
  if (!err && !h->idmapped) err = bx_base_build(h, tell, e);
  if (!err) err = bx_layer_build(h, o->hidden, e);
  return err ? err : try_overlays(h, e);
}
