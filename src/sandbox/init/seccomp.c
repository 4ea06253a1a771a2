#include "seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What container runtimes leave by default. */
static const unsigned char kept[] = {
    CAP_CHOWN,     CAP_DAC_OVERRIDE, CAP_FSETID,           CAP_FOWNER,
    CAP_MKNOD,     CAP_NET_RAW,      CAP_SETGID,           CAP_SETUID,
    CAP_SETFCAP,   CAP_SETPCAP,      CAP_NET_BIND_SERVICE, CAP_SYS_CHROOT,
    CAP_KILL,      CAP_AUDIT_WRITE};

int bx_confine_capabilities(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};
  uint64_t keep = 0;
  for (size_t i = 0; i < sizeof kept; i++) keep |= (uint64_t)1 << kept[i];
  for (int cap = 0; cap < 64; cap++) {
    if (keep >> cap & 1) continue;
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
      return errno; /* EINVAL: the kernel has fewer */
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return errno;
  for (int i = 0; i < 2; i++)
    data[i].effective = data[i].permitted = (uint32_t)(keep >> (32 * i));
  return syscall(SYS_capset, &header, data) < 0 ? errno : 0;
}

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "the system call filter of local boxes knows x86-64 and arm64"
#endif

/* Calls that reach beyond a box, or into parts of the kernel that no program
   in one needs. They fail with EPERM, as without the right to them. */
static const int denied[] = {
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_open_tree, SYS_move_mount,
    SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr,
    SYS_setns, SYS_unshare, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_bpf,
    SYS_perf_event_open, SYS_kexec_load, SYS_kexec_file_load, SYS_init_module,
    SYS_finit_module, SYS_delete_module, SYS_open_by_handle_at,
    SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct,
    SYS_quotactl, SYS_quotactl_fd, SYS_syslog, SYS_settimeofday,
    SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_nfsservctl,
    SYS_lookup_dcookie, SYS_userfaultfd, SYS_vhangup, SYS_fanotify_init,
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
    SYS_move_pages, SYS_migrate_pages, SYS_kcmp,
#if defined(__x86_64__)
    SYS_iopl, SYS_ioperm, SYS_create_module, SYS_get_kernel_syms,
    SYS_query_module, SYS_uselib, SYS_ustat, SYS_sysfs, SYS__sysctl,
    SYS_modify_ldt,
#endif
};
#define DENIED (sizeof denied / sizeof *denied)

#define FIELD(f) ((uint32_t)offsetof(struct seccomp_data, f))
#define LOAD(f) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(f))
#define EQUAL(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), yes, no)
#define ANY_BIT(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (k), yes, no)
#define RETURN(k) BPF_STMT(BPF_RET | BPF_K, (k))
#define FAIL(e) RETURN(SECCOMP_RET_ERRNO | (e))
#define ALLOW RETURN(SECCOMP_RET_ALLOW)

#define NEW_NAMESPACES                                                  \
  (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |          \
   CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

/* Little-endian: the low half of an argument comes first. */
static const struct sock_filter head[] = {
    LOAD(arch), EQUAL(ARCH, 1, 0), FAIL(ENOSYS), /* 32-bit calls */
    LOAD(nr),
#if defined(__x86_64__)
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), FAIL(ENOSYS), /* x32 */
#endif
    /* its flags are in memory, out of reach: C libraries fall back on clone */
    EQUAL(SYS_clone3, 0, 1), FAIL(ENOSYS),
    EQUAL(SYS_clone, 0, 4), LOAD(args[0]), ANY_BIT(NEW_NAMESPACES, 0, 1),
    FAIL(EPERM), ALLOW,
    /* as where files have no handles, so that programs do without */
    EQUAL(SYS_name_to_handle_at, 0, 1), FAIL(EOPNOTSUPP),
    /* typing on a terminal for its reader */
    EQUAL(SYS_ioctl, 0, 5), LOAD(args[1]), EQUAL(TIOCSTI, 1, 0),
    EQUAL(TIOCLINUX, 0, 1), FAIL(EPERM), ALLOW,
    /* kernel doors that are not for programs in a box: alg, vsock and such */
    EQUAL(SYS_socket, 0, 9), LOAD(args[0]), EQUAL(AF_UNIX, 6, 0),
    EQUAL(AF_INET, 5, 0), EQUAL(AF_INET6, 4, 0), EQUAL(AF_NETLINK, 3, 0),
    EQUAL(AF_PACKET, 2, 0), EQUAL(AF_UNSPEC, 1, 0), FAIL(EAFNOSUPPORT), ALLOW,
};
#define HEAD (sizeof head / sizeof *head)

int bx_confine_syscalls(void) {
  struct sock_filter code[HEAD + 2 * DENIED + 1];
  size_t n = 0;
  for (; n < HEAD; n++) code[n] = head[n];
  for (size_t i = 0; i < DENIED; i++) {
    code[n++] = (struct sock_filter)EQUAL((uint32_t)denied[i], 0, 1);
    code[n++] = (struct sock_filter)FAIL(EPERM);
  }
  code[n++] = (struct sock_filter)ALLOW;
  struct sock_fprog program = {(unsigned short)n, code};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? errno : 0;
}
