/*
 * The image store, reading side: what `wherry` itself needs to run an image. Nothing here changes
 * the store but the lock files; wherry-image does the rest.
 *
 * Layout below <state>/images: `oci-layout`, `index.json` (a manifest descriptor for each name,
 * with annotation "io.containerd.image.name" = canonical name and
 * "org.opencontainers.image.ref.name" = tag), `blobs/sha256/HEX`, and beside them
 * `layers/sha256/HEX/` (by diff id): `fs/` the extracted tree, whiteouts in overlayfs form.
 * `lock` is flock'ed: shared by readers, exclusive by writers.
 */
#ifndef WHERRY_ROOTFS_TOOLS_STORE_H
#define WHERRY_ROOTFS_TOOLS_STORE_H

#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "specs/image_config.h"

struct store_image {
	struct arena arena;
	const char *name; /* canonical */
	const char *id; /* digest of the configuration, "sha256:..." */
	const char *manifest; /* digest of the manifest */
	const char *
		*layers; /* absolute paths of the extracted trees, topmost first, NULL-terminated */
	struct image_config config;
	int64_t size; /* bytes of the blobs */
};

/*
 * Finds an image by reference (any form that docker accepts, also a unique id prefix).
 * Returns 0 (release with store_image_finish), -ENOENT if there is none, or another negative errno.
 * A configuration for another architecture is returned as it is: the caller decides.
 */
int store_image_find(
	const char *state_dir, const char *reference, struct store_image *image, struct error *err);
void store_image_finish(struct store_image *image);

/* This machine's architecture in the image specification's words ("amd64", "arm64", ...). */
const char *store_architecture(void);

#endif
