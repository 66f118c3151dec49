/* The OCI image configuration (image-spec, also docker's): what an image says about running it. */
#ifndef WHERRY_SPECS_IMAGE_CONFIG_H
#define WHERRY_SPECS_IMAGE_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

struct image_health {
	const char **test; /* NULL: none given; first word NONE, CMD or CMD-SHELL */
	int64_t interval_us, timeout_us, start_period_us, start_interval_us; /* 0: default */
	int64_t retries; /* 0: default */
};

struct image_config {
	const char *architecture, *os, *variant, *created;
	const char *user, *working_dir, *stop_signal;
	const char **env, **entrypoint, **cmd, **shell; /* NULL-terminated or NULL */
	const char **volumes, **exposed_ports; /* NULL-terminated or NULL */
	const char **label_keys, **label_values; /* NULL-terminated, pairwise */
	struct image_health health;
	const char **diff_ids; /* rootfs.diff_ids, lowest layer first; NULL-terminated */
};

/* An image holds at most this many layers: what one overlay mount takes (measured on Linux 6.18). */
#define IMAGE_LAYERS_MAX 500

/*
 * Reads the document @json; every text is copied into @arena, so @json may go. Members that the
 * specification lets be null or absent are NULL or 0. Returns 0, or -EBADMSG with @err naming the
 * member that has the wrong type or form.
 */
int image_config_parse(
	const json_t *json, struct arena *arena, struct image_config *config, struct error *err);
/* The document again, with the members that are set. New reference. */
json_t *image_config_print(const struct image_config *config);

/* Whether @text is "sha256:" and 64 lower-case hexadecimal digits: safe as part of a path. */
bool image_digest_valid(const char *text);

#endif
