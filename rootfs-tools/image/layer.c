#include "rootfs-tools/image/layer.h"

#include <errno.h>
#include <pthread.h>
#include <zstd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "rootfs-tools/image/stream.h"

#define ZSTD_LEVEL 1 /* twice as fast as a disk writes, within a tenth of level 3's size */

enum { READER_EXTRACT, READER_DIGEST };

/* The blob being written: by the producer if the input is compressed, else by the digest thread. */
struct blob {
	int fd;
	struct digest digest;
	int64_t size;
};

struct unpack {
	struct stream *stream;
	struct blob blob;
	struct digest diff_id;
	struct layer *layer;
	struct error error; /* of the digest thread */
};

static int blob_write(void *owner, const void *data, size_t size, struct error *err)
{
	struct blob *blob = owner;
	int r = fd_write_all(blob->fd, data, size);

	if (r < 0) {
		return error_set(err, r, "write the blob");
	}
	digest_add(&blob->digest, data, size);
	blob->size += (int64_t)size;
	return 0;
}

/* Compresses one chunk (or, with @end, what is left) into the blob. */
static int compress_chunk(struct unpack *u, ZSTD_CCtx *zstd, void *buffer, size_t room,
	const void *data, size_t size, ZSTD_EndDirective end, struct error *err)
{
	ZSTD_inBuffer input = { .src = data, .size = size };
	size_t left;

	do {
		ZSTD_outBuffer output = { .dst = buffer, .size = room };
		int r;

		left = ZSTD_compressStream2(zstd, &output, &input, end);
		if (ZSTD_isError(left)) {
			return error_say(err, ENOMEM, "zstd: %s", ZSTD_getErrorName(left));
		}
		r = blob_write(&u->blob, buffer, output.pos, err);
		if (r < 0) {
			return r;
		}
	} while (input.pos < input.size || (end == ZSTD_e_end && left > 0));
	return 0;
}

static int digest_stream(struct unpack *u, ZSTD_CCtx *zstd, struct error *err)
{
	size_t room = ZSTD_CStreamOutSize();
	_cleanup_free_ void *buffer = xcalloc(1, room);
	const void *data;
	ssize_t n;
	int r = 0;

	while ((n = stream_next(u->stream, READER_DIGEST, &data)) > 0) {
		digest_add(&u->diff_id, data, (size_t)n);
		if (zstd) {
			r = compress_chunk(
				u, zstd, buffer, room, data, (size_t)n, ZSTD_e_continue, err);
		}
		if (r < 0) {
			return r;
		}
	}
	if (n == 0 && zstd) {
		return compress_chunk(u, zstd, buffer, room, NULL, 0, ZSTD_e_end, err);
	}
	return (int)n;
}

static void *digester(void *argument)
{
	struct unpack *u = argument;
	ZSTD_CCtx *zstd = NULL;
	int r;

	if (stream_kind(u->stream) == CODEC_NONE) {
		zstd = ZSTD_createCCtx();
		ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
		ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
	}
	r = digest_stream(u, zstd, &u->error);
	if (r < 0) {
		u->error.code = -r;
		stream_cancel(u->stream, &u->error);
	}
	ZSTD_freeCCtx(zstd);
	return NULL;
}

static la_ssize_t read_chunk(struct archive *archive, void *owner, const void **data)
{
	struct unpack *u = owner;
	ssize_t n = stream_next(u->stream, READER_EXTRACT, data);

	if (n < 0) {
		archive_set_error(archive, (int)-n, "the stream was cut off");
		return ARCHIVE_FATAL;
	}
	return n;
}

static int extract_stream(
	struct unpack *u, int root, const struct extract_limits *limits, struct error *err)
{
	struct archive *archive = archive_read_new();
	const void *rest;
	int r;

	archive_read_support_format_tar(archive);
	r = archive_read_open(archive, u, NULL, read_chunk, NULL);
	if (r != ARCHIVE_OK) {
		r = error_say(err, EBADMSG, "not a tar: %s", archive_error_string(archive));
	} else {
		r = extract_archive(archive, root, limits, &u->layer->totals, err);
	}
	/* What follows the end mark belongs to the digest as well. */
	while (r == 0 && stream_next(u->stream, READER_EXTRACT, &rest) > 0) {
	}
	if (r < 0) {
		struct error reason = *err;

		reason.code = -r;
		stream_cancel(u->stream, &reason);
	}
	archive_read_free(archive);
	return r;
}

static int unpack_run(struct unpack *u, int input, int root, const struct extract_limits *limits,
	struct error *err)
{
	pthread_t thread;
	int r;

	u->stream = stream_create(input, 2 * limits->bytes, blob_write, &u->blob, err);
	if (!u->stream) {
		return -err->code;
	}
	r = pthread_create(&thread, NULL, digester, u);
	if (r != 0) {
		return error_set(err, r, "start a thread");
	}
	extract_stream(u, root, limits, err);
	pthread_join(thread, NULL);
	/* The first to fail told the stream; the others only saw it stop. */
	r = stream_result(u->stream, err);
	if (r == 0) {
		u->layer->media_type = codec_media_type(stream_kind(u->stream));
	}
	return r;
}

static int open_targets(int work, const char *name, int *root, int *blob, struct error *err)
{
	char path[64];
	int r = sys_mkdirat(work, name, 0700);

	snprintf(path, sizeof(path), "%s/fs", name);
	if (r == 0) {
		r = sys_mkdirat(work, path, 0755);
	}
	if (r < 0) {
		return error_set(err, r, "create folder %s", name);
	}
	*root = sys_openat(work, path, O_RDONLY | O_DIRECTORY, 0);
	snprintf(path, sizeof(path), "%s.blob", name);
	*blob = *root < 0 ? *root : sys_openat(work, path, O_RDWR | O_CREAT | O_EXCL, 0600);
	return *blob < 0 ? error_set(err, *blob, "create %s", path) : 0;
}

int layer_unpack(int input, int work, const char *name, const struct extract_limits *limits,
	struct layer *layer, struct error *err)
{
	static const struct extract_limits usual = {
		.bytes = EXTRACT_LIMIT_BYTES,
		.entries = EXTRACT_LIMIT_ENTRIES,
	};
	_cleanup_fd_ int root = -EBADF, blob = -EBADF;
	struct error e = ERROR_INIT;
	struct unpack u = { .layer = layer };
	mode_t old_mask;
	int r;

	memset(layer, 0, sizeof(*layer));
	snprintf(layer->name, sizeof(layer->name), "%s", name);
	old_mask = umask(0);
	r = open_targets(work, name, &root, &blob, &e);
	if (r == 0) {
		u.blob.fd = blob;
		digest_start(&u.blob.digest);
		digest_start(&u.diff_id);
		r = unpack_run(&u, input, root, limits ? limits : &usual, &e);
	}
	if (r == 0) {
		stream_destroy(take_ptr(u.stream));
		digest_end(&u.blob.digest, layer->digest);
		digest_end(&u.diff_id, layer->diff_id);
		layer->size = u.blob.size;
	}
	umask(old_mask);
	stream_destroy(u.stream);
	digest_finish(&u.blob.digest);
	digest_finish(&u.diff_id);
	return r < 0 ? error_say(err, r, "%s", e.message) : 0;
}
