/*
 * The plan as JSON: tables that name every member once, for printing and parsing alike. What
 * comes back in over the socket or from disk is checked member by member.
 */
#include <errno.h>

#include "base/json.h"
#include "init/plan.h"
#include "init/plan_private.h"
#include "specs/json_fields.h"

/* Labels: an ordered object of texts. Their places in the file are not kept. */
static json_t *pairs_print(const struct compose_pairs *pairs)
{
	json_t *object = pairs->count ? json_object() : NULL;

	for (size_t i = 0; i < pairs->count; i++) {
		const char *value = pairs->items[i].value;

		json_put_text(object, pairs->items[i].key, value ? value : "");
	}
	return object;
}

static int pairs_read(const struct field_reader *reader, const struct field_place *place,
	const json_t *value, struct compose_pairs *pairs)
{
	const char *key;
	json_t *text;

	if (!json_is_object(value)) {
		return field_error(reader, place, "an object expected");
	}
	pairs->items = arena_array(reader->arena, json_object_size(value), sizeof(*pairs->items));
	json_object_foreach((json_t *)value, key, text)
	{
		if (!json_is_string(text)) {
			return field_error(reader, place, "\"%.80s\" is no text", key);
		}
		pairs->items[pairs->count].key = arena_strdup(reader->arena, key);
		pairs->items[pairs->count++].value =
			arena_strdup(reader->arena, json_string_value(text));
	}
	return 0;
}

#define LABELS_OF(type)                                                                            \
	static json_t *type##_labels_print(const void *base)                                       \
	{                                                                                          \
		return pairs_print(&((const struct type *)base)->labels);                          \
	}                                                                                          \
	static int type##_labels_read(const struct field_reader *reader,                           \
		const struct field_place *place, const json_t *value, void *base)                  \
	{                                                                                          \
		return pairs_read(reader, place, value, &((struct type *)base)->labels);           \
	}
LABELS_OF(plan_network)
LABELS_OF(plan_volume)
LABELS_OF(plan_container)

#define LABELS(type)                                                                               \
	{                                                                                          \
		.name = "labels", .kind = FIELD_CUSTOM, .read = type##_labels_read,                \
		.print = type##_labels_print                                                       \
	}

static const struct field network_fields[] = {
	{ FIELD_TEXT_AT("key", struct plan_network, key), .required = true },
	{ FIELD_TEXT_AT("name", struct plan_network, name), .required = true },
	{ FIELD_FLAG_AT("external", struct plan_network, external) },
	{ FIELD_FLAG_AT("internal", struct plan_network, internal) },
	{ FIELD_TEXT_AT("subnet", struct plan_network, subnet) },
	{ FIELD_TEXT_AT("gateway", struct plan_network, gateway) },
	LABELS(plan_network),
	{ .name = NULL },
};

static const struct field volume_fields[] = {
	{ FIELD_TEXT_AT("key", struct plan_volume, key), .required = true },
	{ FIELD_TEXT_AT("name", struct plan_volume, name), .required = true },
	{ FIELD_FLAG_AT("external", struct plan_volume, external) },
	LABELS(plan_volume),
	{ .name = NULL },
};

static const struct field volume_mount_fields[] = {
	{ FIELD_TEXT_AT("volume", struct plan_volume_mount, volume) },
	{ FIELD_TEXT_AT("target", struct plan_volume_mount, target), .required = true },
	{ FIELD_TEXT_AT("subpath", struct plan_volume_mount, subpath) },
	{ FIELD_FLAG_AT("read_only", struct plan_volume_mount, read_only) },
	{ FIELD_FLAG_AT("nocopy", struct plan_volume_mount, nocopy) },
	{ .name = NULL },
};

static const struct field endpoint_fields[] = {
	{ FIELD_TEXT_AT("network", struct plan_endpoint, network), .required = true },
	{ FIELD_VECTOR_AT("aliases", FIELD_STRINGS, struct plan_endpoint, aliases, alias_count) },
	{ FIELD_TEXT_AT("ipv4_address", struct plan_endpoint, ipv4_address) },
	{ FIELD_TEXT_AT("mac_address", struct plan_endpoint, mac_address) },
	{ .name = NULL },
};

