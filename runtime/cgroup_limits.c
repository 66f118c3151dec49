/*
 * Limits as data: one row for each control file, for v1 and for v2. One loop applies them all, so
 * a limit cannot be forgotten on one side, and what cannot be enforced is named.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/cgroup_internal.h"

#define VALUE_SIZE 256

/* Writes the text for the control file; false: not asked for. */
typedef bool value_fn(const struct oci_resources *r, char *out);

struct limit {
	const char *file, *what;
	value_fn *value;
	enum cgroup_controller controller;
	bool unified;
	bool nothing_if_missing; /* the file is absent where the kernel has no swap to limit */
};

static bool number(char *out, int64_t value, const char *unlimited)
{
	if (value < 0) {
		snprintf(out, VALUE_SIZE, "%s", unlimited);
	} else {
		snprintf(out, VALUE_SIZE, "%" PRId64, value);
	}
	return true;
}

static bool text(char *out, const char *value)
{
	if (!value || !*value) {
		return false;
	}
	snprintf(out, VALUE_SIZE, "%s", value);
	return true;
}

static bool v1_reservation(const struct oci_resources *r, char *out)
{
	return r->memory_reservation && number(out, r->memory_reservation, "-1");
}

static bool v1_memory(const struct oci_resources *r, char *out)
{
	return r->memory_limit && number(out, r->memory_limit, "-1");
}

static bool v1_swap(const struct oci_resources *r, char *out)
{
	return r->memory_swap && number(out, r->memory_swap, "-1");
}

static bool v1_swappiness(const struct oci_resources *r, char *out)
{
	return r->memory_swappiness >= 0 && number(out, r->memory_swappiness, "");
}

static bool v1_oom(const struct oci_resources *r, char *out)
{
	return r->memory_disable_oom_killer && number(out, 1, "");
}

static bool v1_shares(const struct oci_resources *r, char *out)
{
	return r->cpu_shares && number(out, (int64_t)r->cpu_shares, "");
}

static bool v1_period(const struct oci_resources *r, char *out)
{
	return r->cpu_period && number(out, (int64_t)r->cpu_period, "");
}

static bool v1_quota(const struct oci_resources *r, char *out)
{
	return r->cpu_quota && number(out, r->cpu_quota, "-1");
}

static bool any_cpus(const struct oci_resources *r, char *out)
{
	return text(out, r->cpuset_cpus);
}

static bool any_mems(const struct oci_resources *r, char *out)
{
	return text(out, r->cpuset_mems);
}

static bool any_pids(const struct oci_resources *r, char *out)
{
	return r->pids_limit && number(out, r->pids_limit, "max");
}

static bool v2_low(const struct oci_resources *r, char *out)
{
	return r->memory_reservation && number(out, r->memory_reservation, "max");
}

static bool v2_memory(const struct oci_resources *r, char *out)
{
	return r->memory_limit && number(out, r->memory_limit, "max");
}

/* docker counts memory plus swap, v2 swap alone. */
static bool v2_swap(const struct oci_resources *r, char *out)
{
	if (!r->memory_swap) {
		return false;
	}
	if (r->memory_swap < 0) {
		return number(out, -1, "max");
	}
	if (r->memory_limit <= 0) { /* refused before the first write */
		return false;
	}
	return number(out, r->memory_swap - r->memory_limit, "max");
}

/* log2(@x) for x >= 1, by halving and squaring: libm for one formula would be another library. */
static double binary_log(double x)
{
	double result = 0, bit = 1;

	while (x >= 2) {
		x /= 2;
		result++;
	}
	for (int i = 0; i < 50; i++) {
		x *= x;
		bit /= 2;
		if (x >= 2) {
			x /= 2;
			result += bit;
		}
	}
	return result;
}

/* 10 to the power of @x, by the series of e after halving the argument eight times. */
static double power_of_ten(double x)
{
	double y = x * 2.302585092994045684 / 256, term = 1, sum = 1;

	for (int i = 1; i < 20; i++) {
		term *= y / i;
		sum += term;
	}
	for (int i = 0; i < 8; i++) {
		sum *= sum;
	}
	return sum;
}

/* 2 -> 1, 1024 -> 100, 262144 -> 10000 on a curve through the three (as runc 1.4, crun 1.23). */
static bool v2_weight(const struct oci_resources *r, char *out)
{
	double l, shares = (double)r->cpu_shares, weight;

	if (!r->cpu_shares) {
		return false;
	}
	shares = shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
	l = binary_log(shares);
	/* Rounded up, but not because the last digits of the three fixed points are not exact. */
	weight = power_of_ten((l * l + 125 * l) / 612.0 - 7.0 / 34.0) - 1e-6;
	return number(out, (int64_t)weight + 1, "");
}

