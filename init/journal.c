#include "init/journal.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "base/sys.h"

#define PORTION   65536
#define HOLD_SIZE 131072 /* more slots than a FIFO of the usual size, should a buffer be split */

/* See table.c: only the program order matters. */
#define BARRIER() atomic_signal_fence(memory_order_seq_cst)

static const char *const stream_names[] = { "stdout", "stderr" };

static void note_state(struct journal *j, enum journal_state state)
{
	BARRIER();
	j->note->state = state;
	BARRIER();
}

int journal_open(struct journal *j, struct table_head *head, bool adopt, struct error *err)
{
	int pipe[2], r;

	*j = (struct journal){ .note = &head->journal,
		.hold_read = -EBADF,
		.hold_write = -EBADF,
		.peek_read = -EBADF,
		.peek_write = -EBADF,
		.null = -EBADF };
	if (adopt && head->fds[TABLE_FD_HOLD_READ] >= 0 && head->fds[TABLE_FD_HOLD_WRITE] >= 0) {
		j->hold_read = head->fds[TABLE_FD_HOLD_READ];
		j->hold_write = head->fds[TABLE_FD_HOLD_WRITE];
	} else {
		r = sys_pipe2(pipe, O_NONBLOCK);
		if (r < 0) {
			return error_set(err, r, "make a pipe");
		}
		fcntl(pipe[1], F_SETPIPE_SZ, HOLD_SIZE);
		j->hold_read = head->fds[TABLE_FD_HOLD_READ] = pipe[0];
		j->hold_write = head->fds[TABLE_FD_HOLD_WRITE] = pipe[1];
	}
	r = sys_pipe2(pipe, O_NONBLOCK);
	if (r < 0) {
		return error_set(err, r, "make a pipe");
	}
	j->peek_read = pipe[0];
	j->peek_write = pipe[1];
	j->null = sys_open("/dev/null", O_WRONLY, 0);
	return j->null < 0 ? error_set(err, j->null, "open /dev/null") : 0;
}

void journal_close(struct journal *j)
{
	fd_close(&j->peek_read);
	fd_close(&j->peek_write);
	fd_close(&j->null);
}

void carry_open(struct carry *c, int dir, const char *path)
{
	struct stat st;

	*c = (struct carry){ .dir = dir, .fd = -EBADF };
	snprintf(c->path, sizeof(c->path), "%s", path);
	c->fd = sys_openat(dir, path, O_RDWR | O_APPEND | O_NOFOLLOW, 0);
	if (c->fd >= 0 && sys_fstat(c->fd, &st) == 0 && S_ISREG(st.st_mode)) {
		c->size = st.st_size < LOG_ENTRY_MAX ? (size_t)st.st_size : 0;
	}
}

void carry_close(struct carry *c)
{
	if (c->path[0]) {
		fd_close(&c->fd);
	}
	*c = (struct carry){ .fd = -EBADF };
}

static int carry_make(struct carry *c)
{
	if (c->fd < 0) {
		c->fd = sys_openat(c->dir, c->path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0600);
	}
	return c->fd < 0 ? c->fd : 0;
}

static void carry_cut(struct carry *c, int64_t size)
{
	if (c->fd >= 0 && size >= 0 && sys_ftruncate(c->fd, size) == 0) {
		c->size = (size_t)size;
	}
}

/* Empties a pipe of ours without copying. */
static void drain(struct journal *j, int pipe)
{
	while (sys_splice(pipe, j->null, PORTION, SPLICE_F_NONBLOCK) > 0) {
	}
}