static const struct field port_fields[] = {
	{ FIELD_TEXT_AT("host_ip", struct plan_port, host_ip) },
	{ FIELD_INT_AT("published_first", struct plan_port, published_first, 0, UINT16_MAX) },
	{ FIELD_INT_AT("published_last", struct plan_port, published_last, 0, UINT16_MAX) },
	{ FIELD_INT_AT("target", struct plan_port, target, 1, UINT16_MAX), .required = true },
	{ FIELD_TEXT_AT("protocol", struct plan_port, protocol), .required = true },
	{ FIELD_TEXT_AT("where", struct plan_port, where) },
	{ .name = NULL },
};

static const struct field_word conditions[] = {
	{ "started", DEPEND_STARTED },
	{ "healthy", DEPEND_HEALTHY },
	{ "completed", DEPEND_COMPLETED },
	{ NULL, 0 },
};

static const struct field dependency_fields[] = {
	{ FIELD_TEXT_AT("service", struct plan_dependency, service), .required = true },
	{ FIELD_WORD_AT("condition", struct plan_dependency, condition, conditions),
		.required = true },
	{ FIELD_FLAG_AT("required", struct plan_dependency, required) },
	{ FIELD_FLAG_AT("restart", struct plan_dependency, restart) },
	{ .name = NULL },
};

static const struct field_word restarts[] = {
	{ "no", RESTART_NO },
	{ "always", RESTART_ALWAYS },
	{ "on-failure", RESTART_ON_FAILURE },
	{ "unless-stopped", RESTART_UNLESS_STOPPED },
	{ NULL, 0 },
};

#define HEALTH_TIME(label, member)                                                                 \
	{                                                                                          \
		FIELD_INT_AT(label, struct unit_policy, health.member, 0, INT64_MAX)               \
	}

static const struct field policy_fields[] = {
	{ FIELD_WORD_AT("restart", struct unit_policy, restart, restarts), .required = true },
	{ FIELD_INT_AT("restart_max", struct unit_policy, restart_max, 0, UINT32_MAX) },
	{ FIELD_INT_AT("stop_signal", struct unit_policy, stop_signal, 1, 64), .required = true },
	{ FIELD_INT_AT("stop_grace_us", struct unit_policy, stop_grace_us, INT64_MIN, INT64_MAX),
		.required = true, .unset = INT64_MIN },
	{ FIELD_FLAG_AT("health", struct unit_policy, health.enabled) },
	{ FIELD_FLAG_AT("health_eager", struct unit_policy, health.eager) },
	HEALTH_TIME("health_interval_us", interval_us),
	HEALTH_TIME("health_timeout_us", timeout_us),
	HEALTH_TIME("health_start_period_us", start_period_us),
	HEALTH_TIME("health_start_interval_us", start_interval_us),
	{ FIELD_INT_AT("health_retries", struct unit_policy, health.retries, 0, UINT32_MAX) },
	{ .name = NULL },
};

static const struct field_word seccomps[] = {
	{ "default", PLAN_SECCOMP_DEFAULT },
	{ "unconfined", PLAN_SECCOMP_UNCONFINED },
	{ "custom", PLAN_SECCOMP_CUSTOM },
	{ NULL, 0 },
};

static json_t *config_print(const void *base)
{
	return oci_config_print(&((const struct plan_container *)base)->config);
}

static int config_read(const struct field_reader *reader, const struct field_place *place,
	const json_t *value, void *base)
{
	struct plan_container *container = base;

	(void)place;
	return oci_config_parse(value, reader->arena, &container->config, reader->err);
}

#define TEXT(label, member)                                                                        \
	{                                                                                          \
		FIELD_TEXT_AT(label, struct plan_container, member)                                \
	}
