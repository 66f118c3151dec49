/*
 * Loading, pass by pass:
 *
 *   files -> trees with places -> project name -> interpolation -> long form (compose_shape)
 *   -> merge -> defaults and names (compose_normalize) -> typed model (compose_decode)
 *   -> consistency (compose_validate)
 *
 * A pass that finds errors goes on to the end of its own work, so that a person sees all of them.
 * After errors up to the long form the later passes do not start: they rely on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/file.h"
#include "specs/compose_internal.h"
#include "specs/interpolate.h"

void load_error(struct loader *l, const struct mark *mark, const char *format, ...)
{
	struct str text = { 0 };
	va_list ap;

	va_start(ap, format);
	str_addv(&text, format, ap);
	va_end(ap);
	diagnostics_add(l->d, SEVERITY_ERROR, mark, NULL, "%s", str_text(&text));
	str_finish(&text);
}

/* Interpolation of one tree. */
struct tree_walk {
	struct loader *l;
	const struct yaml_node *node;
	struct diagnostics *d;
};

static void warn_unset(void *owner, const char *name)
{
	struct tree_walk *walk = owner;

	diagnostics_add(walk->d, SEVERITY_WARNING, &walk->node->mark, NULL,
		"The \"%s\" variable is not set. Defaulting to a blank string.", name);
}

static const char *walk_lookup(void *owner, const char *name)
{
	return loader_variable(((struct tree_walk *)owner)->l, name);
}

static void interpolate_scalar(
	struct loader *l, struct yaml_node *node, const struct compose_path *path)
{
	struct tree_walk walk = { .l = l, .node = node, .d = l->d };
	const struct interpolation how = {
		.lookup = walk_lookup,
		.unset = warn_unset,
		.owner = &walk,
	};
	_cleanup_str_ struct str text = { 0 };
	struct error err = ERROR_INIT;
	char name[COMPOSE_PATH_SIZE];
	int r;

	if (!strchr(node->text, '$')) {
		return;
	}
	r = interpolate(&how, node->text, &text, &err);
	compose_path_text(path, name);
	if (r == -EBADMSG) {
		load_error(l, &node->mark,
			"invalid interpolation format for %s. You may need to escape any $ with "
			"another $.",
			name);
	} else if (r < 0) {
		load_error(l, &node->mark, "error while interpolating %s: %s", name, err.message);
	} else {
		node->text = arena_strdup(l->arena, str_text(&text));
		return;
	}
	/* Nothing that follows should stumble over the text that was not valid. */
	node->kind = YAML_NULL;
	node->text = "null";
}

static void interpolate_tree(
	struct loader *l, struct yaml_node *node, const struct compose_path *path)
{
	if (node->kind == YAML_STRING) {
		interpolate_scalar(l, node, path);
	}
	for (size_t i = 0; i < node->count; i++) {
		struct compose_path child = {
			.parent = path,
			.key = node->entries[i].key,
			.index = i,
		};

		interpolate_tree(l, node->entries[i].value, &child);
	}
}

static int read_stdin(char **data, size_t *size)
{
	return file_read_fd(STDIN_FILENO, YAML_MAX_BYTES, data, size);
}

/* Parses one file into @documents. */
static int parse_file(struct loader *l, const char *path, struct yaml_documents *documents)
{
	_cleanup_free_ char *data = NULL;
	size_t size = 0;
	int r;

	if (strcmp(path, "-") == 0) {
		r = read_stdin(&data, &size);
	} else {
		r = file_read_at(AT_FDCWD, path, YAML_MAX_BYTES, &data, &size, NULL);
	}
	if (r < 0) {
		return error_set(l->err, r, "open %s", path);
	}
	return yaml_parse(
		data, size, strcmp(path, "-") == 0 ? "(stdin)" : path, l->arena, documents, l->d);
}

/* Every document of every file, in order. */
struct document_list {
	struct yaml_node **items;
	size_t count;
};

static void collect(struct document_list *all, const struct yaml_documents *documents)
{
	all->items = xrealloc(all->items, all->count + documents->count, sizeof(*all->items));
	for (size_t i = 0; i < documents->count; i++) {
		if (documents->items[i]->kind != YAML_NULL) {
			all->items[all->count++] = documents->items[i];
		}
	}
}

static int parse_files(struct loader *l, struct document_list *all)
{
	int r = 0;

	for (size_t i = 0; i < l->project->files.count; i++) {
		const char *path = l->project->files.items[i];
		struct yaml_documents documents = { 0 };
		size_t before = all->count;
		int one = parse_file(l, path, &documents);

		if (one < 0 && one != -EINVAL) {
			return one;
		}
		r = one < 0 ? one : r;
		collect(all, &documents);
		if (one == 0 && all->count == before) {
			struct mark mark = { .file = path };

			load_error(l, &mark, "empty compose file");
			r = -EINVAL;
		}
	}
	return r;
}

