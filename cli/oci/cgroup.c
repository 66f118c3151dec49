#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cli/oci/oci.h"

/* SIGKILL takes effect in microseconds; seconds mean a process stuck in the kernel. */
#define REMOVE_WITHIN_US (10 * USEC_PER_SEC)

/* Kills what is in the group until it can be removed. */
static int remove_busy(struct cgroup *cgroup)
{
	_cleanup_fd_ int events = cgroup_events_fd(cgroup);
	int64_t deadline_us = clock_now_us() + REMOVE_WITHIN_US;
	int wait_ms = 1, r;

	do {
		struct pollfd changed = { .fd = events, .events = POLLPRI };

		cgroup_kill(cgroup);
		/* v1 tells nobody when a group becomes empty; there this is a pause. */
		poll(&changed, 1, wait_ms);
		wait_ms = wait_ms < 64 ? wait_ms * 2 : wait_ms;
		r = cgroup_remove(cgroup);
	} while (r == -EBUSY && clock_now_us() < deadline_us);
	return r;
}

int oci_cgroup_end(struct cgroup *cgroup, struct error *err)
{
	char parent[sizeof(cgroup->path)];
	char *slash;
	int r = cgroup_remove(cgroup);

	if (r == -EBUSY) {
		r = remove_busy(cgroup);
	}
	if (r < 0) {
		error_set(err, r, "remove the control group %s", cgroup->path);
	} else {
		snprintf(parent, sizeof(parent), "%s", cgroup->path);
		slash = strrchr(parent, '/');
		if (slash) {
			*slash = '\0';
			cgroup_remove_parents(cgroup->layout, parent);
		}
	}
	cgroup_close(cgroup);
	return r;
}