#define TEXT_REQUIRED(label, member)                                                               \
	{                                                                                          \
		FIELD_TEXT_AT(label, struct plan_container, member), .required = true              \
	}
#define FLAG(label, member)                                                                        \
	{                                                                                          \
		FIELD_FLAG_AT(label, struct plan_container, member)                                \
	}
#define STRINGS(label, member, count)                                                              \
	{                                                                                          \
		FIELD_VECTOR_AT(label, FIELD_STRINGS, struct plan_container, member, count)        \
	}
#define LIST(label, member, count, table)                                                          \
	{                                                                                          \
		FIELD_LIST_AT(label, struct plan_container, member, count, table)                  \
	}

static const struct field container_fields[] = {
	TEXT_REQUIRED("name", name),
	TEXT_REQUIRED("service", service),
	{ FIELD_INT_AT("number", struct plan_container, number, 0, UINT32_MAX) },
	FLAG("oneoff", oneoff),
	TEXT_REQUIRED("image", image),
	TEXT("image_id", image_id),
	TEXT("hash", hash),
	{ .name = "config",
		.kind = FIELD_CUSTOM,
		.required = true,
		.read = config_read,
		.print = config_print },
	{ FIELD_WORD_AT("seccomp", struct plan_container, seccomp, seccomps) },
	STRINGS("lower", lower, lower_count),
	TEXT("user", user),
	{ FIELD_VECTOR_AT(
		  "extra_gids", FIELD_IDS, struct plan_container, extra_gids, extra_gid_count),
		.min = 0, .max = UINT32_MAX - 1 },
	FLAG("init", init),
	FLAG("stdin_open", stdin_open),
	FLAG("privileged", privileged),
	STRINGS("bind_folders", bind_folders, bind_folder_count),
	LIST("volumes", volumes, volume_count, volume_mount_fields),
	LIST("endpoints", endpoints, endpoint_count, endpoint_fields),
	TEXT("network_mode", network_mode),
	LIST("ports", ports, port_count, port_fields),
	STRINGS("expose", expose, expose_count),
	STRINGS("extra_hosts", extra_hosts, extra_host_count),
	STRINGS("dns", dns, dns_count),
	STRINGS("dns_search", dns_search, dns_search_count),
	STRINGS("dns_options", dns_options, dns_option_count),
	LIST("depends_on", depends_on, depends_count, dependency_fields),
	{ .name = "policy",
		.kind = FIELD_OBJECT,
		.required = true,
		.offset = offsetof(struct plan_container, policy),
		.fields = policy_fields },
	STRINGS("health_test", health_test, health_test_count),
	{ FIELD_INT_AT("log_max_size", struct plan_container, log_max_size, 0, INT64_MAX) },
	{ FIELD_INT_AT("log_max_file", struct plan_container, log_max_file, 1, UINT32_MAX),
		.unset = 1 },
	LABELS(plan_container),
	TEXT("where", where),
	TEXT("id", id),
	{ FIELD_INT_AT(
		"created_wall_ns", struct plan_container, created_wall_ns, INT64_MIN, INT64_MAX) },
	{ .name = NULL },
};

static const struct field plan_fields[] = {
	{ FIELD_TEXT_AT("project", struct plan, project), .required = true },
	{ FIELD_TEXT_AT("directory", struct plan, directory), .required = true },
	{ FIELD_VECTOR_AT(
		"config_files", FIELD_STRINGS, struct plan, config_files, config_file_count) },
	{ FIELD_LIST_AT("networks", struct plan, networks, network_count, network_fields) },
	{ FIELD_LIST_AT("volumes", struct plan, volumes, volume_count, volume_fields) },
	{ .name = NULL },
};

json_t *plan_container_print(const struct plan_container *container)
{
	return fields_print(container_fields, container);
}

