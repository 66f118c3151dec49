#include "runtime/rootfs.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"

#define LINK_LIMIT   40 /* as the kernel's own */
#define STRING_LIMIT 256 /* of a value given to fsconfig(2), with its NUL */

int rootfs_open(int root, const char *path, int flags, struct error *err)
{
	int fd = sys_open_in_root(root, path, flags, 0);

	return fd < 0 ? error_set(err, fd, "open %s in the container's root", path) : fd;
}

/* The state of a walk that makes what is missing. @done holds no links, so ".." may be lexical. */
struct walk {
	int root;
	bool folder;
	int links;
	char done[PATH_MAX], left[PATH_MAX];
};

static void go_up(char *path)
{
	char *slash = strrchr(path, '/');

	*(slash ? slash : path) = '\0';
}

/* Puts a link's text in front of what is left of the way. */
static int expand_link(struct walk *w, int fd)
{
	char rest[PATH_MAX], target[PATH_MAX];
	ssize_t n = readlinkat(fd, "", target, sizeof(target) - 1);

	if (n <= 0) {
		return n < 0 ? -errno : -ENOENT;
	}
	if (++w->links > LINK_LIMIT) {
		return -ELOOP;
	}
	target[n] = '\0';
	memcpy(rest, w->left, sizeof(rest));
	if (snprintf(w->left, sizeof(w->left), "%s/%s", target, rest) >= (int)sizeof(w->left)) {
		return -ENAMETOOLONG;
	}
	if (target[0] == '/') {
		w->done[0] = '\0';
	}
	return 0;
}