static bool v2_max(const struct oci_resources *r, char *out)
{
	uint64_t period = r->cpu_period ? r->cpu_period : 100000;

	if (!r->cpu_quota && !r->cpu_period) {
		return false;
	}
	if (r->cpu_quota > 0) {
		snprintf(out, VALUE_SIZE, "%" PRId64 " %" PRIu64, r->cpu_quota, period);
	} else {
		snprintf(out, VALUE_SIZE, "max %" PRIu64, period);
	}
	return true;
}

static const struct limit limits[] = {
	{ "memory.soft_limit_in_bytes", "mem_reservation", v1_reservation, CGROUP_MEMORY, false,
		false },
	/* Before memsw: in a new group both are unlimited, and memory may not exceed memsw. */
	{ "memory.limit_in_bytes", "mem_limit", v1_memory, CGROUP_MEMORY, false, false },
	{ "memory.memsw.limit_in_bytes", "memswap_limit", v1_swap, CGROUP_MEMORY, false, true },
	{ "memory.swappiness", "mem_swappiness", v1_swappiness, CGROUP_MEMORY, false, false },
	{ "memory.oom_control", "oom_kill_disable", v1_oom, CGROUP_MEMORY, false, false },
	{ "cpu.shares", "cpu_shares", v1_shares, CGROUP_CPU, false, false },
	/* Before the quota, which the kernel judges against the period in force. */
	{ "cpu.cfs_period_us", "cpu_period", v1_period, CGROUP_CPU, false, false },
	{ "cpu.cfs_quota_us", "cpus", v1_quota, CGROUP_CPU, false, false },
	{ "cpuset.cpus", "cpuset", any_cpus, CGROUP_CPUSET, false, false },
	{ "cpuset.mems", "cpuset (memory nodes)", any_mems, CGROUP_CPUSET, false, false },
	{ "pids.max", "pids_limit", any_pids, CGROUP_PIDS, false, false },
	{ "memory.low", "mem_reservation", v2_low, CGROUP_MEMORY, true, false },
	{ "memory.max", "mem_limit", v2_memory, CGROUP_MEMORY, true, false },
	{ "memory.swap.max", "memswap_limit", v2_swap, CGROUP_MEMORY, true, true },
	{ NULL, "mem_swappiness (cgroup v2 has none)", v1_swappiness, CGROUP_MEMORY, true, false },
	{ NULL, "oom_kill_disable (cgroup v2 has none)", v1_oom, CGROUP_MEMORY, true, false },
	{ "cpu.weight", "cpu_shares", v2_weight, CGROUP_CPU, true, false },
	{ "cpu.max", "cpus", v2_max, CGROUP_CPU, true, false },
	{ "cpuset.cpus", "cpuset", any_cpus, CGROUP_CPUSET, true, false },
	{ "cpuset.mems", "cpuset (memory nodes)", any_mems, CGROUP_CPUSET, true, false },
	{ "pids.max", "pids_limit", any_pids, CGROUP_PIDS, true, false },
};

static int check(const struct oci_resources *r, struct error *err)
{
	if (r->memory_swap > 0 && r->memory_limit <= 0) {
		return error_say(err, EINVAL,
			"memswap_limit counts memory and swap together: it needs mem_limit too");
	}
	if (r->memory_swap > 0 && r->memory_swap < r->memory_limit) {
		return error_say(err, EINVAL,
			"memswap_limit (%" PRId64 ") is less than mem_limit (%" PRId64 ")",
			r->memory_swap, r->memory_limit);
	}
	return 0;
}

static int put(const struct cgroup *cgroup, int dir, const struct limit *limit, const char *value)
{
	int r = file_put_at(dir, limit->file, value);

	if (r == -ENOENT && limit->unified &&
		cgroup_enable_path(cgroup->layout, cgroup->path, CGROUP_BIT(limit->controller)) ==
			0) {
		r = file_put_at(dir, limit->file, value);
	}
	return r;
}

static int apply(const struct cgroup *cgroup, const struct limit *limit, int dir, const char *value,
	struct strv *warnings, struct error *err)
{
	int r = limit->file ? put(cgroup, dir, limit, value) : -ENOENT;

