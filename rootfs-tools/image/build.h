/* From tar streams to a named image in the store: what `import` and `bootstrap` share. */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_BUILD_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_BUILD_H

#include "base/error.h"
#include "rootfs-tools/image/config_options.h"
#include "rootfs-tools/image/repository.h"

/* Called when the whole root tar was read: says whether it is sound (its writer's exit status). */
typedef int build_check_fn(void *owner, struct error *err);

/*
 * Makes the image @name (canonical) from the root tar that @input gives and the files that
 * @options adds (a layer of their own). @repository has its work folder. @id gets the image's id.
 */
int build_image(struct repository *repository, int input, const char *name,
	const struct config_options *options, build_check_fn *check, void *check_owner,
	char id[DIGEST_SIZE], struct error *err);

#endif
