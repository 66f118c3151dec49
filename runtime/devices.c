/*
 * Device nodes, the links docker puts beside them, and the terminal. The folder is opened within
 * the root: an image whose /dev is a link leads to another folder of the image, never to one of
 * the host (CVE-2026-41579, CVE-2026-47766).
 */
#include <errno.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/fd.h"
#include "base/sys.h"
#include "runtime/child.h"
#include "runtime/rootfs.h"

static const struct {
	const char *name, *target;
} links[] = {
	{ "fd", "/proc/self/fd" },
	{ "stdin", "/proc/self/fd/0" },
	{ "stdout", "/proc/self/fd/1" },
	{ "stderr", "/proc/self/fd/2" },
	{ "ptmx", "pts/ptmx" },
	{ "core", "/proc/kcore" },
};

int devices_open_null(struct child *c)
{
	struct stat st;

	c->null_fd = sys_open("/dev/null", O_PATH, 0);
	if (c->null_fd < 0) {
		return error_set(&c->err, c->null_fd, "open /dev/null");
	}
	if (fstat(c->null_fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)) {
		return error_say(
			&c->err, ENODEV, "/dev/null of this machine is not what it should be");
	}
	return 0;
}

static mode_t kind(char type)
{
	return type == 'b' ? S_IFBLK : type == 'p' || type == 'f' ? S_IFIFO : S_IFCHR;
}

/* What is there already is fine if it is the same device. */
static int check_existing(int dir, const char *name, const struct oci_device *device)
{
	struct stat st;
	int r = sys_fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW);

	if (r < 0) {
		return r;
	}
	if ((st.st_mode & S_IFMT) != kind(device->type) ||
		(kind(device->type) != S_IFIFO &&
			st.st_rdev != makedev((unsigned)device->major, (unsigned)device->minor))) {
		return -EEXIST;
	}
	return 0;
}

/* The folder of @path, and the name in it. Most are right in /dev, which is open already. */
static int open_folder(struct child *c, int dev, const char *path, const char **name, int *opened)
{
	const char *slash = strrchr(path, '/');
	char folder[256];

	if (!slash || slash[1] == '\0' || strcmp(slash, "/..") == 0 || strcmp(slash, "/.") == 0) {
		return -EINVAL;
	}
	*name = slash + 1;
	if (slash == path + 4 && strncmp(path, "/dev", 4) == 0) {
		return dev;
	}
	if (snprintf(folder, sizeof(folder), "%.*s/", (int)(slash - path), path) >=
		(int)sizeof(folder)) {
		return -ENAMETOOLONG;
	}
	*opened = rootfs_target(c->root_fd, folder, true, &c->err);
	return *opened;
}

static int create(struct child *c, int dev, const struct oci_device *device)
{
	mode_t mode = device->mode ? device->mode & 07777 : 0666;
	_cleanup_fd_ int opened = -EBADF;
	const char *name = "";
	int dir = open_folder(c, dev, device->path, &name, &opened), r = dir;

	if (r >= 0) {
		r = sys_mknodat(dir, name, kind(device->type) | mode,
			makedev((unsigned)device->major, (unsigned)device->minor));
	}
	if (r == -EEXIST) {
		r = check_existing(dir, name, device);
	} else if (r >= 0 && (device->uid || device->gid)) {
		r = sys_fchownat(dir, name, device->uid, device->gid, AT_SYMLINK_NOFOLLOW);
	}
	return r < 0 ? error_set(&c->err, r, "create the device %s", device->path) : 0;
}

int devices_create(struct child *c)
{
	_cleanup_fd_ int dev = rootfs_target(c->root_fd, "/dev", true, &c->err);
	int r = 0;

	if (dev < 0) {
		return dev;
	}
	for (size_t i = 0; r == 0 && i < c->config->device_count; i++) {
		r = create(c, dev, &c->config->devices[i]);
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(links); i++) {
		r = sys_symlinkat(links[i].target, dev, links[i].name);
		if (r == -EEXIST) {
			r = 0; /* the image's, or a bind mount of the host's /dev */
		}
		if (r < 0) {
			error_set(&c->err, r, "create the link /dev/%s", links[i].name);
		}
	}
	return r;
}

/* That @fd is the multiplexer of a devpts and not something put in its place (CVE-2025-52565). */
static bool is_ptmx(int fd)
{
	struct statfs fs;
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(5, 2) &&
	       st.st_ino == 2 && fstatfs(fd, &fs) == 0 && fs.f_type == DEVPTS_SUPER_MAGIC;
}

int devices_open_pty(struct child *c, int pts)
{
	struct winsize size = { .ws_row = c->process.console_rows,
		.ws_col = c->process.console_columns };
	_cleanup_fd_ int master = -EBADF;
	int slave, unlock = 0;
	ssize_t r;

	master = sys_openat(pts, "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW, 0);
	if (master < 0) {
		return error_set(&c->err, master, "open a terminal (/dev/pts/ptmx)");
	}
	if (!is_ptmx(master)) {
		return error_say(&c->err, EPERM, "/dev/pts/ptmx of the container is not a devpts");
	}
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0) {
		return error_set(&c->err, errno, "unlock the terminal");
	}
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0) {
		return error_set(&c->err, errno, "open the terminal's other side");
	}
	if (size.ws_row || size.ws_col) {
		ioctl(slave, TIOCSWINSZ, &size);
	}
	r = fd_send(c->console_socket, "t", 1, &master, 1);
	if (r < 0) {
		fd_close(&slave);
		return error_set(&c->err, (int)r, "hand the terminal over");
	}
	return slave;
}

int devices_console(struct child *c)
{
	_cleanup_fd_ int slave = -EBADF, place = -EBADF, fd = -EBADF;
	int r;

	if (!c->process.terminal) {
		return 0;
	}
	if (c->pts_fd < 0) {
		return error_say(&c->err, EINVAL, "a terminal needs a devpts mount");
	}
	slave = devices_open_pty(c, c->pts_fd);
	if (slave < 0) {
		return slave;
	}
	place = rootfs_target(c->root_fd, "/dev/console", false, &c->err);
	if (place < 0) {
		return place;
	}
	fd = sys_open_tree(slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	r = fd < 0 ? fd
		   : sys_move_mount(
			     fd, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
	for (int i = 0; r >= 0 && i < 3; i++) {
		r = dup2(slave, i) < 0 ? -errno : 0;
	}
	return r < 0 ? error_set(&c->err, r, "set up /dev/console") : 0;
}
