/*
 * Image references as docker normalises them (distribution/reference): "redis:7" stands for
 * docker.io/library/redis:7. The protocol constants (default registry, namespace, tag) stand here
 * and nowhere else.
 */
#ifndef WHERRY_SPECS_IMAGE_NAME_H
#define WHERRY_SPECS_IMAGE_NAME_H

#include "base/error.h"

struct image_name {
	char domain[256]; /* "docker.io" */
	char repository[256]; /* "library/redis" */
	char tag[129]; /* "7"; empty with a digest only */
	char digest[160]; /* "sha256:..." or empty */
};

/* Parses and normalises. Returns 0 or -EINVAL with @err saying which part is wrong. */
int image_name_parse(const char *text, struct image_name *name, struct error *err);
/* "docker.io/library/redis:7" (or "...@sha256:..."). The text is the caller's. */
char *image_name_canonical(const struct image_name *name);
/* As docker shows it: "redis:7". The text is the caller's. */
char *image_name_familiar(const struct image_name *name);

#endif
