#include <errno.h>
#include <poll.h>

#include "base/fd.h"
#include "base/sys.h"
#include "cli/oci/oci.h"
#include "cli/options.h"

#define DEATH_WITHIN_MS 10000

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

static int delete_container(
	const struct oci_root *root, const char *id, bool force, struct error *err)
{
	struct arena arena = { 0 };
	struct oci_state state;
	_cleanup_fd_ int pidfd = -EBADF;
	int r = oci_state_read(root, id, &arena, &state, err);

	if (r == -ENOENT && force) {
		r = 0; /* as other runtimes: it is gone, which is what was asked for */
		goto out;
	}
	if (r < 0 && !(force && r == -EBADMSG)) {
		goto out;
	}
	if (r == 0) {
		pidfd = oci_state_open(&state);
		if (pidfd >= 0 && !force) {
			r = error_say(err, EBUSY, "container %s is running; --force ends it", id);
			goto out;
		}
		if (pidfd >= 0) {
			r = end_process(pidfd, id, err);
		} else if (pidfd != -ESRCH) {
			r = error_set(err, pidfd, "find the process of container %s", id);
		}
		if (r == 0 && *state.cgroup) {
			r = end_cgroup(state.cgroup, err);
		}
	}
	if (r == 0 || r == -EBADMSG) {
		r = oci_state_remove(root, id, err);
	}
out:
	arena_finish(&arena);
	return r;
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
