/*
 * The canonical form, as `docker compose config` prints it: long forms, keys sorted, only what
 * enabled services use, "$" doubled so that the output can be read again. Printing what was loaded
 * from such output gives the same text.
 */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>

#include "specs/compose_internal.h"

/* What tells the two formats apart, beside their syntax. */
struct printer {
	const struct compose_project *project;
	struct arena arena; /* of the tree that is printed */
	bool json;
};

static int compare_entries(const void *left, const void *right)
{
	const struct yaml_entry *a = left, *b = right;

	return strcmp(a->key, b->key);
}

static void sort_maps(struct yaml_node *node)
{
	if (node->kind == YAML_MAP && node->count) {
		qsort(node->entries, node->count, sizeof(*node->entries), compare_entries);
	}
	for (size_t i = 0; i < node->count; i++) {
		sort_maps(node->entries[i].value);
	}
}

static void keep_used(struct yaml_node *map,
	bool (*used)(const struct compose_project *, const char *),
	const struct compose_project *project)
{
	size_t kept = 0;

	for (size_t i = 0; map && i < map->count; i++) {
		if (used(project, map->entries[i].key)) {
			map->entries[kept++] = map->entries[i];
		}
	}
	if (map) {
		map->count = kept;
	}
}

static bool network_used(const struct compose_project *project, const char *key)
{
	for (size_t i = 0; i < project->network_count; i++) {
		if (strcmp(project->networks[i].key, key) == 0) {
			return project->networks[i].used;
		}
	}
	return false;
}

static bool volume_used(const struct compose_project *project, const char *key)
{
	for (size_t i = 0; i < project->volume_count; i++) {
		if (strcmp(project->volumes[i].key, key) == 0) {
			return project->volumes[i].used;
		}
	}
	return false;
}

static bool granted(const struct compose_grant *grants, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(grants[i].source, key) == 0) {
			return true;
		}
	}
	return false;
}

static bool secret_used(const struct compose_project *project, const char *key)
{
	for (size_t i = 0; i < project->service_count; i++) {
		if (granted(project->services[i].secrets, project->services[i].secret_count, key)) {
			return true;
		}
	}
	return false;
}

static bool config_used(const struct compose_project *project, const char *key)
{
	for (size_t i = 0; i < project->service_count; i++) {
		if (granted(project->services[i].configs, project->services[i].config_count, key)) {
			return true;
		}
	}
	return false;
}

/* One number stands for both limits where the file had one. */
static void fold_ulimits(struct yaml_node *ulimits)
{
	for (size_t i = 0; ulimits && i < ulimits->count; i++) {
		struct yaml_node *item = ulimits->entries[i].value;

		if (item->kind == YAML_MAP && item->plain) {
			ulimits->entries[i].value = yaml_get(item, "soft");
		}
	}
}

static void set_missing(
	struct printer *p, struct yaml_node *map, const char *key, enum yaml_kind kind)
{
	if (!yaml_find(map, key)) {
		yaml_set(&p->arena, map, key, NULL, yaml_new(&p->arena, kind, &map->mark));
	}
}

/* A context where the model holds what later passes resolved. */
static void finish_service(struct printer *p, struct yaml_node *service)
{
	struct yaml_node *deploy = yaml_get(service, "deploy");

	fold_ulimits(yaml_get(service, "ulimits"));
	if (p->json) {
		set_missing(p, service, "command", YAML_NULL);
		set_missing(p, service, "entrypoint", YAML_NULL);
		if (deploy && deploy->kind == YAML_MAP) {
			set_missing(p, deploy, "placement", YAML_MAP);
		}
	}
}

/* The tree as it is printed: sections in their order, the rest of the root behind them. */
static struct yaml_node *build(struct printer *p)
{
	static const char *const sections[] = { "name", "services", "networks", "volumes",
		"secrets", "configs" };
	struct yaml_node *source = yaml_copy(&p->arena, p->project->tree);
	struct yaml_node *root = yaml_new(&p->arena, YAML_MAP, NULL), *map;

