#include "specs/docker_defaults.h"

#include <dirent.h>
#include <errno.h>
#include <strings.h>
#include <unistd.h>

/* In the kernel's order: the index is the number. */
static const char *const capability_names[CAPABILITY_LAST + 1] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
};

#define PREFIX 4 /* length of "CAP_" */

int capability_from_name(const char *name)
{
	if (strcasecmp(name, "ALL") == 0) {
		return CAPABILITY_ALL;
	}
	if (strncasecmp(name, "CAP_", PREFIX) == 0) {
		name += PREFIX;
	}
	for (int i = 0; i <= CAPABILITY_LAST; i++) {
		if (strcasecmp(name, capability_names[i] + PREFIX) == 0) {
			return i;
		}
	}
	return -EINVAL;
}

const char *capability_name(int number)
{
	return number >= 0 && number <= CAPABILITY_LAST ? capability_names[number] : NULL;
}

const char *const docker_masked_paths[] = {
	"/proc/acpi",
	"/proc/asound",
	"/proc/interrupts",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/sched_debug",
	"/proc/scsi",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/sys/devices/virtual/powercap",
	"/sys/firmware",
	NULL,
};

const char *const docker_readonly_paths[] = {
	"/proc/bus",
	"/proc/fs",
	"/proc/irq",
	"/proc/sys",
	"/proc/sysrq-trigger",
	NULL,
};

void docker_masked_cpu_paths(struct strv *paths)
{
	static const char folder[] = "/sys/devices/system/cpu";
	DIR *dir = opendir(folder);
	struct dirent *entry;

	if (!dir) {
		return;
	}
	while ((entry = readdir(dir))) {
		char path[sizeof(folder) + sizeof(entry->d_name) + 32];
		size_t digits = strncmp(entry->d_name, "cpu", 3) == 0
					? strspn(entry->d_name + 3, "0123456789")
					: 0;

		if (digits == 0 || entry->d_name[3 + digits] != '\0') {
			continue;
		}
		snprintf(path, sizeof(path), "%s/%s/thermal_throttle", folder, entry->d_name);
		if (access(path, F_OK) == 0) {
			strv_add(paths, path);
		}
	}
	closedir(dir);
}

#define OPTIONS(...)                                                                               \
	.options = (const char *[]){ __VA_ARGS__, NULL },                                          \
	.option_count = sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(const char *)

const struct oci_mount docker_mounts[] = {
	{ .destination = "/proc",
		.type = "proc",
		.source = "proc",
		OPTIONS("nosuid", "noexec", "nodev") },
	{ .destination = "/dev",
		.type = "tmpfs",
		.source = "tmpfs",
		OPTIONS("nosuid", "strictatime", "mode=755", "size=65536k") },
	{ .destination = "/dev/pts",
		.type = "devpts",
		.source = "devpts",
		OPTIONS("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5") },
	{ .destination = "/sys",
		.type = "sysfs",
		.source = "sysfs",
		OPTIONS("nosuid", "noexec", "nodev", "ro") },
	{ .destination = "/sys/fs/cgroup",
		.type = "cgroup",
		.source = "cgroup",
		OPTIONS("ro", "nosuid", "noexec", "nodev") },
	{ .destination = "/dev/mqueue",
		.type = "mqueue",
		.source = "mqueue",
		OPTIONS("nosuid", "noexec", "nodev") },
	/* The builder replaces size= by the service's shm_size. */
	{ .destination = "/dev/shm",
		.type = "tmpfs",
		.source = "shm",
		OPTIONS("nosuid", "noexec", "nodev", "mode=1777", "size=67108864") },
};
const size_t docker_mount_count = ARRAY_SIZE(docker_mounts);

#define NODE(where, major_number, minor_number)                                                    \
	{                                                                                          \
		.path = (where), .type = 'c', .major = (major_number), .minor = (minor_number),    \
		.mode = 0666                                                                       \
	}

const struct oci_device docker_devices[] = {
	NODE("/dev/null", 1, 3),
	NODE("/dev/zero", 1, 5),
	NODE("/dev/full", 1, 7),
	NODE("/dev/random", 1, 8),
	NODE("/dev/urandom", 1, 9),
	NODE("/dev/tty", 5, 0),
};
const size_t docker_device_count = ARRAY_SIZE(docker_devices);

#define ANY (-1)
#define ALLOW(major_number, minor_number)                                                          \
	{                                                                                          \
		.allow = true, .type = 'c', .major = (major_number), .minor = (minor_number),      \
		.read = true, .write = true, .mknod = true                                         \
	}

const struct oci_device_rule docker_device_rules[] = {
	{ .allow = false,
		.type = 'a',
		.major = ANY,
		.minor = ANY,
		.read = true,
		.write = true,
		.mknod = true },
	/* Any node may be made; opening it is another matter. */
	{ .allow = true, .type = 'c', .major = ANY, .minor = ANY, .mknod = true },
	{ .allow = true, .type = 'b', .major = ANY, .minor = ANY, .mknod = true },
	ALLOW(1, 3), /* null */
	ALLOW(1, 5), /* zero */
	ALLOW(1, 7), /* full */
	ALLOW(1, 8), /* random */
	ALLOW(1, 9), /* urandom */
	ALLOW(5, 0), /* tty */
	ALLOW(5, 1), /* console */
	ALLOW(5, 2), /* ptmx */
	ALLOW(136, ANY), /* pts */
};
const size_t docker_device_rule_count = ARRAY_SIZE(docker_device_rules);
