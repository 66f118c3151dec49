#include "specs/image_config.h"

#include <errno.h>

#include "base/json.h"

#define NSEC_PER_USEC INT64_C(1000)

/* What every getter needs: where the members come from and where a complaint goes. */
struct reader {
	const json_t *object;
	const char *where; /* "config.", for messages */
	struct arena *arena;
	struct error *err;
	int result; /* first failure; later getters do nothing */
};

static void complain(struct reader *r, const char *key, const char *wanted)
{
	if (r->result == 0) {
		r->result = error_say(r->err, EBADMSG, "image configuration: %s%s must be %s",
			r->where, key, wanted);
	}
}

/* The member, or NULL if it is absent or null: Go's writers leave both forms behind. */
static const json_t *member(const struct reader *r, const char *key)
{
	const json_t *value = json_object_get(r->object, key);

	return json_is_null(value) ? NULL : value;
}

static const char *read_text(struct reader *r, const char *key)
{
	const json_t *value = member(r, key);

	if (value && !json_is_string(value)) {
		complain(r, key, "a string");
		return NULL;
	}
	/* Empty is how many writers say "not set". */
	return value && json_string_length(value) > 0
		       ? arena_strdup(r->arena, json_string_value(value))
		       : NULL;
}

static int64_t read_number(struct reader *r, const char *key)
{
	const json_t *value = member(r, key);

	if (!value) {
		return 0;
	}
	if (!json_is_integer(value) || json_integer_value(value) < 0) {
		complain(r, key, "a number that is not negative");
		return 0;
	}
	return json_integer_value(value);
}

static const char **read_list(struct reader *r, const char *key)
{
	const json_t *value = member(r, key);
	size_t count = json_array_size(value);
	const char **list;

	if (!value) {
		return NULL;
	}
	if (!json_is_array(value)) {
		complain(r, key, "a list of strings");
		return NULL;
	}
	list = arena_array(r->arena, count + 1, sizeof(*list));
	for (size_t i = 0; i < count; i++) {
		const json_t *item = json_array_get(value, i);

		if (!json_is_string(item)) {
			complain(r, key, "a list of strings");
			return NULL;
		}
		list[i] = arena_strdup(r->arena, json_string_value(item));
	}
	return list;
}

/* Volumes and ExposedPorts are sets, written as an object whose values are empty objects. */
static const char **read_set(struct reader *r, const char *key)
{
	json_t *value = json_object_get(r->object, key);
	const char **list, *name;
	json_t *ignored;
	size_t i = 0;

	if (!member(r, key)) {
		return NULL;
	}
	if (!json_is_object(value)) {
		complain(r, key, "an object");
		return NULL;
	}
	list = arena_array(r->arena, json_object_size(value) + 1, sizeof(*list));
	json_object_foreach(value, name, ignored)
	{
		list[i++] = arena_strdup(r->arena, name);
	}
	return list;
}

static void read_labels(struct reader *r, struct image_config *config)
{
	json_t *value = json_object_get(r->object, "Labels"), *text;
	const char *name;
	size_t i = 0;

	if (!member(r, "Labels")) {
		return;
	}
	if (!json_is_object(value)) {
		complain(r, "Labels", "an object");
		return;
	}
	config->label_keys =
		arena_array(r->arena, json_object_size(value) + 1, sizeof(*config->label_keys));
	config->label_values =
		arena_array(r->arena, json_object_size(value) + 1, sizeof(*config->label_values));
	json_object_foreach(value, name, text)
	{
		if (!json_is_string(text)) {
			complain(r, "Labels", "an object of strings");
			return;
		}
		config->label_keys[i] = arena_strdup(r->arena, name);
		config->label_values[i++] = arena_strdup(r->arena, json_string_value(text));
	}
}

/* A part of the document that is an object of its own; @r is turned to read from it. */
static bool enter(struct reader *r, const char *key, const char *where)
{
	const json_t *value = member(r, key);

	if (value && !json_is_object(value)) {
		complain(r, key, "an object");
		return false;
	}
	r->object = value;
	r->where = where;
	return value != NULL;
}

static void read_health(struct reader r, struct image_health *health, int *result)
{
	if (enter(&r, "Healthcheck", "config.Healthcheck.")) {
		health->test = read_list(&r, "Test");
		if (health->test && !health->test[0]) {
			health->test =
				NULL; /* docker: an empty list inherits, and here nothing is below */
		}
		health->interval_us = read_number(&r, "Interval") / NSEC_PER_USEC;
		health->timeout_us = read_number(&r, "Timeout") / NSEC_PER_USEC;
		health->start_period_us = read_number(&r, "StartPeriod") / NSEC_PER_USEC;
		health->start_interval_us = read_number(&r, "StartInterval") / NSEC_PER_USEC;
		health->retries = read_number(&r, "Retries");
	}
	*result = r.result;
}

