#include "init/logwriter.h"

#include <errno.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"

#define FLUSH_BYTES (64u << 10)

int logwriter_open(struct logwriter *w, const char *path, int64_t max_size, uint32_t max_file,
	struct error *err)
{
	*w = (struct logwriter){
		.fd = -EBADF, .path = path, .max_size = max_size, .max_file = max_file
	};
	w->fd = sys_open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0640);
	return w->fd < 0 ? error_set(err, w->fd, "open log %s", path) : 0;
}

void logwriter_close(struct logwriter *w)
{
	if (w->path) {
		fd_close(&w->fd);
	}
	*w = (struct logwriter){ .fd = -EBADF };
}

int64_t logwriter_size(const struct logwriter *w)
{
	struct stat st;
	int r = sys_fstat(w->fd, &st);

	return r < 0 ? r : st.st_size;
}

int logwriter_truncate(struct logwriter *w, int64_t size)
{
	return sys_ftruncate(w->fd, size);
}

/* Bytes that stand for themselves inside a JSON string as Go prints it. */
static bool plain[256];

static void fill_plain(void)
{
	for (int c = ' '; c < 0x7f; c++) {
		plain[c] = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
	}
	plain[0x7f] = true;
}

/* Length of the UTF-8 sequence at @p (2..4), or 0 when it is none. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
	size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	uint32_t code;

	if (p[0] < 0xc2 || p[0] > 0xf4 || left < n) {
		return 0;
	}
	code = p[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			return 0;
		}
		code = code << 6 | (p[i] & 0x3fu);
	}
	if ((n == 3 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
		(n == 4 && (code < 0x10000 || code > 0x10ffff))) {
		return 0;
	}
	return n;
}

static size_t escape_one(struct str *out, const unsigned char *p, size_t left)
{
	size_t n;

	if (*p >= 0x80) {
		n = utf8_length(p, left);
		if (n == 0) {
			str_add(out, "\\ufffd");
			return 1;
		}
		/* U+2028 and U+2029 end lines in JavaScript; Go escapes them. */
		if (n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] & 0xfe) == 0xa8) {
			str_addf(out, "\\u202%c", p[2] == 0xa8 ? '8' : '9');
		} else {
			str_add_mem(out, p, n);
		}
		return n;
	}
	switch (*p) {
	case '"': str_add(out, "\\\""); break;
	case '\\': str_add(out, "\\\\"); break;
	case '\n': str_add(out, "\\n"); break;
	case '\r': str_add(out, "\\r"); break;
	default: str_addf(out, "\\u%04x", *p); break;
	}
	return 1;
}

void log_escape(struct str *out, const char *data, size_t size)
{
	const unsigned char *p = (const unsigned char *)data, *end = p + size;

	if (!plain['a']) {
		fill_plain();
	}
	while (p < end) {
		const unsigned char *run = p;

		while (p < end && plain[*p]) {
			p++;
		}
		if (p > run) {
			str_add_mem(out, run, (size_t)(p - run));
		}
		if (p < end) {
			p += escape_one(out, p, (size_t)(end - p));
		}
	}
}

/* Where an entry of at most LOG_ENTRY_MAX bytes ends without tearing a UTF-8 sequence. */
static size_t entry_length(const char *data, size_t size)
{
	const char *newline = memchr(data, '\n', size < LOG_ENTRY_MAX ? size : LOG_ENTRY_MAX);
	size_t n = LOG_ENTRY_MAX;

	if (newline) {
		return (size_t)(newline - data) + 1;
	}
	if (size <= LOG_ENTRY_MAX) {
		return size;
	}
	for (int back = 0; back < 3 && ((unsigned char)data[n] & 0xc0) == 0x80; back++) {
		n--;
	}
	return n;
}

int logwriter_append(struct logwriter *w, const char *data, size_t size, const char *stream)
{
	static struct str out; /* kept: logs come all the time */
	char time[CLOCK_RFC3339_SIZE], tail[CLOCK_RFC3339_SIZE + 48];
	size_t tail_size;
	int r = 0;

	clock_rfc3339(clock_wall_ns(), time);
	tail_size = (size_t)snprintf(
		tail, sizeof(tail), "\",\"stream\":\"%s\",\"time\":\"%s\"}\n", stream, time);
	out.size = 0;
	while (size > 0 && r == 0) {
		size_t n = entry_length(data, size);

		str_add_mem(&out, "{\"log\":\"", 8);
		log_escape(&out, data, n);
		str_add_mem(&out, tail, tail_size);
		data += n;
		size -= n;
		if (out.size >= FLUSH_BYTES || size == 0) {
			size_t done = 0;

			while (done < out.size && r == 0) {
				ssize_t written =
					sys_write(w->fd, out.data + done, out.size - done);

				if (written <= 0) {
					r = written < 0 ? (int)written : -ENOSPC;
				} else {
					done += (size_t)written;
				}
			}
			out.size = 0;
		}
	}
	if (out.room > 4 * FLUSH_BYTES) {
		str_finish(&out);
	}
	return r;
}

int logwriter_rotate(struct logwriter *w)
{
	_cleanup_str_ struct str from = { 0 }, to = { 0 };
	int64_t size = w->max_size > 0 ? logwriter_size(w) : 0;
	int fd, r = 0;

	if (size < 0 || w->max_size <= 0 || size < w->max_size) {
		return size < 0 ? (int)size : 0;
	}
	if (w->max_file <= 1) {
		return logwriter_truncate(w, 0);
	}
	/* From the oldest on: each rename overwrites the one that has to go. */
	for (uint32_t i = w->max_file - 1; i > 0 && (r == 0 || r == -ENOENT); i--) {
		from.size = to.size = 0;
		str_add(&from, w->path);
		if (i > 1) {
			str_addf(&from, ".%u", i - 1);
		}
		str_addf(&to, "%s.%u", w->path, i);
		r = sys_renameat2(AT_FDCWD, from.data, AT_FDCWD, to.data, 0);
	}
	if (r < 0 && r != -ENOENT) {
		return r;
	}
	fd = sys_open(w->path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0640);
	if (fd < 0) {
		return fd; /* goes on in the renamed file; tried again at the next write */
	}
	fd_close(&w->fd);
	w->fd = fd;
	return 0;
}
