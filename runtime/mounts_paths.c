/* Masked and read-only paths, and the read-only root. A path that the image or the kernel does not
 * have needs no protection. */
#include <errno.h>

#include "base/fd.h"
#include "base/sys.h"
#include "runtime/child.h"

static bool is_absent(int r)
{
	return r == -ENOENT || r == -ENOTDIR;
}

static int make_readonly(struct child *c, const char *path)
{
	_cleanup_fd_ int place = sys_open_in_root(c->root_fd, path, O_PATH, 0), fd = -EBADF;
	int r;

	if (place < 0) {
		return is_absent(place) ? 0 : error_set(&c->err, place, "open %s", path);
	}
	fd = sys_open_tree(place, "",
		OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (unsigned)AT_RECURSIVE);
	r = fd < 0 ? fd
		   : sys_mount_setattr(fd, "", AT_EMPTY_PATH | (unsigned)AT_RECURSIVE,
			     MOUNT_ATTR_RDONLY, 0, 0);
	if (r >= 0) {
		r = sys_move_mount(
			fd, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
	}
	return r < 0 ? error_set(&c->err, r, "make %s read-only", path) : 0;
}

int mounts_readonly_paths(struct child *c)
{
	for (size_t i = 0; i < c->config->readonly_count; i++) {
		int r = make_readonly(c, c->config->readonly_paths[i]);

		if (r < 0) {
			return r;
		}
	}
	return 0;
}

/* The file systems of an empty folder, made once: later ones are clones of the first in place. */
static int empty_folder(struct child *c)
{
	_cleanup_fd_ int fs = -EBADF;
	int r;

	if (c->empty_fd >= 0) {
		return sys_open_tree(
			c->empty_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	}
	fs = sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0) {
		return fs;
	}
	/* No room for anything, should it ever become writable. */
	r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "2", 0);
	if (r == 0) {
		r = sys_fsconfig(fs, FSCONFIG_SET_STRING, "mode", "755", 0);
	}
	if (r == 0) {
		r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	}
	if (r < 0) {
		return r;
	}
	c->empty_fd = sys_fsmount(fs, FSMOUNT_CLOEXEC,
		MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return c->empty_fd;
}

static int mask(struct child *c, const char *path)
{
	_cleanup_fd_ int place = sys_open_in_root(c->root_fd, path, O_PATH, 0), fd = -EBADF;
	struct stat st;
	int r;

	if (place < 0) {
		return is_absent(place) ? 0 : error_set(&c->err, place, "open %s", path);
	}
	if (fstat(place, &st) < 0) {
		return error_set(&c->err, errno, "examine %s", path);
	}
	/* The host's own /dev/null, opened before the image had a say (CVE-2025-31133). */
	fd = S_ISDIR(st.st_mode) ? empty_folder(c)
				 : sys_open_tree(c->null_fd, "",
					   OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	r = fd < 0 ? fd
		   : sys_move_mount(
			     fd, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
	if (fd == c->empty_fd) {
		take_fd(&fd); /* kept: the next ones are cloned from it */
	}
	return r < 0 ? error_set(&c->err, r, "mask %s", path) : 0;
}

int mounts_masked_paths(struct child *c)
{
	for (size_t i = 0; i < c->config->masked_count; i++) {
		int r = mask(c, c->config->masked_paths[i]);

		if (r < 0) {
			return r;
		}
	}
	return 0;
}

int mounts_readonly_root(struct child *c)
{
	int r = 0;

	if (c->config->root_readonly) {
		r = sys_mount_setattr(c->root_fd, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, 0, 0);
	}
	return r < 0 ? error_set(&c->err, r, "make the root read-only") : 0;
}
