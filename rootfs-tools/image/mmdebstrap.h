/* Runs mmdebstrap, which makes a root from distribution packages and writes it as a tar. */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_MMDEBSTRAP_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_MMDEBSTRAP_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/mem.h"

struct mmdebstrap_options {
	const char *suite, *variant, *architecture; /* architecture in Debian's words, or NULL */
	const struct strv *packages;
	const struct strv *commands; /* for the shell of the new root, before it is packed */
	const char *sources; /* path of a sources.list */
	const char *work; /* folder for its temporary files */
	const char *cache; /* folder where package files are kept for the next run */
	const char *title; /* what the progress line starts with */
};

#define MMDEBSTRAP_LINES 30 /* of its messages, shown if it fails */

struct mmdebstrap {
	pid_t pid;
	int output; /* its standard output: the tar */
	int messages;
	pthread_t listener;
	bool listening;
	const char *title;
	char *lines[MMDEBSTRAP_LINES];
	size_t line_count;
};

/* Starts it. -ENOENT with @err naming the package if it is not installed. */
int mmdebstrap_start(
	struct mmdebstrap *run, const struct mmdebstrap_options *options, struct error *err);

/* Ends it if it still runs (@stop), waits for it, and, if it failed, prints its last messages.
 * Returns 0, or a negative errno with @err filled. May be called once after a start. */
int mmdebstrap_finish(struct mmdebstrap *run, bool stop, struct error *err);

#endif
