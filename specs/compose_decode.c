/* The tree in long form to the typed model: one table row for each key. */
#include <errno.h>
#include <stddef.h>

#include "specs/compose_internal.h"
#include "specs/units.h"

struct decoder {
	struct loader *l;
	struct compose_service *service;
};

typedef void decode_fn(struct decoder *d, const struct yaml_node *node, void *field);

struct field {
	const char *key;
	decode_fn *decode;
	size_t offset;
	size_t mark_offset; /* of a struct mark that also remembers the place; 0: none */
};

static void decode_text(struct decoder *d, const struct yaml_node *node, void *field)
{
	(void)d;
	*(const char **)field = node->text;
}

static void decode_bool(struct decoder *d, const struct yaml_node *node, void *field)
{
	(void)d;
	*(bool *)field = node->boolean;
}

static void decode_tristate(struct decoder *d, const struct yaml_node *node, void *field)
{
	(void)d;
	*(enum tristate *)field = node->boolean ? YES : NO;
}

static void decode_int(struct decoder *d, const struct yaml_node *node, void *field)
{
	(void)d;
	*(int64_t *)field = node->integer;
}

static void decode_double(struct decoder *d, const struct yaml_node *node, void *field)
{
	if (!(node->number >= 0)) {
		load_error(d->l, &node->mark, "must not be negative");
		return;
	}
	*(double *)field = node->number;
}

/* The shape pass left the number of bytes as text. */
static void decode_bytes(struct decoder *d, const struct yaml_node *node, void *field)
{
	(void)d;
	*(int64_t *)field = strtoll(node->text, NULL, 10);
}

static void decode_duration(struct decoder *d, const struct yaml_node *node, void *field)
{
	(void)d;
	units_parse_duration(node->text, field);
}

static const char **texts_of(struct decoder *d, const struct yaml_node *list)
{
	const char **items = arena_array(d->l->arena, list->count + 1, sizeof(*items));

	for (size_t i = 0; i < list->count; i++) {
		items[i] = list->entries[i].value->text;
	}
	return items;
}

static void decode_strings(struct decoder *d, const struct yaml_node *node, void *field)
{
	struct compose_strings *strings = field;

	strings->items = texts_of(d, node);
	strings->count = node->count;
}

static void decode_words(struct decoder *d, const struct yaml_node *node, void *field)
{
	struct compose_words *words = field;

	*words = (struct compose_words){
		.is_set = true,
		.items = texts_of(d, node),
		.count = node->count,
		.mark = node->mark,
	};
}

static void decode_pairs(struct decoder *d, const struct yaml_node *node, void *field)
{
	struct compose_pairs *pairs = field;

	pairs->items = arena_array(d->l->arena, node->count, sizeof(*pairs->items));
	pairs->count = node->count;
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_entry *entry = &node->entries[i];

		pairs->items[i] = (struct compose_pair){
			.key = entry->key,
			.value = entry->value->kind == YAML_NULL ? NULL : entry->value->text,
			.mark = entry->key_mark,
		};
	}
}

/* "name=address" items; several addresses of a name are several pairs. */
static void decode_hosts(struct decoder *d, const struct yaml_node *node, void *field)
{
	struct compose_pairs *pairs = field;

	pairs->items = arena_array(d->l->arena, node->count, sizeof(*pairs->items));
	pairs->count = node->count;
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *item = node->entries[i].value;
		const char *equals = strchr(item->text, '=');

		pairs->items[i] = (struct compose_pair){
			.key = arena_strndup(
				d->l->arena, item->text, (size_t)(equals - item->text)),
			.value = equals + 1,
			.mark = item->mark,
		};
	}
}

/* Runs a table over a map. @base is the structure that the offsets count from. */
static void decode_fields(struct decoder *d, const struct yaml_node *map,
	const struct field *fields, size_t count, void *base)
{
	for (size_t i = 0; map && i < count; i++) {
		const struct yaml_node *node = yaml_get(map, fields[i].key);

		if (!node || node->kind == YAML_NULL) {
			continue;
		}
		fields[i].decode(d, node, (char *)base + fields[i].offset);
		if (fields[i].mark_offset) {
			*(struct mark *)((char *)base + fields[i].mark_offset) = node->mark;
		}
	}
}

