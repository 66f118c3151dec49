/* The rest of a container: network, policy, health, logs, labels, and what is not honoured. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "init/plan_private.h"
#include "specs/units.h"

/* Network. */

static const struct compose_network *find_network(
	const struct compose_project *project, const char *key)
{
	for (size_t i = 0; i < project->network_count; i++) {
		if (strcmp(project->networks[i].key, key) == 0) {
			return &project->networks[i];
		}
	}
	return NULL;
}

static void add_endpoint(
	const struct container_builder *b, const struct compose_service_network *from)
{
	struct plan_container *container = b->container;
	const struct compose_network *network = find_network(b->plan->project, from->name);
	struct plan_endpoint *endpoint;

	if (!network) {
		plan_fail(b, &from->mark, "networks", "there is no network \"%s\"", from->name);
		return;
	}
	if (from->ipv6_address) {
		plan_warn(b, &from->mark, "networks",
			"ipv6_address is not supported, left out (network %s)", from->name);
	}
	endpoint = &container->endpoints[container->endpoint_count++];
	*endpoint = (struct plan_endpoint){
		.network = arena_strdup(b->arena, network->name),
		.ipv4_address = arena_strdup(b->arena, from->ipv4_address),
		.mac_address = arena_strdup(b->arena, from->mac_address),
	};
	/* A `run` container answers to its own name alone, and takes nobody's address. */
	if (b->oneoff) {
		endpoint->ipv4_address = NULL;
		endpoint->mac_address = NULL;
		return;
	}
	for (size_t i = 0; i < from->aliases.count; i++) {
		plan_strings_add(b->arena, &endpoint->aliases, &endpoint->alias_count,
			from->aliases.items[i]);
	}
}

static void add_ports(const struct container_builder *b)
{
	const struct compose_service *service = b->service;
	struct plan_container *container = b->container;

	if (b->oneoff && !b->plan->options->oneoff_ports) {
		return;
	}
	container->ports = arena_array(b->arena, service->port_count, sizeof(*container->ports));
	for (size_t i = 0; i < service->port_count; i++) {
		const struct compose_port *port = &service->ports[i];

		container->ports[container->port_count++] = (struct plan_port){
			.host_ip = arena_strdup(b->arena, port->host_ip),
			.published_first = port->published_first,
			.published_last = port->published_last,
			.target = port->target,
			.protocol = arena_strdup(b->arena, port->protocol ? port->protocol : "tcp"),
			.where = plan_where(b->arena, &port->mark),
		};
	}
}

static void add_expose(const struct container_builder *b, const char *text)
{
	struct plan_container *container = b->container;
	char *full = arena_printf(b->arena, "%s%s", text, strchr(text, '/') ? "" : "/tcp");

	for (size_t i = 0; i < container->expose_count; i++) {
		if (strcmp(container->expose[i], full) == 0) {
			return;
		}
	}
	plan_strings_add(b->arena, &container->expose, &container->expose_count, full);
}

static void copy_strings(const struct container_builder *b, const struct compose_strings *from,
	const char ***items, size_t *count)
{
	for (size_t i = 0; i < from->count; i++) {
		plan_strings_add(b->arena, items, count, from->items[i]);
	}
}

static void build_namespaces(const struct container_builder *b)
{
	static const int types[] = { CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS, CLONE_NEWIPC,
		CLONE_NEWCGROUP, CLONE_NEWNET };
	struct oci_config *config = &b->container->config;
	const char *mode = b->container->network_mode;
	size_t count = ARRAY_SIZE(types);

	count -= mode && strcmp(mode, "host") == 0;
	config->namespaces = arena_array(b->arena, count, sizeof(*config->namespaces));
	config->namespace_count = count;
	for (size_t i = 0; i < count; i++) {
		config->namespaces[i].type = types[i];
	}
}

