#include "base/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define EVENTS_PER_TURN 64

struct loop {
	int epoll;
	bool stopping;
	uint64_t serials;
	struct timer *timers; /* sorted by due time */
	/* The batch being worked through; removed watchers are struck out here. */
	struct epoll_event batch[EVENTS_PER_TURN];
	int batch_at, batch_count;
};

struct loop *loop_create(struct error *err)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));

	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0) {
		error_set(err, errno, "create an epoll instance");
		free(loop);
		return NULL;
	}
	return loop;
}

void loop_destroy(struct loop *loop)
{
	if (loop) {
		close(loop->epoll);
		free(loop);
	}
}

int loop_fd(const struct loop *loop)
{
	return loop->epoll;
}

int loop_add(struct loop *loop, struct watcher *watcher, int fd, uint32_t events, watcher_fn *call,
	void *owner)
{
	struct epoll_event event = { .events = events, .data.ptr = watcher };

	watcher->call = call;
	watcher->owner = owner;
	watcher->fd = fd;
	watcher->serial = ++loop->serials;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		watcher->fd = -EBADF;
		watcher->serial = 0;
		return -errno;
	}
	return 0;
}

int loop_modify(struct loop *loop, struct watcher *watcher, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watcher };

	return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watcher->fd, &event) < 0 ? -errno : 0;
}

void loop_remove(struct loop *loop, struct watcher *watcher)
{
	if (watcher->serial == 0) {
		return;
	}
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watcher->fd, NULL);
	watcher->fd = -EBADF;
	watcher->serial = 0;
	for (int i = loop->batch_at; i < loop->batch_count; i++) {
		if (loop->batch[i].data.ptr == watcher) {
			loop->batch[i].data.ptr = NULL;
		}
	}
}

void loop_timer(struct loop *loop, struct timer *timer, int64_t due_us, timer_fn *call, void *owner)
{
	struct timer **at;

	loop_timer_cancel(loop, timer);
	if (due_us == USEC_NEVER) {
		return;
	}
	timer->call = call;
	timer->owner = owner;
	timer->due_us = due_us;
	for (at = &loop->timers; *at && (*at)->due_us <= due_us; at = &(*at)->next) {
	}
	timer->next = *at;
	timer->armed = true;
	*at = timer;
}

void loop_timer_cancel(struct loop *loop, struct timer *timer)
{
	if (!timer->armed) {
		return;
	}
	for (struct timer **at = &loop->timers; *at; at = &(*at)->next) {
		if (*at == timer) {
			*at = timer->next;
			break;
		}
	}
	timer->armed = false;
	timer->due_us = USEC_NEVER;
}

static void run_due_timers(struct loop *loop)
{
	int64_t now = clock_now_us();

	while (loop->timers && loop->timers->due_us <= now) {
		struct timer *timer = loop->timers;

		loop->timers = timer->next;
		timer->armed = false;
		timer->call(timer);
	}
}

int loop_turn(struct loop *loop, int64_t timeout_us, struct error *err)
{
	struct timespec wait, *limit = NULL;
	int n;

	if (loop->timers) {
		int64_t left = loop->timers->due_us - clock_now_us();

		if (left < 0) {
			left = 0;
		}
		if (left < timeout_us) {
			timeout_us = left;
		}
	}
	if (timeout_us != USEC_NEVER) {
		wait.tv_sec = timeout_us / USEC_PER_SEC;
		wait.tv_nsec = timeout_us % USEC_PER_SEC * 1000;
		limit = &wait;
	}
	n = epoll_pwait2(loop->epoll, loop->batch, EVENTS_PER_TURN, limit, NULL);
	if (n < 0 && errno == ENOSYS) { /* before Linux 5.11 */
		n = epoll_wait(loop->epoll, loop->batch, EVENTS_PER_TURN,
			limit ? (int)(timeout_us / USEC_PER_MSEC) + 1 : -1);
	}
	if (n < 0) {
		if (errno != EINTR) {
			return error_set(err, errno, "wait for events");
		}
		n = 0;
	}
	loop->batch_count = n;
	for (loop->batch_at = 0; loop->batch_at < loop->batch_count;) {
		struct epoll_event event = loop->batch[loop->batch_at++];
		struct watcher *watcher = event.data.ptr;

		if (watcher) {
			watcher->call(watcher, event.events);
		}
	}
	loop->batch_at = loop->batch_count = 0;
	run_due_timers(loop);
	return 0;
}

int loop_run(struct loop *loop, struct error *err)
{
	loop->stopping = false;
	while (!loop->stopping) {
		int r = loop_turn(loop, USEC_NEVER, err);

		if (r < 0) {
			return r;
		}
	}
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}
