/* Limits: rlimits, cgroup resources, sysctls. */
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/file.h"
#include "init/plan_private.h"

#define CPU_PERIOD_US 100000

static const struct {
	const char *name;
	int type;
} rlimit_names[] = {
	{ "as", RLIMIT_AS },
	{ "core", RLIMIT_CORE },
	{ "cpu", RLIMIT_CPU },
	{ "data", RLIMIT_DATA },
	{ "fsize", RLIMIT_FSIZE },
	{ "locks", RLIMIT_LOCKS },
	{ "memlock", RLIMIT_MEMLOCK },
	{ "msgqueue", RLIMIT_MSGQUEUE },
	{ "nice", RLIMIT_NICE },
	{ "nofile", RLIMIT_NOFILE },
	{ "nproc", RLIMIT_NPROC },
	{ "rss", RLIMIT_RSS },
	{ "rtprio", RLIMIT_RTPRIO },
	{ "rttime", RLIMIT_RTTIME },
	{ "sigpending", RLIMIT_SIGPENDING },
	{ "stack", RLIMIT_STACK },
};

static int rlimit_type(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rlimit_names); i++) {
		if (strcmp(rlimit_names[i].name, name) == 0) {
			return rlimit_names[i].type;
		}
	}
	return -1;
}

static uint64_t limit_of(int64_t value)
{
	return value < 0 ? RLIM_INFINITY : (uint64_t)value;
}

static void build_rlimits(const struct container_builder *b)
{
	const struct compose_service *service = b->service;
	struct oci_process *process = &b->container->config.process;

	process->rlimits = arena_array(b->arena, service->ulimit_count, sizeof(*process->rlimits));
	for (size_t i = 0; i < service->ulimit_count; i++) {
		const struct compose_ulimit *limit = &service->ulimits[i];
		int type = rlimit_type(limit->name);
		char key[64];

		snprintf(key, sizeof(key), "ulimits.%s", limit->name);
		if (type < 0) {
			plan_fail(b, &limit->mark, key, "there is no such limit");
			continue;
		}
		if (limit_of(limit->soft) > limit_of(limit->hard)) {
			plan_fail(b, &limit->mark, key, "the soft limit is above the hard one");
			continue;
		}
		process->rlimits[process->rlimit_count++] = (struct oci_rlimit){
			.type = type,
			.soft = limit_of(limit->soft),
			.hard = limit_of(limit->hard),
		};
	}
}

/* The highest hard limit that this process can give. */
static uint64_t ceiling(const struct plan_builder *plan, int type)
{
	struct rlimit own;
	_cleanup_free_ char *text = NULL;

	if (getrlimit((__rlimit_resource_t)type, &own) < 0) {
		return RLIM_INFINITY;
	}
	if (!(plan->our_caps >> CAP_SYS_RESOURCE & 1)) {
		return own.rlim_max;
	}
	/* With the capability limits can be raised; open files only to the kernel's own maximum. */
	if (type == RLIMIT_NOFILE &&
		file_read_at(AT_FDCWD, "/proc/sys/fs/nr_open", 64, &text, NULL, NULL) == 0) {
		return strtoull(text, NULL, 10);
	}
	return RLIM_INFINITY;
}

static const struct compose_ulimit *ulimit_of(const struct compose_service *service, int type)
{
	for (size_t i = 0; i < service->ulimit_count; i++) {
		if (rlimit_type(service->ulimits[i].name) == type) {
			return &service->ulimits[i];
		}
	}
	return NULL;
}

/*
 * What is above our own hard limit would make the start fail: it is lowered, and said. It is not
 * part of the hash, so that `up` from a shell with other limits recreates nothing.
 */