void plan_build_network(const struct container_builder *b)
{
	const struct compose_service *service = b->service;
	struct plan_container *container = b->container;
	const char *mode = service->network_mode;
	const char **port;

	if (mode && strcmp(mode, "none") != 0 && strcmp(mode, "host") != 0) {
		plan_fail(b, &service->network_mode_mark, "network_mode",
			"\"%s\" is not supported (\"none\" and \"host\" are)", mode);
		return;
	}
	container->network_mode = arena_strdup(b->arena, mode);
	build_namespaces(b);
	if (!mode) {
		container->endpoints = arena_array(
			b->arena, service->network_count, sizeof(*container->endpoints));
		for (size_t i = 0; i < service->network_count; i++) {
			add_endpoint(b, &service->networks[i]);
		}
	}
	if (mode && service->port_count && !b->oneoff) {
		plan_warn(b, &service->ports[0].mark, "ports",
			"nothing is published with network_mode \"%s\"", mode);
	} else {
		add_ports(b);
	}
	for (port = b->image->config.exposed_ports; port && *port; port++) {
		add_expose(b, *port);
	}
	for (size_t i = 0; i < service->expose.count; i++) {
		add_expose(b, service->expose.items[i]);
	}
	for (size_t i = 0; i < service->extra_hosts.count; i++) {
		const struct compose_pair *host = &service->extra_hosts.items[i];

		plan_strings_add(b->arena, &container->extra_hosts, &container->extra_host_count,
			arena_printf(
				b->arena, "%s\t%s", host->value ? host->value : "", host->key));
	}
	copy_strings(b, &service->dns, &container->dns, &container->dns_count);
	copy_strings(b, &service->dns_search, &container->dns_search, &container->dns_search_count);
	copy_strings(b, &service->dns_opt, &container->dns_options, &container->dns_option_count);
}

/* Policy: restarts and stopping. */

void plan_build_policy(const struct container_builder *b)
{
	static const enum restart_policy policies[] = {
		[COMPOSE_RESTART_NO] = RESTART_NO,
		[COMPOSE_RESTART_ALWAYS] = RESTART_ALWAYS,
		[COMPOSE_RESTART_ON_FAILURE] = RESTART_ON_FAILURE,
		[COMPOSE_RESTART_UNLESS_STOPPED] = RESTART_UNLESS_STOPPED,
	};
	const struct compose_service *service = b->service;
	struct unit_policy *policy = &b->container->policy;
	const char *text =
		service->stop_signal ? service->stop_signal : b->image->config.stop_signal;

	if (!b->oneoff) {
		policy->restart = policies[service->restart];
		policy->restart_max = service->restart_max > 0 && service->restart_max <= UINT32_MAX
					      ? (uint32_t)service->restart_max
					      : 0;
	}
	policy->stop_signal = text && *text ? units_parse_signal(text) : SIGTERM;
	if (policy->stop_signal <= 0) {
		if (service->stop_signal) {
			plan_fail(b, NULL, "stop_signal", "unknown signal \"%s\"", text);
		} else {
			plan_warn(b, &service->image_mark, "image",
				"its stop signal \"%s\" is unknown: SIGTERM is sent", text);
		}
		policy->stop_signal = SIGTERM;
	}
	if (service->stop_grace_period_us >= 0) {
		policy->stop_grace_us = service->stop_grace_period_us;
	}
}

/* Health: each field from the file, else from the image, else docker's default. */

static int64_t choose(int64_t file, int64_t image, int64_t fallback)
{
	if (file > 0) {
		return file;
	}
	return image > 0 ? image : fallback;
}

static void add_test(const struct container_builder *b, const char *word)
{
	plan_strings_add(
		b->arena, &b->container->health_test, &b->container->health_test_count, word);
}

/* The check's command line, or nothing. */
static void build_test(const struct container_builder *b)
{
	const struct compose_healthcheck *check = &b->service->healthcheck;
	const char *const *test = check->is_set && check->test.is_set && check->test.count
					  ? (const char *const *)check->test.items
					  : (const char *const *)b->image->config.health.test;
	static const char *default_shell[] = { "/bin/sh", "-c", NULL };
	const char **shell = b->image->config.shell;

	if (check->disable || !test || !*test || strcmp(*test, "NONE") == 0) {
		return;
	}
	if (strcmp(*test, "CMD-SHELL") == 0) {
		if (!test[1]) {
			return;
		}
		if (!shell || !*shell) {
			shell = default_shell;
		}
		for (; *shell; shell++) {
			add_test(b, *shell);
		}
	}
	for (test++; *test; test++) {
		add_test(b, *test);
	}
}

static bool is_eager(const struct container_builder *b)
{
	enum tristate eager = b->service->eager_health;

	if (eager == UNSET) {
		eager = b->plan->project->eager_health;
	}
	return eager != NO;
}

