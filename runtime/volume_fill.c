/*
 * Fills a new, empty named volume with what the image holds at its place: owner, mode, times and
 * extended attributes with it, as docker does.
 *
 * A start can be killed at any moment, and a half-filled volume must not pass for a full one. So
 * the copy is made in a hidden folder of the volume, which is renamed when it is complete; then
 * its entries are moved up. What the next start finds says where to go on.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <time.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/child.h"

#define LOCK_RETRY_NS (5 * 1000 * 1000)
#define LOCK_TRIES    12000 /* a minute */
#define COPYING       ".wherry-filling"
#define COPIED        ".wherry-filled"
#define DEPTH_LIMIT   256
#define XATTR_LIMIT   65536

static int copy_folder(int from, int to, int depth, struct error *err);

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void copy_xattrs(int from, int to)
{
	char names[4096];
	_cleanup_free_ char *value = NULL;
	ssize_t n = flistxattr(from, names, sizeof(names));

	for (char *name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
		ssize_t size;

		if (strncmp(name, "trusted.overlay.", 16) == 0) {
			continue;
		}
		value = value ? value : xcalloc(XATTR_LIMIT, 1);
		size = fgetxattr(from, name, value, XATTR_LIMIT);
		if (size >= 0) {
			fsetxattr(to, name, value, (size_t)size, 0); /* where it can hold them */
		}
	}
}

/* Owner before mode: changing the owner clears the set-user-ID bits. */
static int copy_metadata(int from, int to, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0) {
		return -errno;
	}
	copy_xattrs(from, to);
	futimens(to, times);
	return 0;
}

static int copy_bytes(int from, int to)
{
	_cleanup_free_ char *buffer = NULL;

	for (;;) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, 1 << 30, 0);

		if (n == 0) {
			return 0;
		}
		if (n < 0 && errno != EINTR) {
			break;
		}
	}
	/* Not between these two file systems: from where it stopped, through memory. */
	buffer = xcalloc(1 << 17, 1);
	for (;;) {
		ssize_t n = sys_read(from, buffer, 1 << 17);
		int r;

		if (n <= 0) {
			return (int)n;
		}
		r = fd_write_all(to, buffer, (size_t)n);
		if (r < 0) {
			return r;
		}
	}
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	_cleanup_fd_ int from = sys_openat(from_dir, name, O_RDONLY | O_NOFOLLOW, 0);
	_cleanup_fd_ int to = -EBADF;
	int r;

	if (from < 0) {
		return from;
	}
	to = sys_openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (to < 0) {
		return to;
	}
	r = copy_bytes(from, to);
	return r < 0 ? r : copy_metadata(from, to, st);
}

static int copy_link(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	char target[4096];
	ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);
	int r;

	if (n < 0) {
		return -errno;
	}
	target[n] = '\0';
	r = sys_symlinkat(target, to_dir, name);
	return r < 0 ? r : sys_fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW);
}

static int copy_node(int to_dir, const char *name, const struct stat *st)
{
	int r = sys_mknodat(to_dir, name, st->st_mode, st->st_rdev);

	return r < 0 ? r : sys_fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW);
}

static int copy_subfolder(int from_dir, int to_dir, const char *name, const struct stat *st,
	int depth, struct error *err)
{
	_cleanup_fd_ int from = sys_openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	_cleanup_fd_ int to = -EBADF;
	int r = from < 0 ? from : sys_mkdirat(to_dir, name, 0700);

	if (r == 0) {
		to = sys_openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		r = to < 0 ? to : copy_folder(from, to, depth + 1, err);
	}
	return r < 0 ? r : copy_metadata(from, to, st);
}

static int copy_entry(int from, int to, const char *name, int depth, struct error *err)
{
	struct stat st = { 0 };
	int r = sys_fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW);

	if (r == 0) {
		switch (st.st_mode & S_IFMT) {
		case S_IFDIR: r = copy_subfolder(from, to, name, &st, depth, err); break;
		case S_IFREG: r = copy_file(from, to, name, &st); break;
		case S_IFLNK: r = copy_link(from, to, name, &st); break;
		default: r = copy_node(to, name, &st);
		}
	}
	if (r < 0 && !err->code) {
		error_set(err, r, "copy %s", name);
	}
	return r;
}

