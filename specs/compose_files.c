/* Which files, which folder, which variables, which name. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "specs/compose_internal.h"

static const char *const base_names[] = { "compose.yaml", "compose.yml", "docker-compose.yaml",
	"docker-compose.yml" };
static const char *const override_names[] = { "compose.override.yaml", "compose.override.yml",
	"docker-compose.override.yaml", "docker-compose.override.yml" };

const char *loader_variable(void *loader, const char *name)
{
	const struct loader *l = loader;
	const struct compose_pair *pair = pairs_find(&l->project->variables, name);

	return pair ? pair->value : NULL;
}

static const char *os_variable(void *loader, const char *name)
{
	const struct loader *l = loader;
	const struct compose_pair *pair = pairs_find(&l->os, name);

	return pair ? pair->value : NULL;
}

static void read_os_environment(struct loader *l)
{
	for (const char *const *e = l->options->environment; e && *e; e++) {
		const char *equals = strchr(*e, '=');

		if (equals && equals != *e) {
			char *key = arena_strndup(l->arena, *e, (size_t)(equals - *e));

			pairs_set(l->arena, &l->os, key, equals + 1, NULL);
			pairs_set(l->arena, &l->project->variables, key, equals + 1, NULL);
		}
	}
}

static const char *absolute_from(struct loader *l, const char *base, const char *path)
{
	struct shaper s = { .arena = l->arena, .directory = base, .home = NULL };

	return shape_absolute(&s, path);
}

static const char *folder_of(struct loader *l, const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? "/" : arena_strndup(l->arena, path, (size_t)(slash - path));
}

static void add_string(struct arena *arena, struct compose_strings *list, const char *text)
{
	const char **items = arena_array(arena, list->count + 2, sizeof(*items));

	if (list->count) {
		memcpy(items, list->items, list->count * sizeof(*items));
	}
	items[list->count++] = arena_strdup(arena, text);
	list->items = items;
}

static bool exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

/* Adds the first of @names in @folder; more than one is worth a warning. */
static bool add_first(struct loader *l, const char *folder, const char *const *names, size_t count)
{
	const char *found = NULL;
	struct str all = { 0 };
	size_t seen = 0;

	for (size_t i = 0; i < count; i++) {
		const char *path =
			arena_printf(l->arena, "%s%s%s", folder, folder[1] ? "/" : "", names[i]);

		if (exists(path)) {
			str_addf(&all, "%s%s", seen++ ? ", " : "", path);
			found = found ? found : path;
		}
	}
	if (seen > 1) {
		diagnostics_add(l->d, SEVERITY_WARNING, NULL, NULL,
			"Found multiple config files with supported names: %s\nUsing %s",
			str_text(&all), found);
	}
	str_finish(&all);
	if (found) {
		add_string(l->arena, &l->project->files, found);
	}
	return found != NULL;
}

/* The file of the folder or of the nearest parent that has one, with its override. */
static int search_files(struct loader *l)
{
	const char *folder = l->options->project_directory
				     ? absolute_from(l, l->cwd, l->options->project_directory)
				     : l->cwd;

	for (;;) {
		if (add_first(l, folder, base_names, ARRAY_SIZE(base_names))) {
			add_first(l, folder, override_names, ARRAY_SIZE(override_names));
			return 0;
		}
		if (strcmp(folder, "/") == 0) {
			return error_say(
				l->err, ENOENT, "no configuration file provided: not found");
		}
		folder = folder_of(l, folder);
	}
}

static void add_file(struct loader *l, const char *path)
{
	add_string(l->arena, &l->project->files,
		strcmp(path, "-") == 0 ? path : absolute_from(l, l->cwd, path));
}

/* COMPOSE_FILE: paths parted by COMPOSE_PATH_SEPARATOR (":"). */
static void add_file_list(struct loader *l, const char *list)
{
	const char *separator = loader_variable(l, "COMPOSE_PATH_SEPARATOR");
	char *rest = arena_strdup(l->arena, list);

	separator = separator && *separator ? separator : ":";
	while (rest) {
		char *next = strstr(rest, separator);

		if (next) {
			*next = '\0';
			next += strlen(separator);
		}
		if (*rest) {
			add_file(l, rest);
		}
		rest = next;
	}
}

static int read_env_file(struct loader *l, const char *path, struct compose_pairs *pairs)
{
	const struct dotenv how = {
		.arena = l->arena,
		.lookup = os_variable,
		.owner = l,
		.pairs = pairs,
		.d = l->d,
	};
	_cleanup_free_ char *data = NULL;
	size_t size;
	int r = file_read_at(AT_FDCWD, path, DOTENV_MAX_BYTES, &data, &size, NULL);

	if (r == -ENOENT) {
		return error_say(l->err, ENOENT, "couldn't find env file: %s", path);
	}
	if (r < 0) {
		return error_set(l->err, r, "read env file %s", path);
	}
	return dotenv_parse(&how, path, data, size);
}