void plan_build_health(const struct container_builder *b)
{
	/* Not given at all: as if every field said so. */
	static const struct compose_healthcheck absent = { .interval_us = -1,
		.timeout_us = -1,
		.start_period_us = -1,
		.start_interval_us = -1,
		.retries = -1 };
	const struct compose_healthcheck *file =
		b->service->healthcheck.is_set ? &b->service->healthcheck : &absent;
	const struct image_health *image = &b->image->config.health;
	struct unit_policy *policy = &b->container->policy;
	int64_t retries = choose(file->retries, image->retries, 3);

	build_test(b);
	if (b->container->health_test_count == 0) {
		return;
	}
	policy->health.enabled = true;
	policy->health.eager = is_eager(b);
	policy->health.interval_us =
		choose(file->interval_us, image->interval_us, 30 * USEC_PER_SEC);
	policy->health.timeout_us = choose(file->timeout_us, image->timeout_us, 30 * USEC_PER_SEC);
	policy->health.start_period_us = choose(file->start_period_us, image->start_period_us, 0);
	policy->health.start_interval_us =
		choose(file->start_interval_us, image->start_interval_us, 5 * USEC_PER_SEC);
	policy->health.retries = retries > UINT32_MAX ? UINT32_MAX : (uint32_t)retries;
}

/* Logs. */

static void log_option(const struct container_builder *b, const struct compose_pair *option)
{
	struct plan_container *container = b->container;
	const char *value = option->value ? option->value : "";
	int64_t number;
	char *end;

	if (strcmp(option->key, "max-size") == 0) {
		if (strcmp(value, "-1") == 0) {
			return;
		}
		if (units_parse_bytes(value, &number) < 0 || number <= 0) {
			plan_fail(b, &option->mark, "logging.options",
				"max-size: \"%s\" is no size", value);
			return;
		}
		container->log_max_size = number;
	} else if (strcmp(option->key, "max-file") == 0) {
		number = strtoll(value, &end, 10);
		if (*end || end == value || number < 1 || number > UINT32_MAX) {
			plan_fail(b, &option->mark, "logging.options",
				"max-file: \"%s\" is no number from 1", value);
			return;
		}
		container->log_max_file = (uint32_t)number;
	} else {
		plan_warn(b, &option->mark, "logging.options", "%s is not supported, left out",
			option->key);
	}
}

void plan_build_logging(const struct container_builder *b)
{
	const struct compose_logging *logging = &b->service->logging;
	const char *driver = logging->driver;

	if (driver && strcmp(driver, "json-file") != 0 && strcmp(driver, "local") != 0) {
		plan_warn(b, &logging->mark, "logging.driver",
			"\"%s\" is not supported, json-file is used", driver);
		return;
	}
	/* docker's `local` rotates by itself: 5 files of 20 MB. json-file never does unless told. */
	if (driver && strcmp(driver, "local") == 0) {
		b->container->log_max_size = INT64_C(20) << 20;
		b->container->log_max_file = 5;
	}
	for (size_t i = 0; i < logging->options.count; i++) {
		log_option(b, &logging->options.items[i]);
	}
	if (b->container->log_max_file > 1 && b->container->log_max_size == 0) {
		plan_fail(b, &logging->mark, "logging.options", "max-file needs max-size");
	}
}

/* Labels. */

static void label(const struct container_builder *b, const char *key, const char *value)
{
	struct compose_pairs *labels = &b->container->labels;

	value = arena_strdup(b->arena, value ? value : "");
	for (size_t i = 0; i < labels->count; i++) {
		if (strcmp(labels->items[i].key, key) == 0) {
			labels->items[i].value = value;
			return;
		}
	}
	labels->items[labels->count++] = (struct compose_pair){
		.key = arena_strdup(b->arena, key),
		.value = value,
	};
}

static void compose_label(const struct container_builder *b, const char *name, const char *value)
{
	label(b, arena_printf(b->arena, "com.docker.compose.%s", name), value);
}

static char *joined(const struct container_builder *b, const struct compose_strings *list)
{
	_cleanup_str_ struct str text = { 0 };

	for (size_t i = 0; i < list->count; i++) {
		str_addf(&text, "%s%s", i ? "," : "", list->items[i]);
	}
	return arena_strdup(b->arena, str_text(&text));
}

/* "db:service_healthy:false,..." as compose writes it. */
static char *dependency_label(const struct container_builder *b)
{
	static const char *const conditions[] = {
		[DEPEND_STARTED] = "service_started",
		[DEPEND_HEALTHY] = "service_healthy",
		[DEPEND_COMPLETED] = "service_completed_successfully",
	};
	_cleanup_str_ struct str text = { 0 };

	for (size_t i = 0; i < b->container->depends_count; i++) {
		const struct plan_dependency *d = &b->container->depends_on[i];

		str_addf(&text, "%s%s:%s:%s", i ? "," : "", d->service, conditions[d->condition],
			d->restart ? "true" : "false");
	}
	return arena_strdup(b->arena, str_text(&text));
}

static size_t image_label_count(const struct image_config *image)
{
	size_t n = 0;

	while (image->label_keys && image->label_keys[n]) {
		n++;
	}
	return n;
}

