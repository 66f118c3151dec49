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

void journal_recover(struct journal *j, int fifo, struct logwriter *w)
{
	int held = 0;

	switch (j->note->state) {
	case JOURNAL_WRITING:
		if (w && logwriter_size(w) > j->note->log_size) {
			logwriter_truncate(w, j->note->log_size);
		}
		break;
	case JOURNAL_WRITTEN:
		if (ioctl(j->hold_read, FIONREAD, &held) == 0 && (uint32_t)held <= j->note->count) {
			consume(j, fifo, j->note->count - (uint32_t)held);
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

int journal_move(struct journal *j, uint32_t slot, uint32_t stream, int fifo, struct logwriter *w,
	bool final)
{
	static char data[PORTION];
	ssize_t n = peek(j, fifo, data, sizeof(data));
	size_t count;
	int64_t size;
	int r;

	if (n <= 0) {
		return (int)n;
	}
	count = portion(data, (size_t)n, final);
	if (count == 0) {
		return 0;
	}
	size = logwriter_size(w);
	if (size < 0) {
		return (int)size;
	}
	j->note->slot = slot;
	j->note->stream = stream;
	j->note->count = (uint32_t)count;
	j->note->log_size = size;
	note_state(j, JOURNAL_WRITING);
	r = logwriter_append(w, data, count, stream_names[stream & 1]);
	if (r < 0) {
		logwriter_truncate(w, size);
		note_state(j, JOURNAL_IDLE);
		return r;
	}
	note_state(j, JOURNAL_WRITTEN);
	consume(j, fifo, count);
	/* Between two portions, where no note depends on which file is the log. */
	logwriter_rotate(w);
	return (int)count;
}
