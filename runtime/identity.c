/*
 * Who the payload is and what it may do. The order follows from what each step forbids the next:
 * user files are read as root, limits and the working folder come before rights are given up,
 * a policy without no_new_privs needs CAP_SYS_ADMIN and so stands before the capabilities, and one
 * with it comes last.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/child.h"
#include "runtime/rootfs.h"
#include "runtime/user.h"
#include "specs/docker_defaults.h"

int identity_session(struct child *c)
{
	/* A session of its own, so that no key pressed on the caller's terminal and no TIOCSTI
	 * reaches either side (CVE-2017-5226); and a key ring of its own. */
	if (setsid() < 0 && errno != EPERM) {
		return error_set(&c->err, errno, "start a session");
	}
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL); /* kernels without keys: fine */
	return 0;
}

int identity_terminal(struct child *c)
{
	if (!c->process.terminal) {
		return 0;
	}
	if (ioctl(0, TIOCSCTTY, 0) < 0) {
		return error_set(&c->err, errno, "make the terminal the controlling one");
	}
	/* So that a payload that is not root can open /dev/console and /dev/pts/N again. */
	if (fchown(0, c->process.uid, (gid_t)-1) < 0 && errno != EPERM) {
		return error_set(&c->err, errno, "give the terminal to the user");
	}
	return 0;
}

int identity_user(struct child *c)
{
	struct user user;
	char home[sizeof(user.home)];
	int r;

	if (!c->user) {
		user_home(c->root_fd, c->process.uid, home, sizeof(home));
		c->home = xstrdup(home);
		return 0;
	}
	r = user_lookup(c->root_fd, c->user, &user, &c->err);
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < c->extra_gid_count; i++) {
		user_add_group(&user, c->extra_gids[i]);
	}
	c->process.uid = user.uid;
	c->process.gid = user.gid;
	c->process.additional_gids = take_ptr(user.groups); /* as long as this process */
	c->process.additional_gid_count = user.group_count;
	c->home = xstrdup(user.home);
	return 0;
}

int identity_limits(struct child *c)
{
	for (size_t i = 0; i < c->process.rlimit_count; i++) {
		const struct oci_rlimit *limit = &c->process.rlimits[i];
		struct rlimit64 value = { .rlim_cur = limit->soft, .rlim_max = limit->hard }, old;
		__rlimit_resource_t type = (__rlimit_resource_t)limit->type;

		if (setrlimit64(type, &value) == 0) {
			continue;
		}
		/* Raising a hard limit takes CAP_SYS_RESOURCE: then as far as it goes. */
		if (errno != EPERM || getrlimit64(type, &old) < 0) {
			return error_set(&c->err, errno, "set resource limit %d", limit->type);
		}
		value.rlim_max = value.rlim_max > old.rlim_max ? old.rlim_max : value.rlim_max;
		value.rlim_cur = value.rlim_cur > value.rlim_max ? value.rlim_max : value.rlim_cur;
		if (setrlimit64(type, &value) < 0) {
			return error_set(&c->err, errno, "set resource limit %d", limit->type);
		}
	}
	return 0;
}

int identity_oom_score(struct child *c)
{
	char text[16];

	/* Best effort: lowering it takes CAP_SYS_RESOURCE, and the planner has said so. */
	if (c->process.has_oom_score_adj && c->proc_fd >= 0) {
		snprintf(text, sizeof(text), "%d", c->process.oom_score_adj);
		file_put_at(c->proc_fd, "self/oom_score_adj", text);
	}
	return 0;
}

/* Never through a link such as /proc/self/fd/N, behind which anything may lie (CVE-2024-21626). */
static int enter_folder(struct child *c, const char *path)
{
	_cleanup_fd_ int fd = sys_open_in_root(c->root_fd, path, O_PATH | O_DIRECTORY, 0);

	if (fd == -ENOENT && !c->session) {
		fd = rootfs_target(c->root_fd, path, true, &c->err);
		if (fd < 0) {
			return fd;
		}
	}
	if (fd < 0 || fchdir(fd) < 0) {
		return error_set(
			&c->err, fd < 0 ? fd : errno, "change to the working folder %s", path);
	}
	return 0;
}

int identity_working_folder(struct child *c)
{
	const char *path = c->process.cwd && c->process.cwd[0] ? c->process.cwd : "/";
	char check[4096];
	int r;

	if (path[0] != '/') {
		return error_say(&c->err, EINVAL, "working folder \"%s\" is not absolute", path);
	}
	r = enter_folder(c, path);
	if (r < 0) {
		return r;
	}
	/* A folder outside the root has no path here. The raw call, because the
	 * C library would search for one. */
	r = (int)syscall(SYS_getcwd, check, sizeof(check));
	if (r < 0 || check[0] != '/') {
		return error_say(
			&c->err, EPERM, "working folder %s lies outside the container", path);
	}
	return 0;
}