static void decode_context(struct decoder *d, const struct yaml_node *node, void *field)
{
	(void)d;
	*(const char **)field = yaml_get_text(node, "context");
}

static void decode_ports(struct decoder *d, const struct yaml_node *node, void *field)
{
	struct compose_service *service = field;
	struct compose_port *ports = arena_array(d->l->arena, node->count, sizeof(*service->ports));

	service->ports = ports;
	service->port_count = node->count;
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *item = node->entries[i].value;
		const char *published = yaml_get_text(item, "published"), *dash;

		ports[i] = (struct compose_port){
			.host_ip = yaml_get_text(item, "host_ip"),
			.target = (uint16_t)yaml_get(item, "target")->integer,
			.protocol = yaml_get_text(item, "protocol"),
			.mode = yaml_get_text(item, "mode"),
			.name = yaml_get_text(item, "name"),
			.app_protocol = yaml_get_text(item, "app_protocol"),
			.mark = item->mark,
		};
		if (published) {
			ports[i].published_first = (uint16_t)strtoul(published, NULL, 10);
			dash = strchr(published, '-');
			ports[i].published_last = dash ? (uint16_t)strtoul(dash + 1, NULL, 10)
						       : ports[i].published_first;
		}
	}
}

static bool flag(const struct yaml_node *map, const char *key, bool fallback)
{
	const struct yaml_node *node = yaml_get(map, key);

	return node && node->kind == YAML_BOOL ? node->boolean : fallback;
}

static struct compose_mount decode_mount(const struct yaml_node *item)
{
	static const char *const types[] = {
		[COMPOSE_MOUNT_BIND] = "bind",
		[COMPOSE_MOUNT_VOLUME] = "volume",
		[COMPOSE_MOUNT_TMPFS] = "tmpfs",
		[COMPOSE_MOUNT_IMAGE] = "image",
	};
	const struct yaml_node *bind = yaml_get(item, "bind"), *tmpfs = yaml_get(item, "tmpfs");
	const char *type = yaml_get_text(item, "type"), *size = yaml_get_text(tmpfs, "size");
	const struct yaml_node *mode = yaml_get(tmpfs, "mode");
	struct compose_mount mount = {
		.source = yaml_get_text(item, "source"),
		.target = yaml_get_text(item, "target"),
		.read_only = flag(item, "read_only", false),
		.propagation = yaml_get_text(bind, "propagation"),
		.create_host_path = flag(bind, "create_host_path", true),
		.nocopy = flag(yaml_get(item, "volume"), "nocopy", false),
		.subpath = yaml_get_text(yaml_get(item, type), "subpath"),
		.tmpfs_size = size ? strtoll(size, NULL, 10) : 0,
		.tmpfs_mode = mode && mode->kind == YAML_INT ? mode->integer : -1,
		.consistency = yaml_get_text(item, "consistency"),
		.mark = item->mark,
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (strcmp(type, types[i]) == 0) {
			mount.type = (enum compose_mount_type)i;
		}
	}
	return mount;
}

static struct compose_mount *add_mounts(
	struct decoder *d, struct compose_service *service, size_t count)
{
	struct compose_mount *all =
		arena_array(d->l->arena, service->mount_count + count, sizeof(*service->mounts));

	if (service->mount_count) {
		memcpy(all, service->mounts, service->mount_count * sizeof(*all));
	}
	service->mounts = all;
	service->mount_count += count;
	return all + service->mount_count - count;
}

static void decode_volumes(struct decoder *d, const struct yaml_node *node, void *field)
{
	struct compose_mount *mounts = add_mounts(d, field, node->count);

	for (size_t i = 0; i < node->count; i++) {
		mounts[i] = decode_mount(node->entries[i].value);
	}
}

