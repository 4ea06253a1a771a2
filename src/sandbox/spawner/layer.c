/*
** The layer between the machine's folders and a box's own: a folder of small
** files that replace, and marks that hide, the files that belong to this
** machine and not to the system. All boxes share it; none can write to it.
**
** Hiding a folder: an opaque empty one in its place. Hiding a file: a whiteout
** (a character device 0:0), as overlayfs has them.
*/
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "host.h"
#include "layer_text.h"
#include "router.h"

/* Files and folders that are secrets, or this machine's and not the system's.
   Folders stay, empty. */
static const char *const hidden_paths[] = {
    "/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_dsa_key",
    "/etc/ssl/private", "/etc/sudoers.d", "/etc/krb5.keytab",
    "/etc/security/opasswd", "/etc/wireguard", "/etc/openvpn",
    "/etc/letsencrypt", "/etc/wpa_supplicant", "/etc/kubernetes",
    "/etc/docker", "/etc/rancher", "/etc/cloud",
    "/etc/NetworkManager/system-connections", "/etc/netplan",
    "/etc/apt/auth.conf", "/etc/apt/auth.conf.d", "/etc/ppp", "/etc/ipsec.d",
    "/etc/ipsec.secrets", "/etc/mysql/debian.cnf", "/etc/cron.d",
    "/etc/cron.daily", "/etc/cron.hourly", "/etc/cron.weekly",
    "/etc/cron.monthly", "/etc/crontab", "/etc/cups", "/etc/machine-id",
    "/etc/hostname", "/etc/boxd", "/var/cache/debconf/passwords.dat",
    "/var/lib/dbus/machine-id"};

/* In these, only the files named here are shown: the packages' own books. Other
   folders are there, but empty; other files are not. */
static const struct {
  const char *dir;
  const char *keep[24];
} books[] = {
    {"/var", {"lib", "cache", "local"}},
    {"/var/lib",
     {"dpkg", "apt", "ucf", "pam", "python", "python3", "shells.state",
      "xml-core", "sgml-base", "emacsen-common", "dictionaries-common",
      "aspell", "ispell", "ghostscript", "texmf", "tex-common", "gems", "dbus",
      "doc-base", "misc", "binfmts", "gconf", "mime-support"}},
    {"/var/cache",
     {"apt", "debconf", "dictionaries-common", "fontconfig", "ldconfig", "man"}},
};

/* Layer path of an absolute path; EXDEV if no box sees that path. */
static int layer_path(bx_host *h, char *buf, const char *path) {
  size_t n = strcspn(path + 1, "/");
  for (unsigned i = 0; i < h->nfolders; i++) {
    if (strlen(h->folders[i].name) != n ||
        strncmp(h->folders[i].name, path + 1, n) != 0)
      continue;
    h->folders[i].layered = true;
    return bx_path(buf, "%s%s", h->layer, path);
  }
  return EXDEV;
}

/* Makes the folders above path in the layer, each as the machine has it:
   where layers meet, the upper one's owner and mode count. */
static int make_parents(bx_host *h, const char *path) {
  char part[BX_PATH_MAX], at[BX_PATH_MAX];
  struct stat st;
  if (strlen(path) >= sizeof part) return ENAMETOOLONG;
  for (const char *s = strchr(path + 1, '/'); s; s = strchr(s + 1, '/')) {
    memcpy(part, path, (size_t)(s - path));
    part[s - path] = '\0';
    int err = layer_path(h, at, part);
    if (err) return err;
    if (mkdir(at, 0755) < 0) {
      if (errno == EEXIST) continue;
      return errno;
    }
    if (lstat(part, &st) < 0) st = (struct stat){.st_mode = 0755};
    if (chown(at, bx_host_id(h, st.st_uid), bx_host_id(h, st.st_gid)) < 0 ||
        chmod(at, st.st_mode & 07777) < 0)
      return errno;
  }
  return 0;
}

static int hide_folder(const bx_host *h, const char *at,
                       const struct stat *st) {
  const char *opaque = h->privileged ? "trusted.overlay.opaque"
                                     : "user.overlay.opaque";
  if (mkdir(at, 0755) < 0 && errno != EEXIST) return errno;
  if (chown(at, bx_host_id(h, st->st_uid), bx_host_id(h, st->st_gid)) < 0 ||
      chmod(at, st->st_mode & 07777) < 0 || setxattr(at, opaque, "y", 1, 0) < 0)
    return errno;
  return 0;
}

