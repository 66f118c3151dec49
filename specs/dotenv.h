/*
 * Files of variables (.env, env_file), in the syntax of docker compose:
 *
 *   # comment              KEY=value # comment       export KEY=value
 *   KEY: value             KEY="escapes and ${V}"    KEY='as it stands'
 *   KEY                    (inherited from the environment, else absent)
 *
 * Quoted values may span lines. Unquoted and double-quoted ones are interpolated.
 */
#ifndef WHERRY_SPECS_DOTENV_H
#define WHERRY_SPECS_DOTENV_H

#include <stddef.h>

#include "base/error.h"
#include "specs/compose.h"
#include "specs/diagnostics.h"

enum { DOTENV_MAX_BYTES = 1 << 20, DOTENV_MAX_KEYS = 10000 };

struct dotenv {
	struct arena *arena;
	/* A variable from outside the file; what is outside wins over earlier keys of the file.
	 * May be NULL. */
	const char *(*lookup)(void *owner, const char *name);
	void *owner;
	struct compose_pairs *pairs; /* results are added here; a later key replaces an earlier */
	struct diagnostics *d;
};

/*
 * Parses @size bytes of @file (the name shown in findings). Returns 0, or -EINVAL when an error
 * was added to the findings.
 */
int dotenv_parse(const struct dotenv *how, const char *file, const char *data, size_t size);

/* The raw format of env_file: KEY=VALUE lines, no quotes, no interpolation. */
int dotenv_parse_raw(const struct dotenv *how, const char *file, const char *data, size_t size);

/* Sets a pair, replacing one of the same key. */
void pairs_set(struct arena *arena, struct compose_pairs *pairs, const char *key, const char *value,
	const struct mark *mark);
/* The pair of that key, or NULL. */
struct compose_pair *pairs_find(const struct compose_pairs *pairs, const char *key);

#endif