void plan_build_labels(const struct container_builder *b)
{
	enum { COMPOSE_LABELS = 12 };
	const struct compose_project *project = b->plan->project;
	const struct image_config *image = &b->image->config;
	const struct compose_pairs *own = &b->service->labels;
	size_t from_image = image_label_count(image);
	char number[16];

	/* The file's own labels are there already: they are part of the hash. */
	struct compose_pairs hashed = b->container->labels;

	b->container->labels = (struct compose_pairs){
		.items = arena_array(
			b->arena, from_image + own->count + COMPOSE_LABELS, sizeof(*hashed.items))
	};
	for (size_t i = 0; i < from_image; i++) {
		label(b, image->label_keys[i], image->label_values[i]);
	}
	for (size_t i = 0; i < hashed.count; i++) {
		label(b, hashed.items[i].key, hashed.items[i].value);
	}
	snprintf(number, sizeof(number), "%u", b->container->number);
	compose_label(b, "project", project->name);
	compose_label(b, "service", b->service->name);
	compose_label(b, "container-number", number);
	compose_label(b, "oneoff", b->oneoff ? "True" : "False");
	compose_label(b, "config-hash", b->container->hash);
	compose_label(b, "image", b->container->image_id);
	compose_label(b, "depends_on", dependency_label(b));
	compose_label(b, "project.working_dir", project->directory);
	compose_label(b, "project.config_files", joined(b, &project->files));
	if (project->env_files.count) {
		compose_label(b, "project.environment_file", joined(b, &project->env_files));
	}
	compose_label(b, "version", WHERRY_VERSION);
}

/* The file's labels and annotations, and what is asked for and not to be had. */

static void copy_annotations(const struct container_builder *b)
{
	const struct compose_pairs *from = &b->service->annotations;
	struct oci_config *config = &b->container->config;

	config->annotations = arena_array(b->arena, from->count, sizeof(*config->annotations));
	for (size_t i = 0; i < from->count; i++) {
		config->annotations[config->annotation_count++] = (struct oci_pair){
			.key = arena_strdup(b->arena, from->items[i].key),
			.value = arena_strdup(
				b->arena, from->items[i].value ? from->items[i].value : ""),
		};
	}
}

/* Sharing a namespace with the host or a neighbour: refused, because a container that counts on
 * it would not work, and one that does not would be less apart than the file says. */
static void refuse_mode(
	const struct container_builder *b, const char *key, const char *value, const char *fine)
{
	if (value && *value && strcmp(value, "private") != 0 &&
		(!fine || strcmp(value, fine) != 0)) {
		plan_fail(b, NULL, key, "\"%s\" is not supported", value);
	}
}

void plan_build_refusals(const struct container_builder *b)
{
	const struct compose_service *service = b->service;

	b->container->labels.items =
		arena_array(b->arena, service->labels.count, sizeof(*b->container->labels.items));
	for (size_t i = 0; i < service->labels.count; i++) {
		label(b, service->labels.items[i].key, service->labels.items[i].value);
	}
	copy_annotations(b);
	refuse_mode(b, "pid", service->pid, NULL);
	refuse_mode(b, "ipc", service->ipc, "shareable");
	refuse_mode(b, "uts", service->uts, NULL);
	refuse_mode(b, "userns_mode", service->userns_mode, "host");
	for (size_t i = 0; i < service->secret_count; i++) {
		plan_warn(b, &service->secrets[i].mark, "secrets",
			"%s is not mounted: a later version will", service->secrets[i].source);
	}
	for (size_t i = 0; i < service->config_count; i++) {
		plan_warn(b, &service->configs[i].mark, "configs",
			"%s is not mounted: a later version will", service->configs[i].source);
	}
	if (service->stdin_open && !service->tty && !b->oneoff) {
		plan_warn(b, NULL, "stdin_open", "not supported, standard input is empty");
	}
	if (service->cgroup_parent) {
		plan_warn(b, NULL, "cgroup_parent", "not supported, left out");
	}
	if (service->pull_policy && strcmp(service->pull_policy, "missing") != 0 &&
		strcmp(service->pull_policy, "if_not_present") != 0 &&
		strcmp(service->pull_policy, "never") != 0) {
		plan_warn(b, NULL, "pull_policy",
			"\"%s\": images are not pulled, the one in the store is used",
			service->pull_policy);
	}
	if (service->build_context && !service->image) {
		plan_warn(b, NULL, "build",
			"not built by this version: the image \"%s\" of the store is used",
			b->image->name);
	}
}
