/*
 * Errors that a person will read.
 *
 * A fallible function returns 0 (or a useful non-negative value) or a negative errno, and fills
 * a `struct error` where somebody will read the outcome. The innermost function says what it did
 * to what; callers may put context in front with error_prefix(). The message is printed once, at
 * the top. Nothing here allocates, so an error can be reported when memory is what ran out, and
 * the structure can be written through a pipe from a child.
 */
#ifndef WHERRY_BASE_ERROR_H
#define WHERRY_BASE_ERROR_H

#include "base/banned.h"

struct error {
	int code; /* positive errno; 0: no error */
	int exit_status; /* documented exit status that fits this failure; 0: the caller's default, 1 */
	char message[1000]; /* one line, no newline at its end; empty: no error */
};

#define ERROR_INIT                                                                                 \
	{                                                                                          \
		.code = 0                                                                          \
	}

/*
 * Fills @err with the formatted text followed by ": " and the text of errno @code (which may be
 * given positive or negative; 0 leaves the suffix out and stands for EINVAL in the result).
 * @err may be NULL. Returns the negative errno.
 */
int error_set(struct error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* As error_set(), but the message stands alone: no errno text is added. */
int error_say(struct error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts context and ": " before the message. Returns the negative errno that @err holds. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Remembers the exit status that this failure is documented to give. Returns -err->code. */
int error_exit_status(struct error *err, int exit_status);

#endif
