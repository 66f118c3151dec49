#include "rootfs-tools/image/config_options.h"

#include <errno.h>

#include "base/clock.h"
#include "base/json.h"
#include "rootfs-tools/store.h"
#include "specs/shell_words.h"
#include "specs/units.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char **list_copy(struct arena *arena, const struct strv *strings)
{
	const char **list;

	if (strings->count == 0) {
		return NULL;
	}
	list = arena_array(arena, strings->count + 1, sizeof(*list));
	for (size_t i = 0; i < strings->count; i++) {
		list[i] = arena_strdup(arena, strings->items[i]);
	}
	return list;
}

/* A JSON list of strings as a vector; NULL with @err filled if it is none. */
static const char **list_from_json(
	struct arena *arena, const char *option, const char *text, struct error *err)
{
	_cleanup_json_ json_t *json = json_parse(text, strlen(text), option, err);
	const char **list;
	json_t *item;
	size_t i;

	if (!json_is_array(json)) {
		return NULL;
	}
	list = arena_array(arena, json_array_size(json) + 1, sizeof(*list));
	json_array_foreach(json, i, item)
	{
		if (!json_is_string(item)) {
			error_say(
				err, EINVAL, "%s: every item of the list must be a string", option);
			return NULL;
		}
		list[i] = arena_strdup(arena, json_string_value(item));
	}
	return list;
}

static int parse_words(struct arena *arena, const char *option, const char *text,
	const char ***list, struct error *err)
{
	_cleanup_strv_ struct strv words = { 0 };
	const char *dropped = NULL;

	if (!text) {
		return 0;
	}
	if (text[0] == '[') {
		*list = list_from_json(arena, option, text, err);
		return *list ? 0 : -EINVAL;
	}
	if (shell_words_split(text, &words, &dropped) < 0 || dropped) {
		return error_say(err, EINVAL,
			"%s: %s: words only; for a shell write [\"sh\", \"-c\", \"...\"]", option,
			text);
	}
	*list = list_copy(arena, &words);
	return 0;
}

static int check_pairs(const char *option, const struct strv *pairs, struct error *err)
{
	for (size_t i = 0; i < pairs->count; i++) {
		const char *equals = strchr(pairs->items[i], '=');

		if (!equals || equals == pairs->items[i]) {
			return error_say(
				err, EINVAL, "%s %s: must be KEY=VALUE", option, pairs->items[i]);
		}
	}
	return 0;
}

static int check_absolute(const char *option, const char *path, struct error *err)
{
	if (path && path[0] != '/') {
		return error_say(err, EINVAL, "%s %s: must be an absolute path", option, path);
	}
	return 0;
}

static int apply_environment(const struct config_options *options, struct arena *arena,
	struct image_config *config, struct error *err)
{
	_cleanup_strv_ struct strv env = { 0 };
	bool has_path = false;

	for (size_t i = 0; i < options->env.count; i++) {
		has_path |= strncmp(options->env.items[i], "PATH=", 5) == 0;
	}
	if (!has_path) {
		strv_add(&env, DEFAULT_PATH);
	}
	for (size_t i = 0; i < options->env.count; i++) {
		strv_add(&env, options->env.items[i]);
	}
	config->env = list_copy(arena, &env);
	return check_pairs("--env", &options->env, err);
}

static int apply_labels(const struct config_options *options, struct arena *arena,
	struct image_config *config, struct error *err)
{
	size_t count = options->labels.count;
	int r = check_pairs("--label", &options->labels, err);

	if (r < 0 || count == 0) {
		return r;
	}
	config->label_keys = arena_array(arena, count + 1, sizeof(*config->label_keys));
	config->label_values = arena_array(arena, count + 1, sizeof(*config->label_values));
	for (size_t i = 0; i < count; i++) {
		const char *text = options->labels.items[i], *equals = strchr(text, '=');

		config->label_keys[i] = arena_strndup(arena, text, (size_t)(equals - text));
		config->label_values[i] = arena_strdup(arena, equals + 1);
	}
	return 0;
}

static int apply_ports(const struct config_options *options, struct arena *arena,
	struct image_config *config, struct error *err)
{
	_cleanup_strv_ struct strv ports = { 0 };

	for (size_t i = 0; i < options->expose.count; i++) {
		const char *text = options->expose.items[i];
		char *end;
		unsigned long port = strtoul(text, &end, 10);

		if (end == text || port == 0 || port > 65535 ||
			(*end && strcmp(end, "/tcp") != 0 && strcmp(end, "/udp") != 0)) {
			return error_say(err, EINVAL,
				"--expose %s: must be PORT or PORT/tcp or PORT/udp", text);
		}
		strv_addf(&ports, "%lu%s", port, *end ? end : "/tcp");
	}
	config->exposed_ports = list_copy(arena, &ports);
	return 0;
}