/* The last top-level `name`, interpolated ahead of everything else because it is itself a
 * variable for the rest. */
static const struct yaml_node *declared_name(struct loader *l, const struct document_list *all)
{
	for (size_t i = all->count; i-- > 0;) {
		struct yaml_node *name = yaml_get(all->items[i], "name");

		if (name && name->kind == YAML_STRING) {
			struct yaml_node *copy = yaml_copy(l->arena, name);
			struct compose_path path = { .key = "name" };
			struct diagnostics scratch = { 0 }, *d = l->d;

			/* Findings about it are made when its tree's turn comes. */
			l->d = &scratch;
			if (!l->options->no_interpolate) {
				interpolate_scalar(l, copy, &path);
			}
			l->d = d;
			diagnostics_finish(&scratch);
			return copy;
		}
	}
	return NULL;
}

static void warn_version(struct loader *l, const struct yaml_node *root)
{
	const struct yaml_entry *version = yaml_find(root, "version");

	if (version) {
		diagnostics_add(l->d, SEVERITY_WARNING, &version->key_mark, NULL,
			"the attribute `version` is obsolete, it will be ignored, please remove it "
			"to avoid potential confusion");
	}
}

static void shape_documents(struct loader *l, const struct document_list *all)
{
	struct shaper s = {
		.arena = l->arena,
		.d = l->d,
		.directory = l->project->directory,
		.home = l->home,
	};

	for (size_t i = 0; i < all->count; i++) {
		if (!l->options->no_interpolate) {
			interpolate_tree(l, all->items[i], NULL);
		}
		warn_version(l, all->items[i]);
		compose_shape(&s, all->items[i]);
	}
}

static int load_documents(struct loader *l, const struct document_list *all)
{
	int r = loader_name(l, declared_name(l, all));

	if (r < 0) {
		return r;
	}
	pairs_set(l->arena, &l->project->variables, "COMPOSE_PROJECT_NAME", l->project->name, NULL);
	shape_documents(l, all);
	if (l->d->errors) {
		return -EINVAL;
	}
	for (size_t i = 0; i < all->count; i++) {
		l->root = compose_merge(l->arena, l->root, all->items[i]);
	}
	/* From here on every node has the kind that the tables promise, whatever else is wrong. */
	compose_normalize(l);
	compose_decode(l);
	compose_validate(l);
	return l->d->errors ? -EINVAL : 0;
}

int compose_load(const struct compose_options *options, struct compose_project **project,
	struct diagnostics *d, struct error *err)
{
	struct compose_project *made = xcalloc(1, sizeof(*made));
	struct loader l = {
		.options = options,
		.project = made,
		.arena = &made->arena,
		.d = d,
		.err = err,
	};
	struct document_list all = { 0 };
	int r;

	*project = NULL;
	made->eager_health = UNSET;
	made->no_interpolate = options->no_interpolate;
	r = loader_find(&l);
	if (r == 0) {
		r = parse_files(&l, &all);
	}
	if (r == 0) {
		r = load_documents(&l, &all);
	}
	free(all.items);
	if (r < 0) {
		compose_free(made);
		return r;
	}
	*project = made;
	return 0;
}

void compose_free(struct compose_project *project)
{
	if (project) {
		arena_finish(&project->arena);
		free(project);
	}
}

struct compose_service *compose_find_service(
	const struct compose_project *project, const char *name)
{
	for (size_t i = 0; i < project->service_count; i++) {
		if (strcmp(project->services[i].name, name) == 0) {
			return &project->services[i];
		}
	}
	return NULL;
}

int compose_project_name(const struct compose_options *options, char **name, struct error *err)
{
	struct compose_project *made = xcalloc(1, sizeof(*made));
	struct diagnostics d = { 0 };
	struct loader l = {
		.options = options,
		.project = made,
		.arena = &made->arena,
		.d = &d,
		.err = err,
	};
	struct document_list all = { 0 };
	int r;

	*name = NULL;
	/* With -p the files need not be there at all. */
	if (options->project_name && *options->project_name) {
		r = loader_name(&l, NULL);
	} else {
		r = loader_find(&l);
		if (r == 0) {
			r = parse_files(&l, &all);
		}
		if (r == 0) {
			r = loader_name(&l, declared_name(&l, &all));
		} else if (r == -EINVAL && d.count) {
			error_say(err, EINVAL, "%s", d.items[0].text);
		}
	}
	if (r == 0) {
		*name = xstrdup(made->name);
	}
	free(all.items);
	diagnostics_finish(&d);
	compose_free(made);
	return r;
}