/* --env-file, else COMPOSE_ENV_FILES, else .env of @folder if there is one. */
static int read_env_files(struct loader *l, const char *folder)
{
	const char *list = os_variable(l, "COMPOSE_ENV_FILES");
	struct compose_pairs pairs = { 0 };
	int r = 0;

	l->project->env_files = (struct compose_strings){ 0 };
	if (l->options->env_files && l->options->env_files[0]) {
		for (const char *const *file = l->options->env_files; *file; file++) {
			add_string(
				l->arena, &l->project->env_files, absolute_from(l, l->cwd, *file));
		}
	} else if (list && *list) {
		char *rest = arena_strdup(l->arena, list);

		while (rest) {
			add_string(l->arena, &l->project->env_files,
				absolute_from(l, l->cwd, strsep(&rest, ",")));
		}
	} else if (!compose_environment_bool(os_variable(l, "COMPOSE_DISABLE_ENV_FILE"))) {
		const char *path = absolute_from(l, folder, ".env");

		if (exists(path)) {
			add_string(l->arena, &l->project->env_files, path);
		}
	}
	for (size_t i = 0; i < l->project->env_files.count && r == 0; i++) {
		r = read_env_file(l, l->project->env_files.items[i], &pairs);
	}
	/* The caller's environment wins over files. */
	l->project->variables = (struct compose_pairs){ 0 };
	for (size_t i = 0; i < l->os.count; i++) {
		pairs_set(l->arena, &l->project->variables, l->os.items[i].key,
			l->os.items[i].value, NULL);
	}
	for (size_t i = 0; i < pairs.count; i++) {
		if (!os_variable(l, pairs.items[i].key)) {
			pairs_set(l->arena, &l->project->variables, pairs.items[i].key,
				pairs.items[i].value, &pairs.items[i].mark);
		}
	}
	return r;
}

static int find_files(struct loader *l)
{
	const char *list;
	int r;

	if (l->options->files && l->options->files[0]) {
		l->fixed_files = true;
		for (const char *const *file = l->options->files; *file; file++) {
			add_file(l, *file);
		}
		return 0;
	}
	/* .env of the starting folder may name the files. */
	r = read_env_files(l, l->options->project_directory
				      ? absolute_from(l, l->cwd, l->options->project_directory)
				      : l->cwd);
	if (r < 0) {
		return r;
	}
	list = loader_variable(l, "COMPOSE_FILE");
	if (list && *list) {
		l->fixed_files = true;
		add_file_list(l, list);
		return 0;
	}
	return search_files(l);
}

int loader_find(struct loader *l)
{
	char cwd[PATH_MAX];
	const char *first;
	int r;

	if (!getcwd(cwd, sizeof(cwd))) {
		return error_set(l->err, errno, "find the current folder");
	}
	l->cwd = arena_strdup(l->arena, cwd);
	read_os_environment(l);
	l->home = os_variable(l, "HOME");
	r = find_files(l);
	if (r < 0) {
		return r;
	}
	first = l->project->files.items[0];
	if (l->options->project_directory) {
		l->project->directory = absolute_from(l, l->cwd, l->options->project_directory);
	} else {
		l->project->directory = strcmp(first, "-") == 0 ? l->cwd : folder_of(l, first);
	}
	return read_env_files(l, l->project->directory);
}

/* Lower case; other than letters, digits, "-" and "_" goes; no "-" or "_" in front. */
static char *normalize_name(struct arena *arena, const char *text)
{
	char *name = arena_strdup(arena, text);
	size_t used = 0;

	for (const char *p = text; *p; p++) {
		char c = (char)tolower((unsigned char)*p);
		bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (word || (used && (c == '-' || c == '_'))) {
			name[used++] = c;
		}
	}
	name[used] = '\0';
	return name;
}

static int explicit_name(struct loader *l, const char *name)
{
	if (strcmp(normalize_name(l->arena, name), name) != 0) {
		return error_say(l->err, EINVAL,
			"invalid project name \"%s\": must consist only of lowercase alphanumeric "
			"characters, hyphens, and underscores as well as start with a letter or "
			"number",
			name);
	}
	l->project->name = arena_strdup(l->arena, name);
	return 0;
}

int loader_name(struct loader *l, const struct yaml_node *declared)
{
	const char *variable = loader_variable(l, "COMPOSE_PROJECT_NAME");
	const char *slash;

	if (l->options->project_name && *l->options->project_name) {
		return explicit_name(l, l->options->project_name);
	}
	if (variable && *variable) {
		return explicit_name(l, variable);
	}
	if (declared && declared->kind == YAML_STRING && *declared->text) {
		int r = explicit_name(l, declared->text);

		if (r < 0 && l->d) {
			load_error(l, &declared->mark, "%s",
				l->err ? l->err->message : "invalid name");
		}
		return r;
	}
	slash = strrchr(l->project->directory, '/');
	l->project->name = normalize_name(l->arena, slash ? slash + 1 : l->project->directory);
	if (!*l->project->name) {
		return error_say(
			l->err, EINVAL, "project name must not be empty\ngive one with -p");
	}
	return 0;
}
