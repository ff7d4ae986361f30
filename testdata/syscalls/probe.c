/* Makes about a hundred and fifty system calls with harmless or refused arguments and prints one line for each:
 * name=0 if it went well, else name= and the symbolic or numeric errno. Run inside a RUN and inside another runtime with
 * Docker's profile and capabilities, the lines are to be equal. Build: cc -static -o probe probe.c */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void report(const char *name, long result) {
    if (result >= 0) printf("%s=0\n", name);
    else if (strerrorname_np(errno)) printf("%s=%s\n", name, strerrorname_np(errno));
    else printf("%s=%d\n", name, errno);
    fflush(stdout);
}

/* Each call runs in a child: some change the process for good. */
#define PROBE(name, ...)                                   \
    do {                                                   \
        pid_t child = fork();                              \
        if (child == 0) {                                  \
            errno = 0;                                     \
            report(name, (long)(__VA_ARGS__));             \
            _exit(0);                                      \
        }                                                  \
        int status;                                        \
        waitpid(child, &status, 0);                        \
        if (WIFSIGNALED(status)) printf("%s=signal %d\n", name, WTERMSIG(status)); \
    } while (0)

static long clone_with(unsigned long flags) {
    long child = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    return child;
}

#ifdef __x86_64__
/* A call of a 32-bit program. */
static long call32(long number, long first, long second) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(first), "c"(second), "d"(0L), "S"(0L), "D"(0L)
                     : "memory", "r8", "r9", "r10", "r11");
    if (result < 0 && result > -4096) {
        errno = (int)-result;
        return -1;
    }
    return result;
}
#endif

