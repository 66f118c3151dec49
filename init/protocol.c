#include "init/protocol.h"

#include <errno.h>

#include "base/fd.h"
#include "base/json.h"

#define HEADER_SIZE 4
#define READ_SIZE   65536

static uint32_t get_length(const void *bytes)
{
	const unsigned char *p = bytes;

	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The frame as bytes: length and text. */
static int print_frame(struct str *out, const json_t *frame)
{
	_cleanup_free_ char *text = json_print(frame);
	size_t size = strlen(text);
	char header[HEADER_SIZE];

	if (size > PROTOCOL_FRAME_MAX) {
		return -EMSGSIZE;
	}
	for (int i = 0; i < HEADER_SIZE; i++) {
		header[i] = (char)(size >> (8 * i));
	}
	str_add_mem(out, header, sizeof(header));
	str_add_mem(out, text, size);
	return 0;
}

static json_t *parse_frame(const char *text, size_t size, struct error *err)
{
	json_t *frame = json_parse(text, size, "message", err);

	if (frame && !json_is_object(frame)) {
		json_decref(frame);
		error_say(err, EBADMSG, "message: not an object");
		return NULL;
	}
	return frame;
}

json_t *protocol_hello(void)
{
	json_t *hello = json_object();

	json_put_int(hello, "wherry", PROTOCOL_VERSION);
	json_put_text(hello, "version", WHERRY_VERSION);
	return hello;
}

int protocol_check_hello(const json_t *frame, struct error *err)
{
	int64_t theirs = json_int(frame, "wherry", -1);

	if (theirs != PROTOCOL_VERSION) {
		return error_say(err, EPROTO,
			"the other side speaks protocol version %lld (wherry %.40s), this side "
			"version %d (wherry %s): use the same wherry for both, or take the project "
			"down with the one that started it",
			(long long)theirs, json_text(frame, "version", "unknown"), PROTOCOL_VERSION,
			WHERRY_VERSION);
	}
	return 0;
}

int protocol_send(
	int socket, const json_t *frame, const int *fds, size_t fd_count, struct error *err)
{
	_cleanup_str_ struct str out = { 0 };
	int r = print_frame(&out, frame);
	size_t sent = 0;

	if (r < 0) {
		return error_set(
			err, r, "send a request of more than %u bytes", PROTOCOL_FRAME_MAX);
	}
	while (sent < out.size) {
		ssize_t n = fd_send(socket, out.data + sent, out.size - sent, fds, fd_count);

		if (n < 0) {
			return error_set(err, (int)n, "talk to the supervisor");
		}
		sent += (size_t)n;
		fd_count = 0;
	}
	return 0;
}

/* Reads exactly @size bytes; descriptors that come along are kept up to PROTOCOL_FDS. */
static ssize_t receive_full(int socket, char *data, size_t size, int *fds, size_t *fd_count)
{
	size_t got = 0;

	while (got < size) {
		size_t came = 0;
		ssize_t n = fd_receive(socket, data + got, size - got, fds + *fd_count,
			PROTOCOL_FDS - *fd_count, &came);

		if (n < 0) {
			return n;
		}
		*fd_count += came;
		if (n == 0) {
			break;
		}
		got += (size_t)n;
	}
	return (ssize_t)got;
}

int protocol_receive(int socket, json_t **frame, int *fds, size_t *fd_count, struct error *err)
{
	int own[PROTOCOL_FDS];
	size_t count = 0, size = 0;
	char header[HEADER_SIZE];
	_cleanup_free_ char *text = NULL;
	ssize_t n = receive_full(socket, header, sizeof(header), own, &count);
	int r = 0;

	*frame = NULL;
	if (n == HEADER_SIZE) {
		size = get_length(header);
		if (size > PROTOCOL_FRAME_MAX) {
			r = error_say(err, EMSGSIZE, "the supervisor sent %zu bytes at once", size);
		} else {
			text = xcalloc(size + 1, 1);
			n = receive_full(socket, text, size, own, &count);
		}
	} else if (n == 0) {
		goto end;
	} else if (n > 0) {
		r = error_say(err, EPROTO, "the supervisor closed in the middle of a message");
	}
	if (r == 0 && n < 0) {
		r = error_set(err, (int)n, "talk to the supervisor");
	} else if (r == 0 && (size_t)n < size) {
		r = error_say(err, EPROTO, "the supervisor closed in the middle of a message");
	} else if (r == 0) {
		*frame = parse_frame(text, size, err);
		r = *frame ? 1 : -EBADMSG;
	}
end:
	for (size_t i = 0; i < count; i++) {
		if (r == 1 && fds) {
			fds[i] = own[i];
		} else {
			fd_close(&own[i]);
		}
	}
	if (fd_count) {
		*fd_count = r == 1 && fds ? count : 0;
	}
	return r;
}

int protocol_fill(struct protocol_buffer *b, int socket)
{
	char data[READ_SIZE];
	size_t came = 0;
	ssize_t n = fd_receive(socket, data, sizeof(data), b->fds + b->fd_count,
		PROTOCOL_FDS - b->fd_count, &came);

	if (n < 0) {
		return (int)n;
	}
	b->fd_count += came;
	if (n == 0) {
		return 0;
	}
	/* One frame, and a little of the next, is all that anybody may have on the way. */
	if (b->in.size + (size_t)n > (size_t)PROTOCOL_FRAME_MAX + 2 * READ_SIZE) {
		return -EMSGSIZE;
	}
	str_add_mem(&b->in, data, (size_t)n);
	return 1;
}

int protocol_take(struct protocol_buffer *b, json_t **frame, struct error *err)
{
	size_t size;

	if (b->in.size < HEADER_SIZE) {
		return 0;
	}
	size = get_length(b->in.data);
	if (size > PROTOCOL_FRAME_MAX) {
		return error_say(err, EMSGSIZE, "a message of %zu bytes", size);
	}
	if (b->in.size < HEADER_SIZE + size) {
		return 0;
	}
	*frame = parse_frame(b->in.data + HEADER_SIZE, size, err);
	b->in.size -= HEADER_SIZE + size;
	memmove(b->in.data, b->in.data + HEADER_SIZE + size, b->in.size);
	if (b->in.size == 0) {
		str_finish(&b->in); /* a plan may have been large; the connection may live long */
	}
	return *frame ? 1 : -EBADMSG;
}

int protocol_queue(struct protocol_buffer *b, const json_t *frame)
{
	if (b->out.size > PROTOCOL_QUEUE_MAX) {
		return -ENOBUFS;
	}
	return print_frame(&b->out, frame);
}

int protocol_queue_fd(struct protocol_buffer *b, const json_t *frame, int fd)
{
	size_t at = b->out.size;
	int r = b->out_fd_count > 0 ? -EBUSY : protocol_queue(b, frame);

	if (r < 0) {
		fd_close(&fd);
		return r;
	}
	b->out_fds[b->out_fd_count++] = fd;
	b->out_fd_at = at;
	return 0;
}

int protocol_flush(struct protocol_buffer *b, int socket)
{
	size_t sent = 0;
	int r = 0;

	while (sent < b->out.size) {
		size_t until = b->out.size, riders = 0;
		ssize_t n;

		if (b->out_fd_count > 0 && sent < b->out_fd_at) {
			until = b->out_fd_at;
		} else if (b->out_fd_count > 0) {
			riders = b->out_fd_count;
		}
		n = fd_send(socket, b->out.data + sent, until - sent, b->out_fds, riders);
		if (n < 0) {
			r = (int)n;
			break;
		}
		sent += (size_t)n;
		for (; riders > 0; riders--) {
			fd_close(&b->out_fds[--b->out_fd_count]);
		}
	}
	if (sent == b->out.size) {
		str_finish(&b->out);
	} else if (sent > 0) {
		b->out.size -= sent;
		memmove(b->out.data, b->out.data + sent, b->out.size);
		b->out_fd_at -= b->out_fd_count > 0 ? sent : 0;
	}
	return r;
}

void protocol_buffer_finish(struct protocol_buffer *b)
{
	str_finish(&b->in);
	str_finish(&b->out);
	while (b->fd_count > 0) {
		fd_close(&b->fds[--b->fd_count]);
	}
	while (b->out_fd_count > 0) {
		fd_close(&b->out_fds[--b->out_fd_count]);
	}
}
