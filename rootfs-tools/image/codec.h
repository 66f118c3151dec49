/*
 * Decompression of a stream whose form is told by its first bytes: none, gzip (several members) or
 * zstd (several frames, skippable ones included).
 */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_CODEC_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum codec_kind {
	CODEC_NONE,
	CODEC_GZIP,
	CODEC_ZSTD,
	CODEC_OTHER, /* known, but none that a layer may have: bzip2, xz */
};

#define CODEC_DETECT_BYTES 6

enum codec_kind codec_detect(const uint8_t *data, size_t size);
/* "application/vnd.oci.image.layer.v1.tar+gzip" and its like; an uncompressed stream is stored as
 * zstd, so both give that. */
const char *codec_media_type(enum codec_kind kind);

struct codec;

/* For CODEC_GZIP and CODEC_ZSTD. The result is the caller's (codec_destroy). */
struct codec *codec_create(enum codec_kind kind);
void codec_destroy(struct codec *codec);

/*
 * Decompresses from @in (moving *@in and *@in_size on) into @out. Returns the number of bytes
 * written (0: more input is needed) or -EBADMSG with @err filled for a stream that is damaged.
 */
ssize_t codec_run(struct codec *codec, const uint8_t **in, size_t *in_size, uint8_t *out,
	size_t out_size, struct error *err);
/* Whether the stream may end here: a member or frame is complete. */
bool codec_complete(const struct codec *codec);

#endif
