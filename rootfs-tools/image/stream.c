#include "rootfs-tools/image/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "rootfs-tools/image/interrupt.h"

#define CHUNK_SIZE ((size_t)256 << 10)
#define CHUNKS     16

struct chunk {
	uint8_t *data;
	size_t size;
};

struct stream {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	int input; /* borrowed */
	int wake; /* eventfd: readable once cancelled, so that a silent input cannot hold us */
	int64_t plain_limit, plain_total;
	stream_raw_fn *raw;
	void *raw_owner;
	struct codec *codec;

	/* Under the lock. */
	struct chunk chunks[CHUNKS];
	uint64_t written, passed[STREAM_READERS];
	bool holds[STREAM_READERS]; /* the reader is looking at chunk `passed` */
	bool ended, known;
	enum codec_kind kind;
	struct error error;
};

void stream_cancel(struct stream *stream, const struct error *reason)
{
	uint64_t one = 1;

	pthread_mutex_lock(&stream->lock);
	if (stream->error.code == 0) {
		stream->error = *reason;
		if (stream->error.code == 0) {
			stream->error.code = ECANCELED;
		}
	}
	stream->known = true;
	pthread_cond_broadcast(&stream->changed);
	pthread_mutex_unlock(&stream->lock);
	(void)!write(stream->wake, &one, sizeof(one));
}

int stream_result(struct stream *stream, struct error *err)
{
	int r;

	pthread_mutex_lock(&stream->lock);
	r = -stream->error.code;
	if (r < 0 && err) {
		*err = stream->error;
	}
	pthread_mutex_unlock(&stream->lock);
	return r;
}

/* Reads some bytes of the input. 0 at its end, -ECANCELED once somebody cancelled. */
static ssize_t input_read(struct stream *stream, void *data, size_t size)
{
	struct pollfd fds[] = {
		{ .fd = stream->input, .events = POLLIN },
		{ .fd = stream->wake, .events = POLLIN },
		{ .fd = interrupt_fd(), .events = POLLIN },
	};

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
		if (errno != EINTR) {
			return -errno;
		}
	}
	if (fds[1].revents) {
		return -ECANCELED;
	}
	if (fds[2].revents) {
		return -EINTR;
	}
	return sys_read(stream->input, data, size);
}

/* Waits for a slot that every reader has passed. NULL once cancelled. */
static struct chunk *slot_wait(struct stream *stream)
{
	struct chunk *chunk = NULL;

	pthread_mutex_lock(&stream->lock);
	for (;;) {
		uint64_t slowest = stream->passed[0];

		for (unsigned i = 1; i < STREAM_READERS; i++) {
			if (stream->passed[i] < slowest) {
				slowest = stream->passed[i];
			}
		}
		if (stream->error.code != 0) {
			break;
		}
		if (stream->written - slowest < CHUNKS) {
			chunk = &stream->chunks[stream->written % CHUNKS];
			break;
		}
		pthread_cond_wait(&stream->changed, &stream->lock);
	}
	pthread_mutex_unlock(&stream->lock);
	return chunk;
}

static int slot_commit(struct stream *stream, struct chunk *chunk, size_t size, struct error *err)
{
	stream->plain_total += (int64_t)size;
	if (stream->plain_total > stream->plain_limit) {
		return error_say(err, EFBIG, "the archive unpacks to more than %" PRId64 " bytes",
			stream->plain_limit);
	}
	pthread_mutex_lock(&stream->lock);
	chunk->size = size;
	stream->written++;
	pthread_cond_broadcast(&stream->changed);
	pthread_mutex_unlock(&stream->lock);
	return 0;
}

static void kind_publish(struct stream *stream, enum codec_kind kind)
{
	pthread_mutex_lock(&stream->lock);
	stream->kind = kind;
	stream->known = true;
	pthread_cond_broadcast(&stream->changed);
	pthread_mutex_unlock(&stream->lock);
}

/* Plain input: from the descriptor straight into the ring, whole chunks where a pipe gives crumbs. */
static int produce_plain(struct stream *stream, const uint8_t *head, size_t size, struct error *err)
{
	bool end = false;

	while (!end) {
		struct chunk *chunk = slot_wait(stream);
		int r;

		if (!chunk) {
			return -ECANCELED;
		}
		memcpy(chunk->data, head, size);
		while (size < CHUNK_SIZE) {
			ssize_t n = input_read(stream, chunk->data + size, CHUNK_SIZE - size);

			if (n < 0) {
				return error_set(err, (int)n, "read the archive");
			}
			if (n == 0) {
				end = true;
				break;
			}
			size += (size_t)n;
		}
		r = size > 0 ? slot_commit(stream, chunk, size, err) : 0;
		if (r < 0) {
			return r;
		}
		size = 0;
	}
	return 0;
}

/* All of one piece of compressed input, into as many chunks as it takes. */
static int expand(struct stream *stream, const uint8_t *data, size_t size, struct error *err)
{
	for (;;) {
		struct chunk *chunk = slot_wait(stream);
		ssize_t n;
		int r;

		if (!chunk) {
			return -ECANCELED;
		}
		n = codec_run(stream->codec, &data, &size, chunk->data, CHUNK_SIZE, err);
		if (n <= 0) {
			return (int)n;
		}
		r = slot_commit(stream, chunk, (size_t)n, err);
		if (r < 0) {
			return r;
		}
	}
}

