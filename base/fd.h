/*
 * Descriptors that know their owner.
 *
 * `_cleanup_fd_ int fd = -EBADF;` closes at the end of the scope; take_fd() hands ownership on.
 * A closed or absent descriptor is -EBADF everywhere.
 */
#ifndef WHERRY_BASE_FD_H
#define WHERRY_BASE_FD_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "base/banned.h"
#include "base/error.h"

#define _cleanup_fd_ __attribute__((cleanup(fd_cleanup)))

/* Closes *@fd if it is open and sets it to -EBADF. errno is kept. */
void fd_close(int *fd);

static inline void fd_cleanup(int *fd)
{
	fd_close(fd);
}

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -EBADF;
	return taken;
}

/* Writes all @size bytes, going on after short writes and EINTR. Returns 0 or a negative errno. */
int fd_write_all(int fd, const void *data, size_t size);

/* Reads until @size bytes are there or the end. Returns the number of bytes or a negative errno. */
ssize_t fd_read_full(int fd, void *data, size_t size);

/* Sets or clears O_NONBLOCK. Returns 0 or a negative errno. */
int fd_nonblock(int fd, bool on);

/*
 * Sends @size bytes (at least one) and @count descriptors over the Unix socket @socket.
 * The descriptors stay the caller's. Returns the number of bytes sent or a negative errno.
 */
ssize_t fd_send(int socket, const void *data, size_t size, const int *fds, size_t count);

/*
 * Receives up to @size bytes and up to @max descriptors (close-on-exec, owned by the caller).
 * *@count says how many descriptors came; surplus ones are closed.
 * Returns the number of bytes (0: the peer has closed) or a negative errno.
 */
ssize_t fd_receive(int socket, void *data, size_t size, int *fds, size_t max, size_t *count);

#endif