static int install(struct child *c)
{
	int r = c->seccomp ? seccomp_install(c->seccomp) : 0;

	return r < 0 ? error_set(&c->err, r, "install the seccomp policy") : 0;
}

int identity_seccomp_early(struct child *c)
{
	return c->process.no_new_privileges ? 0 : install(c);
}

int identity_seccomp_late(struct child *c)
{
	if (!c->process.no_new_privileges) {
		return 0;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		return error_set(&c->err, errno, "set no_new_privs");
	}
	return install(c);
}

static int drop_bounding(struct child *c)
{
	for (int cap = 0; cap <= CAPABILITY_LAST; cap++) {
		if (c->process.capabilities[OCI_CAPS_BOUNDING] >> cap & 1) {
			continue;
		}
		/* EINVAL: the kernel does not know this one. */
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL) {
			return error_set(&c->err, errno, "drop %s", capability_name(cap));
		}
	}
	return 0;
}

static void split(uint64_t mask, struct __user_cap_data_struct data[2], size_t offset)
{
	for (int i = 0; i < 2; i++) {
		uint32_t half = (uint32_t)(mask >> (32 * i));

		memcpy((char *)&data[i] + offset, &half, sizeof(half));
	}
}

static int set_capabilities(const uint64_t sets[OCI_CAPS_SETS])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2], held[2];
	uint64_t have;

	split(sets[OCI_CAPS_EFFECTIVE], data, offsetof(struct __user_cap_data_struct, effective));
	split(sets[OCI_CAPS_PERMITTED], data, offsetof(struct __user_cap_data_struct, permitted));
	split(sets[OCI_CAPS_INHERITABLE], data,
		offsetof(struct __user_cap_data_struct, inheritable));
	if (syscall(SYS_capset, &header, data) == 0) {
		return 0;
	}
	if (errno != EPERM) {
		return -errno;
	}
	/* More was asked for than we hold ourselves: what we hold, then (the planner has said it). */
	if (syscall(SYS_capget, &header, held) < 0) {
		return -errno;
	}
	have = held[0].permitted | (uint64_t)held[1].permitted << 32;
	split(sets[OCI_CAPS_EFFECTIVE] & have, data,
		offsetof(struct __user_cap_data_struct, effective));
	split(sets[OCI_CAPS_PERMITTED] & have, data,
		offsetof(struct __user_cap_data_struct, permitted));
	split(sets[OCI_CAPS_INHERITABLE] & have, data,
		offsetof(struct __user_cap_data_struct, inheritable));
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int raise_ambient(struct child *c)
{
	for (int cap = 0; cap <= CAPABILITY_LAST; cap++) {
		if ((c->process.capabilities[OCI_CAPS_AMBIENT] >> cap & 1) &&
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0 &&
			errno != EPERM) {
			return error_set(&c->err, errno, "raise %s", capability_name(cap));
		}
	}
	return 0;
}

int identity_assume(struct child *c)
{
	uint64_t *sets = c->process.capabilities;
	gid_t gid = c->process.gid;
	int r;

	if (c->process.has_capabilities) {
		r = drop_bounding(c);
		if (r < 0) {
			return r;
		}
	}
	/* The caller's groups are never kept (CVE-2022-2989). */
	r = (int)syscall(
		SYS_setgroups, c->process.additional_gid_count, c->process.additional_gids);
	if (r < 0) {
		return error_set(&c->err, errno, "set the supplementary groups");
	}
	if (c->process.uid != 0 && c->process.has_capabilities) {
		/* Only ambient ones would survive exec; nothing else is kept until then. */
		sets[OCI_CAPS_EFFECTIVE] = sets[OCI_CAPS_PERMITTED] = sets[OCI_CAPS_AMBIENT];
		if (sets[OCI_CAPS_AMBIENT] && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) {
			return error_set(&c->err, errno, "keep capabilities");
		}
	}
	/* Raw calls: the C library would signal threads that this process does not have. */
	if (syscall(SYS_setresgid, gid, gid, gid) < 0) {
		return error_set(&c->err, errno, "become group %u", gid);
	}
	if (syscall(SYS_setresuid, c->process.uid, c->process.uid, c->process.uid) < 0) {
		return error_set(&c->err, errno, "become user %u", c->process.uid);
	}
	/* Changing the user makes a process dumpable again according to a sysctl. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (!c->process.has_capabilities) {
		return 0;
	}
	r = set_capabilities(sets);
	if (r < 0) {
		return error_set(&c->err, r, "set the capabilities");
	}
	return raise_ambient(c);
}
