/* Ending, freezing and cleaning up after the processes of containers. */
#include <errno.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "init/supervisor.h"

#define SIGNAL_DELAY_MIN_US (2 * USEC_PER_MSEC)
#define SIGNAL_DELAY_MAX_US (50 * USEC_PER_MSEC)
#define TRASH_RETRY_US      (20 * USEC_PER_MSEC)

/*
 * Whether @pid would get @signal: it has a handler, or holds it blocked to fetch it (sigwait,
 * signalfd). The kernel discards anything else that is sent to the first process of a pid namespace.
 */
static bool signal_is_awaited(pid_t pid, int signal)
{
	static const char *const lines[] = { "\nSigCgt:", "\nSigBlk:" };
	_cleanup_free_ char *text = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (file_read_at(AT_FDCWD, path, 65536, &text, NULL, NULL) < 0) {
		return true; /* gone, or nothing to be known: send it */
	}
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *line = strstr(text, lines[i]);

		if (line && (strtoull(line + 8, NULL, 16) >> (signal - 1) & 1)) {
			return true;
		}
	}
	return false;
}

static void deliver(struct unit *u, int signal)
{
	sys_pidfd_send_signal(u->slot.fds[SLOT_PIDFD], signal);
	if (u->slot.state.phase == UNIT_STOPPING) {
		u->slot.state.signalled = 1;
		unit_commit(u);
	}
}

/* While a stop is under way: looks again until the payload can take the signal. */
static void on_signal_timer(struct timer *timer)
{
	struct unit *u = timer->owner;

	if (u->slot.pid == 0 || u->slot.state.phase != UNIT_STOPPING) {
		return;
	}
	if (signal_is_awaited(u->slot.pid, u->signal_waiting)) {
		deliver(u, u->signal_waiting);
		return;
	}
	u->signal_delay_us = u->signal_delay_us * 2 > SIGNAL_DELAY_MAX_US ? SIGNAL_DELAY_MAX_US
									  : u->signal_delay_us * 2;
	loop_timer(u->s->loop, &u->signal_timer, clock_now_us() + u->signal_delay_us,
		on_signal_timer, u);
}

void launch_signal(struct unit *u, int signal)
{
	if (u->slot.pid == 0 || u->slot.fds[SLOT_PIDFD] < 0) {
		return;
	}
	/* Our own init had its signals blocked since before the clone, and loses none. */
	if (u->slot.state.phase != UNIT_STOPPING || u->plan->init || signal == SIGKILL ||
		signal == SIGSTOP || signal_is_awaited(u->slot.pid, signal)) {
		deliver(u, signal);
		return;
	}
	u->signal_waiting = signal;
	u->signal_delay_us = SIGNAL_DELAY_MIN_US;
	loop_timer(u->s->loop, &u->signal_timer, clock_now_us() + u->signal_delay_us,
		on_signal_timer, u);
}

void launch_kill(struct unit *u)
{
	struct cgroup cgroup;
	char path[300];

	/* The first process by its pidfd: its end is the end of all in its pid namespace. */
	if (u->slot.fds[SLOT_PIDFD] >= 0) {
		sys_pidfd_send_signal(u->slot.fds[SLOT_PIDFD], SIGKILL);
	}
	unit_cgroup_path(u, path);
	if (cgroup_open(&u->s->cgroups, path, &cgroup) == 0) {
		cgroup_kill(&cgroup);
		cgroup_close(&cgroup);
	}
}

void launch_freeze(struct unit *u, bool frozen)
{
	struct error err = ERROR_INIT;
	struct cgroup cgroup;
	char path[300];

	unit_cgroup_path(u, path);
	if (cgroup_open(&u->s->cgroups, path, &cgroup) < 0) {
		return;
	}
	if (cgroup_freeze(&cgroup, frozen, &err) < 0) {
		control_warn(u->s, "%s container %s: %s", frozen ? "pause" : "unpause",
			u->plan->name, err.message);
	}
	cgroup_close(&cgroup);
}

void launch_explain_unkillable(struct unit *u, char *text, size_t size)
{
	_cleanup_free_ char *stat = NULL, *wchan = NULL;
	char path[64];
	const char *state;

	snprintf(path, sizeof(path), "/proc/%d/stat", u->slot.pid);
	file_read_at(AT_FDCWD, path, 4096, &stat, NULL, NULL);
	snprintf(path, sizeof(path), "/proc/%d/wchan", u->slot.pid);
	file_read_at(AT_FDCWD, path, 4096, &wchan, NULL, NULL);
	state = stat ? strrchr(stat, ')') : NULL;
	snprintf(text, size, "process %d is in state %c, waiting in %.60s", u->slot.pid,
		state && state[1] == ' ' ? state[2] : '?', wchan && *wchan ? wchan : "?");
}

/* True when nothing is left of it. */
static bool empty_group(struct supervisor *s, const char *path)
{
	struct cgroup cgroup;

	if (cgroup_open(&s->cgroups, path, &cgroup) < 0) {
		return true;
	}
	if (cgroup_remove(&cgroup) == 0) {
		return true;
	}
	cgroup_kill(&cgroup);
	if (cgroup_remove(&cgroup) == 0) {
		return true;
	}
	cgroup_close(&cgroup);
	return false;
}

static void on_trash_timer(struct timer *timer)
{
	struct supervisor *s = timer->owner;
	struct strv old = s->cgroup_trash;

	s->cgroup_trash = (struct strv){ 0 };
	for (size_t i = 0; i < old.count; i++) {
		supervisor_trash_cgroup(s, old.items[i]);
	}
	strv_finish(&old);
}

void supervisor_trash_cgroup(struct supervisor *s, const char *path)
{
	if (empty_group(s, path)) {
		return;
	}
	strv_add(&s->cgroup_trash, path);
	loop_timer(s->loop, &s->trash_timer, clock_now_us() + TRASH_RETRY_US, on_trash_timer, s);
}