/* The service key `tmpfs`: "path" or "path:options". */
static void decode_tmpfs(struct decoder *d, const struct yaml_node *node, void *field)
{
	struct compose_mount *mounts = add_mounts(d, field, node->count);

	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *item = node->entries[i].value;
		size_t size = strcspn(item->text, ":");

		mounts[i] = (struct compose_mount){
			.type = COMPOSE_MOUNT_TMPFS,
			.target = arena_strndup(d->l->arena, item->text, size),
			.tmpfs_options = item->text[size] ? item->text + size + 1 : NULL,
			.tmpfs_mode = -1,
			.mark = item->mark,
		};
		if (item->text[0] != '/') {
			load_error(d->l, &item->mark,
				"services.%s.tmpfs[%zu]: %s must be an absolute path in the "
				"container",
				d->service->name, i, mounts[i].target);
		}
	}
}

/* Higher priority first; equal ones in alphabetical order, as docker connects them. */
static int compare_networks(const void *left, const void *right)
{
	const struct compose_service_network *a = left, *b = right;

	if (a->priority != b->priority) {
		return a->priority > b->priority ? -1 : 1;
	}
	return strcmp(a->name, b->name);
}

static void decode_networks(struct decoder *d, const struct yaml_node *node, void *field)
{
	static const struct field fields[] = {
		{ "aliases", decode_strings, offsetof(struct compose_service_network, aliases), 0 },
		{ "ipv4_address", decode_text,
			offsetof(struct compose_service_network, ipv4_address), 0 },
		{ "ipv6_address", decode_text,
			offsetof(struct compose_service_network, ipv6_address), 0 },
		{ "mac_address", decode_text, offsetof(struct compose_service_network, mac_address),
			0 },
		{ "priority", decode_int, offsetof(struct compose_service_network, priority), 0 },
		{ "gw_priority", decode_int, offsetof(struct compose_service_network, gw_priority),
			0 },
	};
	struct compose_service *service = field;
	struct compose_service_network *networks =
		arena_array(d->l->arena, node->count, sizeof(*networks));

	service->networks = networks;
	service->network_count = node->count;
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_entry *entry = &node->entries[i];

		networks[i].name = entry->key;
		networks[i].mark = entry->key_mark;
		decode_fields(d, entry->value, fields, ARRAY_SIZE(fields), &networks[i]);
	}
	qsort(networks, node->count, sizeof(*networks), compare_networks);
}

static void decode_depends(struct decoder *d, const struct yaml_node *node, void *field)
{
	struct compose_service *service = field;
	struct compose_dependency *items = arena_array(d->l->arena, node->count, sizeof(*items));

	service->depends_on = items;
	service->depends_count = node->count;
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_entry *entry = &node->entries[i];
		const char *condition = yaml_get_text(entry->value, "condition");

		items[i] = (struct compose_dependency){
			.service = entry->key,
			.restart = flag(entry->value, "restart", false),
			.required = flag(entry->value, "required", true),
			.mark = entry->key_mark,
		};
		if (condition && strcmp(condition, "service_healthy") == 0) {
			items[i].condition = COMPOSE_HEALTHY;
		} else if (condition && strcmp(condition, "service_completed_successfully") == 0) {
			items[i].condition = COMPOSE_COMPLETED;
		}
	}
}

static void decode_health(struct decoder *d, const struct yaml_node *node, void *field)
{
	static const struct field fields[] = {
		{ "disable", decode_bool, offsetof(struct compose_healthcheck, disable), 0 },
		{ "test", decode_words, offsetof(struct compose_healthcheck, test), 0 },
		{ "interval", decode_duration, offsetof(struct compose_healthcheck, interval_us),
			0 },
		{ "timeout", decode_duration, offsetof(struct compose_healthcheck, timeout_us), 0 },
		{ "start_period", decode_duration,
			offsetof(struct compose_healthcheck, start_period_us), 0 },
		{ "start_interval", decode_duration,
			offsetof(struct compose_healthcheck, start_interval_us), 0 },
		{ "retries", decode_int, offsetof(struct compose_healthcheck, retries), 0 },
	};
	struct compose_healthcheck *health = field;

	health->is_set = true;
	health->mark = node->mark;
	decode_fields(d, node, fields, ARRAY_SIZE(fields), health);
	if (health->test.count && strcmp(health->test.items[0], "NONE") == 0) {
		health->disable = true;
	}
}