/* Nothing there, or nothing a box sees: nothing to hide. */
static int hide(bx_host *h, const char *path) {
  struct stat st;
  char at[BX_PATH_MAX];
  if (lstat(path, &st) < 0) return 0;
  int err = layer_path(h, at, path);
  if (err) return err == EXDEV ? 0 : err;
  err = make_parents(h, path);
  if (err) return err;
  if (S_ISDIR(st.st_mode)) return hide_folder(h, at, &st);
  return mknod(at, S_IFCHR, makedev(0, 0)) < 0 && errno != EEXIST ? errno : 0;
}

static bool in_list(const char *const *list, size_t max, const char *name) {
  for (size_t i = 0; i < max && list[i]; i++)
    if (strcmp(list[i], name) == 0) return true;
  return false;
}

bool bx_layer_shows(const char *path) {
  for (size_t i = 0; i < sizeof books / sizeof *books; i++) {
    size_t n = strlen(books[i].dir);
    if (strncmp(path, books[i].dir, n) == 0 && path[n] == '/' &&
        !strchr(path + n + 1, '/') && !in_list(books[i].keep, 24, path + n + 1))
      return false;
  }
  return true;
}

/* Package records keep their names and places in folders like /var/log and
   /var/spool: the first level of folders there stays. */
static int keep_skeleton(bx_host *h, const char *dir) {
  char path[BX_PATH_MAX], at[BX_PATH_MAX];
  struct stat st;
  int err = 0;
  DIR *d = opendir(dir);
  if (!d) return 0;
  for (struct dirent *n; !err && (n = readdir(d));) {
    if (n->d_name[0] == '.') continue;
    err = bx_path(path, "%s/%s", dir, n->d_name);
    if (err || lstat(path, &st) < 0 || !S_ISDIR(st.st_mode)) continue;
    err = layer_path(h, at, path);
    if (!err) err = hide_folder(h, at, &st);
  }
  closedir(d);
  return err;
}

static int keep_book(bx_host *h, size_t book) {
  char path[BX_PATH_MAX];
  struct stat st;
  int err = 0;
  DIR *d = opendir(books[book].dir);
  if (!d) return 0;
  for (struct dirent *n; !err && (n = readdir(d));) {
    if (strcmp(n->d_name, ".") == 0 || strcmp(n->d_name, "..") == 0 ||
        in_list(books[book].keep, 24, n->d_name))
      continue;
    err = bx_path(path, "%s/%s", books[book].dir, n->d_name);
    if (err || lstat(path, &st) < 0 || S_ISLNK(st.st_mode)) continue;
    err = hide(h, path);
    if (!err && S_ISDIR(st.st_mode) &&
        (strcmp(path, "/var/log") == 0 || strcmp(path, "/var/spool") == 0))
      err = keep_skeleton(h, path);
  }
  closedir(d);
  return err;
}

/* What not every user of this machine may read no box can read either; where
   boxes write, it is not there at all, so that they can make it. */
static int hide_private(bx_host *h, const char *dir, int depth) {
  char path[BX_PATH_MAX];
  struct stat st;
  int err = 0;
  DIR *d = depth < 20 ? opendir(dir) : NULL;
  if (!d) return 0;
  for (struct dirent *n; !err && (n = readdir(d));) {
    if (strcmp(n->d_name, ".") == 0 || strcmp(n->d_name, "..") == 0) continue;
    err = bx_path(path, "%s/%s", dir, n->d_name);
    if (err || lstat(path, &st) < 0 || S_ISLNK(st.st_mode)) continue;
    if (!bx_layer_shows(path)) continue;
    mode_t all = S_ISDIR(st.st_mode) ? S_IROTH | S_IXOTH : S_IROTH;
    if ((st.st_mode & all) != all)
      err = hide(h, path);
    else if (S_ISDIR(st.st_mode))
      err = hide_private(h, path, depth + 1);
  }
  closedir(d);
  return err;
}