	yaml_remove(source, "x-wherry-disabled");
	sort_maps(source);
	keep_used(yaml_get(source, "networks"), network_used, p->project);
	keep_used(yaml_get(source, "volumes"), volume_used, p->project);
	keep_used(yaml_get(source, "secrets"), secret_used, p->project);
	keep_used(yaml_get(source, "configs"), config_used, p->project);
	map = yaml_get(source, "services");
	for (size_t i = 0; map && i < map->count; i++) {
		finish_service(p, map->entries[i].value);
	}
	map = yaml_get(source, "networks");
	for (size_t i = 0; p->json && map && i < map->count; i++) {
		set_missing(p, map->entries[i].value, "ipam", YAML_MAP);
	}
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		struct yaml_node *node = yaml_get(source, sections[i]);

		if (node && (yaml_is_scalar(node) || node->count || i == 1)) {
			yaml_set(&p->arena, root, sections[i], NULL, node);
		}
		yaml_remove(source, sections[i]);
	}
	for (size_t i = 0; i < source->count; i++) {
		yaml_set(&p->arena, root, source->entries[i].key, NULL, source->entries[i].value);
	}
	return root;
}

/* "$" doubled, unless variables were never looked at. The text is the caller's. */
static char *escape_dollars(const struct printer *p, const char *text)
{
	struct str out = { 0 };

	for (; *text; text++) {
		str_add_char(&out, *text);
		if (*text == '$' && !p->project->no_interpolate) {
			str_add_char(&out, '$');
		}
	}
	return str_take(&out);
}

/* Whether @text, without quotes, reads back as itself and as text. */
static bool plain_enough(const struct printer *p, const char *text)
{
	static const char *const words[] = { "y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No",
		"NO", "on", "On", "ON", "off", "Off", "OFF", "<<", "=" };
	struct yaml_node probe = { .kind = YAML_STRING };
	struct arena scratch = { 0 };
	size_t size = strlen(text);

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(text, words[i]) == 0) {
			return false;
		}
	}
	if (!size || strchr("-?:,[]{}#&*!|>'\"%@` ", text[0]) || strchr(" :", text[size - 1])) {
		return false;
	}
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c < 0x20 || *c >= 0x7f) {
			return false;
		}
	}
	if (strstr(text, ": ") || strstr(text, " #")) {
		return false;
	}
	(void)p;
	yaml_resolve_scalar(&probe, text, &scratch);
	arena_finish(&scratch);
	return probe.kind == YAML_STRING;
}

