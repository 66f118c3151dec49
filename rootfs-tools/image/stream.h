/*
 * One pass over a layer's bytes for several readers at once.
 *
 * A producer thread reads the input, decompresses it if need be, and puts chunks of the plain tar
 * stream into a ring; each of the readers (the unpacker, the digest) sees every chunk at its own
 * pace, and a slot is used again when all have passed it. So nothing is read twice, and the work
 * of hashing and compressing runs beside that of creating files.
 */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_STREAM_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "rootfs-tools/image/codec.h"

#define STREAM_READERS 2

struct stream;

/* What becomes of the input's own bytes when it is compressed: called in the producer's thread,
 * in order. Returns 0 or a negative errno with @err filled. */
typedef int stream_raw_fn(void *owner, const void *data, size_t size, struct error *err);

/*
 * Starts reading @input (borrowed, any kind of descriptor). @plain_limit is the number of bytes of
 * the plain stream after which it fails with EFBIG.
 * Returns the stream (stream_destroy) or NULL with @err filled.
 */
struct stream *stream_create(
	int input, int64_t plain_limit, stream_raw_fn *raw, void *raw_owner, struct error *err);
/* Stops the producer and waits for it. */
void stream_destroy(struct stream *stream);

/* The form of the input; waits for its first bytes. */
enum codec_kind stream_kind(struct stream *stream);

/*
 * The next chunk for @reader (valid until its next call). Returns its size, 0 at the end, or a
 * negative errno if the producer failed or somebody cancelled.
 */
ssize_t stream_next(struct stream *stream, unsigned reader, const void **data);

/* Makes everybody stop; the first reason is kept. */
void stream_cancel(struct stream *stream, const struct error *reason);
/* After the end: 0, or the first failure with @err filled. */
int stream_result(struct stream *stream, struct error *err);

#endif
