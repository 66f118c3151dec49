#include "rootfs-tools/image/codec.h"

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include "base/mem.h"

/* The window that a frame may ask for. Layers written with --long=31 would take 2 GiB of memory of
 * whoever unpacks them; 128 MiB is what the zstd tool itself accepts unless told otherwise. */
#define WINDOW_LOG_MAX 27

struct codec {
	enum codec_kind kind;
	struct inflate_state gzip;
	ZSTD_DStream *zstd;
	bool complete; /* between members or frames */
	bool ended; /* what follows the last member is padding */
};

enum codec_kind codec_detect(const uint8_t *data, size_t size)
{
	static const struct {
		uint8_t magic[CODEC_DETECT_BYTES];
		uint8_t mask[CODEC_DETECT_BYTES];
		size_t size;
		enum codec_kind kind;
	} forms[] = {
		{ { 0x1f, 0x8b }, { 0xff, 0xff }, 2, CODEC_GZIP },
		{ { 0x28, 0xb5, 0x2f, 0xfd }, { 0xff, 0xff, 0xff, 0xff }, 4, CODEC_ZSTD },
		{ { 0x50, 0x2a, 0x4d, 0x18 }, { 0xf0, 0xff, 0xff, 0xff }, 4, CODEC_ZSTD },
		{ { 'B', 'Z', 'h' }, { 0xff, 0xff, 0xff }, 3, CODEC_OTHER },
		{ { 0xfd, '7', 'z', 'X', 'Z' }, { 0xff, 0xff, 0xff, 0xff, 0xff }, 5, CODEC_OTHER },
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		size_t n = 0;

		while (n < forms[i].size && n < size &&
			(data[n] & forms[i].mask[n]) == forms[i].magic[n]) {
			n++;
		}
		if (n == forms[i].size) {
			return forms[i].kind;
		}
	}
	return CODEC_NONE;
}

const char *codec_media_type(enum codec_kind kind)
{
	return kind == CODEC_GZIP ? "application/vnd.oci.image.layer.v1.tar+gzip"
				  : "application/vnd.oci.image.layer.v1.tar+zstd";
}

static void gzip_start(struct codec *codec)
{
	isal_inflate_init(&codec->gzip);
	codec->gzip.crc_flag = ISAL_GZIP;
	codec->complete = false;
}

struct codec *codec_create(enum codec_kind kind)
{
	struct codec *codec = xcalloc(1, sizeof(*codec));

	codec->kind = kind;
	if (kind == CODEC_GZIP) {
		gzip_start(codec);
	} else {
		codec->zstd = ZSTD_createDStream();
		if (!codec->zstd) {
			fputs("wherry-image: out of memory\n", stderr);
			abort();
		}
		ZSTD_DCtx_setParameter(codec->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	}
	return codec;
}

void codec_destroy(struct codec *codec)
{
	if (codec) {
		ZSTD_freeDStream(codec->zstd);
		free(codec);
	}
}

/* After a member: another one, or padding (tape blocks, an appended signature) that gzip ignores. */
static void gzip_next_member(struct codec *codec, const uint8_t *in)
{
	if (in[0] == 0x1f) {
		gzip_start(codec);
	} else {
		codec->ended = true;
	}
}

static ssize_t run_gzip(struct codec *codec, const uint8_t **in, size_t *in_size, uint8_t *out,
	size_t out_size, struct error *err)
{
	struct inflate_state *state = &codec->gzip;
	int r;

	if (codec->complete && !codec->ended && *in_size > 0) {
		gzip_next_member(codec, *in);
	}
	if (codec->ended) {
		*in += *in_size;
		*in_size = 0;
	}
	if (codec->complete) {
		return 0;
	}
	state->next_in = (uint8_t *)(uintptr_t)*in;
	state->avail_in = *in_size > UINT32_MAX ? UINT32_MAX : (uint32_t)*in_size;
	state->next_out = out;
	state->avail_out = out_size > UINT32_MAX ? UINT32_MAX : (uint32_t)out_size;
	r = isal_inflate(state);
	if (r < 0) {
		return error_say(err, EBADMSG, "the gzip stream is damaged (code %d)", r);
	}
	*in_size -= (size_t)(state->next_in - *in);
	*in = state->next_in;
	codec->complete = state->block_state == ISAL_BLOCK_FINISH;
	return state->next_out - out;
}

static ssize_t run_zstd(struct codec *codec, const uint8_t **in, size_t *in_size, uint8_t *out,
	size_t out_size, struct error *err)
{
	ZSTD_inBuffer input = { .src = *in, .size = *in_size };
	ZSTD_outBuffer output = { .dst = out, .size = out_size };
	size_t r = ZSTD_decompressStream(codec->zstd, &output, &input);

	if (ZSTD_isError(r)) {
		return error_say(
			err, EBADMSG, "the zstd stream is damaged: %s", ZSTD_getErrorName(r));
	}
	*in += input.pos;
	*in_size -= input.pos;
	/* A call that moved nothing says nothing about where the frame stands. */
	if (input.pos > 0 || output.pos > 0) {
		codec->complete = r == 0;
	}
	return (ssize_t)output.pos;
}

ssize_t codec_run(struct codec *codec, const uint8_t **in, size_t *in_size, uint8_t *out,
	size_t out_size, struct error *err)
{
	for (;;) {
		size_t before = *in_size;
		ssize_t n = codec->kind == CODEC_GZIP
				    ? run_gzip(codec, in, in_size, out, out_size, err)
				    : run_zstd(codec, in, in_size, out, out_size, err);

		/* Headers and skippable frames give no output: go on while input is being used up. */
		if (n != 0 || *in_size == 0 || *in_size == before) {
			if (n == 0 && *in_size > 0) {
				return error_say(err, EBADMSG, "the compressed stream is damaged");
			}
			return n;
		}
	}
}

bool codec_complete(const struct codec *codec)
{
	return codec->complete;
}