/* Bytes of the UTF-8 character at @c, 0 if it is none. */
static size_t utf8_size(const unsigned char *c)
{
	size_t size = *c < 0x80                 ? 1
		      : *c >= 0xc2 && *c < 0xe0 ? 2
		      : *c >= 0xe0 && *c < 0xf0 ? 3
		      : *c >= 0xf0 && *c < 0xf5 ? 4
						: 0;

	for (size_t i = 1; i < size; i++) {
		if ((c[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	return size;
}

static void add_quoted(struct str *out, const char *text)
{
	str_add_char(out, '"');
	for (const unsigned char *c = (const unsigned char *)text; *c;) {
		size_t size = utf8_size(c);

		if (*c == '"' || *c == '\\') {
			str_addf(out, "\\%c", *c);
			c++;
		} else if (*c == '\n') {
			str_add(out, "\\n");
			c++;
		} else if (*c == '\t') {
			str_add(out, "\\t");
			c++;
		} else if (*c < 0x20 || *c == 0x7f || size == 0) {
			str_addf(out, "\\x%02x", *c);
			c++;
		} else if (size == 2 && c[0] == 0xc2 && c[1] < 0xa0) {
			/* C1 controls are not printable in YAML. */
			str_addf(out, "\\x%02x", c[1]);
			c += 2;
		} else {
			str_add_mem(out, c, size);
			c += size;
		}
	}
	str_add_char(out, '"');
}

static void add_text(const struct printer *p, struct str *out, const char *text)
{
	_cleanup_free_ char *escaped = escape_dollars(p, text);

	if (plain_enough(p, escaped)) {
		str_add(out, escaped);
	} else {
		add_quoted(out, escaped);
	}
}

static void add_yaml(
	const struct printer *p, struct str *out, const struct yaml_node *node, unsigned indent);

static void add_scalar(const struct printer *p, struct str *out, const struct yaml_node *node)
{
	if (node->kind == YAML_STRING) {
		add_text(p, out, node->text);
	} else {
		str_add(out, node->text);
	}
}

/* A value behind "key:" or "-". */
static void add_value(const struct printer *p, struct str *out, const struct yaml_node *node,
	unsigned indent, bool item)
{
	if (yaml_is_scalar(node)) {
		str_add_char(out, ' ');
		add_scalar(p, out, node);
		str_add_char(out, '\n');
	} else if (node->count == 0) {
		str_add(out, node->kind == YAML_LIST ? " []\n" : " {}\n");
	} else if (item) {
		_cleanup_str_ struct str inner = { 0 };

		/* The first line of an item stands behind its dash. */
		add_yaml(p, &inner, node, indent + 2);
		str_add_char(out, ' ');
		str_add(out, str_text(&inner) + indent + 2);
	} else {
		str_add_char(out, '\n');
		add_yaml(p, out, node, indent + 2);
	}
}

static void add_yaml(
	const struct printer *p, struct str *out, const struct yaml_node *node, unsigned indent)
{
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_entry *entry = &node->entries[i];

		str_addf(out, "%*s", (int)indent, "");
		if (entry->key) {
			add_text(p, out, entry->key);
			str_add_char(out, ':');
		} else {
			str_add_char(out, '-');
		}
		add_value(p, out, entry->value, indent, !entry->key);
	}
}

static json_t *text_to_json(const struct printer *p, const char *text)
{
	_cleanup_free_ char *escaped = escape_dollars(p, text);
	json_t *value = json_string(escaped);

	if (!value) {
		/* Bytes that are no UTF-8 cannot stand in JSON. */
		for (unsigned char *c = (unsigned char *)escaped; *c; c++) {
			*c = *c < 0x80 ? *c : '?';
		}
		value = json_string(escaped);
	}
	return value;
}

static json_t *to_json(const struct printer *p, const struct yaml_node *node)
{
	json_t *value;

	switch (node->kind) {
	case YAML_NULL: return json_null();
	case YAML_BOOL: return json_boolean(node->boolean);
	case YAML_INT: return json_integer(node->integer);
	case YAML_FLOAT:
		value = json_real(node->number);
		return value ? value : text_to_json(p, node->text); /* .inf, .nan */
	case YAML_STRING: return text_to_json(p, node->text);
	case YAML_LIST:
		value = json_array();
		for (size_t i = 0; i < node->count; i++) {
			json_array_append_new(value, to_json(p, node->entries[i].value));
		}
		return value;
	case YAML_MAP: break;
	}
	value = json_object();
	for (size_t i = 0; i < node->count; i++) {
		_cleanup_free_ char *key = escape_dollars(p, node->entries[i].key);

		json_object_set_new(value, key, to_json(p, node->entries[i].value));
	}
	return value;
}

char *compose_print(const struct compose_project *project, const char *format)
{
	struct printer p = {
		.project = project,
		.json = format && strcmp(format, "json") == 0,
	};
	struct str out = { 0 };
	struct yaml_node *root = build(&p);

	if (p.json) {
		json_t *json = to_json(&p, root);
		char *text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(15));

		str_add(&out, text ? text : "{}");
		str_add_char(&out, '\n');
		free(text);
		json_decref(json);
	} else {
		add_yaml(&p, &out, root, 0);
	}
	arena_finish(&p.arena);
	return str_take(&out);
}
