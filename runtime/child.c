#include "runtime/child.h"

#include <errno.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sys.h"

/* Sends the error as it is: it fits into one atomic write of the pipe. */
static _Noreturn void report(struct child *c)
{
	if (!c->err.exit_status) {
		error_prefix(&c->err, "%s", c->step);
		c->err.exit_status = 125;
	}
	fd_write_all(c->status_fd, &c->err, sizeof(c->err));
	_exit(c->err.exit_status);
}

/* Puts the payload's 0, 1 and 2 in place first, so that nothing opened later lands there. */
static int set_stdio(struct child *c)
{
	int null = -EBADF;

	if (c->status_fd < 3) {
		c->status_fd = fcntl(c->status_fd, F_DUPFD_CLOEXEC, 3);
	}
	for (int i = 0; i < 3; i++) {
		/* A number below 3 would be overwritten before its turn. */
		if (c->stdio[i] >= 0 && c->stdio[i] < 3 && c->stdio[i] != i) {
			c->stdio[i] = fcntl(c->stdio[i], F_DUPFD_CLOEXEC, 3);
		}
	}
	for (int i = 0; i < 3; i++) {
		int from = c->stdio[i], r;

		if (from < 0) {
			if (null < 0) {
				null = sys_open("/dev/null", O_RDWR, 0);
			}
			from = null;
		}
		if (from < 0) {
			return error_set(&c->err, from, "open /dev/null");
		}
		/* dup2 onto itself would leave close-on-exec as it is. */
		r = from == i ? fcntl(i, F_SETFD, 0) : dup2(from, i);
		if (r < 0) {
			return error_set(&c->err, errno, "pass descriptor %d", i);
		}
	}
	return 0;
}

_Noreturn void child_run(struct child *c, const struct step *steps)
{
	c->step = "descriptors";
	/* Until exec nobody inside the container may look into this process (CVE-2016-9962). */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	umask(0);
	if (set_stdio(c) < 0) {
		report(c);
	}
	for (; steps->run; steps++) {
		c->step = steps->name;
		if (steps->run(c) < 0) {
			break;
		}
	}
	report(c);
}