static int apply_health_times(
	const struct config_options *options, struct image_health *health, struct error *err)
{
	const struct {
		const char *option, *text;
		int64_t *value;
	} times[] = {
		{ "--health-interval", options->health_interval, &health->interval_us },
		{ "--health-timeout", options->health_timeout, &health->timeout_us },
		{ "--health-start-period", options->health_start_period, &health->start_period_us },
		{ "--health-start-interval", options->health_start_interval,
			&health->start_interval_us },
	};

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		if (times[i].text && units_parse_duration(times[i].text, times[i].value) < 0) {
			return error_say(err, EINVAL, "%s %s: must be a time such as 30s or 1m30s",
				times[i].option, times[i].text);
		}
	}
	if (options->health_retries) {
		char *end;

		health->retries = strtol(options->health_retries, &end, 10);
		if (*end || health->retries < 1) {
			return error_say(err, EINVAL,
				"--health-retries %s: must be a number from 1",
				options->health_retries);
		}
	}
	return 0;
}

static int apply_health(const struct config_options *options, struct arena *arena,
	struct image_config *config, struct error *err)
{
	const char *command = options->health_cmd;
	const char **given, **test;
	size_t count = 0;

	if (command && command[0] == '[') {
		given = list_from_json(arena, "--health-cmd", command, err);
		if (!given) {
			return -EINVAL;
		}
		while (given[count]) {
			count++;
		}
		test = arena_array(arena, count + 2, sizeof(*test));
		test[0] = "CMD";
		memcpy(test + 1, given, count * sizeof(*test));
		config->health.test = test;
	} else if (command) {
		test = arena_array(arena, 3, sizeof(*test));
		test[0] = "CMD-SHELL";
		test[1] = arena_strdup(arena, command);
		config->health.test = test;
	}
	return apply_health_times(options, &config->health, err);
}

/* When the image was made: SOURCE_DATE_EPOCH (reproducible-builds.org) if given, else now. */
static int apply_created(struct arena *arena, struct image_config *config, struct error *err)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	int64_t wall_ns = clock_wall_ns();
	char text[CLOCK_RFC3339_SIZE], *end;

	if (epoch && *epoch) {
		long long seconds = strtoll(epoch, &end, 10);

		if (*end || seconds < 0 || seconds > INT64_C(0xffffffff)) {
			return error_say(
				err, EINVAL, "SOURCE_DATE_EPOCH=%s: must be seconds", epoch);
		}
		wall_ns = seconds * INT64_C(1000000000);
	}
	clock_rfc3339(wall_ns, text);
	config->created = arena_strdup(arena, text);
	return 0;
}

int config_options_apply(const struct config_options *options, struct arena *arena,
	struct image_config *config, struct error *err)
{
	int r;

	memset(config, 0, sizeof(*config));
	config->os = "linux";
	config->architecture = options->architecture ? arena_strdup(arena, options->architecture)
						     : store_architecture();
	config->user = arena_strdup(arena, options->user);
	config->working_dir = arena_strdup(arena, options->workdir);
	config->stop_signal = arena_strdup(arena, options->stop_signal);
	config->volumes = list_copy(arena, &options->volumes);
	if (options->stop_signal && units_parse_signal(options->stop_signal) < 0) {
		return error_say(
			err, EINVAL, "--stop-signal %s: unknown signal", options->stop_signal);
	}
	r = check_absolute("--workdir", options->workdir, err);
	for (size_t i = 0; i < options->volumes.count && r == 0; i++) {
		r = check_absolute("--volume", options->volumes.items[i], err);
	}
	if (r == 0) {
		r = parse_words(
			arena, "--entrypoint", options->entrypoint, &config->entrypoint, err);
	}
	if (r == 0) {
		r = parse_words(arena, "--cmd", options->cmd, &config->cmd, err);
	}
	int (*const parts[])(const struct config_options *, struct arena *, struct image_config *,
		struct error *) = { apply_environment, apply_labels, apply_ports, apply_health };
	for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++) {
		r = parts[i](options, arena, config, err);
	}
	return r == 0 ? apply_created(arena, config, err) : r;
}

void config_options_finish(struct config_options *options)
{
	strv_finish(&options->env);
	strv_finish(&options->volumes);
	strv_finish(&options->expose);
	strv_finish(&options->labels);
	strv_finish(&options->files);
}