static void decode_restart(struct decoder *d, const struct yaml_node *node, void *field)
{
	struct compose_service *service = field;
	const char *text = node->text;

	service->restart_is_set = true;
	service->restart_max = 0;
	if (strcmp(text, "no") == 0 || !*text) {
		service->restart = COMPOSE_RESTART_NO;
	} else if (strcmp(text, "always") == 0) {
		service->restart = COMPOSE_RESTART_ALWAYS;
	} else if (strcmp(text, "unless-stopped") == 0) {
		service->restart = COMPOSE_RESTART_UNLESS_STOPPED;
	} else if (strncmp(text, "on-failure", 10) == 0 && (!text[10] || text[10] == ':')) {
		char *end = NULL;

		service->restart = COMPOSE_RESTART_ON_FAILURE;
		if (text[10]) {
			service->restart_max = strtol(text + 11, &end, 10);
		}
		if (end && (*end || end == text + 11 || service->restart_max < 0)) {
			load_error(d->l, &node->mark,
				"services.%s.restart: invalid number of retries in '%s'",
				service->name, text);
		}
	} else {
		load_error(d->l, &node->mark,
			"services.%s.restart: invalid restart policy '%s'\none of no, always, "
			"on-failure[:max-retries], unless-stopped",
			service->name, text);
	}
}

static void decode_ulimits(struct decoder *d, const struct yaml_node *node, void *field)
{
	struct compose_service *service = field;

	service->ulimits = arena_array(d->l->arena, node->count, sizeof(*service->ulimits));
	service->ulimit_count = node->count;
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *item = node->entries[i].value;
		const struct yaml_node *soft = yaml_get(item, "soft"),
				       *hard = yaml_get(item, "hard");

		service->ulimits[i] = (struct compose_ulimit){
			.name = node->entries[i].key,
			.mark = node->entries[i].key_mark,
		};
		if (!soft || !hard || soft->kind != YAML_INT || hard->kind != YAML_INT) {
			load_error(d->l, &node->entries[i].key_mark,
				"services.%s.ulimits.%s needs soft and hard", service->name,
				node->entries[i].key);
			continue;
		}
		service->ulimits[i].soft = soft->integer;
		service->ulimits[i].hard = hard->integer;
		if (soft->integer < -1 || hard->integer < -1 ||
			(hard->integer != -1 &&
				(soft->integer == -1 || soft->integer > hard->integer))) {
			load_error(d->l, &soft->mark,
				"services.%s.ulimits.%s: the soft limit is above the hard one",
				service->name, node->entries[i].key);
		}
	}
}

static void decode_logging(struct decoder *d, const struct yaml_node *node, void *field)
{
	static const struct field fields[] = {
		{ "driver", decode_text, offsetof(struct compose_logging, driver), 0 },
		{ "options", decode_pairs, offsetof(struct compose_logging, options), 0 },
	};
	struct compose_logging *logging = field;

	logging->mark = node->mark;
	decode_fields(d, node, fields, ARRAY_SIZE(fields), logging);
}

static struct compose_grant *decode_grants(
	struct decoder *d, const struct yaml_node *node, const char *folder)
{
	struct compose_grant *grants = arena_array(d->l->arena, node->count, sizeof(*grants));

	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *item = node->entries[i].value;
		const char *target = yaml_get_text(item, "target");
		const char *mode = yaml_get_text(item, "mode");

		grants[i] = (struct compose_grant){
			.source = yaml_get_text(item, "source"),
			.uid = yaml_get_text(item, "uid"),
			.gid = yaml_get_text(item, "gid"),
			.mode = mode ? strtol(mode, NULL, 8) : -1,
			.mark = item->mark,
		};
		target = target ? target : grants[i].source;
		grants[i].target = target[0] == '/'
					   ? target
					   : arena_printf(d->l->arena, "%s%s", folder, target);
	}
	return grants;
}

