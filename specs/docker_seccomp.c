/*
 * docker's default seccomp policy as data: the moby profiles v0.2.3, the rules of the
 * architectures that we build for. A rule is a list of names and the conditions under which it
 * is part of the policy; docker_seccomp() leaves out what does not apply, so that what remains is
 * plain linux.seccomp of the OCI configuration.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/version.h>

#include "base/json.h"
#include "specs/docker_defaults.h"

enum architecture { AMD64 = 1, ARM64 = 2 };

#if defined(__x86_64__)
#define NATIVE AMD64
static const char *const architectures[] = { "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32" };
#elif defined(__aarch64__)
#define NATIVE ARM64
static const char *const architectures[] = { "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM" };
#else
#error "docker_seccomp.c: the policy of this architecture has to be written down first"
#endif

/* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. */
#define CLONE_NAMESPACES 0x7E020000

struct argument {
	const char *op; /* NULL: the rule looks at no argument */
	unsigned index;
	uint64_t value, value_two;
};

struct rule {
	const char *names; /* separated by single spaces */
	uint64_t capabilities; /* applies only when all of these are in the bounding set */
	uint64_t without; /* applies only when none of these is */
	unsigned kernel; /* KERNEL_VERSION() from which on it applies */
	unsigned architectures; /* 0: all */
	struct argument argument;
	int errno_value; /* 0: allow */
};

#define CAP(name) (UINT64_C(1) << CAP_##name)

static const char always[] =
	"accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown "
	"chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
	"clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect "
	"copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old "
	"epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit "
	"exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir "
	"fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr "
	"flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 "
	"fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv "
	"futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid "
	"geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp "
	"getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 "
	"getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid "
	"gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init "
	"inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents "
	"io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule "
	"landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat "
	"listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr "
	"lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir "
	"mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify "
	"mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink "
	"mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap "
	"name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open "
	"pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 "
	"prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 "
	"pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg "
	"recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat "
	"renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending "
	"rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
	"rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam "
	"sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval "
	"sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam "
	"sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop "
	"semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 "
	"setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority "
	"setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 "
	"setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid "
	"setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd "
	"signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 "
	"statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time "
	"timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime "
	"timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
	"timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat "
	"uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid "
	"write writev";

static const char with_sys_admin[] =
	"bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
	"lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
	"open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog "
	"umount umount2 unshare";

#define ARGUMENT(nr, how, what)                                                                    \
	{                                                                                          \
		.index = (nr), .op = "SCMP_CMP_" #how, .value = (what)                             \
	}
#define PERSONALITY(value)                                                                         \
	{                                                                                          \
		.names = "personality", .argument = ARGUMENT(0, EQ, value)                         \
	}

static const struct rule rules[] = {
	{ .names = always },
	/* Before 4.8 a tracer could change a call after the filter had seen it. */
	{ .names = "process_vm_readv process_vm_writev ptrace", .kernel = KERNEL_VERSION(4, 8, 0) },
	/* Every domain but AF_ALG (38) and AF_VSOCK (40). */
	{ .names = "socket", .argument = ARGUMENT(0, LT, 38) },
	{ .names = "socket", .argument = ARGUMENT(0, EQ, 39) },
	{ .names = "socket", .argument = ARGUMENT(0, GT, 40) },
	/* Linux, Linux32, both with UNAME26, and the query. */
	PERSONALITY(0),
	PERSONALITY(8),
	PERSONALITY(0x20000),
	PERSONALITY(0x20008),
	PERSONALITY(0xffffffff),
	{ .names = "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush "
		   "set_tls",
		.architectures = ARM64 },
	{ .names = "arch_prctl modify_ldt", .architectures = AMD64 },
	{ .names = "open_by_handle_at", .capabilities = CAP(DAC_READ_SEARCH) },
	{ .names = with_sys_admin, .capabilities = CAP(SYS_ADMIN) },
	{ .names = "clone",
		.without = CAP(SYS_ADMIN),
		.argument = ARGUMENT(0, MASKED_EQ, CLONE_NAMESPACES) },
	/* Its flags lie in memory, out of a filter's sight: ENOSYS makes libc fall back to clone. */
	{ .names = "clone3", .without = CAP(SYS_ADMIN), .errno_value = ENOSYS },
	{ .names = "reboot", .capabilities = CAP(SYS_BOOT) },
	{ .names = "chroot", .capabilities = CAP(SYS_CHROOT) },
	{ .names = "delete_module init_module finit_module", .capabilities = CAP(SYS_MODULE) },
	{ .names = "acct", .capabilities = CAP(SYS_PACCT) },
	{ .names = "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
		.capabilities = CAP(SYS_PTRACE) },
	{ .names = "iopl ioperm", .capabilities = CAP(SYS_RAWIO) },
	{ .names = "settimeofday stime clock_settime clock_settime64",
		.capabilities = CAP(SYS_TIME) },
	{ .names = "vhangup", .capabilities = CAP(SYS_TTY_CONFIG) },
	{ .names = "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
		.capabilities = CAP(SYS_NICE) },
	{ .names = "syslog", .capabilities = CAP(SYSLOG) },
	{ .names = "bpf", .capabilities = CAP(BPF) },
	{ .names = "perf_event_open", .capabilities = CAP(PERFMON) },
};

static bool rule_applies(const struct rule *rule, uint64_t bounding, unsigned kernel_version)
{
	return (rule->capabilities & ~bounding) == 0 && (rule->without & bounding) == 0 &&
	       kernel_version >= rule->kernel &&
	       (!rule->architectures || (rule->architectures & NATIVE));
}

static json_t *names_print(const char *names)
{
	json_t *array = json_array();

	while (*names) {
		size_t length = strcspn(names, " ");

		json_array_append_new(array, json_stringn(names, length));
		names += length + (names[length] == ' ');
	}
	return array;
}

static json_t *rule_print(const struct rule *rule)
{
	json_t *object = json_object();

	json_put(object, "names", names_print(rule->names));
	json_put_text(object, "action", rule->errno_value ? "SCMP_ACT_ERRNO" : "SCMP_ACT_ALLOW");
	if (rule->errno_value) {
		json_put_int(object, "errnoRet", rule->errno_value);
	}
	if (rule->argument.op) {
		json_t *argument = json_object();
		json_t *list = json_array();

		json_put_int(argument, "index", rule->argument.index);
		json_put_int(argument, "value", (int64_t)rule->argument.value);
		json_put_int(argument, "valueTwo", (int64_t)rule->argument.value_two);
		json_put_text(argument, "op", rule->argument.op);
		json_array_append_new(list, argument);
		json_put(object, "args", list);
	}
	return object;
}

json_t *docker_seccomp(uint64_t bounding, unsigned kernel_version)
{
	json_t *policy = json_object(), *list = json_array(), *syscalls = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(architectures); i++) {
		json_array_append_new(list, json_string(architectures[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		if (rule_applies(&rules[i], bounding, kernel_version)) {
			json_array_append_new(syscalls, rule_print(&rules[i]));
		}
	}
	json_put_text(policy, "defaultAction", "SCMP_ACT_ERRNO");
	json_put_int(policy, "defaultErrnoRet", EPERM);
	json_put(policy, "architectures", list);
	json_put(policy, "syscalls", syscalls);
	return policy;
}

uint64_t docker_seccomp_capabilities(void)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		mask |= rules[i].capabilities | rules[i].without;
	}
	return mask;
}

unsigned docker_seccomp_kernel(void)
{
	unsigned newest = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		newest = rules[i].kernel > newest ? rules[i].kernel : newest;
	}
	return newest;
}
