#include "cli/attach.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/proc.h"
#include "base/sys.h"

int attach_decide_tty(bool wanted, bool refused, bool *tty, struct error *err)
{
	if (wanted && !refused && !isatty(STDIN_FILENO)) {
		return error_say(err, EINVAL,
			"cannot attach stdin to a TTY-enabled container because stdin is not a "
			"terminal");
	}
	*tty = !refused && (wanted || (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)));
	return 0;
}

/* A pipe in the place of descriptor @fd. */
static int substitute(struct attachment *a, int fd, struct error *err)
{
	bool is_input = fd == STDIN_FILENO;
	int ends[2];
	int r = sys_pipe2(ends, O_CLOEXEC);

	if (r < 0) {
		return error_set(err, r, "make a pipe");
	}
	a->passed[fd] = ends[is_input ? 0 : 1];
	a->near[fd] = ends[is_input ? 1 : 0];
	a->owned[fd] = true;
	/* Ours alone: the other end has its own file description. */
	return fd_nonblock(a->near[fd], true);
}

int attach_prepare(struct attachment *a, struct session *session, bool tty, struct error *err)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	*a = (struct attachment){ .session = session,
		.tty = tty,
		.passed = { 0, 1, 2 },
		.near = { -EBADF, -EBADF, -EBADF },
		.master = -EBADF };
	/* A process that has closed its stdin must not end us. */
	sigaction(SIGPIPE, &ignore, NULL);
	for (int fd = 0; fd < 3; fd++) {
		int r;

		if (tty || proc_fd_passable(fd)) {
			continue;
		}
		r = substitute(a, fd, err);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

void attach_describe(const struct attachment *a, json_t *request)
{
	unsigned rows, columns;

	json_put_bool(request, "tty", a->tty);
	if (a->tty) {
		tty_size(STDIN_FILENO, &rows, &columns);
		json_put_int(request, "rows", rows);
		json_put_int(request, "columns", columns);
	}
}

/* stdin has ended: the process must see it. */
static void on_input_end(struct relay *relay)
{
	struct attachment *a = relay->owner;

	fd_close(&a->near[0]);
}

int attach_begin(struct attachment *a, struct error *err)
{
	int r = 0;

	for (int fd = 0; fd < 3 && r == 0; fd++) {
		if (!a->owned[fd]) {
			continue;
		}
		fd_close(&a->passed[fd]);
		a->owned[fd] = false;
		if (fd == STDIN_FILENO) {
			r = relay_begin(&a->relays[0], a->session->loop, STDIN_FILENO, a->near[0],
				on_input_end, a, err);
		} else {
			r = relay_begin(
				&a->relays[fd], a->session->loop, a->near[fd], fd, NULL, a, err);
		}
	}
	return r;
}

static void resize(const struct attachment *a)
{
	unsigned rows, columns;

	if (a->master >= 0 && tty_size(STDIN_FILENO, &rows, &columns)) {
		tty_resize(a->master, rows, columns);
	}
}

int attach_started(struct attachment *a, int *fds, size_t fd_count, struct error *err)
{
	int r;

	if (!a->tty || a->master >= 0) {
		return 0;
	}
	if (fd_count < 1) {
		return error_say(err, EPROTO, "the supervisor sent no terminal");
	}
	a->master = take_fd(&fds[0]);
	r = tty_raw(STDIN_FILENO, err);
	if (r < 0) {
		return r;
	}
	resize(a);
	/* What is typed must not wait in us while the other side's output waits for us. */
	fd_nonblock(a->master, true);
	r = relay_begin(&a->relays[1], a->session->loop, a->master, STDOUT_FILENO, NULL, a, err);
	if (r == 0) {
		/* A second descriptor, because a loop watches each one once. */
		a->near[0] = fcntl(a->master, F_DUPFD_CLOEXEC, 3);
		r = relay_begin(
			&a->relays[0], a->session->loop, STDIN_FILENO, a->near[0], NULL, a, err);
	}
	return r;
}

bool attach_signal(struct attachment *a, struct call *call, int signal)
{
	_cleanup_json_ json_t *frame = NULL;

	if (signal == SIGWINCH) {
		resize(a);
		return false;
	}
	/* Our terminal is gone; its master closes with us, and that is the other side's hang-up. */
	if (++a->signals > 2 || (a->tty && signal == SIGHUP)) {
		return true;
	}
	frame = json_object();
	json_put_int(frame, "signal", signal);
	call_send(call, frame);
	return false;
}

void attach_end(struct attachment *a)
{
	if (!a->session) {
		return;
	}
	relay_end(&a->relays[0]);
	relay_drain(&a->relays[1]);
	relay_drain(&a->relays[2]);
	tty_restore();
	for (int fd = 0; fd < 3; fd++) {
		if (a->owned[fd]) {
			fd_close(&a->passed[fd]);
		}
		fd_close(&a->near[fd]);
	}
	fd_close(&a->master);
	a->session = NULL;
}
