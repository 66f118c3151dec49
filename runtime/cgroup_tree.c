/*
 * What concerns a group with everything below it: counting, killing, freezing, removing. A
 * payload with write access to its own part of the tree may nest groups, so depth is bounded.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/cgroup_internal.h"

#define DEPTH_LIMIT  64
#define FREEZE_LIMIT (100 * USEC_PER_MSEC)
#define KILL_ROUNDS  16

typedef int group_fn(int dir, void *data);

/* Calls @call for the subgroups of @dir, deepest first, then for @dir itself. */
static int walk(int dir, int depth, group_fn *call, void *data)
{
	int copy = sys_openat(dir, ".", O_RDONLY | O_DIRECTORY, 0), r = 0;
	struct dirent *entry;
	DIR *stream;

	if (copy < 0) {
		return copy;
	}
	stream = fdopendir(copy);
	if (!stream) {
		fd_close(&copy);
		return -ENOMEM;
	}
	while (r == 0 && depth < DEPTH_LIMIT && (entry = readdir(stream))) {
		_cleanup_fd_ int child = -EBADF;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.') {
			continue;
		}
		child = sys_openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (child >= 0) {
			r = walk(child, depth + 1, call, data);
		}
	}
	closedir(stream);
	return r < 0 ? r : call(dir, data);
}

struct pid_list {
	pid_t *pids;
	size_t max, count;
};

static int collect_pids(int dir, void *data)
{
	struct pid_list *list = data;
	_cleanup_free_ char *text = NULL;

	if (file_read_at(dir, "cgroup.procs", 4 << 20, &text, NULL, NULL) < 0) {
		return 0; /* the group has gone meanwhile */
	}
	for (char *at = text, *end; *at; at = end + (*end == '\n')) {
		long pid = strtol(at, &end, 10);

		if (end == at) {
			break;
		}
		if (list->pids && list->count < list->max) {
			list->pids[list->count] = (pid_t)pid;
		}
		list->count++;
	}
	return 0;
}

/* Any hierarchy will do, since a process is in the same group of each; pids and the v2 tree are
 * what a payload is least likely to have been moved in. */
static int any_fd(const struct cgroup *cgroup)
{
	int fd = cgroup_unified_fd(cgroup);

	for (int i = 0; fd < 0 && i < cgroup->layout->count; i++) {
		fd = cgroup->fds[i];
	}
	return fd;
}

int cgroup_pids(const struct cgroup *cgroup, pid_t *pids, size_t max)
{
	struct pid_list list = { .pids = pids, .max = max };
	int dir = any_fd(cgroup), r;

	if (dir < 0) {
		return 0;
	}
	r = walk(dir, 0, collect_pids, &list);
	return r < 0 ? r : (int)list.count;
}

/* Sends SIGKILL to everything that @dir and its subgroups hold. Returns how many were found. */
static int signal_all(int dir)
{
	pid_t pids[256];
	struct pid_list list = { .pids = pids, .max = ARRAY_SIZE(pids) };
	int r = walk(dir, 0, collect_pids, &list);

	for (size_t i = 0; i < list.count && i < list.max; i++) {
		/* Frozen, so the pid cannot be reused between reading and opening it. */
		_cleanup_fd_ int pidfd = sys_pidfd_open(pids[i], 0);

		if (pidfd >= 0) {
			sys_pidfd_send_signal(pidfd, SIGKILL);
		}
	}
	return r < 0 ? r : (int)list.count;
}

static int v1_freeze(int dir, const char *state)
{
	char text[32] = "";
	int64_t end = clock_now_us() + FREEZE_LIMIT;
	int r;

	/* A fork in flight can hold the group at FREEZING until the state is written again. */
	do {
		r = file_put_at(dir, "freezer.state", state);
		if (r < 0) {
			return r;
		}
		r = cgroup_read_at(dir, "freezer.state", text, sizeof(text));
		if (r < 0 || strncmp(text, state, strlen(state)) == 0) {
			return r < 0 ? r : 0;
		}
	} while (clock_now_us() < end);
	return -EBUSY;
}

static int v1_kill(struct cgroup *cgroup, int freezer)
{
	int dir = freezer >= 0 ? freezer : any_fd(cgroup), r = 0;

	if (dir < 0) {
		return 0;
	}
	if (freezer >= 0) {
		v1_freeze(freezer, "FROZEN");
	}
	/* Without a freezer the group can fork while it is being read: until it is empty. More
	 * processes than one round holds are also found by the next. */
	for (int round = 0; round < KILL_ROUNDS; round++) {
		r = signal_all(dir);
		if (freezer >= 0 && r <= 256) {
			break;
		}
		if (r <= 0) {
			break;
		}
	}
	return r < 0 ? r : 0;
}

