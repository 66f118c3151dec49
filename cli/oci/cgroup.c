#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "cli/oci/oci.h"
#include "runtime/cgroup.h"

/* SIGKILL takes effect in microseconds; seconds mean a process stuck in the kernel. */
#define REMOVE_WITHIN_US (10 * USEC_PER_SEC)

int oci_cgroup_remove(const char *path, struct error *err)
{
	int64_t deadline_us = clock_now_us() + REMOVE_WITHIN_US;
	struct cgroup_layout layout;
	struct cgroup cgroup;
	int wait_ms = 1;
	int r = cgroup_layout_read(&layout, err);

	if (r < 0) {
		return r;
	}
	r = cgroup_open(&layout, path, &cgroup);
	while (r == 0) {
		struct pollfd changed = { .fd = cgroup_events_fd(&cgroup), .events = POLLPRI };

		r = cgroup_remove(&cgroup);
		if (r != -EBUSY || clock_now_us() > deadline_us) {
			break;
		}
		cgroup_kill(&cgroup);
		/* v1 tells nobody when a group becomes empty; there this is a pause. */
		poll(&changed, 1, wait_ms);
		wait_ms = wait_ms < 64 ? wait_ms * 2 : wait_ms;
		r = 0;
	}
	if (r == 0 || r == -ENOENT) {
		cgroup_remove_parents(&layout, path);
		r = 0;
	} else {
		cgroup_close(&cgroup);
		error_set(err, r, "remove the control group %s", path);
	}
	cgroup_layout_finish(&layout);
	return r;
}
