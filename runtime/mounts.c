/*
 * The mounts of a configuration, in its order, with the descriptor based mount API: a file system
 * is set up detached, its place is resolved within the root by the kernel, and only then are the
 * two put together. No path of the image is ever walked by us.
 */
#include <errno.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/child.h"
#include "runtime/mount_options.h"
#include "runtime/rootfs.h"

/* Whether the clone of a source has to be made while its peer group is still joined. */
static bool wants_events(const struct mount_options *o)
{
	return o->bind && (o->propagation == MS_SHARED || o->propagation == MS_SLAVE);
}

int mounts_make_private(struct child *c)
{
	int r;

	for (size_t i = 0; i < c->config->mount_count; i++) {
		const struct oci_mount *m = &c->config->mounts[i];
		struct mount_options o;

		if (mount_options_parse(m, &o, &c->err) < 0) {
			return -EINVAL;
		}
		if (!wants_events(&o) || !m->source) {
			continue;
		}
		if (!c->shared_sources) {
			c->shared_sources = xcalloc(c->config->mount_count, sizeof(int));
		}
		r = sys_open_tree(AT_FDCWD, m->source,
			OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
				(o.recursive ? (unsigned)AT_RECURSIVE : 0));
		if (r < 0) {
			return error_set(&c->err, r, "bind %s", m->source);
		}
		c->shared_sources[i] = r;
	}
	/* Nothing mounted from here on is seen by the host. */
	r = sys_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return r < 0 ? error_set(&c->err, r, "make the mount namespace private") : 0;
}

static int set_data(int fs, const char *data, const char *destination, struct error *err)
{
	char key[256];
	const char *equals = strchr(data, '=');
	int r;

	if (!equals) {
		r = sys_fsconfig(fs, FSCONFIG_SET_FLAG, data, NULL, 0);
	} else {
		snprintf(key, sizeof(key), "%.*s", (int)(equals - data), data);
		r = sys_fsconfig(fs, FSCONFIG_SET_STRING, key, equals + 1, 0);
	}
	if (r < 0) {
		return rootfs_context_error(
			err, fs, r, "mount %s: option \"%s\"", destination, data);
	}
	return 0;
}

/* A mounted but still detached file system. */
static int make_file_system(const struct oci_mount *m, const struct mount_options *o,
	const char *type, struct error *err)
{
	_cleanup_fd_ int fs = sys_fsopen(type, FSOPEN_CLOEXEC);
	static const char *const no_source[] = { "proc", "sysfs", "tmpfs", "devpts", "mqueue",
		"cgroup2", NULL };
	bool source = m->source != NULL;
	int r = 0, fd;

	if (fs < 0) {
		return error_set(err, fs, "mount %s: file system %s", m->destination, type);
	}
	for (size_t i = 0; no_source[i]; i++) {
		source &= strcmp(type, no_source[i]) != 0;
	}
	if (source) {
		r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", m->source, 0);
	}
	for (int i = 0; r == 0 && i < o->data_count; i++) {
		r = set_data(fs, o->data[i], m->destination, err);
		if (r < 0) {
			return r;
		}
	}
	if (r == 0) {
		r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	}
	if (r < 0) {
		return rootfs_context_error(err, fs, r, "mount %s (%s)", m->destination, type);
	}
	fd = sys_fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)o->set);
	return fd < 0 ? error_set(err, fd, "mount %s (%s)", m->destination, type) : fd;
}

/*
 * Mounting over parts of procfs would let an image fake what we and the security modules write
 * there (CVE-2019-16884 and its kin). These few are what tools such as lxcfs replace.
 */
static bool may_cover_proc(const char *destination)
{
	static const char *const harmless[] = { "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
		"/proc/uptime", "/proc/loadavg", "/proc/diskstats", "/proc/swaps", "/proc/slabinfo",
		NULL };

	for (size_t i = 0; harmless[i]; i++) {
		if (strcmp(destination, harmless[i]) == 0) {
			return true;
		}
	}
	return false;
}

int mounts_check_place(const char *destination, int place, struct error *err)
{
	struct statfs fs;

	if (fstatfs(place, &fs) < 0) {
		return error_set(err, errno, "examine %s", destination);
	}
	if (fs.f_type == PROC_SUPER_MAGIC && !may_cover_proc(destination)) {
		return error_say(
			err, EPERM, "%s: nothing may be mounted inside /proc", destination);
	}
	return 0;
}

/* Where @m goes. /proc and /sys must be folders of the image, not links that lead elsewhere, or
 * what is masked below them would not be where it is looked for. */
