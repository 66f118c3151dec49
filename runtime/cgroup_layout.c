#include <errno.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/cgroup_internal.h"

/* Where a process of ours goes when it has to leave a group that hands controllers down. */
#define LEAF        "wherry-self"

#define TABLE_LIMIT (4 << 20)

/* A line of /proc/self/mountinfo, taken apart in place. */
struct mount_line {
	char *root, *mount, *options, *type, *super;
};

const char *cgroup_controller_name(enum cgroup_controller controller, bool unified)
{
	static const char *const names[CGROUP_CONTROLLERS] = {
		[CGROUP_MEMORY] = "memory",
		[CGROUP_CPU] = "cpu",
		[CGROUP_CPUACCT] = "cpuacct",
		[CGROUP_CPUSET] = "cpuset",
		[CGROUP_PIDS] = "pids",
		[CGROUP_DEVICES] = "devices",
		[CGROUP_FREEZER] = "freezer",
		[CGROUP_BLKIO] = "blkio",
	};

	return unified && controller == CGROUP_BLKIO ? "io" : names[controller];
}

/* The controllers of ours among the words of @text, which any of @separators part. */
static uint32_t find_controllers(const char *text, const char *separators, bool unified)
{
	uint32_t found = 0;

	while (*text) {
		size_t length = strcspn(text, separators);

		for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
			const char *name = cgroup_controller_name(i, unified);

			if (strlen(name) == length && strncmp(name, text, length) == 0) {
				found |= CGROUP_BIT(i);
			}
		}
		text += length;
		text += strspn(text, separators);
	}
	return found;
}

/* The kernel writes blank, tab, newline and backslash as three octal digits. */
static void unescape(char *text)
{
	char *out = text;

	for (const char *in = text; *in; in++) {
		if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] >= '0' && in[2] <= '7' &&
			in[3] >= '0' && in[3] <= '7') {
			*out++ = (char)((in[1] - '0') * 64 + (in[2] - '0') * 8 + (in[3] - '0'));
			in += 3;
		} else {
			*out++ = *in;
		}
	}
	*out = '\0';
}

static bool parse_mount_line(char *line, struct mount_line *m)
{
	char *at = line, *field[6];
	char *dash = strstr(line, " - ");

	if (!dash) {
		return false;
	}
	*dash = '\0';
	for (int i = 0; i < 6; i++) {
		field[i] = strsep(&at, " ");
		if (!field[i]) {
			return false;
		}
	}
	m->root = field[3];
	m->mount = field[4];
	m->options = field[5];
	at = dash + 3;
	m->type = strsep(&at, " ");
	strsep(&at, " ");
	m->super = at;
	unescape(m->root);
	unescape(m->mount);
	return m->super != NULL;
}

/* Our group in the v2 tree, from the line "0::/path" of /proc/self/cgroup. */
static bool own_unified_path(const char *table, char *path, size_t size)
{
	const char *line = strncmp(table, "0::", 3) == 0 ? table : strstr(table, "\n0::");
	size_t length;

	if (!line) {
		return false;
	}
	line = strchr(line, '/');
	if (!line) {
		return false;
	}
	length = strcspn(line, "\n");
	if (length >= size) {
		return false;
	}
	memcpy(path, line, length);
	path[length] = '\0';
	return true;
}

/* Whether a folder of the v2 tree is the machine's root group, which may hold processes and hand
 * controllers down at once. Only the root has no cgroup.type. */
static bool is_real_root(int fd)
{
	struct stat st;

	return sys_fstatat(fd, "cgroup.type", &st, 0) == -ENOENT;
}

/* Whether somebody besides us sits in the group. */
static bool has_others(int fd)
{
	char text[4096];
	int n = cgroup_read_at(fd, "cgroup.procs", text, sizeof(text));

	for (char *at = text, *end; n > 0 && *at; at = end) {
		long pid = strtol(at, &end, 10);

		if (end == at) {
			break;
		}
		if (pid != getpid() && pid != getppid()) {
			return true;
		}
		end += *end == '\n';
	}
	return false;
}

/*
 * The folder below which groups are made in the v2 tree: the one we are in (or its parent when we
 * stand in our leaf). When strangers share it, controllers cannot be handed down there; then the
 * machine's root group is the only place left, as for docker.
 */
static int open_unified_base(const struct mount_line *m, const char *table)
{
	_cleanup_fd_ int top = sys_open(m->mount, O_RDONLY | O_DIRECTORY, 0), own = -EBADF;
	char path[1024], *relative = path;
	size_t skip = strcmp(m->root, "/") == 0 ? 0 : strlen(m->root), length;

	if (top < 0 || !own_unified_path(table, path, sizeof(path))) {
		return take_fd(&top);
	}
	if (strncmp(path, m->root, skip) != 0 || strstr(path, "/..")) {
		return take_fd(&top);
	}
	relative += skip;
	length = strlen(relative);
	if (length >= strlen("/" LEAF) &&
		strcmp(relative + length - strlen("/" LEAF), "/" LEAF) == 0) {
		relative[length - strlen("/" LEAF)] = '\0';
	}
	while (*relative == '/') {
		relative++;
	}
	if (!*relative) {
		return take_fd(&top);
	}
	own = sys_openat(top, relative, O_RDONLY | O_DIRECTORY, 0);
	if (own < 0 ||
		(has_others(own) && is_real_root(top) && faccessat(top, ".", W_OK, 0) == 0)) {
		return take_fd(&top);
	}
	return take_fd(&own);
}

