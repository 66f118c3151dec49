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

/*
 * Marks the image as in use: a shared flock on its configuration blob. As long as the returned
 * descriptor (the caller's) or a copy of it is open, `wherry-image rm` and `prune` refuse to remove
 * the image or its layers. Returns a negative errno with @err filled; -ENOENT if the image has just
 * gone.
 */
int store_image_hold(const char *state_dir, const struct store_image *image, struct error *err);

/* What follows is shared with wherry-image, which writes the store. */

#define STORE_ANNOTATION_NAME "io.containerd.image.name"
#define STORE_ANNOTATION_TAG  "org.opencontainers.image.ref.name"
/* On a layer's descriptor: bytes of the files it unpacks to. */
#define STORE_ANNOTATION_UNPACKED "wherry.layer.unpacked"

#define STORE_INDEX_LIMIT         ((size_t)16 << 20)
#define STORE_BLOB_LIMIT          ((size_t)4 << 20) /* manifests and configurations */

/* Opens <state>/images. -ENOENT (with @err filled) if nothing was ever imported. */
int store_open(const char *state_dir, struct error *err);
/* Locks the store: LOCK_SH or LOCK_EX. The lock lives as long as the returned descriptor. */
int store_lock(int store, int operation, struct error *err);
/* The index, checked to be an object with a list "manifests"; an empty one if there is no file.
 * New reference; NULL with @err filled. */
json_t *store_index_read(int store, struct error *err);
/* Reads a manifest or configuration by digest. New reference; NULL with @err filled. */
json_t *store_blob_json(int store, const char *digest, struct error *err);
/* The descriptor in @index that @reference names (borrowed), or NULL with @err filled: code ENOENT,
 * EINVAL for a reference of the wrong form, ENOTUNIQ for an id prefix that fits several. */
json_t *store_index_find(int store, const json_t *index, const char *reference, struct error *err);
/* Fills @image from one of the index's descriptors. Release with store_image_finish(). */
int store_image_load(const char *state_dir, int store, const json_t *descriptor,
	struct store_image *image, struct error *err);

/* This machine's architecture in the image specification's words ("amd64", "arm64", ...). */
const char *store_architecture(void);

#endif