static int open_place(struct child *c, const struct oci_mount *m, const char *type)
{
	bool strict = strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0;
	_cleanup_fd_ int fd = -EBADF;
	int r;

	if (strict) {
		fd = sys_open_in_root(c->root_fd, m->destination, O_PATH | O_NOFOLLOW, 0);
		if (fd >= 0) {
			struct stat st;

			if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode)) {
				return error_say(&c->err, ENOTDIR,
					"%s must be a folder of the image, not a link or file",
					m->destination);
			}
			return take_fd(&fd);
		}
	}
	fd = rootfs_target(c->root_fd, m->destination, true, &c->err);
	if (fd < 0) {
		return fd;
	}
	/* What we mount ourselves is checked by its type; it cannot be misled by its place. */
	if (!strict && strcmp(type, "devpts") != 0 && strcmp(type, "mqueue") != 0) {
		r = strcmp(m->destination, "/proc") == 0
			    ? error_say(&c->err, EPERM,
				      "/proc: nothing but procfs may be mounted there")
			    : mounts_check_place(m->destination, fd, &c->err);
		if (r < 0) {
			return r;
		}
	}
	return take_fd(&fd);
}

static int attach(struct child *c, const struct oci_mount *m, int fd, int place)
{
	int r = sys_move_mount(
		fd, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);

	return r < 0 ? error_set(&c->err, r, "mount %s", m->destination) : 0;
}

/* v1: a tmpfs with a folder for each hierarchy, where the container sees its own group. */
static int fill_v1_cgroups(struct child *c, int top)
{
	const struct cgroup_layout *layout = c->cgroup->layout;

	for (int i = 0; i < layout->count; i++) {
		const char *slash = strrchr(layout->hierarchies[i].mount, '/');
		_cleanup_fd_ int fd = -EBADF;
		char path[512];
		int r;

		if (layout->hierarchies[i].unified || c->cgroup->fds[i] < 0 || !slash) {
			continue;
		}
		/* By path: what the parent opened belongs to the parent's mount namespace. */
		snprintf(
			path, sizeof(path), "%s/%s", layout->hierarchies[i].mount, c->cgroup->path);
		fd = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		r = fd < 0 ? fd : sys_mkdirat(top, slash + 1, 0755);
		if (r >= 0) {
			r = sys_move_mount(fd, "", top, slash + 1, MOVE_MOUNT_F_EMPTY_PATH);
		}
		if (r < 0) {
			return error_set(&c->err, r, "mount the control groups (%s)", slash + 1);
		}
	}
	return 0;
}

static int mount_cgroups(struct child *c, const struct oci_mount *m, struct mount_options *o)
{
	bool v2 = c->cgroup && c->cgroup->layout->into_cgroup;
	struct mount_options plain = { .data_count = 0 };
	_cleanup_fd_ int fd = -EBADF, place = open_place(c, m, "cgroup");
	int r;

	if (place < 0) {
		return place;
	}
	if (v2) {
		o->data_count = 0;
		fd = make_file_system(m, o, "cgroup2", &c->err);
		return fd < 0 ? fd : attach(c, m, fd, place);
	}
	plain.data[plain.data_count++] = "mode=755";
	plain.set = o->set & ~(uint64_t)MOUNT_ATTR_RDONLY;
	fd = make_file_system(m, &plain, "tmpfs", &c->err);
	if (fd < 0) {
		return fd;
	}
	r = attach(c, m, fd, place);
	if (r == 0 && c->cgroup) {
		r = fill_v1_cgroups(c, fd);
	}
	if (r < 0) {
		return r;
	}
	/* All of them at once, when nothing has to be made in the tmpfs any more. */
	r = sys_mount_setattr(fd, "", AT_EMPTY_PATH | (unsigned)AT_RECURSIVE, o->set, 0, 0);
	return r < 0 ? error_set(&c->err, r, "mount %s", m->destination) : 0;
}

static int mount_one(struct child *c, size_t index)
{
	const struct oci_mount *m = &c->config->mounts[index];
	_cleanup_fd_ int fd = -EBADF, place = -EBADF;
	struct mount_options o;
	int r = mount_options_parse(m, &o, &c->err);

	if (r < 0) {
		return r;
	}
	if (o.bind) {
		return mounts_bind(c, index);
	}
	if (strcmp(m->type, "cgroup") == 0 || strcmp(m->type, "cgroup2") == 0) {
		return mount_cgroups(c, m, &o);
	}
	fd = make_file_system(m, &o, m->type, &c->err);
	if (fd < 0) {
		return fd;
	}
	place = open_place(c, m, m->type);
	if (place < 0) {
		return place;
	}
	r = attach(c, m, fd, place);
	if (r == 0 && o.propagation && o.propagation != MS_PRIVATE) {
		r = sys_mount_setattr(fd, "", AT_EMPTY_PATH, 0, 0, o.propagation);
		if (r < 0) {
			return error_set(&c->err, r, "mount %s: propagation", m->destination);
		}
	}
	if (r == 0 && strcmp(m->type, "proc") == 0 && c->proc_fd < 0) {
		c->proc_fd = take_fd(&fd);
	} else if (r == 0 && strcmp(m->type, "devpts") == 0 && c->pts_fd < 0) {
		c->pts_fd = take_fd(&fd);
	}
	return r;
}

int mounts_build(struct child *c)
{
	for (size_t i = 0; i < c->config->mount_count; i++) {
		int r = mount_one(c, i);

		if (r < 0) {
			return r;
		}
	}
	return 0;
}
