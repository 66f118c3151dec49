/*
 * One thread, one epoll: descriptors and one timer queue.
 *
 * A watcher is embedded in its owner's structure; the loop holds a pointer to it, so it must be
 * removed before its memory goes. Removing or adding watchers and timers from inside a callback
 * is allowed, also the one that is running.
 */
#ifndef WHERRY_BASE_LOOP_H
#define WHERRY_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct loop;
struct watcher;
struct timer;

typedef void watcher_fn(struct watcher *watcher, uint32_t events);
typedef void timer_fn(struct timer *timer);

struct watcher {
	watcher_fn *call;
	void *owner;
	int fd; /* not owned; -EBADF when not added */
	uint64_t serial; /* set by loop_add; 0 when not added */
};

struct timer {
	timer_fn *call;
	void *owner;
	int64_t due_us; /* CLOCK_MONOTONIC; USEC_NEVER when not armed */
	struct timer *next;
	bool armed;
};

/* Returns the loop (destroy with loop_destroy) or NULL with @err filled. */
struct loop *loop_create(struct error *err);
void loop_destroy(struct loop *loop);
/* The epoll descriptor itself, for whoever must know its number. */
int loop_fd(const struct loop *loop);

/* @events as of epoll_ctl(2), EPOLLET included. Returns 0 or a negative errno. */
int loop_add(struct loop *loop, struct watcher *watcher, int fd, uint32_t events, watcher_fn *call,
	void *owner);
int loop_modify(struct loop *loop, struct watcher *watcher, uint32_t events);
void loop_remove(struct loop *loop, struct watcher *watcher);

/* Arms (or moves) a one-shot timer. */
void loop_timer(
	struct loop *loop, struct timer *timer, int64_t due_us, timer_fn *call, void *owner);
void loop_timer_cancel(struct loop *loop, struct timer *timer);

/* Runs until loop_stop(). Sleeps with no time limit when no timer is armed. */
int loop_run(struct loop *loop, struct error *err);
/* One turn; waits at most @timeout_us (USEC_NEVER: without limit). */
int loop_turn(struct loop *loop, int64_t timeout_us, struct error *err);
void loop_stop(struct loop *loop);

#endif
