#include "base/file.h"

#include <dirent.h>
#include <errno.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"

int file_read_fd(int fd, size_t limit, char **data, size_t *size)
{
	size_t room = 4096, used = 0;
	_cleanup_free_ char *text = xcalloc(room, 1);

	for (;;) {
		ssize_t n;

		if (room - used < 2) {
			room *= 2;
			text = xrealloc(text, room, 1);
		}
		n = sys_read(fd, text + used, room - used - 1);
		if (n < 0) {
			return (int)n;
		}
		if (n == 0) {
			break;
		}
		used += (size_t)n;
		if (used > limit) {
			return -EFBIG;
		}
	}
	text[used] = '\0';
	if (size) {
		*size = used;
	}
	*data = take_ptr(text);
	return 0;
}

int file_read_at(
	int dir, const char *path, size_t limit, char **data, size_t *size, struct error *err)
{
	/* O_NONBLOCK: a fifo in the way must not hang us. */
	_cleanup_fd_ int fd = sys_openat(dir, path, O_RDONLY | O_NONBLOCK, 0);
	struct stat st;
	int r;

	if (fd < 0) {
		return error_set(err, fd, "open %s", path);
	}
	r = sys_fstat(fd, &st);
	if (r < 0) {
		return error_set(err, r, "stat %s", path);
	}
	if (!S_ISREG(st.st_mode)) {
		return error_say(
			err, S_ISDIR(st.st_mode) ? EISDIR : EINVAL, "%s: not a regular file", path);
	}
	r = file_read_fd(fd, limit, data, size);
	if (r < 0) {
		return error_set(err, r, "read %s", path);
	}
	return 0;
}

int file_put_at(int dir, const char *path, const char *text)
{
	_cleanup_fd_ int fd = sys_openat(dir, path, O_WRONLY, 0);
	ssize_t n;

	if (fd < 0) {
		return fd;
	}
	n = sys_write(fd, text, strlen(text));
	return n < 0 ? (int)n : 0;
}

int file_write_atomic(int dir, const char *path, const void *data, size_t size, mode_t mode,
	bool durable, struct error *err)
{
	_cleanup_free_ char *temporary = xasprintf("%s.%d.tmp", path, (int)getpid());
	_cleanup_fd_ int fd = sys_openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC, mode);
	int r;

	if (fd < 0) {
		return error_set(err, fd, "create %s", temporary);
	}
	r = fd_write_all(fd, data, size);
	if (r == 0) {
		r = fchmod(fd, mode) < 0 ? -errno : 0;
	}
	if (r == 0 && durable) {
		r = sys_fsync(fd);
	}
	if (r < 0) {
		sys_unlinkat(dir, temporary, 0);
		return error_set(err, r, "write %s", path);
	}
	r = sys_renameat2(dir, temporary, dir, path, 0);
	if (r < 0) {
		sys_unlinkat(dir, temporary, 0);
		return error_set(err, r, "rename %s to %s", temporary, path);
	}
	if (durable) {
		const char *slash = strrchr(path, '/');
		_cleanup_free_ char *parent =
			slash ? xstrndup(path, slash == path ? 1 : (size_t)(slash - path))
			      : xstrdup(".");
		_cleanup_fd_ int folder = sys_openat(dir, parent, O_RDONLY | O_DIRECTORY, 0);

		if (folder >= 0) {
			sys_fsync(folder);
		}
	}
	return 0;
}

int file_mkdir_p(const char *path, mode_t mode, struct error *err)
{
	_cleanup_free_ char *copy = xstrdup(path);
	int r;

	for (char *p = copy + 1; *p; p++) {
		if (*p != '/') {
			continue;
		}
		*p = '\0';
		r = sys_mkdirat(AT_FDCWD, copy, mode);
		if (r < 0 && r != -EEXIST) {
			return error_set(err, r, "create folder %s", copy);
		}
		*p = '/';
	}
	r = sys_mkdirat(AT_FDCWD, copy, mode);
	if (r < 0 && r != -EEXIST) {
		return error_set(err, r, "create folder %s", path);
	}
	return 0;
}

static int remove_below(int dir, const char *name, dev_t device)
{
	_cleanup_fd_ int fd = sys_openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	int first = 0;
	struct dirent *entry;
	struct stat st;
	DIR *stream;

	if (fd < 0) {
		return fd;
	}
	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	if (st.st_dev != device) {
		return -EXDEV;
	}
	stream = fdopendir(fd);
	if (!stream) {
		return -errno;
	}
	take_fd(&fd);
	while ((entry = readdir(stream))) {
		int r;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
			continue;
		}
		r = entry->d_type == DT_DIR ? -EISDIR
					    : sys_unlinkat(dirfd(stream), entry->d_name, 0);
		if (r == -EISDIR || r == -EPERM) {
			r = remove_below(dirfd(stream), entry->d_name, device);
			if (r == 0) {
				r = sys_unlinkat(dirfd(stream), entry->d_name, AT_REMOVEDIR);
			}
		}
		if (r < 0 && r != -ENOENT && first == 0) {
			first = r;
		}
	}
	closedir(stream);
	return first;
}

int file_remove_tree(int dir, const char *name)
{
	struct stat st;
	int r = sys_fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW);

	if (r == -ENOENT) {
		return 0;
	}
	if (r < 0) {
		return r;
	}
	if (!S_ISDIR(st.st_mode)) {
		return sys_unlinkat(dir, name, 0);
	}
	r = remove_below(dir, name, st.st_dev);
	if (r < 0) {
		return r;
	}
	return sys_unlinkat(dir, name, AT_REMOVEDIR);
}

char *file_join(const char *a, const char *b)
{
	size_t length = strlen(a);

	while (length > 1 && a[length - 1] == '/') {
		length--;
	}
	while (*b == '/') {
		b++;
	}
	return xasprintf("%.*s%s%s", (int)length, a, length == 1 && a[0] == '/' ? "" : "/", b);
}
