#include "runtime/cgroup.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/cgroup_internal.h"

int cgroup_read_at(int dir, const char *name, char *text, size_t size)
{
	_cleanup_fd_ int fd = sys_openat(dir, name, O_RDONLY, 0);
	ssize_t n;

	text[0] = '\0';
	if (fd < 0) {
		return fd;
	}
	n = sys_read(fd, text, size - 1);
	if (n < 0) {
		return (int)n;
	}
	text[n] = '\0';
	return (int)n;
}

int64_t cgroup_keyed_value(const char *text, const char *key, int64_t missing)
{
	size_t length = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length) == 0 && line[length] == ' ') {
			return strtoll(line + length + 1, NULL, 10);
		}
	}
	return missing;
}

int cgroup_controller_fd(
	const struct cgroup *cgroup, enum cgroup_controller controller, bool *unified)
{
	const struct cgroup_layout *layout = cgroup->layout;

	for (int i = 0; i < layout->count; i++) {
		if (layout->hierarchies[i].controllers & CGROUP_BIT(controller)) {
			*unified = layout->hierarchies[i].unified;
			return cgroup->fds[i];
		}
	}
	return -EBADF;
}

int cgroup_unified_fd(const struct cgroup *cgroup)
{
	int i = cgroup->layout->unified;

	return i < 0 ? -EBADF : cgroup->fds[i];
}

static bool path_is_sane(const char *path)
{
	size_t length = strlen(path);

	if (length == 0 || length >= sizeof(((struct cgroup *)0)->path)) {
		return false;
	}
	for (const char *part = path;; part++) {
		size_t n = strcspn(part, "/");

		if (n == 0 || n > 255 || (n == 1 && part[0] == '.') ||
			(n == 2 && part[0] == '.' && part[1] == '.')) {
			return false;
		}
		part += n;
		if (!*part) {
			return true;
		}
	}
}

/* Makes @path below @root; its parents too, when they are missing. *@parents says whether. */
static int make_folder(int root, const char *path, bool *parents)
{
	int r = sys_mkdirat(root, path, 0755);

	*parents = false;
	if (r != -ENOENT) {
		return r;
	}
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		char parent[sizeof(((struct cgroup *)0)->path)];

		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
		r = sys_mkdirat(root, parent, 0755);
		*parents |= r == 0;
		if (r < 0 && r != -EEXIST) {
			return r;
		}
	}
	return sys_mkdirat(root, path, 0755);
}

static int make_in_hierarchy(struct cgroup *cgroup, int i, bool *made_parents)
{
	const struct cgroup_layout *layout = cgroup->layout;
	int root = layout->hierarchies[i].root_fd;
	bool parents;
	int r = make_folder(root, cgroup->path, &parents);

	*made_parents |= parents;
	if (r < 0) {
		return r;
	}
	if (layout->hierarchies[i].unified && parents) {
		/* What cannot be handed down is named when a limit needs it. */
		cgroup_enable_path(layout, cgroup->path, CGROUP_V2_ALWAYS);
	}
	cgroup->fds[i] = sys_openat(root, cgroup->path, O_RDONLY | O_DIRECTORY, 0);
	if (cgroup->fds[i] < 0) {
		r = cgroup->fds[i];
		cgroup->fds[i] = -EBADF;
		sys_unlinkat(root, cgroup->path, AT_REMOVEDIR);
		return r;
	}
	if (!layout->hierarchies[i].unified &&
		(layout->hierarchies[i].controllers & CGROUP_BIT(CGROUP_CPUSET))) {
		return cgroup_cpuset_inherit(root, cgroup->path);
	}
	return 0;
}

static bool is_degradable(int r)
{
	return r == -EROFS || r == -EACCES || r == -EPERM;
}

int cgroup_create(const struct cgroup_layout *layout, const char *path,
	const struct oci_resources *resources, struct cgroup *cgroup, struct strv *warnings,
	struct error *err)
{
	bool made_parents = false;
	int r = 0;