static void decode_secrets(struct decoder *d, const struct yaml_node *node, void *field)
{
	struct compose_service *service = field;

	service->secrets = decode_grants(d, node, "/run/secrets/");
	service->secret_count = node->count;
}

static void decode_configs(struct decoder *d, const struct yaml_node *node, void *field)
{
	struct compose_service *service = field;

	service->configs = decode_grants(d, node, "/");
	service->config_count = node->count;
}

/* "source:target:permissions" again, which is what the model holds. */
static void decode_devices(struct decoder *d, const struct yaml_node *node, void *field)
{
	struct compose_strings *devices = field;

	devices->items = arena_array(d->l->arena, node->count + 1, sizeof(*devices->items));
	devices->count = node->count;
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *item = node->entries[i].value;
		const char *source = yaml_get_text(item, "source");
		const char *target = yaml_get_text(item, "target");
		const char *permissions = yaml_get_text(item, "permissions");

		devices->items[i] = "";
		if (!source) {
			load_error(d->l, &item->mark, "services.%s.devices[%zu] needs a source",
				d->service->name, i);
			continue;
		}
		devices->items[i] = arena_printf(d->l->arena, "%s:%s:%s", source,
			target ? target : source, permissions ? permissions : "rwm");
	}
}

static void decode_wherry(struct decoder *d, const struct yaml_node *node, void *field)
{
	const struct yaml_node *eager = yaml_get(node, "eager_health");

	if (eager && eager->kind == YAML_BOOL) {
		decode_tristate(d, eager, field);
	}
}

/* Two keys for one limit may not say different things. */
static void distinct(struct decoder *d, const struct yaml_node *node, const char *a, const char *b)
{
	load_error(d->l, &node->mark,
		"services.%s: can't set distinct values on '%s' and '%s': invalid compose project",
		d->service->name, a, b);
}

static void decode_deploy_limits(struct decoder *d, const struct yaml_node *limits)
{
	struct compose_resources *r = &d->service->resources;
	const struct yaml_node *cpus = yaml_get(limits, "cpus"), *pids = yaml_get(limits, "pids");
	const struct yaml_node *memory = yaml_get(limits, "memory");

	if (memory && memory->kind == YAML_STRING) {
		int64_t bytes = strtoll(memory->text, NULL, 10);

		if (r->memory_limit && r->memory_limit != bytes) {
			distinct(d, memory, "mem_limit", "deploy.resources.limits.memory");
		}
		r->memory_limit = bytes;
		r->memory_mark = memory->mark;
	}
	if (cpus && cpus->kind != YAML_NULL) {
		/* Both come from the same digits: equal texts are equal numbers. */
		if (r->cpus > 0 && (r->cpus < cpus->number || r->cpus > cpus->number)) {
			distinct(d, cpus, "cpus", "deploy.resources.limits.cpus");
		}
		decode_double(d, cpus, &r->cpus);
		r->cpus_mark = cpus->mark;
	}
	if (pids && pids->kind == YAML_INT) {
		if (r->pids_limit && r->pids_limit != pids->integer) {
			distinct(d, pids, "pids_limit", "deploy.resources.limits.pids");
		}
		r->pids_limit = pids->integer;
		r->pids_mark = pids->mark;
	}
}

static void decode_deploy_restart(struct decoder *d, const struct yaml_node *policy)
{
	static const struct {
		const char *name;
		enum compose_restart restart;
	} conditions[] = {
		{ "none", COMPOSE_RESTART_NO },
		{ "on-failure", COMPOSE_RESTART_ON_FAILURE },
		{ "any", COMPOSE_RESTART_ALWAYS },
	};
	const struct yaml_node *attempts = yaml_get(policy, "max_attempts");
	const char *condition = yaml_get_text(policy, "condition");

	if (!policy || policy->kind != YAML_MAP) {
		return;
	}
	d->service->restart_is_set = true;
	d->service->restart = COMPOSE_RESTART_ALWAYS;
	d->service->restart_max = 0;
	for (size_t i = 0; condition && i < ARRAY_SIZE(conditions); i++) {
		if (strcmp(condition, conditions[i].name) == 0) {
			d->service->restart = conditions[i].restart;
			condition = NULL;
		}
	}
	if (condition) {
		load_error(d->l, &yaml_get(policy, "condition")->mark,
			"services.%s.deploy.restart_policy.condition must be none, on-failure or "
			"any",
			d->service->name);
	}
	if (attempts && attempts->kind == YAML_INT) {
		d->service->restart_max = attempts->integer;
	}
}