static int add_hierarchy(
	struct cgroup_layout *layout, const struct mount_line *m, uint32_t known, const char *table)
{
	bool unified = strcmp(m->type, "cgroup2") == 0;
	uint32_t controllers = unified ? 0 : find_controllers(m->super, ",", false);
	int fd, i = layout->count;

	/* Named hierarchies, and controllers that another mount has given us already. */
	if ((unified && layout->unified >= 0) || (!unified && !(controllers & ~known)) ||
		i == CGROUP_HIERARCHIES) {
		return 0;
	}
	fd = unified ? open_unified_base(m, table) : sys_open(m->mount, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0) {
		return fd;
	}
	if (unified) {
		char text[1024];

		if (cgroup_read_at(fd, "cgroup.controllers", text, sizeof(text)) > 0) {
			controllers = find_controllers(text, " \n", true) & ~known;
		}
		layout->unified = i;
	}
	layout->hierarchies[i].root_fd = fd;
	layout->hierarchies[i].unified = unified;
	layout->hierarchies[i].controllers = controllers;
	snprintf(
		layout->hierarchies[i].mount, sizeof(layout->hierarchies[i].mount), "%s", m->mount);
	layout->count++;
	return 0;
}

/* One walk over the table for v1 and one for v2, because what v1 has is not v2's. */
static int scan(struct cgroup_layout *layout, const char *mounts, const char *table, bool unified)
{
	_cleanup_free_ char *copy = xstrdup(mounts);
	char *rest = copy, *line;
	uint32_t known = 0;

	for (int i = 0; i < layout->count; i++) {
		known |= layout->hierarchies[i].controllers;
	}
	while ((line = strsep(&rest, "\n"))) {
		struct mount_line m;
		int r;

		if (!parse_mount_line(line, &m) ||
			strcmp(m.type, unified ? "cgroup2" : "cgroup") != 0) {
			continue;
		}
		r = add_hierarchy(layout, &m, known, table);
		if (r < 0 && r != -ENOENT && r != -EACCES) {
			return r;
		}
		if (layout->count > 0) {
			known |= layout->hierarchies[layout->count - 1].controllers;
		}
	}
	return 0;
}

int cgroup_layout_read(struct cgroup_layout *layout, struct error *err)
{
	_cleanup_free_ char *mounts = NULL, *table = NULL;
	bool v1 = false;
	int r;

	*layout = (struct cgroup_layout){ .unified = -1, .mode = "none" };
	r = file_read_at(AT_FDCWD, "/proc/self/mountinfo", TABLE_LIMIT, &mounts, NULL, err);
	if (r < 0) {
		return r;
	}
	r = file_read_at(AT_FDCWD, "/proc/self/cgroup", TABLE_LIMIT, &table, NULL, err);
	if (r == -ENOENT) { /* a kernel without control groups */
		return 0;
	}
	if (r == 0) {
		r = scan(layout, mounts, table, false);
		v1 = layout->count > 0;
	}
	if (r == 0) {
		r = scan(layout, mounts, table, true);
	}
	if (r < 0) {
		cgroup_layout_finish(layout);
		return error_set(err, r, "read the layout of control groups");
	}
	if (layout->count > 0) {
		layout->mode = !v1 ? "v2" : layout->unified >= 0 ? "hybrid" : "v1";
	}
	layout->into_cgroup = layout->unified >= 0 && !v1;
	return 0;
}

void cgroup_layout_finish(struct cgroup_layout *layout)
{
	for (int i = 0; i < layout->count; i++) {
		fd_close(&layout->hierarchies[i].root_fd);
	}
	layout->count = 0;
	layout->unified = -1;
	layout->into_cgroup = false;
}

int cgroup_leave_for_leaf(const struct cgroup_layout *layout)
{
	int base = layout->unified < 0 ? -ENOENT : layout->hierarchies[layout->unified].root_fd;
	int r;

	if (base < 0) {
		return base;
	}
	r = sys_mkdirat(base, LEAF, 0755);
	if (r < 0 && r != -EEXIST) {
		return r;
	}
	return file_put_at(base, LEAF "/cgroup.procs", "0");
}

static int enable_at(const struct cgroup_layout *layout, int dir, uint32_t controllers, bool base)
{
	char text[128];
	size_t used = 0;
	int r;

	for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
		if (controllers & CGROUP_BIT(i)) {
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s+%s",
				used ? " " : "", cgroup_controller_name(i, true));
		}
	}
	r = file_put_at(dir, "cgroup.subtree_control", text);
	/* Processes in the way: at the base that may be us, and then we move out of it. */
	if (r == -EBUSY && base && cgroup_leave_for_leaf(layout) == 0) {
		r = file_put_at(dir, "cgroup.subtree_control", text);
	}
	return r;
}

int cgroup_enable_path(const struct cgroup_layout *layout, const char *path, uint32_t controllers)
{
	int base, r;

	if (layout->unified < 0) {
		return -ENOENT;
	}
	base = layout->hierarchies[layout->unified].root_fd;
	controllers &= layout->hierarchies[layout->unified].controllers;
	if (!controllers) {
		return -ENOENT;
	}
	r = enable_at(layout, base, controllers, true);
	for (const char *slash = strchr(path, '/'); r == 0 && slash;
		slash = strchr(slash + 1, '/')) {
		char parent[sizeof(((struct cgroup *)0)->path)];
		_cleanup_fd_ int dir = -EBADF;

		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
		dir = sys_openat(base, parent, O_RDONLY | O_DIRECTORY, 0);
		r = dir < 0 ? dir : enable_at(layout, dir, controllers, false);
	}
	return r;
}