	*cgroup = (struct cgroup){ .layout = layout };
	for (int i = 0; i < CGROUP_HIERARCHIES; i++) {
		cgroup->fds[i] = -EBADF;
	}
	if (!path_is_sane(path)) {
		return error_say(err, EINVAL, "\"%s\" cannot be the path of a control group", path);
	}
	snprintf(cgroup->path, sizeof(cgroup->path), "%s", path);
	for (int i = 0; i < layout->count; i++) {
		r = make_in_hierarchy(cgroup, i, &made_parents);
		if (is_degradable(r)) {
			r = 0; /* the limits that live there are named when they are applied */
			continue;
		}
		if (r < 0) {
			error_set(err, r, "create the control group %s in %s", path,
				layout->hierarchies[i].mount);
			break;
		}
	}
	if (r == 0 && resources) {
		r = cgroup_update(cgroup, resources, warnings, err);
		if (r == 0) {
			r = cgroup_devices_apply(cgroup, resources, warnings, err);
		}
	}
	if (r < 0) {
		const char *slash = strrchr(path, '/');

		cgroup_remove(cgroup);
		cgroup_close(cgroup);
		if (made_parents && slash) {
			snprintf(cgroup->path, sizeof(cgroup->path), "%.*s", (int)(slash - path),
				path);
			cgroup_remove_parents(layout, cgroup->path);
		}
	}
	return r;
}

int cgroup_open(const struct cgroup_layout *layout, const char *path, struct cgroup *cgroup)
{
	bool found = false;

	*cgroup = (struct cgroup){ .layout = layout };
	for (int i = 0; i < CGROUP_HIERARCHIES; i++) {
		cgroup->fds[i] = -EBADF;
	}
	if (!path_is_sane(path)) {
		return -EINVAL;
	}
	snprintf(cgroup->path, sizeof(cgroup->path), "%s", path);
	for (int i = 0; i < layout->count; i++) {
		int fd =
			sys_openat(layout->hierarchies[i].root_fd, path, O_RDONLY | O_DIRECTORY, 0);

		cgroup->fds[i] = fd < 0 ? -EBADF : fd;
		found |= fd >= 0;
	}
	return found ? 0 : -ENOENT;
}

int cgroup_update(struct cgroup *cgroup, const struct oci_resources *resources,
	struct strv *warnings, struct error *err)
{
	return cgroup_limits_apply(cgroup, resources, warnings, err);
}

int cgroup_enter(const struct cgroup *cgroup, pid_t pid)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", (int)pid);

	for (int i = 0; i < cgroup->layout->count; i++) {
		_cleanup_fd_ int fd = -EBADF;
		ssize_t n;

		if (cgroup->fds[i] < 0) {
			continue;
		}
		fd = sys_openat(cgroup->fds[i], "cgroup.procs", O_WRONLY, 0);
		n = fd < 0 ? fd : sys_write(fd, text, (size_t)length);
		if (n < 0) {
			return (int)n;
		}
	}
	return 0;
}

int cgroup_clone_fd(const struct cgroup *cgroup)
{
	return cgroup->layout->into_cgroup ? cgroup_unified_fd(cgroup) : -EBADF;
}

int cgroup_events_fd(const struct cgroup *cgroup)
{
	int dir = cgroup_unified_fd(cgroup);
	int fd = dir < 0 ? -EBADF : sys_openat(dir, "cgroup.events", O_RDONLY, 0);

	return fd < 0 ? -EBADF : fd;
}

bool cgroup_populated(const struct cgroup *cgroup)
{
	int dir = cgroup_unified_fd(cgroup);
	char text[256];

	if (dir >= 0 && cgroup_read_at(dir, "cgroup.events", text, sizeof(text)) > 0) {
		return cgroup_keyed_value(text, "populated", 0) != 0;
	}
	return cgroup_pids(cgroup, NULL, 0) > 0;
}

void cgroup_close(struct cgroup *cgroup)
{
	for (int i = 0; i < CGROUP_HIERARCHIES; i++) {
		fd_close(&cgroup->fds[i]);
	}
}
