#include "cli/session.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "cli/cli.h"

static void taken_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGWINCH);
}

static void on_signal(struct watcher *watcher, uint32_t events)
{
	struct session *session = watcher->owner;
	struct signalfd_siginfo info;

	(void)events;
	if (read(session->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
		return;
	}
	if (session->on_signal) {
		session->on_signal(session, (int)info.ssi_signo);
	} else if (info.ssi_signo != SIGWINCH) {
		session->interrupted = (int)info.ssi_signo;
		loop_stop(session->loop);
	}
}

int session_begin(struct session *session, const char *verb, struct error *err)
{
	sigset_t set;
	int r;

	*session = (struct session){ .signal_fd = -EBADF };
	progress_begin(&session->progress, verb, cli_globals.progress, cli_colour(STDERR_FILENO));
	session->loop = loop_create(err);
	if (!session->loop) {
		return -err->code;
	}
	taken_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	session->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (session->signal_fd < 0) {
		return error_set(err, errno, "create a signal descriptor");
	}
	r = loop_add(
		session->loop, &session->signals, session->signal_fd, EPOLLIN, on_signal, session);
	return r < 0 ? error_set(err, r, "watch for signals") : 0;
}

void session_end(struct session *session)
{
	sigset_t set;

	progress_end(&session->progress);
	if (session->loop) {
		loop_remove(session->loop, &session->signals);
		loop_timer_cancel(session->loop, &session->tick);
		loop_destroy(take_ptr(session->loop));
	}
	fd_close(&session->signal_fd);
	taken_signals(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void on_tick(struct timer *timer)
{
	struct session *session = timer->owner;

	progress_tick(&session->progress);
	loop_timer(session->loop, timer, clock_now_us() + PROGRESS_TICK_US, on_tick, session);
}

void session_animate(struct session *session, bool on)
{
	if (!on) {
		loop_timer_cancel(session->loop, &session->tick);
	} else if (session->progress.mode == PROGRESS_TTY && !session->tick.armed) {
		loop_timer(session->loop, &session->tick, clock_now_us() + PROGRESS_TICK_US,
			on_tick, session);
	}
}

void session_draw(struct call *call, const json_t *event, int *fds, size_t fd_count)
{
	struct session *session = call->owner;

	(void)fds;
	(void)fd_count;
	progress_event(&session->progress, event);
}

int session_run(struct session *session, struct error *err)
{
	return loop_run(session->loop, err);
}

static void stop_loop(struct call *call)
{
	loop_stop(call->loop);
}

int session_operate(const char *project, bool start, const json_t *request, const char *verb,
	bool wants_health, struct error *err)
{
	struct session session;
	struct call call = { .on_event = session_draw, .on_done = stop_loop, .owner = &session };
	int r = session_begin(&session, verb, err);

	session.progress.wants_health = wants_health;
	call.until_gone = strcmp(json_text(request, "op", ""), "down") == 0;
	if (r == 0) {
		r = call_begin(&call, session.loop, project, start, request, NULL, 0, err);
	}
	if (r == 0) {
		session_animate(&session, true);
		r = session_run(&session, err);
		call_end(&call);
	}
	if (r == 0) {
		r = session.interrupted ? CLI_INTERRUPTED : call_outcome(&call, err);
	}
	session_end(&session);
	return r;
}