static int read_run_part(struct reader r, struct image_config *config)
{
	if (!enter(&r, "config", "config.")) {
		return r.result;
	}
	config->user = read_text(&r, "User");
	config->working_dir = read_text(&r, "WorkingDir");
	config->stop_signal = read_text(&r, "StopSignal");
	config->env = read_list(&r, "Env");
	config->entrypoint = read_list(&r, "Entrypoint");
	config->cmd = read_list(&r, "Cmd");
	config->shell = read_list(&r, "Shell");
	config->volumes = read_set(&r, "Volumes");
	config->exposed_ports = read_set(&r, "ExposedPorts");
	read_labels(&r, config);
	if (r.result == 0) {
		read_health(r, &config->health, &r.result);
	}
	return r.result;
}

static int read_rootfs(struct reader r, struct image_config *config)
{
	size_t count = 0;

	if (!enter(&r, "rootfs", "rootfs.")) {
		r.where = "";
		complain(&r, "rootfs", "an object");
		return r.result;
	}
	config->diff_ids = read_list(&r, "diff_ids");
	if (!config->diff_ids) {
		complain(&r, "diff_ids", "a list of strings");
		return r.result;
	}
	for (; config->diff_ids[count]; count++) {
		if (!image_digest_valid(config->diff_ids[count])) {
			complain(&r, "diff_ids", "a list of sha256 digests");
			return r.result;
		}
	}
	if (count > IMAGE_LAYERS_MAX) {
		return error_say(r.err, EBADMSG,
			"image configuration: %zu layers, more than the %d that can be mounted",
			count, IMAGE_LAYERS_MAX);
	}
	return r.result;
}

int image_config_parse(
	const json_t *json, struct arena *arena, struct image_config *config, struct error *err)
{
	struct reader r = { .object = json, .where = "", .arena = arena, .err = err };
	int result;

	memset(config, 0, sizeof(*config));
	if (!json_is_object(json)) {
		return error_say(err, EBADMSG, "image configuration: must be an object");
	}
	config->architecture = read_text(&r, "architecture");
	config->os = read_text(&r, "os");
	config->variant = read_text(&r, "variant");
	config->created = read_text(&r, "created");
	if (r.result < 0) {
		return r.result;
	}
	result = read_run_part(r, config);
	return result < 0 ? result : read_rootfs(r, config);
}

static void put_list(json_t *object, const char *key, const char *const *list)
{
	if (list) {
		json_put(object, key, json_from_strings(list));
	}
}

static void put_set(json_t *object, const char *key, const char *const *list)
{
	json_t *set;

	if (!list) {
		return;
	}
	set = json_object();
	for (; *list; list++) {
		json_put(set, *list, json_object());
	}
	json_put(object, key, set);
}

static void put_health(json_t *object, const struct image_health *health)
{
	json_t *part;

	part = json_object();
	put_list(part, "Test", health->test);
	const struct {
		const char *key;
		int64_t value;
	} numbers[] = {
		{ "Interval", health->interval_us * NSEC_PER_USEC },
		{ "Timeout", health->timeout_us * NSEC_PER_USEC },
		{ "StartPeriod", health->start_period_us * NSEC_PER_USEC },
		{ "StartInterval", health->start_interval_us * NSEC_PER_USEC },
		{ "Retries", health->retries },
	};
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (numbers[i].value != 0) {
			json_put_int(part, numbers[i].key, numbers[i].value);
		}
	}
	if (json_object_size(part) > 0) {
		json_put(object, "Healthcheck", part);
	} else {
		json_decref(part);
	}
}

static json_t *print_run_part(const struct image_config *config)
{
	json_t *run = json_object();

	json_put_text(run, "User", config->user);
	put_set(run, "ExposedPorts", config->exposed_ports);
	put_list(run, "Env", config->env);
	put_list(run, "Entrypoint", config->entrypoint);
	put_list(run, "Cmd", config->cmd);
	put_health(run, &config->health);
	put_set(run, "Volumes", config->volumes);
	json_put_text(run, "WorkingDir", config->working_dir);
	if (config->label_keys) {
		json_t *labels = json_object();

		for (size_t i = 0; config->label_keys[i]; i++) {
			json_put_text(labels, config->label_keys[i], config->label_values[i]);
		}
		json_put(run, "Labels", labels);
	}
	json_put_text(run, "StopSignal", config->stop_signal);
	put_list(run, "Shell", config->shell);
	return run;
}

json_t *image_config_print(const struct image_config *config)
{
	static const char *const no_layers[] = { NULL };
	json_t *root = json_object(), *rootfs = json_object();

	json_put_text(root, "created", config->created);
	json_put_text(root, "architecture", config->architecture);
	json_put_text(root, "variant", config->variant);
	json_put_text(root, "os", config->os);
	json_put(root, "config", print_run_part(config));
	json_put_text(rootfs, "type", "layers");
	put_list(rootfs, "diff_ids", config->diff_ids ? config->diff_ids : no_layers);
	json_put(root, "rootfs", rootfs);
	return root;
}

bool image_digest_valid(const char *text)
{
	static const char prefix[] = "sha256:";

	if (!text || strncmp(text, prefix, sizeof(prefix) - 1) != 0) {
		return false;
	}
	text += sizeof(prefix) - 1;
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}