static int produce_expanded(struct stream *stream, uint8_t *buffer, size_t size, struct error *err)
{
	stream->codec = codec_create(stream->kind);
	while (size > 0) {
		int r = stream->raw(stream->raw_owner, buffer, size, err);
		ssize_t n;

		if (r == 0) {
			r = expand(stream, buffer, size, err);
		}
		if (r < 0) {
			return r;
		}
		n = input_read(stream, buffer, CHUNK_SIZE);
		if (n < 0) {
			return error_set(err, (int)n, "read the archive");
		}
		size = (size_t)n;
	}
	if (!codec_complete(stream->codec)) {
		return error_say(err, EBADMSG, "the compressed archive ends in its middle");
	}
	return 0;
}

static int produce(struct stream *stream, struct error *err)
{
	_cleanup_free_ uint8_t *buffer = xcalloc(CHUNK_SIZE, 1);
	enum codec_kind kind;
	size_t size = 0;

	while (size < CODEC_DETECT_BYTES) {
		ssize_t n = input_read(stream, buffer + size, CHUNK_SIZE - size);

		if (n < 0) {
			return error_set(err, (int)n, "read the archive");
		}
		if (n == 0) {
			break;
		}
		size += (size_t)n;
	}
	kind = codec_detect(buffer, size);
	kind_publish(stream, kind);
	switch (kind) {
	case CODEC_NONE: return produce_plain(stream, buffer, size, err);
	case CODEC_GZIP:
	case CODEC_ZSTD: return produce_expanded(stream, buffer, size, err);
	case CODEC_OTHER: break;
	}
	return error_say(err, EBADMSG,
		"the archive is compressed with bzip2 or xz; layers are plain, gzip or zstd");
}

static void *producer(void *argument)
{
	struct stream *stream = argument;
	struct error err = ERROR_INIT;
	int r = produce(stream, &err);

	if (r < 0) {
		err.code = -r;
		stream_cancel(stream, &err);
	}
	pthread_mutex_lock(&stream->lock);
	stream->ended = true;
	pthread_cond_broadcast(&stream->changed);
	pthread_mutex_unlock(&stream->lock);
	return NULL;
}

static void stream_free(struct stream *stream)
{
	for (size_t i = 0; i < CHUNKS; i++) {
		free(stream->chunks[i].data);
	}
	codec_destroy(stream->codec);
	fd_close(&stream->wake);
	pthread_mutex_destroy(&stream->lock);
	pthread_cond_destroy(&stream->changed);
	free(stream);
}

struct stream *stream_create(
	int input, int64_t plain_limit, stream_raw_fn *raw, void *raw_owner, struct error *err)
{
	struct stream *stream = xcalloc(1, sizeof(*stream));
	int r;

	pthread_mutex_init(&stream->lock, NULL);
	pthread_cond_init(&stream->changed, NULL);
	stream->input = input;
	stream->plain_limit = plain_limit;
	stream->raw = raw;
	stream->raw_owner = raw_owner;
	for (size_t i = 0; i < CHUNKS; i++) {
		stream->chunks[i].data = xcalloc(CHUNK_SIZE, 1);
	}
	stream->wake = eventfd(0, EFD_CLOEXEC);
	r = stream->wake < 0 ? errno : pthread_create(&stream->thread, NULL, producer, stream);
	if (r != 0) {
		error_set(err, r, "start reading the archive");
		stream_free(stream);
		return NULL;
	}
	return stream;
}

void stream_destroy(struct stream *stream)
{
	struct error reason = ERROR_INIT;

	if (!stream) {
		return;
	}
	stream_cancel(stream, &reason);
	pthread_join(stream->thread, NULL);
	stream_free(stream);
}

enum codec_kind stream_kind(struct stream *stream)
{
	enum codec_kind kind;

	pthread_mutex_lock(&stream->lock);
	while (!stream->known) {
		pthread_cond_wait(&stream->changed, &stream->lock);
	}
	kind = stream->kind;
	pthread_mutex_unlock(&stream->lock);
	return kind;
}

ssize_t stream_next(struct stream *stream, unsigned reader, const void **data)
{
	ssize_t result;

	pthread_mutex_lock(&stream->lock);
	if (stream->holds[reader]) {
		stream->holds[reader] = false;
		stream->passed[reader]++;
		pthread_cond_broadcast(&stream->changed);
	}
	while (stream->error.code == 0 && !stream->ended &&
		stream->passed[reader] == stream->written) {
		pthread_cond_wait(&stream->changed, &stream->lock);
	}
	if (stream->error.code != 0) {
		result = -stream->error.code;
	} else if (stream->passed[reader] == stream->written) {
		result = 0;
	} else {
		const struct chunk *chunk = &stream->chunks[stream->passed[reader] % CHUNKS];

		stream->holds[reader] = true;
		*data = chunk->data;
		result = (ssize_t)chunk->size;
	}
	pthread_mutex_unlock(&stream->lock);
	return result;
}
