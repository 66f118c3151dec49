#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/sys.h"
#include "cli/oci/oci.h"
#include "cli/options.h"

#define DEATH_WITHIN_MS 10000
#define LOCK_WITHIN_US  (20 * USEC_PER_SEC)

/* Kills the first process and waits for its end. */
static int end_process(int pidfd, const char *id, struct error *err)
{
	struct pollfd gone = { .fd = pidfd, .events = POLLIN };
	int r = sys_pidfd_send_signal(pidfd, SIGKILL);

	if (r < 0 && r != -ESRCH) {
		return error_set(err, r, "kill container %s", id);
	}
	do {
		r = poll(&gone, 1, DEATH_WITHIN_MS);
	} while (r < 0 && errno == EINTR);
	return r == 1 ? 0 : error_say(err, ETIMEDOUT, "container %s does not end", id);
}

static int end_cgroup(const char *path, struct error *err)
{
	struct cgroup_layout layout;
	struct cgroup cgroup;
	int r = cgroup_layout_read(&layout, err);

	if (r < 0) {
		return r;
	}
	r = cgroup_open(&layout, path, &cgroup);
	if (r == 0) {
		r = oci_cgroup_end(&cgroup, err);
	} else {
		r = r == -ENOENT ? 0 : error_set(err, r, "open the control group %s", path);
	}
	cgroup_layout_finish(&layout);
	return r;
}

/* Kills the first process, if the record names one that runs. */
static int kill_container(const struct oci_root *root, const char *id, struct error *err)
{
	struct arena arena = { 0 };
	struct oci_state state;
	_cleanup_fd_ int pidfd = -EBADF;
	int r = oci_state_read(root, id, &arena, &state, NULL);

	if (r == 0) {
		pidfd = oci_state_open(&state);
	}
	arena_finish(&arena);
	return pidfd >= 0 ? end_process(pidfd, id, err) : 0;
}

/*
 * Takes the container's lock. While a `run` has it, the container is running or about to: with
 * @force it is killed, as often as needed, and `run` cleans up after it.
 */
static int take_lock(const struct oci_root *root, const char *id, bool force, struct error *err)
{
	int64_t deadline_us = clock_now_us() + LOCK_WITHIN_US;
	int wait_ms = 1;

	for (;;) {
		int lock = oci_state_lock(root, id, err), r;

		if (lock != -EWOULDBLOCK) {
			return lock;
		}
		if (!force) {
			return error_say(
				err, EBUSY, "container %s is running; --force ends it", id);
		}
		r = kill_container(root, id, err);
		if (r < 0) {
			return r;
		}
		if (clock_now_us() > deadline_us) {
			return error_say(err, ETIMEDOUT,
				"container %s: another command does not let go of it", id);
		}
		poll(NULL, 0, wait_ms);
		wait_ms = wait_ms < 64 ? wait_ms * 2 : wait_ms;
	}
}

/* What is left when no `run` looks after the container, under its lock. */
static int delete_locked(const struct oci_root *root, const char *id, bool force, struct error *err)
{
	struct arena arena = { 0 };
	struct oci_state state;
	_cleanup_fd_ int pidfd = -EBADF;
	int r = oci_state_read(root, id, &arena, &state, err);

	if (r == 0) {
		pidfd = oci_state_open(&state);
		if (pidfd >= 0) {
			r = force ? end_process(pidfd, id, err)
				  : error_say(err, EBUSY,
					    "container %s is running; --force ends it", id);
		} else if (pidfd != -ESRCH) {
			r = error_set(err, pidfd, "find the process of container %s", id);
		}
		if (r == 0 && *state.cgroup) {
			r = end_cgroup(state.cgroup, err);
		}
	} else if (r == -EBADMSG && force) {
		r = 0; /* it names nothing that could be ended */
	}
	arena_finish(&arena);
	return r < 0 ? r : oci_state_remove(root, id, err);
}

static int delete_container(
	const struct oci_root *root, const char *id, bool force, struct error *err)
{
	_cleanup_fd_ int lock = take_lock(root, id, force, err);

	if (lock == -ENOENT) {
		/* As with other runtimes: it is gone, which is what was asked for. */
		return force ? 0 : error_say(err, ENOENT, "container %s does not exist", id);
	}
	return lock < 0 ? lock : delete_locked(root, id, force, err);
}

static int command_delete(const struct oci_root *root, int argc, char **argv, struct error *err)
{
	bool force = false;
	const struct option options[] = {
		{ 'f', "force", OPTION_FLAG, &force, NULL, "end it first if it runs" },
		{ .name = NULL },
	};
	int words, r = options_parse(options, NULL, false, argc, argv, &words, err);

	if (r < 0) {
		return r;
	}
	if (words != 1) {
		return error_say(err, EINVAL, "usage: wherry-oci %s", oci_command_delete.usage);
	}
	r = oci_id_check(argv[0], err);
	return r < 0 ? r : delete_container(root, argv[0], force, err);
}

const struct oci_command oci_command_delete = {
	.name = "delete",
	.usage = "delete [--force] ID",
	.summary = "remove a container and what is left of it",
	.run = command_delete,
};
