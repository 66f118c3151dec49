/*
 * ${VARIABLE} substitution as the Compose Specification defines it:
 *
 *   $NAME ${NAME}            the value; unset is an empty text and a warning
 *   ${NAME:-word} ${NAME-word}    word if unset (":": or empty)
 *   ${NAME:+word} ${NAME+word}    word if set (":": and not empty)
 *   ${NAME:?text} ${NAME?text}    an error that shows text if unset (":": or empty)
 *   $$                       one "$"
 *
 * Words may hold further substitutions; only the branch that is taken is looked at. A "$" before
 * anything else stays as it is; "${" that starts none of the forms is an error.
 */
#ifndef WHERRY_SPECS_INTERPOLATE_H
#define WHERRY_SPECS_INTERPOLATE_H

#include "base/error.h"
#include "base/mem.h"

struct interpolation {
	/* The value of a variable, NULL if unset. */
	const char *(*lookup)(void *owner, const char *name);
	/* Called for each unset variable that became an empty text; may be NULL. */
	void (*unset)(void *owner, const char *name);
	void *owner;
};

enum { INTERPOLATE_MAX_DEPTH = 32, INTERPOLATE_MAX_BYTES = 1 << 20 };

/* Appends the result to @out. Returns 0 or -EINVAL (@err says which variable or form). A form that
 * is not valid gives -EBADMSG, so that callers can word it with the place. */
int interpolate(
	const struct interpolation *how, const char *text, struct str *out, struct error *err);

#endif