/* Runs after the plain keys, which it has to agree with. */
static void decode_deploy(struct decoder *d, const struct yaml_node *node, void *field)
{
	const struct yaml_node *resources = yaml_get(node, "resources");
	const struct yaml_node *replicas = yaml_get(node, "replicas");
	const struct yaml_node *scale =
		yaml_get(yaml_get(yaml_get(d->l->root, "services"), d->service->name), "scale");
	const char *reserved = yaml_get_text(yaml_get(resources, "reservations"), "memory");
	struct compose_service *service = field;

	decode_deploy_limits(d, yaml_get(resources, "limits"));
	decode_deploy_restart(d, yaml_get(node, "restart_policy"));
	if (reserved) {
		service->resources.memory_reservation = strtoll(reserved, NULL, 10);
	}
	if (replicas && replicas->kind == YAML_INT) {
		if (scale && scale->kind == YAML_INT && scale->integer != replicas->integer) {
			distinct(d, replicas, "scale", "deploy.replicas");
		}
		service->scale = replicas->integer;
	}
}

#define AT(member) offsetof(struct compose_service, member)
#define WHOLE      0
#define ROW(k, fn, m)                                                                              \
	{                                                                                          \
		.key = k, .decode = fn, .offset = AT(m)                                            \
	}
#define ROW_AT(k, fn, m, p)                                                                        \
	{                                                                                          \
		.key = k, .decode = fn, .offset = AT(m), .mark_offset = AT(p)                      \
	}
#define ROW_ALL(k, fn)                                                                             \
	{                                                                                          \
		.key = k, .decode = fn, .offset = WHOLE                                            \
	}

static const struct field service_fields[] = {
	ROW("annotations", decode_pairs, annotations), ROW("attach", decode_tristate, attach),
	ROW("build", decode_context, build_context), ROW("cap_add", decode_strings, cap_add),
	ROW("cap_drop", decode_strings, cap_drop), ROW("cgroup_parent", decode_text, cgroup_parent),
	ROW("command", decode_words, command), ROW_ALL("configs", decode_configs),
	ROW("container_name", decode_text, container_name),
	ROW("cpu_period", decode_int, resources.cpu_period),
	ROW("cpu_quota", decode_int, resources.cpu_quota),
	ROW("cpu_shares", decode_int, resources.cpu_shares),
	ROW_AT("cpus", decode_double, resources.cpus, resources.cpus_mark),
	ROW("cpuset", decode_text, resources.cpuset), ROW_ALL("depends_on", decode_depends),
	ROW("devices", decode_devices, devices), ROW("dns", decode_strings, dns),
	ROW("dns_opt", decode_strings, dns_opt), ROW("dns_search", decode_strings, dns_search),
	ROW("domainname", decode_text, domainname), ROW("entrypoint", decode_words, entrypoint),
	ROW("environment", decode_pairs, environment), ROW("expose", decode_strings, expose),
	ROW("extra_hosts", decode_hosts, extra_hosts), ROW("group_add", decode_strings, group_add),
	ROW("healthcheck", decode_health, healthcheck), ROW("hostname", decode_text, hostname),
	ROW_AT("image", decode_text, image, image_mark),
	ROW_AT("init", decode_tristate, init, init_mark), ROW("ipc", decode_text, ipc),
	ROW("labels", decode_pairs, labels), ROW("logging", decode_logging, logging),
	ROW_AT("mem_limit", decode_bytes, resources.memory_limit, resources.memory_mark),
	ROW("mem_reservation", decode_bytes, resources.memory_reservation),
	ROW("mem_swappiness", decode_int, resources.memory_swappiness),
	ROW("memswap_limit", decode_bytes, resources.memory_swap_limit),
	ROW_AT("network_mode", decode_text, network_mode, network_mode_mark),
	ROW_ALL("networks", decode_networks),
	ROW("oom_kill_disable", decode_bool, resources.oom_kill_disable),
	ROW("oom_score_adj", decode_int, resources.oom_score_adj), ROW("pid", decode_text, pid),
	ROW_AT("pids_limit", decode_int, resources.pids_limit, resources.pids_mark),
	ROW_AT("platform", decode_text, platform, platform_mark), ROW_ALL("ports", decode_ports),
	ROW("privileged", decode_bool, privileged), ROW("profiles", decode_strings, profiles),
	ROW("pull_policy", decode_text, pull_policy), ROW("read_only", decode_bool, read_only),
	ROW_ALL("restart", decode_restart), ROW("scale", decode_int, scale),
	ROW_ALL("secrets", decode_secrets), ROW("security_opt", decode_strings, security_opt),
	ROW("shm_size", decode_bytes, shm_size), ROW("stdin_open", decode_bool, stdin_open),
	ROW("stop_grace_period", decode_duration, stop_grace_period_us),
	ROW("stop_signal", decode_text, stop_signal), ROW("sysctls", decode_pairs, sysctls),
	ROW("tty", decode_bool, tty), ROW_ALL("ulimits", decode_ulimits),
	ROW_AT("user", decode_text, user, user_mark), ROW("userns_mode", decode_text, userns_mode),
	ROW("uts", decode_text, uts), ROW_ALL("volumes", decode_volumes),
	ROW_ALL("tmpfs", decode_tmpfs), /* behind the volumes, as `mounts` promises */
	ROW("working_dir", decode_text, working_dir), ROW("x-wherry", decode_wherry, eager_health),
	ROW_ALL("deploy", decode_deploy), /* last: it must agree with the others */
};