	if (r == 0) {
		return 0;
	}
	if (r == -ENOENT && limit->nothing_if_missing &&
		(strcmp(value, "0") == 0 || strcmp(value, "-1") == 0 ||
			strcmp(value, "max") == 0)) {
		return 0;
	}
	if (r == -ENOENT || r == -EROFS || r == -EACCES || r == -EPERM || r == -EOPNOTSUPP) {
		if (warnings) {
			strv_addf(warnings,
				"%s is not enforced: this machine has no way to set it%s",
				limit->what, r == -EROFS ? " (read-only control groups)" : "");
		}
		return 0;
	}
	return error_set(err, r, "set %s: write \"%s\" to %s of the control group %s", limit->what,
		value, limit->file, cgroup->path);
}

/* When a limit is lowered or raised later, the one of the pair that gives way has to go first. */
static int apply_memory_pair(const struct cgroup *cgroup, int dir,
	const struct oci_resources *resources, struct error *err)
{
	char memory[VALUE_SIZE], swap[VALUE_SIZE];
	int r = file_put_at(
		dir, "memory.limit_in_bytes", v1_memory(resources, memory) ? memory : "");

	if (r == -EINVAL && v1_swap(resources, swap)) {
		r = file_put_at(dir, "memory.memsw.limit_in_bytes", swap);
		if (r == 0) {
			r = file_put_at(dir, "memory.limit_in_bytes", memory);
		}
	}
	if (r == -EBUSY) {
		return error_set(err, r,
			"set mem_limit to %s: more is in use by the control group %s", memory,
			cgroup->path);
	}
	return r;
}

int cgroup_limits_apply(const struct cgroup *cgroup, const struct oci_resources *resources,
	struct strv *warnings, struct error *err)
{
	int r = check(resources, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(limits); i++) {
		const struct limit *limit = &limits[i];
		char value[VALUE_SIZE];
		bool unified = false;
		int dir = cgroup_controller_fd(cgroup, limit->controller, &unified);

		if ((dir >= 0 && unified != limit->unified) || (dir < 0 && limit->unified) ||
			!limit->value(resources, value)) {
			continue;
		}
		if (dir < 0) {
			if (warnings) {
				strv_addf(warnings,
					"%s is not enforced: no %s controller can be used on this "
					"machine",
					limit->what,
					cgroup_controller_name(limit->controller, false));
			}
			continue;
		}
		if (limit->value == v1_memory && !limit->unified &&
			apply_memory_pair(cgroup, dir, resources, err) == 0) {
			continue;
		}
		r = apply(cgroup, limit, dir, value, warnings, err);
	}
	return r;
}

/* The first set of bits found in @file of the group or one of its parents. */
static int inherit_file(int root_fd, const char *path, const char *file)
{
	char value[VALUE_SIZE * 4], name[400];
	int length = (int)strlen(path), r;

	snprintf(name, sizeof(name), "%s/%s", path, file);
	r = cgroup_read_at(root_fd, name, value, sizeof(value));
	if (r < 0 || value[strspn(value, "\n ")]) {
		return r < 0 ? r : 0;
	}
	while (length > 0 && path[length - 1] != '/') {
		length--;
	}
	if (length == 0) { /* the parent is the hierarchy's own root */
		r = cgroup_read_at(root_fd, file, value, sizeof(value));
	} else {
		char parent[sizeof(((struct cgroup *)0)->path)];

		snprintf(parent, sizeof(parent), "%.*s", length - 1, path);
		r = inherit_file(root_fd, parent, file);
		if (r < 0) {
			return r;
		}
		snprintf(name, sizeof(name), "%s/%s", parent, file);
		r = cgroup_read_at(root_fd, name, value, sizeof(value));
	}
	if (r < 0) {
		return r;
	}
	snprintf(name, sizeof(name), "%s/%s", path, file);
	return file_put_at(root_fd, name, value);
}

int cgroup_cpuset_inherit(int root_fd, const char *path)
{
	char value[VALUE_SIZE * 4], name[400];
	const char *slash = strrchr(path, '/');
	int r;

	/* Below a folder of ours the kernel has copied both already (cgroup.clone_children). */
	snprintf(name, sizeof(name), "%s/cpuset.cpus", path);
	r = cgroup_read_at(root_fd, name, value, sizeof(value));
	if (r < 0 || value[strspn(value, "\n ")]) {
		return r < 0 ? r : 0;
	}
	r = inherit_file(root_fd, path, "cpuset.cpus");
	if (r == 0) {
		r = inherit_file(root_fd, path, "cpuset.mems");
	}
	if (r == 0 && slash) {
		snprintf(name, sizeof(name), "%.*s/cgroup.clone_children", (int)(slash - path),
			path);
		file_put_at(root_fd, name, "1");
	}
	return r;
}