static int make_missing(struct walk *w, const char *name, bool last)
{
	_cleanup_fd_ int parent = sys_open_in_root(
		w->root, w->done[0] ? w->done : "/", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	int fd;

	if (parent < 0) {
		return parent;
	}
	if (!last || w->folder) {
		int r = sys_mkdirat(parent, name, 0755);

		return r == -EEXIST ? 0 : r;
	}
	fd = sys_openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
	if (fd < 0) {
		return fd == -EEXIST ? 0 : fd;
	}
	fd_close(&fd);
	return 0;
}

/* One component: @name below @w->done. */
static int walk_component(struct walk *w, const char *name, bool last)
{
	size_t used = strlen(w->done);
	_cleanup_fd_ int fd = -EBADF;
	struct stat st;

	if (strcmp(name, "..") == 0) {
		go_up(w->done);
		return 0;
	}
	if (used + strlen(name) + 2 > sizeof(w->done)) {
		return -ENAMETOOLONG;
	}
	snprintf(w->done + used, sizeof(w->done) - used, "/%s", name);
	fd = sys_open_in_root(w->root, w->done, O_PATH | O_NOFOLLOW, 0);
	if (fd == -ENOENT) {
		int r;

		w->done[used] = '\0';
		r = make_missing(w, name, last);
		w->done[used] = '/';
		return r;
	}
	if (fd < 0 || fstat(fd, &st) < 0) {
		return fd < 0 ? fd : -errno;
	}
	if (S_ISLNK(st.st_mode)) {
		w->done[used] = '\0';
		return expand_link(w, fd);
	}
	return last || S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static int walk_and_make(struct walk *w)
{
	while (w->left[0]) {
		char name[NAME_MAX + 1], *at = w->left + strspn(w->left, "/");
		size_t size = strcspn(at, "/");
		const char *after = at + size + strspn(at + size, "/");
		int r;

		if (size > NAME_MAX) {
			return -ENAMETOOLONG;
		}
		memcpy(name, at, size);
		name[size] = '\0';
		memmove(w->left, after, strlen(after) + 1);
		if (size == 0 || strcmp(name, ".") == 0) {
			continue;
		}
		r = walk_component(w, name, !w->left[0]);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

int rootfs_target(int root, const char *path, bool folder, struct error *err)
{
	struct walk w;
	int fd = sys_open_in_root(root, path, O_PATH, 0), r;

	if (fd != -ENOENT) {
		return fd < 0 ? error_set(err, fd, "open %s in the container's root", path) : fd;
	}
	w.root = root;
	w.folder = folder;
	w.links = 0;
	w.done[0] = '\0';
	if (snprintf(w.left, sizeof(w.left), "%s", path) >= (int)sizeof(w.left)) {
		return error_set(err, ENAMETOOLONG, "create %s in the container's root", path);
	}
	r = walk_and_make(&w);
	if (r < 0) {
		return error_set(err, r, "create %s in the container's root", path);
	}
	fd = sys_open_in_root(root, w.done[0] ? w.done : "/", O_PATH | O_NOFOLLOW, 0);
	return fd < 0 ? error_set(err, fd, "open %s in the container's root", path) : fd;
}

int rootfs_context_error(struct error *err, int fs, int code, const char *format, ...)
{
	char what[512], log[256];
	ssize_t n = fs < 0 ? -1 : read(fs, log, sizeof(log) - 1);
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	if (n <= 2) {
		return error_set(err, code, "%s", what);
	}
	log[n] = '\0';
	log[strcspn(log, "\n")] = '\0';
	return error_set(err, code, "%s (%s)", what, log + 2); /* after "e " or "w " */
}

/*
 * One folder of the overlay. fsconfig(2) takes at most 255 bytes; a longer path goes through a
 * descriptor, which stays open until the call has resolved it.
 */
static int overlay_folder(int fs, const char *key, const char *path)
{
	_cleanup_fd_ int fd = -EBADF;
	char text[32];

	if (strlen(path) < STRING_LIMIT) {
		return sys_fsconfig(fs, FSCONFIG_SET_STRING, key, path, 0);
	}
	fd = sys_open(path, O_PATH | O_DIRECTORY, 0);
	if (fd < 0) {
		return fd;
	}
	snprintf(text, sizeof(text), "/proc/self/fd/%d", fd);
	return sys_fsconfig(fs, FSCONFIG_SET_STRING, key, text, 0);
}

static int overlay_options(int fs, const struct container_overlay *overlay, struct error *err)
{
	int r = 0;

	for (size_t i = 0; overlay->lower[i]; i++) {
		r = overlay_folder(fs, "lowerdir+", overlay->lower[i]);
		if (r < 0) {
			return rootfs_context_error(
				err, fs, r, "use the layer %s", overlay->lower[i]);
		}
	}
	if (overlay->upper) {
		r = overlay_folder(fs, "upperdir", overlay->upper);
		if (r < 0) {
			return rootfs_context_error(
				err, fs, r, "use %s for the container's changes", overlay->upper);
		}
		r = overlay_folder(fs, "workdir", overlay->work);
		if (r < 0) {
			return rootfs_context_error(
				err, fs, r, "use the work folder %s", overlay->work);
		}
	}
	return 0;
}

/* Adds "key=/proc/self/fd/N" to a page of options; the descriptor stays open until exec. */
static int page_add(char *page, size_t size, const char *separator, const char *path)
{
	size_t used = strlen(page);
	int fd = sys_open(path, O_PATH | O_DIRECTORY, 0);

	if (fd < 0) {
		return fd;
	}
	return snprintf(page + used, size - used, "%s/proc/self/fd/%d", separator, fd) >=
			       (int)(size - used)
		       ? -E2BIG
		       : 0;
}

/* Kernels before 6.7: mount(2) takes one page of options, so layers are named by descriptor. */
static int overlay_mount_old(
	const struct container_overlay *overlay, const char *mount_point, struct error *err)
{
	char page[4096] = "";
	int r = 0;

	for (size_t i = 0; r == 0 && overlay->lower[i]; i++) {
		r = page_add(page, sizeof(page), i == 0 ? "lowerdir=" : ":", overlay->lower[i]);
		if (r < 0) {
			return error_set(err, r, "use the layer %s", overlay->lower[i]);
		}
	}
	if (overlay->upper) {
		r = page_add(page, sizeof(page), ",upperdir=", overlay->upper);
		if (r == 0) {
			r = page_add(page, sizeof(page), ",workdir=", overlay->work);
		}
		if (r < 0) {
			return error_set(
				err, r, "use %s for the container's changes", overlay->upper);
		}
	}
	r = sys_mount("overlay", mount_point, "overlay", 0, page);
	if (r < 0) {
		return error_set(err, r, "mount the overlay");
	}
	r = sys_open(mount_point, O_PATH | O_DIRECTORY, 0);
	return r < 0 ? error_set(err, r, "open the root at %s", mount_point) : r;
}

/*
 * Kernels before 6.7 know no "lowerdir+", and most of them say so only when everything has been
 * set. A newer one that refuses has said in its log why, which is in @err already.
 */
static int overlay_try_old(
	const struct container_overlay *overlay, const char *mount_point, struct error *err)
{
	struct error old = ERROR_INIT;
	int fd = overlay_mount_old(overlay, mount_point, &old);

	if (fd < 0 && fd != -EINVAL && err) {
		*err = old;
	}
	return fd;
}

static int overlay_mount(
	const struct container_overlay *overlay, const char *mount_point, struct error *err)
{
	_cleanup_fd_ int fs = sys_fsopen("overlay", FSOPEN_CLOEXEC), fd = -EBADF;
	int r;

	if (fs < 0) {
		return error_set(err, fs, "open the overlay file system");
	}
	r = overlay_options(fs, overlay, err);
	if (r == 0) {
		r = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
		if (r < 0) {
			rootfs_context_error(err, fs, r, "create the overlay");
		}
	}
	if (r == -EINVAL) {
		return overlay_try_old(overlay, mount_point, err);
	}
	if (r < 0) {
		return r;
	}
	fd = sys_fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (fd < 0) {
		return error_set(err, fd, "mount the overlay");
	}
	r = sys_move_mount(fd, "", AT_FDCWD, mount_point, MOVE_MOUNT_F_EMPTY_PATH);
	return r < 0 ? error_set(err, r, "mount the root at %s", mount_point) : take_fd(&fd);
}

static int bind_mount(const char *path, const char *mount_point, bool readonly, struct error *err)
{
	_cleanup_fd_ int fd =
		sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	int r = fd;

	if (r >= 0 && readonly) {
		r = sys_mount_setattr(fd, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, 0, 0);
	}
	if (r >= 0) {
		r = sys_move_mount(fd, "", AT_FDCWD, mount_point, MOVE_MOUNT_F_EMPTY_PATH);
	}
	return r < 0 ? error_set(err, r, "mount the root %s at %s", path, mount_point)
		     : take_fd(&fd);
}

int rootfs_mount(const struct container_overlay *overlay, const char *path, const char *mount_point,
	struct error *err)
{
	if (!overlay) {
		return bind_mount(path, mount_point, false, err);
	}
	if (!overlay->lower || !overlay->lower[0]) {
		return error_say(err, EINVAL, "the root has no layer");
	}
	if (!overlay->upper && !overlay->lower[1]) {
		/* overlayfs wants two folders; one that nobody writes to is a bind mount. */
		return bind_mount(overlay->lower[0], mount_point, true, err);
	}
	return overlay_mount(overlay, mount_point, err);
}

int rootfs_pivot(int root, struct error *err)
{
	int r = fchdir(root) < 0 ? -errno : 0;

	/* Both names are ".": the old root lands on top of the new one and is taken off again. */
	if (r == 0) {
		r = sys_pivot_root(".", ".");
	}
	if (r < 0) {
		return error_set(err, r, "make the container's root the root folder");
	}
	r = sys_umount2(".", MNT_DETACH);
	if (r == 0 && chdir("/") < 0) {
		r = -errno;
	}
	return r < 0 ? error_set(err, r, "detach the host's root") : 0;
}
