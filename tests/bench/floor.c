/*
 * The floor: a container start that makes only the system calls which no runtime can leave out
 * (docker's namespaces, overlay root, /proc, /dev, /sys, masked and read-only paths, capabilities,
 * a seccomp program, limits in the same control groups), with nothing parsed, checked or reported.
 * What `make bench` compares our launches with. It shares no code with the product.
 *
 *     floor [-n LAUNCHES] [-N new|held|none] LOWER UPPERDIR PROGRAM
 *
 * Prints one line of JSON: median, 10th and 90th percentile wall time and CPU time in
 * microseconds, clone to reap. -N held: one network namespace, made once, entered by each launch.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MUST(call)                                                                                 \
	({                                                                                         \
		long r_ = (long)(call);                                                            \
		if (r_ < 0) {                                                                      \
			fprintf(stderr, "floor: %s: %s\n", #call, strerror(errno));                \
			_exit(1);                                                                  \
		}                                                                                  \
		r_;                                                                                \
	})

extern const struct sock_filter seccomp_default_filter[];
extern const unsigned short seccomp_default_length;

static const char *const v1[] = { "memory", "cpu", "cpuacct", "cpuset", "pids", "devices",
	"freezer", "blkio" };
static const char *const device_rules[] = { "c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm",
	"c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm",
	"c 136:* rwm" };
static bool unified;

static void put(int dir, const char *name, const char *text)
{
	int fd = (int)MUST(openat(dir, name, O_WRONLY | O_CLOEXEC));

	MUST(write(fd, text, strlen(text)));
	close(fd);
}

/* Makes the groups with the limits that the bench gives our own launches; descriptors in @dirs. */
static int groups_make(unsigned serial, int *dirs)
{
	char path[128];
	int allow;

	if (unified) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup/wherry-floor-%u", serial);
		MUST(mkdir(path, 0755));
		dirs[0] = (int)MUST(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
		put(dirs[0], "memory.max", "268435456");
		put(dirs[0], "cpu.max", "100000 100000");
		put(dirs[0], "pids.max", "100");
		return 1;
	}
	for (size_t i = 0; i < sizeof(v1) / sizeof(v1[0]); i++) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/wherry-floor-%u", v1[i], serial);
		MUST(mkdir(path, 0755));
		dirs[i] = (int)MUST(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	}
	put(dirs[0], "memory.limit_in_bytes", "268435456");
	put(dirs[1], "cpu.cfs_quota_us", "100000");
	put(dirs[3], "cpuset.cpus", "0-1");
	put(dirs[3], "cpuset.mems", "0");
	put(dirs[4], "pids.max", "100");
	put(dirs[5], "devices.deny", "a");
	allow = (int)MUST(openat(dirs[5], "devices.allow", O_WRONLY | O_CLOEXEC));
	for (size_t i = 0; i < sizeof(device_rules) / sizeof(device_rules[0]); i++) {
		MUST(write(allow, device_rules[i], strlen(device_rules[i])));
	}
	close(allow);
	return (int)(sizeof(v1) / sizeof(v1[0]));
}

static void groups_remove(unsigned serial, int *dirs, int count)
{
	char path[128];

	for (int i = 0; i < count; i++) {
		close(dirs[i]);
		if (unified) {
			snprintf(path, sizeof(path), "/sys/fs/cgroup/wherry-floor-%u", serial);
		} else {
			snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/wherry-floor-%u", v1[i],
				serial);
		}
		while (rmdir(path) < 0 && errno == EBUSY) {
			sched_yield();
		}
	}
}

/* A new mount of @type with "key=value" options, attached at @at. */
static void mount_at(int at, const char *type, unsigned attributes, const char *const *options)
{
	int fs = (int)MUST(syscall(SYS_fsopen, type, 1)), mnt;

	for (; options && *options; options += 2) {
		MUST(syscall(SYS_fsconfig, fs, options[1] ? 1 : 0, options[0], options[1], 0));
	}
	MUST(syscall(SYS_fsconfig, fs, 6, NULL, NULL, 0));
	mnt = (int)MUST(syscall(SYS_fsmount, fs, 1, attributes));
	MUST(syscall(SYS_move_mount, mnt, "", at, "", 4 | 0x40));
	/* Nothing is closed on the child's side: exec does it at once. */
}

