/*
 * The image store, writing side (the reading side and the layout are rootfs-tools/store.h).
 *
 * Theory of operation. Everything is made in a work folder `tmp/NAME`, which its process holds an
 * flock on; what is finished is put in place by rename(2) under the store's exclusive lock, which
 * is only ever held for an instant: first layers and blobs, which mean nothing while no index
 * names them, then index.json by an atomic replacement with fsync. So a crash at any moment leaves
 * either the old or the new index and perhaps things that nothing names; the next writer removes
 * those, and work folders that nobody holds any more. Every @err here is needed, never NULL.
 */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_REPOSITORY_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_REPOSITORY_H

#include <jansson.h>

#include "base/error.h"
#include "rootfs-tools/image/layer.h"
#include "specs/image_config.h"

struct repository {
	const char *state_dir; /* borrowed */
	int store; /* <state>/images */
	int tmp; /* <state>/images/tmp */
	int work; /* our own folder in it, flock'ed; -EBADF until repository_work() */
	char work_name[64];
};

#define REPOSITORY_INIT                                                                            \
	{                                                                                          \
		.store = -EBADF, .tmp = -EBADF, .work = -EBADF                                     \
	}
#define _cleanup_repository_ __attribute__((cleanup(repository_close)))

/* Opens the store for writing, making it if it is missing. 0 or a negative errno. */
int repository_open(struct repository *repository, const char *state_dir, struct error *err);
/* Makes the work folder, and removes what dead writers left. */
int repository_work(struct repository *repository, struct error *err);
/* Removes the work folder and closes everything. */
void repository_close(struct repository *repository);

/*
 * Puts an image in place: @layers (lowest first) from the work folder, @config (its diff_ids are
 * filled in here) and a manifest. @name is canonical; an image that had it becomes nameless.
 * @id gets the digest of the configuration.
 */
int repository_commit(struct repository *repository, const char *name, struct layer *layers,
	size_t layer_count, struct image_config *config, char id[DIGEST_SIZE], struct error *err);

/*
 * Takes the name @reference away (an id: all names of that image) and, if nothing names the image
 * any more, the image. Refused with EBUSY while something holds it (store_image_hold), unless
 * @force, which takes only the name. What was done is told to @tell, a line at a time.
 */
int repository_remove(struct repository *repository, const char *reference, bool force,
	void (*tell)(const char *line), struct error *err);
/* Removes images without a name that nothing holds. */
int repository_prune(
	struct repository *repository, void (*tell)(const char *line), struct error *err);

#endif
