/* Files and folders: bounded reads, writes that happen whole or not at all, safe removal. */
#ifndef WHERRY_BASE_FILE_H
#define WHERRY_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * Reads a whole regular file (or procfs/sysfs file) of at most @limit bytes.
 * *@data is NUL-terminated, owned by the caller (free). Returns 0 or a negative errno;
 * -EFBIG if the file is larger. @size may be NULL.
 */
int file_read_at(
	int dir, const char *path, size_t limit, char **data, size_t *size, struct error *err);
/* As file_read_at() for a descriptor that is already open. */
int file_read_fd(int fd, size_t limit, char **data, size_t *size);

/* Writes @text to an existing control file (cgroup, sysctl) with one write(2), no create. */
int file_put_at(int dir, const char *path, const char *text);

/*
 * Replaces @path by a file of the given content: temporary file beside it, rename.
 * @durable adds fsync of file and folder (for /var/lib; never under the run folder).
 */
int file_write_atomic(int dir, const char *path, const void *data, size_t size, mode_t mode,
	bool durable, struct error *err);

/* Makes @path and its missing parents. An existing folder is fine. Returns 0 or -errno. */
int file_mkdir_p(const char *path, mode_t mode, struct error *err);

/*
 * Removes @name below @dir with everything in it, never following a link and never crossing into
 * another mount. A missing name is fine. Returns 0 or the first negative errno.
 */
int file_remove_tree(int dir, const char *name);

/* Joins two path parts with one slash. The result is the caller's (free). */
char *file_join(const char *a, const char *b);

#endif