static int inside(const char *path)
{
	return (int)MUST(open(path, O_PATH | O_CLOEXEC));
}

static void protect(const char *path, bool mask)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	int at = open(path, O_PATH | O_CLOEXEC), tree;

	if (at < 0) {
		return;
	}
	tree = (int)MUST(
		syscall(SYS_open_tree, AT_FDCWD, mask ? "/dev/null" : path, 1 | O_CLOEXEC));
	if (!mask) {
		MUST(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)));
	}
	if (syscall(SYS_move_mount, tree, "", at, "", 4 | 0x40) < 0) {
		/* A folder cannot be covered by a device: an empty file system does it. */
		mount_at(at, "tmpfs", MOUNT_ATTR_RDONLY, NULL);
	}
}

static void devices_make(void)
{
	static const struct {
		const char *name;
		unsigned minor, major;
	} nodes[] = { { "null", 3, 1 }, { "zero", 5, 1 }, { "full", 7, 1 }, { "random", 8, 1 },
		{ "urandom", 9, 1 }, { "tty", 0, 5 } };
	static const char *const links[][2] = { { "/proc/self/fd", "fd" },
		{ "/proc/self/fd/0", "stdin" }, { "/proc/self/fd/1", "stdout" },
		{ "/proc/self/fd/2", "stderr" }, { "pts/ptmx", "ptmx" },
		{ "/proc/kcore", "core" } };
	int dev = (int)MUST(open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC));

	for (size_t i = 0; i < 6; i++) {
		MUST(mknodat(dev, nodes[i].name, S_IFCHR | 0666,
			makedev(nodes[i].major, nodes[i].minor)));
		MUST(symlinkat(links[i][0], dev, links[i][1]));
	}
	MUST(mkdirat(dev, "pts", 0755));
	MUST(mkdirat(dev, "shm", 0755));
	MUST(mkdirat(dev, "mqueue", 0755));
}

