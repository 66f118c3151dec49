/* What nothing in the store names any more. All calls need the store's exclusive lock. */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_COLLECT_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_COLLECT_H

#include <jansson.h>
#include <stdbool.h>

#include "rootfs-tools/image/repository.h"

/* Whether somebody holds (store_image_hold) the image with this id. */
bool collect_is_held(const struct repository *repository, const char *id);

/*
 * Removes the blobs and layers that no image of @index needs, except those of images that are held.
 * Layers are only moved to the work folder here and go with it. Best effort: if an image cannot be
 * read nothing is removed, and what fails is left for the next writer.
 */
void collect_garbage(const struct repository *repository, const json_t *index);

#endif