int main(void) {
    char buffer[4096], name[64];
    static const unsigned long namespaces[] = {
        0x80, CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET,
    };
    static const unsigned long personalities[] = {
        0, 4, 8, 0x20000, 0x20008, 0x40000, 0x80000, 0x100000, 0x400000, 0xfffffffe, 0xffffffff, 0x100000000, 0x100000008,
    };
    for (unsigned at = 0; at < sizeof namespaces / sizeof *namespaces; at++) {
        snprintf(name, sizeof name, "clone flag %#lx", namespaces[at]);
        /* CLONE_SIGHAND without CLONE_VM: what the filter lets through is refused by the kernel. */
        PROBE(name, syscall(SYS_clone, namespaces[at] | CLONE_SIGHAND, 0, 0, 0, 0));
        snprintf(name, sizeof name, "unshare flag %#lx", namespaces[at]);
        PROBE(name, syscall(SYS_unshare, namespaces[at]));
    }
    for (unsigned at = 0; at < sizeof personalities / sizeof *personalities; at++) {
        snprintf(name, sizeof name, "personality %#lx", personalities[at]);
        PROBE(name, syscall(SYS_personality, personalities[at]));
    }
    for (int family = 0; family <= 48; family++) {
        snprintf(name, sizeof name, "socket family %d", family);
        /* A type that no family has. */
        PROBE(name, syscall(SYS_socket, family, 15, 0));
    }
    PROBE("mount", syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, 0));
    PROBE("umount2", syscall(SYS_umount2, "/proc", 2));
    PROBE("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"));
    PROBE("chroot", syscall(SYS_chroot, "/"));
    PROBE("unshare user", syscall(SYS_unshare, CLONE_NEWUSER));
    PROBE("unshare mount", syscall(SYS_unshare, CLONE_NEWNS));
    PROBE("unshare files", syscall(SYS_unshare, CLONE_FILES));
    PROBE("setns", syscall(SYS_setns, -1, 0));
    PROBE("clone", clone_with(0));
    PROBE("clone user", clone_with(CLONE_NEWUSER));
    PROBE("clone mount", clone_with(CLONE_NEWNS));
    PROBE("clone pid", clone_with(CLONE_NEWPID));
    PROBE("clone net", clone_with(CLONE_NEWNET));
    PROBE("clone cgroup", clone_with(CLONE_NEWCGROUP));
    PROBE("clone3", syscall(435, NULL, 0));
    PROBE("fsopen", syscall(430, "tmpfs", 0));
    PROBE("fsmount", syscall(432, -1, 0, 0));
    PROBE("open_tree", syscall(428, -100, "/", 0));
    PROBE("move_mount", syscall(429, -1, "", -1, "", 0));
    PROBE("mount_setattr", syscall(442, -1, "", 0, NULL, 0));
    PROBE("keyctl", syscall(SYS_keyctl, 0, -3, 0));
    PROBE("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
    PROBE("request_key", syscall(SYS_request_key, "user", "x", NULL, 0));
    PROBE("bpf", syscall(SYS_bpf, 0, NULL, 0));
    PROBE("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
    PROBE("io_uring_setup", syscall(425, 1, NULL));
    PROBE("userfaultfd", syscall(SYS_userfaultfd, 0));
    PROBE("ptrace traceme", syscall(SYS_ptrace, 0, 0, 0, 0));
    PROBE("process_vm_readv", syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0));
    PROBE("kcmp", syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0));
    PROBE("pidfd_open", syscall(434, getpid(), 0));
    PROBE("pidfd_getfd", syscall(438, -1, 0, 0));
    PROBE("reboot", syscall(SYS_reboot, 0, 0, 0, NULL));
    PROBE("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    PROBE("init_module", syscall(SYS_init_module, NULL, 0, ""));
    PROBE("delete_module", syscall(SYS_delete_module, "x", 0));
    PROBE("swapon", syscall(SYS_swapon, "/tmp", 0));
    PROBE("swapoff", syscall(SYS_swapoff, "/tmp"));
    PROBE("acct", syscall(SYS_acct, NULL));
    PROBE("quotactl", syscall(SYS_quotactl, 0, NULL, 0, NULL));
    PROBE("settimeofday", syscall(SYS_settimeofday, NULL, NULL));
    PROBE("clock_settime", syscall(SYS_clock_settime, 0, NULL));
    PROBE("clock_adjtime", syscall(SYS_clock_adjtime, 0, NULL));
    PROBE("adjtimex", syscall(SYS_adjtimex, NULL));
    PROBE("sethostname", syscall(SYS_sethostname, "x", 1));
    PROBE("setdomainname", syscall(SYS_setdomainname, "x", 1));
    PROBE("syslog", syscall(SYS_syslog, 3, buffer, sizeof buffer));
    PROBE("vhangup", syscall(SYS_vhangup));
    PROBE("mbind", syscall(SYS_mbind, 0, 0, 0, NULL, 0, 0));
    PROBE("set_mempolicy", syscall(SYS_set_mempolicy, 0, NULL, 0));
    PROBE("open_by_handle_at", syscall(SYS_open_by_handle_at, -1, NULL, 0));
    PROBE("name_to_handle_at", syscall(SYS_name_to_handle_at, -1, "", NULL, NULL, 0));
    PROBE("fanotify_init", syscall(SYS_fanotify_init, 0, 0));
    PROBE("fanotify_mark", syscall(SYS_fanotify_mark, -1, 0, 0, -1, NULL));
    PROBE("personality query", syscall(SYS_personality, 0xffffffffUL));
    PROBE("personality linux32", syscall(SYS_personality, 8));
    PROBE("personality no randomize", syscall(SYS_personality, 0x40000));
    PROBE("socket inet", syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
    PROBE("socket raw", syscall(SYS_socket, AF_INET, SOCK_RAW, 1));
    PROBE("socket netlink", syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0));
    PROBE("socket packet", syscall(SYS_socket, AF_PACKET, SOCK_RAW, 0));
    PROBE("socket vsock", syscall(SYS_socket, 40, SOCK_STREAM, 0));
    PROBE("socket alg", syscall(SYS_socket, 38, SOCK_SEQPACKET, 0));
    PROBE("mknod device", syscall(SYS_mknodat, -100, "/tmp/probe-device", 0020600, 0x103));
    PROBE("mknod fifo", syscall(SYS_mknodat, -100, "/tmp/probe-fifo", 0010600, 0));
    PROBE("chown", syscall(SYS_fchownat, -100, "/tmp", 0, 0, 0));
    PROBE("setuid", syscall(SYS_setuid, 0));
    PROBE("setgroups", syscall(SYS_setgroups, 0, NULL));
    PROBE("prctl bounding", syscall(SYS_prctl, PR_CAPBSET_READ, 21));
    PROBE("seccomp", syscall(SYS_seccomp, 2, 0, NULL));
    PROBE("landlock", syscall(444, NULL, 0, 1));
    PROBE("memfd_create", syscall(SYS_memfd_create, "x", 0));
    PROBE("memfd_secret", syscall(447, 0));
    PROBE("statmount", syscall(457, NULL, NULL, 0, 0));
    PROBE("mseal", syscall(462, 0, 0, 0));
    PROBE("file_getattr", syscall(468, -1, "", NULL, 0, 0));
    PROBE("lsm_list_modules", syscall(461, NULL, NULL, 0));
    PROBE("lookup_dcookie", syscall(212, 0, NULL, 0));
    PROBE("nfsservctl", syscall(180, 0, NULL, NULL));
    PROBE("unknown 9999", syscall(9999));
#ifdef __x86_64__
    PROBE("iopl", syscall(SYS_iopl, 0));
    PROBE("ioperm", syscall(SYS_ioperm, 0, 1, 0));
    PROBE("modify_ldt", syscall(SYS_modify_ldt, 0, buffer, 16));
    PROBE("arch_prctl", syscall(SYS_arch_prctl, 0x1003, buffer));
    PROBE("uselib", syscall(SYS_uselib, "/x"));
    PROBE("x32 getpid", syscall(0x40000000 | SYS_getpid));
    PROBE("32-bit getpid", call32(20, 0, 0));
    PROBE("32-bit mount", call32(21, 0, 0));
    PROBE("32-bit ptrace", call32(26, 17, 0));
    PROBE("32-bit iopl", call32(110, 3, 0));
    PROBE("32-bit clone user", call32(120, CLONE_NEWUSER | CLONE_SIGHAND, 0));
    PROBE("32-bit clone", call32(120, CLONE_SIGHAND, 0));
    PROBE("32-bit personality", call32(136, 4, 0));
    PROBE("32-bit personality query", call32(136, -1, 0));
    PROBE("32-bit keyctl", call32(288, 0, 0));
    PROBE("32-bit unshare", call32(310, CLONE_NEWNS, 0));
    PROBE("32-bit socket inet", call32(359, AF_INET, 15));
    PROBE("32-bit socket alg", call32(359, 38, 15));
    PROBE("32-bit clone3", call32(435, 0, 0));
    PROBE("32-bit unknown 9999", call32(9999, 0, 0));
#endif
    return 0;
}