/* WRITTEN and on: takes what was logged out of the FIFO. */
static void consume(struct journal *j, int fifo, size_t left)
{
	while (left > 0 && fifo >= 0) {
		ssize_t n =
			sys_splice(fifo, j->hold_write, left, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

		if (n <= 0) {
			break; /* the FIFO went with both our processes, and its content with it */
		}
		left -= (size_t)n;
	}
	note_state(j, JOURNAL_MOVED);
	drain(j, j->hold_read);
	note_state(j, JOURNAL_IDLE);
}

void journal_recover(struct journal *j, int fifo, struct logwriter *w, struct carry *carry)
{
	const struct table_journal *note = j->note;
	int held = 0;

	switch (note->state) {
	case JOURNAL_WRITING:
		if (note->to_carry && carry) {
			carry_cut(carry, note->size);
		} else if (!note->to_carry && w && logwriter_size(w) > note->size) {
			logwriter_truncate(w, note->size);
		}
		break;
	case JOURNAL_WRITTEN:
		if (!note->to_carry && carry) {
			carry_cut(carry, 0);
		}
		if (ioctl(j->hold_read, FIONREAD, &held) == 0 && (uint32_t)held <= note->count) {
			consume(j, fifo, note->count - (uint32_t)held);
		}
		break;
	default: break;
	}
	drain(j, j->hold_read);
	note_state(j, JOURNAL_IDLE);
}

/* Copies what the FIFO holds without taking it. */
static ssize_t peek(struct journal *j, int fifo, char *data, size_t size)
{
	ssize_t n = sys_tee(fifo, j->peek_write, size, SPLICE_F_NONBLOCK), got = 0;

	if (n <= 0) {
		return n == -EAGAIN ? 0 : n;
	}
	while (got < n) {
		ssize_t r = sys_read(j->peek_read, data + got, (size_t)(n - got));

		if (r <= 0) {
			drain(j, j->peek_read);
			return r < 0 ? r : -EIO;
		}
		got += r;
	}
	return n;
}

/* How much of it is to be logged now: whole lines, a line that has grown too long, or the end. */
static size_t portion(const char *data, size_t size, bool final)
{
	const char *newline = memrchr(data, '\n', size);

	if (final) {
		return size;
	}
	if (newline) {
		return (size_t)(newline - data) + 1;
	}
	return size >= LOG_ENTRY_MAX ? LOG_ENTRY_MAX : 0;
}

static void note_writing(struct journal *j, size_t count, bool to_carry, int64_t size)
{
	j->note->count = (uint32_t)count;
	j->note->to_carry = to_carry;
	j->note->size = size;
	note_state(j, JOURNAL_WRITING);
}

/* A line without an end: out of the FIFO, into the carry file. */
static int stash(struct journal *j, int fifo, struct carry *carry, const char *data, size_t count)
{
	int r = carry_make(carry);

	if (r < 0) {
		return r;
	}
	note_writing(j, count, true, (int64_t)carry->size);
	r = fd_write_all(carry->fd, data, count);
	if (r < 0) {
		carry_cut(carry, (int64_t)carry->size);
		note_state(j, JOURNAL_IDLE);
		return r;
	}
	carry->size += count;
	note_state(j, JOURNAL_WRITTEN);
	consume(j, fifo, count);
	return 1;
}

/* Whole lines: to the log, with the beginning that was carried. */
static int write_out(struct journal *j, int fifo, struct logwriter *w, struct carry *carry,
	const char *data, size_t count)
{
	int64_t size = logwriter_size(w);
	size_t fresh = count - carry->size;
	int r;

	if (size < 0) {
		return (int)size;
	}
	note_writing(j, fresh, false, size);
	r = logwriter_append(w, data, count, stream_names[j->note->stream & 1]);
	if (r < 0) {
		logwriter_truncate(w, size);
		note_state(j, JOURNAL_IDLE);
		return r;
	}
	note_state(j, JOURNAL_WRITTEN);
	if (carry->size > 0) {
		carry_cut(carry, 0);
	}
	consume(j, fifo, fresh);
	/* Between two portions, where no note depends on which file is the log. */
	logwriter_rotate(w);
	return 1;
}

int journal_move(struct journal *j, uint32_t slot, uint32_t stream, int fifo, struct logwriter *w,
	struct carry *carry, bool final)
{
	static char data[LOG_ENTRY_MAX + PORTION];
	size_t carried = carry->size, count;
	ssize_t n;

	if (carried > 0 && pread(carry->fd, data, carried, 0) != (ssize_t)carried) {
		carry_cut(carry, 0); /* somebody else was at the file */
		carried = 0;
	}
	n = peek(j, fifo, data + carried, PORTION);
	if (n < 0 || (n == 0 && !(final && carried > 0))) {
		return (int)n;
	}
	j->note->slot = slot;
	j->note->stream = stream;
	count = portion(data, carried + (size_t)n, final);
	/* Where the beginning cannot be kept, it becomes an entry of its own. */
	if (count == 0 && stash(j, fifo, carry, data + carried, (size_t)n) == 1) {
		return 1;
	}
	return write_out(j, fifo, w, carry, data, count ? count : carried + (size_t)n);
}
