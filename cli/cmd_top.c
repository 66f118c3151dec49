/*
 * top: the processes of each container, as `ps -ef` shows them. A process belongs to a container
 * when it is in the same pid namespace as the container's first one; so nothing needs to be known
 * of cgroup layouts, and sessions (exec, health checks) show as well.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/cli.h"
#include "cli/project.h"
#include "cli/table.h"

static const struct option options[] = {
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

static bool same_namespace(pid_t pid, const char *wanted)
{
	char path[64], link[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0) {
		return false;
	}
	link[n] = '\0';
	return strcmp(link, wanted) == 0;
}

/* The numbers of /proc/PID/stat that are shown. */
struct process {
	long ppid, tty;
	unsigned long long ticks; /* user and system */
	unsigned long long start; /* ticks since boot */
};

static bool read_stat(pid_t pid, struct process *p)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long user, kernel;
	char path[64];
	const char *rest;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (file_read_at(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0) {
		return false;
	}
	/* The name stands in parentheses and may hold anything, so count from the last one. */
	rest = strrchr(text, ')');
	if (!rest || sscanf(rest + 1,
			     " %*c %ld %*d %*d %ld %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d "
			     "%*d %*d %*d %llu",
			     &p->ppid, &p->tty, &user, &kernel, &p->start) != 5) {
		return false;
	}
	p->ticks = user + kernel;
	return true;
}

static char *command_line(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	if (file_read_at(AT_FDCWD, path, 1 << 20, &text, &size, NULL) < 0 || size == 0) {
		return xstrdup("-");
	}
	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) {
			text[i] = i + 1 == size ? '\0' : ' ';
		}
	}
	return xstrdup(text);
}

static char *owner_name(pid_t pid)
{
	struct stat st;
	char path[64];
	const struct passwd *entry;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (stat(path, &st) < 0) {
		return xstrdup("?");
	}
	entry = getpwuid(st.st_uid);
	return entry ? xstrdup(entry->pw_name) : xasprintf("%u", (unsigned)st.st_uid);
}

static void add_process(struct table *table, const json_t *container, pid_t pid)
{
	const long hertz = sysconf(_SC_CLK_TCK);
	_cleanup_free_ char *user = owner_name(pid), *command = command_line(pid);
	struct process p;
	struct timespec boot;
	char cell[64];
	time_t started, now = time(NULL);
	struct tm tm;
	unsigned long long seconds;

	if (!read_stat(pid, &p)) {
		return; /* gone meanwhile */
	}
	table_cell(table, json_text(container, "service", ""));
	snprintf(cell, sizeof(cell), "%" PRId64, json_int(container, "number", 0));
	table_cell(table, cell);
	table_cell(table, user);
	snprintf(cell, sizeof(cell), "%d", (int)pid);
	table_cell(table, cell);
	snprintf(cell, sizeof(cell), "%ld", p.ppid);
	table_cell(table, cell);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	seconds = (unsigned long long)boot.tv_sec - p.start / (unsigned long long)hertz;
	started = now - (time_t)seconds;
	snprintf(cell, sizeof(cell), "%llu",
		seconds ? 100 * (p.ticks / (unsigned long long)hertz) / seconds : 0);
	table_cell(table, cell);
	localtime_r(&started, &tm);
	strftime(cell, sizeof(cell), now - started < 86400 ? "%H:%M" : "%b%d", &tm);
	table_cell(table, cell);
	table_cell(table, p.tty ? "pts" : "?");
	seconds = p.ticks / (unsigned long long)hertz;
	snprintf(cell, sizeof(cell), "%02llu:%02llu:%02llu", seconds / 3600, seconds / 60 % 60,
		seconds % 60);
	table_cell(table, cell);
	table_cell(table, command);
}

static void add_container(struct table *table, const json_t *container)
{
	pid_t first = (pid_t)json_int(container, "pid", 0);
	char path[64], wanted[64];
	struct dirent *entry;
	ssize_t n;
	DIR *proc;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)first);
	n = first > 0 ? readlink(path, wanted, sizeof(wanted) - 1) : -1;
	proc = n > 0 ? opendir("/proc") : NULL;
	if (!proc) {
		return;
	}
	wanted[n] = '\0';
	add_process(table, container, first);
	/* `pid: host`: everything is in our own namespace, so only the first one is known. */
	if (same_namespace(getpid(), wanted)) {
		closedir(proc);
		return;
	}
	while ((entry = readdir(proc))) {
		char *end;
		long pid = strtol(entry->d_name, &end, 10);

		if (pid > 0 && pid != first && *end == '\0' && same_namespace((pid_t)pid, wanted)) {
			add_process(table, container, (pid_t)pid);
		}
	}
	closedir(proc);
}

static int run(const struct invocation *inv, struct error *err)
{
	const char *const *services = cli_services(inv);
	struct table table = { .columns = 10 };
	_cleanup_json_ json_t *containers = NULL;
	_cleanup_free_ char *name = NULL;
	json_t *container;
	size_t i;
	int r = project_containers(&name, &containers, err);

	if (r == 0) {
		r = project_check_services(containers, services, err);
	}
	if (r < 0) {
		return r;
	}
	table_row(&table, (const char *const[]){ "SERVICE", "#", "UID", "PID", "PPID", "C", "STIME",
				  "TTY", "TIME", "CMD" });
	json_array_foreach(containers, i, container)
	{
		if (project_selects(services, json_text(container, "service", ""))) {
			add_container(&table, container);
		}
	}
	table_print(&table, stdout);
	table_finish(&table);
	return 0;
}

const struct command command_top = { .name = "top",
	.arguments = "[SERVICE...]",
	.summary = "Show the processes of services",
	.options = options,
	.run = run,
	.most = -1 };