/* A file of the layer with this text. */
static int put(bx_host *h, const char *path, const char *text, mode_t mode,
               gid_t gid) {
  char at[BX_PATH_MAX];
  int err = layer_path(h, at, path);
  if (!err) err = make_parents(h, path);
  if (err) return err == EXDEV ? 0 : err;
  int fd = open(at, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  size_t n = strlen(text);
  if (write(fd, text, n) != (ssize_t)n ||
      fchown(fd, bx_host_id(h, 0), bx_host_id(h, gid)) < 0 || fchmod(fd, mode) < 0)
    err = errno ? errno : EIO;
  close(fd);
  return err;
}

/* An existing file only: a box of a machine without /etc/gshadow has none. */
static int put_locked(bx_host *h, const char *path, const char *names,
                      const char *rest) {
  struct stat st;
  if (stat(path, &st) < 0) return 0;
  char *text = bx_layer_locked(names, rest);
  if (!text) return ENOMEM;
  int err = put(h, path, text, 0640, st.st_gid);
  free(text);
  return err;
}

/* Where sudo is mounted, first on PATH, so that a package sudo does not take its
   place, and the name that scripts have. */
static int put_sudo(bx_host *h) {
  static const char usual[] = "/usr/bin/sudo";
  char at[BX_PATH_MAX];
  int err = put(h, BX_SUDO, "", 0755, 0);
  if (!err) err = layer_path(h, at, usual);
  if (!err) err = make_parents(h, usual);
  if (!err && symlink(BX_SUDO, at) < 0) err = errno;
  if (!err && lchown(at, h->box_id, h->box_id) < 0) err = errno;
  if (err) return err == EXDEV ? 0 : err;
  err = put(h, "/etc/sudoers", bx_layer_sudoers, 0440, 0);
  return err ? err
             : put(h, "/etc/sudoers.d/90-boxd", bx_layer_sudoers_boxd, 0440, 0);
}

/* The names of this machine's users, and boxd. */
static int put_users(bx_host *h) {
  char *users = bx_layer_users("/etc/passwd");
  char *groups = bx_layer_groups("/etc/group");
  int err = users && groups ? 0 : ENOMEM;
  if (!err) err = put(h, "/etc/passwd", users, 0644, 0);
  if (!err) err = put(h, "/etc/group", groups, 0644, 0);
  free(users);
  free(groups);
  return err;
}

/* Services of this machine do not start in a box: there, those that are enabled
   in it do. */
static int put_services(bx_host *h) {
  static const char policy[] = "/usr/sbin/policy-rc.d";
  if (!h->systemd) return put(h, policy, bx_layer_policy, 0755, 0);
  int err = hide(h, policy);
  if (!err) err = hide(h, "/etc/systemd/system");
  return err ? err : put(h, "/etc/tmpfiles.d/tmp.conf", bx_layer_tmpfiles, 0644, 0);
}

static int put_files(bx_host *h) {
  int err = put_locked(h, "/etc/shadow", "/etc/passwd", ":*:19000:0:99999:7:::");
  if (!err) err = put_locked(h, "/etc/gshadow", "/etc/group", ":*::");
  if (!err) err = hide(h, "/etc/shadow-");
  if (!err) err = hide(h, "/etc/gshadow-");
  char own[16];
  bx_router_dotted(bx_router_resolver(h->network), own);
  char *dns = err ? NULL : bx_layer_resolv(h->network ? own : NULL);
  if (!err && !dns) err = ENOMEM;
  if (!err) err = put(h, "/etc/resolv.conf", dns, 0644, 0);
  free(dns);
  if (!err) err = put(h, "/etc/fstab", "", 0644, 0);
  if (!err) err = put_sudo(h);
  if (!err) err = put_users(h);
  return err ? err : put_services(h);
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw) {
  (void)st;
  (void)type;
  (void)ftw;
  return remove(path);
}

int bx_layer_build(bx_host *h, const char *const *hidden, bx_error *e) {
  static const char *const written[] = {"/etc", "/var/lib", "/var/cache"};
  char path[BX_PATH_MAX];
  int err = 0;
  nftw(h->layer, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
  if (mkdir(h->layer, 0711) < 0) err = errno;
  for (unsigned i = 0; i < h->nfolders && !err; i++) {
    err = bx_path(path, "%s/%s", h->layer, h->folders[i].name);
    if (err) break;
    if (mkdir(path, 0755) < 0 ||
        chown(path, bx_host_id(h, 0), bx_host_id(h, 0)) < 0)
      err = errno;
  }
  for (size_t i = 0; i < sizeof books / sizeof *books && !err; i++)
    err = keep_book(h, i);
  for (size_t i = 0; i < sizeof hidden_paths / sizeof *hidden_paths && !err; i++)
    err = hide(h, hidden_paths[i]);
  for (; hidden && *hidden && !err; hidden++) err = hide(h, *hidden);
  if (!err) err = hide(h, realpath(h->state, path) ? path : h->state);
  if (!err) err = put_files(h);
  for (int i = 0; i < 3 && h->privileged && !err; i++)
    err = hide_private(h, written[i], 0);
  if (err)
    bx_error_set(e, BX_BOXD, "cannot prepare %s for boxes: %s", h->layer,
                 strerror(err));
  return err;
}