static _Noreturn void child(const char *lower, const char *upper, const char *program,
	const int *dirs, int groups, int netns)
{
	static const char *const masked[] = { "/proc/acpi", "/proc/asound", "/proc/interrupts",
		"/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
		"/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
		"/sys/devices/virtual/powercap", "/sys/firmware" };
	static const char *const readonly[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
		"/proc/sysrq-trigger" };
	char work[512], top[512];
	const char *const overlay[] = { "lowerdir+", lower, "upperdir", top, "workdir", work,
		NULL };
	const char *const dev[] = { "mode", "755", "size", "65536k", NULL };
	const char *const pts[] = { "newinstance", NULL, "ptmxmode", "0666", "mode", "0620", "gid",
		"5", NULL };
	const char *const shm[] = { "mode", "1777", "size", "67108864", NULL };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { { 0xa80425fb, 0xa80425fb, 0 }, { 0, 0, 0 } };
	struct sock_fprog filter = { seccomp_default_length,
		(struct sock_filter *)(uintptr_t)seccomp_default_filter };
	char *const argv[] = { (char *)(uintptr_t)program, NULL }, *const env[] = { NULL };
	sigset_t none;

	for (int i = 0; !unified && i < groups; i++) {
		put(dirs[i], "cgroup.procs", "0");
	}
	if (!unified) {
		MUST(unshare(CLONE_NEWCGROUP));
	}
	if (netns >= 0) {
		MUST(setns(netns, CLONE_NEWNET));
	}
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	snprintf(top, sizeof(top), "%s/upper", upper);
	snprintf(work, sizeof(work), "%s/work", upper);
	mount_at(inside(upper), "overlay", 0, overlay);
	MUST(chdir(upper));
	MUST(sethostname("floor", 5));
	setsid();
	MUST(syscall(SYS_pivot_root, ".", "."));
	MUST(umount2(".", MNT_DETACH));
	MUST(chdir("/"));
	mount_at(inside("/proc"), "proc", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV,
		NULL);
	mount_at(inside("/dev"), "tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME, dev);
	devices_make();
	mount_at(inside("/dev/pts"), "devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, pts);
	mount_at(inside("/dev/shm"), "tmpfs",
		MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV, shm);
	mount_at(inside("/dev/mqueue"), "mqueue",
		MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV, NULL);
	mount_at(inside("/sys"), "sysfs",
		MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV, NULL);
	for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++) {
		protect(masked[i], true);
	}
	for (size_t i = 0; i < sizeof(readonly) / sizeof(readonly[0]); i++) {
		protect(readonly[i], false);
	}
	MUST(syscall(
		SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter));
	for (int cap = 0; cap <= 40; cap++) {
		if (!(0xa80425fbULL >> cap & 1)) {
			MUST(prctl(PR_CAPBSET_DROP, cap, 0, 0, 0));
		}
	}
	MUST(syscall(SYS_setgroups, 0, NULL));
	MUST(setresgid(0, 0, 0));
	MUST(setresuid(0, 0, 0));
	MUST(syscall(SYS_capset, &header, caps));
	MUST(syscall(SYS_close_range, 3, ~0U, 4));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(program, argv, env);
	_exit(127);
}

static int64_t now_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t cpu_us(void)
{
	int64_t total = 0;

	for (int who = RUSAGE_CHILDREN; who <= RUSAGE_SELF; who++) {
		struct rusage u;

		getrusage(who, &u);
		total += (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
			 u.ru_stime.tv_usec;
	}
	return total;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	int launches = 100, netns = -1, home, option;
	const char *net = "held";
	uint64_t flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC;
	static int64_t wall[100000];
	int64_t cpu;
	sigset_t all, old;

	while ((option = getopt(argc, argv, "n:N:")) != -1) {
		if (option == 'n') {
			launches = (int)strtol(optarg, NULL, 10);
		} else if (option == 'N') {
			net = optarg;
		} else {
			return 2;
		}
	}
	if (argc - optind != 3 || launches < 1 || launches > 100000) {
		fprintf(stderr, "usage: floor [-n N] [-N new|held|none] LOWER UPPERDIR PROGRAM\n");
		return 2;
	}
	unified = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
	if (strcmp(net, "new") == 0) {
		flags |= CLONE_NEWNET;
	} else if (strcmp(net, "held") == 0) {
		home = (int)MUST(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
		MUST(unshare(CLONE_NEWNET));
		netns = (int)MUST(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
		MUST(setns(home, CLONE_NEWNET));
	}
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	cpu = cpu_us();
	for (int i = 0; i < launches; i++) {
		int64_t start = now_us(CLOCK_MONOTONIC);
		unsigned serial = (unsigned)getpid() * 10000u + (unsigned)i;
		int dirs[8], groups = groups_make(serial, dirs), status;
		struct clone_args args = { .flags = flags, .exit_signal = SIGCHLD };
		pid_t pid;

		if (unified) {
			args.flags |= CLONE_INTO_CGROUP | CLONE_NEWCGROUP;
			args.cgroup = (uint64_t)dirs[0];
		}
		pid = (pid_t)MUST(syscall(SYS_clone3, &args, sizeof(args)));
		if (pid == 0) {
			child(argv[optind], argv[optind + 1], argv[optind + 2], dirs, groups,
				netns);
		}
		MUST(waitpid(pid, &status, 0));
		if (status != 0) {
			fprintf(stderr, "floor: the program ended with status %d\n", status);
			return 1;
		}
		groups_remove(serial, dirs, groups);
		wall[i] = now_us(CLOCK_MONOTONIC) - start;
	}
	cpu = cpu_us() - cpu;
	sigprocmask(SIG_SETMASK, &old, NULL);
	qsort(wall, (size_t)launches, sizeof(*wall), by_size);
	printf("{\"median_us\":%lld,\"p10_us\":%lld,\"p90_us\":%lld,\"cpu_us\":%lld,\"launches\":%"
	       "d}\n",
		(long long)wall[launches / 2], (long long)wall[launches / 10],
		(long long)wall[launches * 9 / 10], (long long)(cpu / launches), launches);
	return 0;
}