/* Counted vectors are NULL-terminated for their users; one that is not there is NULL. */
static int container_check(struct plan_container *container, struct error *err)
{
	if (container->config.process.arg_count == 0) {
		return error_say(err, EINVAL, "container %.80s: no command", container->name);
	}
	if (container->id && strlen(container->id) >= CONTAINER_ID_SIZE) {
		return error_say(err, EINVAL, "container %.80s: bad id", container->name);
	}
	if (strchr(container->name, '/') || container->name[0] == '.' || !container->name[0]) {
		return error_say(err, EINVAL, "bad container name \"%.80s\"", container->name);
	}
	if (container->policy.health.enabled != (container->health_test_count > 0)) {
		return error_say(err, EINVAL, "container %.80s: health policy and test disagree",
			container->name);
	}
	return 0;
}

int plan_container_parse(const json_t *json, struct plan_container **container, struct error *err)
{
	struct plan_container *made = plan_container_new();
	struct field_reader reader = { .arena = &made->arena, .err = err };
	int r;

	fields_init(container_fields, made);
	r = fields_read(&reader, NULL, json, container_fields, made);
	if (r == 0) {
		r = container_check(made, err);
	}
	if (r < 0) {
		plan_container_free(made);
		return r;
	}
	*container = made;
	return 0;
}

json_t *plan_print(const struct plan *plan)
{
	json_t *json = json_object(), *body = fields_print(plan_fields, plan), *list = json_array();

	json_put_int(json, "version", PLAN_VERSION);
	json_object_update(json, body);
	json_decref(body);
	for (size_t i = 0; i < plan->container_count; i++) {
		json_array_append_new(list, plan_container_print(plan->containers[i]));
	}
	json_put(json, "containers", list);
	return json;
}

static int containers_parse(const json_t *list, struct plan *plan, struct error *err)
{
	size_t count = json_array_size(list);

	if (!json_is_array(list)) {
		return error_say(err, EINVAL, "containers: a list expected");
	}
	plan->containers = arena_array(&plan->arena, count, sizeof(struct plan_container *));
	for (size_t i = 0; i < count; i++) {
		int r = plan_container_parse(json_array_get(list, i), &plan->containers[i], err);

		if (r < 0) {
			return error_prefix(err, "containers[%zu]", i);
		}
		plan->container_count++;
	}
	return 0;
}

int plan_parse(const json_t *json, struct plan **plan, struct error *err)
{
	int64_t version = json_int(json, "version", 0);
	struct field_reader reader = { .err = err };
	struct plan *made;
	int r;

	if (version != PLAN_VERSION) {
		return error_say(err, EPROTONOSUPPORT,
			"a plan of version %lld is not for this wherry (it knows version %d)",
			(long long)version, PLAN_VERSION);
	}
	made = xcalloc(1, sizeof(*made));
	reader.arena = &made->arena;
	r = fields_read(&reader, NULL, json, plan_fields, made);
	if (r == 0) {
		r = containers_parse(json_object_get(json, "containers"), made, err);
	}
	if (r < 0) {
		plan_free(made);
		return error_prefix(err, "plan");
	}
	*plan = made;
	return 0;
}

/* What may differ between two runs of `up` without asking for a recreate. */
static const char *const volatile_members[] = { "name", "number", "oneoff", "hash", "lower",
	"depends_on", "where", "id", "created_wall_ns" };

void plan_container_hash(struct plan_container *container)
{
	_cleanup_json_ json_t *json = plan_container_print(container);
	_cleanup_free_ char *text = NULL;
	char hex[HASH_HEX_SIZE];
	struct hash hash;
	json_t *port;
	size_t index;

	for (size_t i = 0; i < ARRAY_SIZE(volatile_members); i++) {
		json_object_del(json, volatile_members[i]);
	}
	json_array_foreach(json_object_get(json, "ports"), index, port)
	{
		json_object_del(port, "where");
	}
	text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	hash_init(&hash);
	hash_add_text(&hash, text ? text : "");
	hash_hex(&hash, hex);
	container->hash = arena_strdup(&container->arena, hex);
}
