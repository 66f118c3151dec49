#include <errno.h>

#include "base/fd.h"
#include "base/sys.h"
#include "runtime/cgroup_internal.h"

/* A file that holds one number, or "max". */
static int64_t read_number(int dir, const char *name)
{
	char text[64], *end;
	long long value;

	if (dir < 0 || cgroup_read_at(dir, name, text, sizeof(text)) <= 0) {
		return -1;
	}
	value = strtoll(text, &end, 10);
	return end == text ? -1 : value;
}

static int64_t read_keyed(int dir, const char *name, const char *key)
{
	char text[2048];

	if (dir < 0 || cgroup_read_at(dir, name, text, sizeof(text)) <= 0) {
		return -1;
	}
	return cgroup_keyed_value(text, key, -1);
}

int64_t cgroup_oom_kills(const struct cgroup *cgroup)
{
	bool unified = false;
	int dir = cgroup_controller_fd(cgroup, CGROUP_MEMORY, &unified);
	int64_t n = read_keyed(dir, unified ? "memory.events" : "memory.oom_control", "oom_kill");

	return n < 0 ? 0 : n;
}

static void read_memory(const struct cgroup *cgroup, struct cgroup_stats *stats)
{
	bool v2 = false;
	int dir = cgroup_controller_fd(cgroup, CGROUP_MEMORY, &v2);

	stats->memory_bytes = read_number(dir, v2 ? "memory.current" : "memory.usage_in_bytes");
	stats->memory_limit_bytes = read_number(dir, v2 ? "memory.max" : "memory.limit_in_bytes");
	stats->memory_peak_bytes =
		read_number(dir, v2 ? "memory.peak" : "memory.max_usage_in_bytes");
	/* v1 spells "unlimited" as the largest number of whole pages. */
	if (stats->memory_limit_bytes > INT64_MAX - (INT64_C(1) << 20)) {
		stats->memory_limit_bytes = -1;
	}
}

void cgroup_stats_read(const struct cgroup *cgroup, struct cgroup_stats *stats)
{
	bool v2 = false;
	int dir;

	read_memory(cgroup, stats);
	dir = cgroup_unified_fd(cgroup); /* there even when the cpu controller is not */
	stats->cpu_usec = read_keyed(dir, "cpu.stat", "usage_usec");
	if (stats->cpu_usec < 0) {
		dir = cgroup_controller_fd(cgroup, CGROUP_CPUACCT, &v2);
		stats->cpu_usec = read_number(dir, "cpuacct.usage");
		stats->cpu_usec = stats->cpu_usec < 0 ? -1 : stats->cpu_usec / 1000;
	}
	dir = cgroup_controller_fd(cgroup, CGROUP_PIDS, &v2);
	stats->pids = read_number(dir, "pids.current");
	if (stats->pids < 0) {
		stats->pids = cgroup_pids(cgroup, NULL, 0);
	}
}
