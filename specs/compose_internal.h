/* What the passes of compose_load() share; nobody else includes this. */
#ifndef WHERRY_SPECS_COMPOSE_INTERNAL_H
#define WHERRY_SPECS_COMPOSE_INTERNAL_H

#include "specs/compose.h"
#include "specs/compose_schema.h"
#include "specs/dotenv.h"
#include "specs/yaml_tree.h"

struct loader {
	const struct compose_options *options;
	struct compose_project *project;
	struct arena *arena; /* the project's */
	struct diagnostics *d;
	struct error *err;
	const char *cwd, *home;
	struct compose_pairs os; /* the caller's environment alone */
	bool fixed_files; /* named by -f or COMPOSE_FILE: a missing one is an error */
	struct yaml_node *root; /* the merged tree */
};

/*
 * compose_files.c: where things come from. Fills project->directory, files, env_files and
 * variables. 0 or a negative errno with l->err filled (or findings added).
 */
int loader_find(struct loader *l);
/* One variable of the project's environment, NULL if unset. */
const char *loader_variable(void *loader, const char *name);
/* Decides project->name; @declared is the last top-level `name`, or NULL. */
int loader_name(struct loader *l, const struct yaml_node *declared);

/* compose_normalize.c: defaults, names, resolved environments; splits off disabled services. */
void compose_normalize(struct loader *l);
/* compose_decode.c: l->root to the typed model. */
void compose_decode(struct loader *l);
/* compose_validate.c: what only the whole can tell. */
void compose_validate(struct loader *l);

void load_error(struct loader *l, const struct mark *mark, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static inline bool compose_environment_bool(const char *text)
{
	return text && (strcmp(text, "1") == 0 || strcmp(text, "true") == 0 ||
			       strcmp(text, "t") == 0 || strcmp(text, "TRUE") == 0 ||
			       strcmp(text, "True") == 0 || strcmp(text, "T") == 0);
}

#endif
