/* Output of containers: FIFOs, their watchers and the log they end in. */
#include <errno.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "init/supervisor.h"

/* Portions (64 KiB each) of one stream before the others have their turn. */
#define PORTIONS_PER_TURN  4
#define DISK_FULL_RETRY_US USEC_PER_SEC

static const enum slot_fd stream_fds[2] = { SLOT_OUT, SLOT_ERR };
static const char *const suffixes[2] = { ".out", ".err" };

static void on_output(struct watcher *w, uint32_t events)
{
	struct stream *stream = w->owner;

	(void)events;
	stream->pending = true; /* streams_work() moves it, in portions */
}

/* Owned by root, mode 0622 in a 0700 folder: a payload that dropped its rights can still open
 * /dev/stdout again. Held read-write: no endless hang-up between lives. */
static int open_fifo(struct unit *u, int i, struct error *err)
{
	char name[SLOT_ID_SIZE + 16];
	int fd, r;

	snprintf(name, sizeof(name), "units/%s%s", u->slot.id, suffixes[i]);
	r = mkfifoat(u->s->link->dir_fd, name, 0622) < 0 ? -errno : 0;
	if (r < 0 && r != -EEXIST) {
		return error_set(err, r, "make the log pipe %s", name);
	}
	if (r == 0) {
		fchmodat(u->s->link->dir_fd, name, 0622, 0);
	}
	fd = sys_openat(u->s->link->dir_fd, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW, 0);
	if (fd < 0) {
		return error_set(err, fd, "open the log pipe %s", name);
	}
	unit_fd_set(u, stream_fds[i], fd);
	return 0;
}

int streams_open(struct unit *u, struct error *err)
{
	const struct plan_container *plan = u->plan;
	int r = 0;

	if (!u->log_path) {
		_cleanup_free_ char *dir = xasprintf(
			"%s/logs/%s/%s", u->s->state_dir, u->s->link->project, plan->name);

		r = file_mkdir_p(dir, 0710, err);
		if (r < 0) {
			return r;
		}
		u->log_path = xasprintf("%s/%s-json.log", dir, u->slot.id);
	}
	if (u->log.fd < 0) {
		r = logwriter_open(&u->log, u->log_path, plan->log_max_size,
			plan->log_max_file ? plan->log_max_file : 1, err);
	}
	for (int i = 0; i < 2 && r >= 0; i++) {
		struct stream *stream = &u->streams[i];
		char part[SLOT_ID_SIZE + 16];

		if (stream->carry.path[0] == '\0') {
			snprintf(part, sizeof(part), "units/%s%s.part", u->slot.id, suffixes[i]);
			carry_open(&stream->carry, u->s->link->dir_fd, part);
		}

		if (u->slot.fds[stream_fds[i]] < 0) {
			r = open_fifo(u, i, err);
		}
		if (r >= 0 && stream->watch.serial == 0) {
			r = loop_add(u->s->loop, &stream->watch, u->slot.fds[stream_fds[i]],
				EPOLLIN | EPOLLET, on_output, stream);
			if (r < 0) {
				error_set(err, r, "watch a log pipe");
			}
		}
	}
	return r;
}

void streams_close(struct unit *u)
{
	for (int i = 0; i < 2; i++) {
		loop_remove(u->s->loop, &u->streams[i].watch);
		u->streams[i].pending = false;
		carry_close(&u->streams[i].carry);
	}
	logwriter_close(&u->log);
}

static void on_disk_retry(struct timer *timer)
{
	struct supervisor *s = timer->owner;

	for (size_t i = 0; i < s->unit_room; i++) {
		if (s->units[i]) {
			s->units[i]->streams[0].pending = true;
			s->units[i]->streams[1].pending = true;
		}
	}
}

/* The FIFO keeps what could not be written, and holds the writer back when it is full. */
static void log_failed(struct unit *u, int r)
{
	struct supervisor *s = u->s;

	if (!s->log_stalled) {
		control_warn(s, "log of %s: %s; its output waits until it can be written",
			u->plan->name, strerror(-r));
	}
	s->log_stalled = true;
	loop_timer(s->loop, &s->log_timer, clock_now_us() + DISK_FULL_RETRY_US, on_disk_retry, s);
}

/* 1: more may be there, 0: nothing left, negative errno. */
static int work_stream(struct unit *u, int i, bool final)
{
	int fd = u->slot.fds[stream_fds[i]];

	for (int n = 0; fd >= 0 && u->log.fd >= 0 && (final || n < PORTIONS_PER_TURN); n++) {
		int r = journal_move(&u->s->journal, u->index, (uint32_t)i, fd, &u->log,
			&u->streams[i].carry, final);

		if (r <= 0) {
			if (r == 0 && u->s->log_stalled) {
				u->s->log_stalled = false;
			}
			return r;
		}
	}
	return fd >= 0 && u->log.fd >= 0;
}

void streams_drain(struct unit *u)
{
	for (int i = 0; i < 2; i++) {
		int r = work_stream(u, i, true);

		if (r < 0) {
			log_failed(u, r);
		}
		u->streams[i].pending = r < 0;
	}
}

bool streams_work(struct supervisor *s)
{
	bool more = false;

	for (size_t k = 0; k < s->unit_room; k++) {
		struct unit *u = s->units[k];

		for (int i = 0; u && i < 2; i++) {
			int r;

			if (!u->streams[i].pending) {
				continue;
			}
			r = work_stream(u, i, false);
			u->streams[i].pending = r > 0;
			more |= r > 0;
			if (r < 0) {
				log_failed(u, r);
			}
		}
	}
	return more;
}

void streams_recover(struct supervisor *s)
{
	struct table_journal *note = s->journal.note;
	struct unit *u = note->slot < s->unit_room ? s->units[note->slot] : NULL;

	journal_recover(&s->journal, u ? u->slot.fds[stream_fds[note->stream & 1]] : -1,
		u && u->log.fd >= 0 ? &u->log : NULL,
		u ? &u->streams[note->stream & 1].carry : NULL);
	for (size_t i = 0; i < s->unit_room; i++) {
		if (s->units[i]) {
			s->units[i]->streams[0].pending = true;
			s->units[i]->streams[1].pending = true;
		}
	}
}