static void decode_service(
	struct loader *l, const struct yaml_entry *entry, struct compose_service *service)
{
	struct decoder d = { .l = l, .service = service };

	*service = (struct compose_service){
		.name = entry->key,
		.mark = entry->key_mark,
		.init = UNSET,
		.attach = UNSET,
		.eager_health = UNSET,
		.stop_grace_period_us = -1,
		.scale = 1,
		.resources = { .memory_swappiness = -1, .oom_score_adj = INT64_MIN },
		.healthcheck = {
			.interval_us = -1,
			.timeout_us = -1,
			.start_period_us = -1,
			.start_interval_us = -1,
			.retries = -1,
		},
	};
	decode_fields(&d, entry->value, service_fields, ARRAY_SIZE(service_fields), service);
}

static int compare_services(const void *left, const void *right)
{
	const struct compose_service *a = left, *b = right;

	return strcmp(a->name, b->name);
}

static struct compose_service *decode_services(
	struct loader *l, const struct yaml_node *map, size_t *count)
{
	struct compose_service *services = arena_array(l->arena, map->count, sizeof(*services));

	for (size_t i = 0; i < map->count; i++) {
		decode_service(l, &map->entries[i], &services[i]);
	}
	qsort(services, map->count, sizeof(*services), compare_services);
	*count = map->count;
	return services;
}

/* ipam.config: subnets and gateways, pairwise. */
static void decode_ipam(
	struct decoder *d, const struct yaml_node *node, struct compose_network *network)
{
	const struct yaml_node *config = yaml_get(node, "config");
	size_t count = config && config->kind == YAML_LIST ? config->count : 0;

	network->subnets.items = arena_array(d->l->arena, count + 1, sizeof(char *));
	network->gateways.items = arena_array(d->l->arena, count + 1, sizeof(char *));
	network->subnets.count = network->gateways.count = count;
	for (size_t i = 0; i < count; i++) {
		const char *subnet = yaml_get_text(config->entries[i].value, "subnet");
		const char *gateway = yaml_get_text(config->entries[i].value, "gateway");

		network->subnets.items[i] = subnet ? subnet : "";
		network->gateways.items[i] = gateway ? gateway : "";
	}
}