int cgroup_kill(struct cgroup *cgroup)
{
	int unified = cgroup_unified_fd(cgroup), r = -ENOENT;
	bool is_unified = false;
	int freezer = cgroup_controller_fd(cgroup, CGROUP_FREEZER, &is_unified);

	if (unified >= 0) {
		r = file_put_at(unified, "cgroup.kill", "1");
	}
	if (r < 0) {
		r = v1_kill(cgroup, freezer);
	}
	if (freezer >= 0) {
		/* A frozen v1 task does not die; one that is left so cannot be killed at all. */
		file_put_at(freezer, "freezer.state", "THAWED");
	}
	return r;
}

static int v2_freeze(int dir, bool frozen)
{
	_cleanup_fd_ int events = sys_openat(dir, "cgroup.events", O_RDONLY, 0);
	int64_t end = clock_now_us() + FREEZE_LIMIT;
	int r = file_put_at(dir, "cgroup.freeze", frozen ? "1" : "0");

	if (r < 0) {
		return r;
	}
	for (;;) {
		struct pollfd wait = { .fd = events, .events = POLLPRI };
		char text[256];
		ssize_t n = events < 0 ? -1 : pread(events, text, sizeof(text) - 1, 0);

		if (n <= 0) {
			return 0;
		}
		text[n] = '\0';
		if (cgroup_keyed_value(text, "frozen", frozen) == frozen || clock_now_us() >= end) {
			return 0; /* a task in the kernel freezes when it comes back */
		}
		poll(&wait, 1, (int)(FREEZE_LIMIT / USEC_PER_MSEC));
	}
}

int cgroup_freeze(struct cgroup *cgroup, bool frozen, struct error *err)
{
	int dir = cgroup_unified_fd(cgroup), r = -ENOENT;
	bool unified;

	if (dir >= 0) {
		r = v2_freeze(dir, frozen);
	}
	if (r < 0) {
		dir = cgroup_controller_fd(cgroup, CGROUP_FREEZER, &unified);
		if (dir >= 0) {
			r = v1_freeze(dir, frozen ? "FROZEN" : "THAWED");
		}
	}
	if (r < 0) {
		return error_set(err, r == -ENOENT ? -EOPNOTSUPP : r, "%s the control group %s",
			frozen ? "freeze" : "thaw", cgroup->path);
	}
	return 0;
}

bool cgroup_is_frozen(const struct cgroup *cgroup)
{
	int dir = cgroup_unified_fd(cgroup);
	bool unified;
	char text[256];

	if (dir >= 0 && cgroup_read_at(dir, "cgroup.events", text, sizeof(text)) > 0 &&
		cgroup_keyed_value(text, "frozen", 0) != 0) {
		return true;
	}
	dir = cgroup_controller_fd(cgroup, CGROUP_FREEZER, &unified);
	return dir >= 0 && !unified &&
	       cgroup_read_at(dir, "freezer.state", text, sizeof(text)) > 0 &&
	       strncmp(text, "THAWED", 6) != 0;
}

/* Removes what lies below @dir, deepest first; never @dir itself. */
static int remove_below(int dir, int depth)
{
	int copy = sys_openat(dir, ".", O_RDONLY | O_DIRECTORY, 0), first = 0;
	struct dirent *entry;
	DIR *stream;

	if (copy < 0) {
		return copy;
	}
	stream = fdopendir(copy);
	if (!stream) {
		fd_close(&copy);
		return -ENOMEM;
	}
	while (depth < DEPTH_LIMIT && (entry = readdir(stream))) {
		_cleanup_fd_ int child = -EBADF;
		int r;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.') {
			continue;
		}
		child = sys_openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (child >= 0) {
			remove_below(child, depth + 1);
		}
		r = sys_unlinkat(dir, entry->d_name, AT_REMOVEDIR);
		if (r < 0 && r != -ENOENT && first == 0) {
			first = r;
		}
	}
	closedir(stream);
	return first;
}

int cgroup_remove(struct cgroup *cgroup)
{
	const struct cgroup_layout *layout = cgroup->layout;
	int first = 0;

	for (int i = 0; i < layout->count; i++) {
		int root = layout->hierarchies[i].root_fd, r;

		if (cgroup->fds[i] < 0) {
			continue;
		}
		r = sys_unlinkat(root, cgroup->path, AT_REMOVEDIR);
		if (r == -EBUSY || r == -ENOTEMPTY) {
			remove_below(cgroup->fds[i], 0);
			r = sys_unlinkat(root, cgroup->path, AT_REMOVEDIR);
		}
		if (r == 0 || r == -ENOENT) {
			fd_close(&cgroup->fds[i]);
		} else if (first == 0) {
			first = r == -ENOTEMPTY ? -EBUSY : r;
		}
	}
	return first;
}

void cgroup_remove_parents(const struct cgroup_layout *layout, const char *path)
{
	for (int i = 0; i < layout->count; i++) {
		char left[sizeof(((struct cgroup *)0)->path)];

		snprintf(left, sizeof(left), "%s", path);
		while (left[0]) {
			char *slash = strrchr(left, '/');
			int r = sys_unlinkat(layout->hierarchies[i].root_fd, left, AT_REMOVEDIR);

			if (r < 0 && r != -ENOENT) {
				break;
			}
			*(slash ? slash : left) = '\0';
		}
	}
}
