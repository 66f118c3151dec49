/* One layer from a tar stream: unpacked, digested and kept as a blob in a single pass. */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_LAYER_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_LAYER_H

#include <stdint.h>

#include "base/error.h"
#include "rootfs-tools/image/digest.h"
#include "rootfs-tools/image/extract.h"

struct layer {
	char name[32]; /* of the folder and the blob file in the work folder */
	char diff_id[DIGEST_SIZE]; /* of the plain tar */
	char digest[DIGEST_SIZE]; /* of the blob */
	const char *media_type;
	int64_t size; /* bytes of the blob */
	struct extract_totals totals;
};

/*
 * Reads a tar (plain, gzip or zstd) from @input to its end and makes, in the folder @work,
 * `NAME/fs/` with the tree and `NAME.blob`: the bytes as they came if they were compressed, else
 * compressed here by zstd at its fastest level. @limits may be NULL for the usual ones.
 * Returns 0 or a negative errno with @err filled; what was made until then is left in @work.
 */
int layer_unpack(int input, int work, const char *name, const struct extract_limits *limits,
	struct layer *layer, struct error *err);

#endif