static void decode_network_list(struct loader *l)
{
	static const struct field fields[] = {
		{ "name", decode_text, offsetof(struct compose_network, name), 0 },
		{ "driver", decode_text, offsetof(struct compose_network, driver), 0 },
		{ "external", decode_bool, offsetof(struct compose_network, external), 0 },
		{ "internal", decode_bool, offsetof(struct compose_network, internal), 0 },
		{ "attachable", decode_bool, offsetof(struct compose_network, attachable), 0 },
		{ "labels", decode_pairs, offsetof(struct compose_network, labels), 0 },
		{ "driver_opts", decode_pairs, offsetof(struct compose_network, driver_opts), 0 },
	};
	const struct yaml_node *map = yaml_get(l->root, "networks");
	struct decoder d = { .l = l };

	if (!map) {
		return;
	}
	l->project->networks = arena_array(l->arena, map->count, sizeof(*l->project->networks));
	l->project->network_count = map->count;
	for (size_t i = 0; i < map->count; i++) {
		struct compose_network *network = &l->project->networks[i];
		const struct yaml_node *node = map->entries[i].value;

		network->key = map->entries[i].key;
		network->mark = map->entries[i].key_mark;
		decode_fields(&d, node, fields, ARRAY_SIZE(fields), network);
		decode_ipam(&d, yaml_get(node, "ipam"), network);
	}
}

static void decode_volume_list(struct loader *l)
{
	static const struct field fields[] = {
		{ "name", decode_text, offsetof(struct compose_volume, name), 0 },
		{ "driver", decode_text, offsetof(struct compose_volume, driver), 0 },
		{ "external", decode_bool, offsetof(struct compose_volume, external), 0 },
		{ "labels", decode_pairs, offsetof(struct compose_volume, labels), 0 },
		{ "driver_opts", decode_pairs, offsetof(struct compose_volume, driver_opts), 0 },
	};
	const struct yaml_node *map = yaml_get(l->root, "volumes");
	struct decoder d = { .l = l };

	if (!map) {
		return;
	}
	l->project->volumes = arena_array(l->arena, map->count, sizeof(*l->project->volumes));
	l->project->volume_count = map->count;
	for (size_t i = 0; i < map->count; i++) {
		struct compose_volume *volume = &l->project->volumes[i];

		volume->key = map->entries[i].key;
		volume->mark = map->entries[i].key_mark;
		decode_fields(&d, map->entries[i].value, fields, ARRAY_SIZE(fields), volume);
	}
}

static struct compose_object *decode_objects(struct loader *l, const char *section, size_t *count)
{
	static const struct field fields[] = {
		{ "name", decode_text, offsetof(struct compose_object, name), 0 },
		{ "file", decode_text, offsetof(struct compose_object, file), 0 },
		{ "environment", decode_text, offsetof(struct compose_object, environment), 0 },
		{ "content", decode_text, offsetof(struct compose_object, content), 0 },
		{ "external", decode_bool, offsetof(struct compose_object, external), 0 },
	};
	const struct yaml_node *map = yaml_get(l->root, section);
	struct compose_object *objects;
	struct decoder d = { .l = l };

	*count = map ? map->count : 0;
	objects = arena_array(l->arena, *count, sizeof(*objects));
	for (size_t i = 0; i < *count; i++) {
		objects[i].key = map->entries[i].key;
		objects[i].mark = map->entries[i].key_mark;
		decode_fields(&d, map->entries[i].value, fields, ARRAY_SIZE(fields), &objects[i]);
	}
	return objects;
}

void compose_decode(struct loader *l)
{
	struct compose_project *p = l->project;
	struct decoder d = { .l = l };

	p->services = decode_services(l, yaml_get(l->root, "services"), &p->service_count);
	p->disabled =
		decode_services(l, yaml_get(l->root, "x-wherry-disabled"), &p->disabled_count);
	decode_network_list(l);
	decode_volume_list(l);
	p->secrets = decode_objects(l, "secrets", &p->secret_count);
	p->configs = decode_objects(l, "configs", &p->config_count);
	if (yaml_get(l->root, "x-wherry")) {
		decode_wherry(&d, yaml_get(l->root, "x-wherry"), &p->eager_health);
	}
}