static int copy_folder(int from, int to, int depth, struct error *err)
{
	int copy = sys_openat(from, ".", O_RDONLY | O_DIRECTORY, 0), r = 0;
	DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!stream) {
		return error_set(err, copy < 0 ? copy : -errno, "read a folder of the image");
	}
	if (depth > DEPTH_LIMIT) {
		r = error_set(err, ELOOP, "copy folders nested deeper than %d", DEPTH_LIMIT);
	}
	while (r == 0 && (entry = readdir(stream))) {
		if (!is_dots(entry->d_name)) {
			r = copy_entry(from, to, entry->d_name, depth, err);
		}
	}
	closedir(stream);
	return r;
}

static bool exists(int dir, const char *name)
{
	struct stat st = { 0 };

	return sys_fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* 1: nothing in it but what an earlier attempt left; 0: it has content. */
static int is_empty(int dir)
{
	int copy = sys_openat(dir, ".", O_RDONLY | O_DIRECTORY, 0), empty = 1;
	DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!stream) {
		return copy < 0 ? copy : -errno;
	}
	while (empty && (entry = readdir(stream))) {
		empty = is_dots(entry->d_name) || strcmp(entry->d_name, COPYING) == 0;
	}
	closedir(stream);
	return empty;
}

/* Moves what was copied up into the volume itself. */
static int move_up(int volume, struct error *err)
{
	int folder = sys_openat(volume, COPIED, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0), r = 0;
	DIR *stream = folder < 0 ? NULL : fdopendir(folder);
	struct dirent *entry;
	struct stat st = { 0 };

	if (!stream || fstat(dirfd(stream), &st) < 0) {
		return error_set(err, folder < 0 ? folder : -errno, "open the copy");
	}
	while (r == 0 && (entry = readdir(stream))) {
		if (!is_dots(entry->d_name)) {
			r = sys_renameat2(dirfd(stream), entry->d_name, volume, entry->d_name, 0);
		}
	}
	if (r == 0) {
		r = copy_metadata(dirfd(stream), volume, &st);
	}
	closedir(stream);
	if (r == 0) {
		r = sys_unlinkat(volume, COPIED, AT_REMOVEDIR);
	}
	return r < 0 ? error_set(err, r, "put the copy in place") : 0;
}

/*
 * Containers that start together may find the same volume empty: one copies, the others wait and
 * then find it filled. Bounded, because a payload that has the volume could hold the lock.
 */
static int lock_volume(int source, struct error *err)
{
	_cleanup_fd_ int fd = sys_openat(source, ".", O_RDONLY | O_DIRECTORY, 0);
	struct timespec pause = { .tv_nsec = LOCK_RETRY_NS };

	if (fd < 0) {
		return error_set(err, fd, "open the volume");
	}
	for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
		if ((errno != EWOULDBLOCK && errno != EINTR) || tries == LOCK_TRIES) {
			return error_set(err, errno, "lock the volume");
		}
		nanosleep(&pause, NULL);
	}
	return take_fd(&fd);
}

int volume_fill(int source, int origin, struct error *err)
{
	_cleanup_fd_ int copying = -EBADF, lock = -EBADF;
	struct stat st = { 0 };
	int r;

	lock = lock_volume(source, err);
	if (lock < 0) {
		return lock;
	}
	if (exists(source, COPIED)) {
		return move_up(source, err);
	}
	r = is_empty(source);
	if (r <= 0) {
		return r < 0 ? error_set(err, r, "read the volume") : 0;
	}
	r = file_remove_tree(source, COPYING);
	if (r == 0) {
		r = sys_mkdirat(source, COPYING, 0700);
	}
	if (r == 0) {
		copying = sys_openat(source, COPYING, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		r = copying < 0 ? copying : sys_fstat(origin, &st);
	}
	if (r < 0) {
		return error_set(err, r, "prepare the volume");
	}
	r = copy_folder(origin, copying, 0, err);
	if (r < 0) {
		file_remove_tree(source, COPYING);
		return r;
	}
	r = copy_metadata(origin, copying, &st);
	if (r == 0) {
		r = sys_renameat2(source, COPYING, source, COPIED, 0);
	}
	return r < 0 ? error_set(err, r, "finish the copy") : move_up(source, err);
}