void plan_clamp_rlimits(const struct container_builder *b)
{
	struct oci_process *process = &b->container->config.process;

	for (size_t i = 0; i < process->rlimit_count; i++) {
		struct oci_rlimit *limit = &process->rlimits[i];
		const struct compose_ulimit *asked = ulimit_of(b->service, limit->type);
		uint64_t most = ceiling(b->plan, limit->type);
		char key[64];

		if (limit->hard <= most || !asked) {
			continue;
		}
		snprintf(key, sizeof(key), "ulimits.%s", asked->name);
		plan_warn(b, &asked->mark, key,
			"lowered to %llu: this process' own hard limit allows no more",
			(unsigned long long)most);
		limit->hard = most;
		if (limit->soft > most) {
			limit->soft = most;
		}
	}
}

static void build_resources(const struct container_builder *b)
{
	const struct compose_resources *from = &b->service->resources;
	struct oci_resources *to = &b->container->config.resources;

	to->memory_limit = from->memory_limit;
	to->memory_reservation = from->memory_reservation;
	to->memory_swappiness = from->memory_swappiness;
	to->memory_disable_oom_killer = from->oom_kill_disable;
	to->memory_swap = from->memory_swap_limit;
	/* docker's default: as much swap again as memory. */
	if (to->memory_limit > 0 && to->memory_swap == 0) {
		to->memory_swap = to->memory_limit > INT64_MAX / 2 ? -1 : to->memory_limit * 2;
	}
	if (to->memory_swap > 0 && to->memory_limit == 0) {
		plan_fail(b, NULL, "memswap_limit", "set mem_limit as well");
	} else if (to->memory_swap > 0 && to->memory_swap < to->memory_limit) {
		plan_fail(b, &from->memory_mark, "memswap_limit",
			"is memory plus swap, so it cannot be below mem_limit");
	}
	to->cpu_shares = (uint64_t)from->cpu_shares;
	to->cpu_quota = from->cpu_quota;
	to->cpu_period = (uint64_t)from->cpu_period;
	if (from->cpus > 0) {
		to->cpu_period = CPU_PERIOD_US;
		to->cpu_quota = (int64_t)(from->cpus * CPU_PERIOD_US + 0.5);
	}
	to->cpuset_cpus = arena_strdup(b->arena, from->cpuset);
	to->pids_limit = from->pids_limit;
}

struct sysctl_list {
	struct oci_pair *items;
	size_t count;
};

static void sysctl_default(const struct container_builder *b, struct sysctl_list *list,
	const char *key, const char *value)
{
	for (size_t i = 0; i < b->service->sysctls.count; i++) {
		if (strcmp(b->service->sysctls.items[i].key, key) == 0) {
			return;
		}
	}
	list->items[list->count++] = (struct oci_pair){ .key = key, .value = value };
}

static void build_sysctls(const struct container_builder *b)
{
	const struct compose_pairs *asked = &b->service->sysctls;
	bool host_network =
		b->service->network_mode && strcmp(b->service->network_mode, "host") == 0;
	struct sysctl_list list = { .items = arena_array(
					    b->arena, asked->count + 2, sizeof(*list.items)) };

	if (!host_network) {
		/* docker's, in a network namespace of one's own: ports below 1024 and ping without
		 * privileges. */
		sysctl_default(b, &list, "net.ipv4.ip_unprivileged_port_start", "0");
		sysctl_default(b, &list, "net.ipv4.ping_group_range", "0 2147483647");
	}
	for (size_t i = 0; i < asked->count; i++) {
		const struct compose_pair *pair = &asked->items[i];

		if (host_network && strncmp(pair->key, "net.", 4) == 0) {
			plan_fail(b, &pair->mark, "sysctls",
				"%s belongs to the network namespace, which is the host's here",
				pair->key);
			continue;
		}
		list.items[list.count++] = (struct oci_pair){
			.key = arena_strdup(b->arena, pair->key),
			.value = arena_strdup(b->arena, pair->value ? pair->value : ""),
		};
	}
	b->container->config.sysctls = list.items;
	b->container->config.sysctl_count = list.count;
}

void plan_build_limits(const struct container_builder *b)
{
	build_rlimits(b);
	build_resources(b);
	build_sysctls(b);
}
