#include "init/supervisor.h"

#include <errno.h>
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include "base/clock.h"
#include "base/dirs.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"

/* Events handled in one turn before the loop looks at descriptors again. */
#define EVENTS_PER_TURN 4096

void supervisor_post(struct supervisor *s, const struct machine_event *event)
{
	if (s->event_count == s->event_room) {
		s->event_room = s->event_room ? s->event_room * 2 : 32;
		s->events = xrealloc(s->events, s->event_room, sizeof(*s->events));
	}
	s->events[s->event_count++] = *event;
}

void supervisor_post_simple(struct supervisor *s, enum machine_event_type type, uint32_t unit)
{
	supervisor_post(
		s, &(struct machine_event){ .type = type, .unit = unit, .grace_us = INT64_MIN });
}

uint32_t supervisor_service(struct supervisor *s, const char *name)
{
	int at = strv_find(&s->services, name);

	if (at < 0) {
		strv_add(&s->services, name);
		at = (int)s->services.count - 1;
	}
	return (uint32_t)at;
}

static void queue_start(struct supervisor *s, uint32_t unit)
{
	if (s->start_count == s->start_room) {
		s->start_room = s->start_room ? s->start_room * 2 : 16;
		s->starts = xrealloc(s->starts, s->start_room, sizeof(*s->starts));
	}
	s->starts[s->start_count++] = unit;
}

/* A unit came to rest: what belongs to its run, not to itself, is given back (docker does). */
static void unit_rests(struct unit *u)
{
	if (u->slot.state.phase == UNIT_EXITED || u->slot.state.phase == UNIT_CREATED) {
		ports_release(u);
		if (u->slot.auto_remove && u->slot.state.ever_started) {
			supervisor_post_simple(u->s, EVENT_REMOVE, u->index);
		}
	}
}

static void act_changed(struct supervisor *s, struct unit *u, const struct machine_action *action)
{
	struct unit *other = action->other < s->unit_room ? s->units[action->other] : NULL;

	if (action->change == CHANGE_STARTING) {
		free(u->error);
		u->error = NULL;
	}
	control_changed(s, u, action->change, other);
	if (action->change == CHANGE_EXITED || action->change == CHANGE_START_FAILED ||
		action->change == CHANGE_DEPENDENCY_FAILED) {
		unit_rests(u);
	}
	if (action->change == CHANGE_REMOVED) {
		unit_destroy(u);
	}
}

static void act(struct supervisor *s, const struct machine_action *action)
{
	struct unit *u = action->unit < s->unit_room ? s->units[action->unit] : NULL;
	char why[200];

	if (!u) {
		return;
	}
	switch (action->type) {
	case ACTION_START: queue_start(s, action->unit); break;
	case ACTION_SIGNAL: launch_signal(u, action->signal); break;
	case ACTION_KILL: launch_kill(u); break;
	case ACTION_PROBE: health_probe(u, action->regular); break;
	case ACTION_PROBE_CANCEL: health_cancel(u, action->timed_out); break;
	case ACTION_FREEZE: launch_freeze(u, true); break;
	case ACTION_THAW: launch_freeze(u, false); break;
	case ACTION_REMOVE: record_unit_remove(u); break;
	case ACTION_UNKILLABLE:
		launch_explain_unkillable(u, why, sizeof(why));
		control_warn(s, "container %s did not die of SIGKILL: %s", u->plan->name, why);
		break;
	case ACTION_CHANGED: act_changed(s, u, action); break;
	}
}

static void commit_changes(struct supervisor *s)
{
	for (size_t i = 0; i < s->unit_room; i++) {
		struct unit *u = s->units[i];

		/* Both are copies of one zeroed structure: their padding is equal too. */
		/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
		if (u && memcmp(&u->slot.state, &u->committed, sizeof(u->committed)) != 0) {
			unit_commit(u);
		}
	}
}

static void room_for_actions(struct supervisor *s)
{
	size_t room = MACHINE_ACTIONS_MAX(s->machine.count);

	if (s->actions_room < room) {
		s->actions = xrealloc(s->actions, room, sizeof(*s->actions));
		s->actions_room = room;
	}
}

/* First the table, then the deeds: see machine_adopt() for what a kill in between means. */
static void carry_out(struct supervisor *s, struct machine_actions *actions)
{
	commit_changes(s);
	for (size_t i = 0; i < actions->count; i++) {
		struct machine_action action = actions->items[i];

		act(s, &action);
	}
}

void supervisor_adopt_machine(struct supervisor *s)
{
	struct machine_actions actions = { 0 };

	room_for_actions(s);
	actions.items = s->actions;
	actions.room = s->actions_room;
	machine_adopt(&s->machine, clock_now_us(), &actions);
	carry_out(s, &actions);
}

static void take_events(struct supervisor *s)
{
	for (int n = 0; s->event_at < s->event_count && n < EVENTS_PER_TURN; n++) {
		struct machine_event event = s->events[s->event_at++];
		struct machine_actions actions = { 0 };

		room_for_actions(s);
		actions.items = s->actions;
		actions.room = s->actions_room;
		machine_step(&s->machine, &event, clock_now_us(), &actions);
		carry_out(s, &actions);
	}
	if (s->event_at == s->event_count) {
		s->event_at = s->event_count = 0;
	}
}

/* All starts of this turn: first what each needs, then the packet rules once, then the clones. */
static void take_starts(struct supervisor *s)
{
	uint32_t *starts = s->starts;
	size_t count = s->start_count;
	struct error rules_error = ERROR_INIT;
	int rules;

	s->starts = NULL;
	s->start_count = s->start_room = 0;
	for (size_t i = 0; i < count; i++) {
		struct unit *u = s->units[starts[i]];
		struct error err = ERROR_INIT;

		if (u && (u->slot.state.killed || u->slot.state.goal != GOAL_RUNNING)) {
			/* A stop came in the same turn: there is nothing to begin. */
			error_say(&err, ECANCELED, "stopped before it was started");
			launch_failed(u, &err);
			starts[i] = UINT32_MAX;
		} else if (u && launch_prepare(u, &err) < 0) {
			launch_failed(u, &err);
			starts[i] = UINT32_MAX;
		}
	}
	rules = networks_flush_rules(s, &rules_error);
	for (size_t i = 0; i < count; i++) {
		struct unit *u = starts[i] < s->unit_room ? s->units[starts[i]] : NULL;
		struct error err = ERROR_INIT;

		if (!u) {
			continue;
		}
		if (rules < 0) {
			launch_failed(u, &rules_error);
		} else if (launch_spawn(u, &err) < 0) {
			launch_failed(u, &err);
		}
	}
	free(starts);
}

static void on_machine_timer(struct timer *timer)
{
	supervisor_post_simple(timer->owner, EVENT_TIME, 0);
}

static void settle(struct supervisor *s)
{
	do {
		take_events(s);
		if (s->start_count > 0) {
			take_starts(s);
		}
		if (s->event_count == 0) {
			control_settle(s);
		}
	} while (s->event_count > 0 || s->start_count > 0);
	if (s->rules_dirty) {
		struct error err = ERROR_INIT;

		if (networks_flush_rules(s, &err) < 0) {
			control_warn(s, "%s", err.message);
		}
	}
	loop_timer(s->loop, &s->machine_timer, machine_deadline(&s->machine), on_machine_timer, s);
}

static void on_signal(struct watcher *w, uint32_t events)
{
	struct supervisor *s = w->owner;
	struct signalfd_siginfo info;

	(void)events;
	while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
			s->stopping = true; /* control_settle() goes on from there */
		}
	}
}

static void on_guardian_gone(struct watcher *w, uint32_t events)
{
	struct supervisor *s = w->owner;

	(void)events;
	s->take_over = true;
	s->finished = true;
}

static void on_orphan(struct watcher *w, uint32_t events)
{
	struct supervisor *s = w->owner;
	struct guardian_orphan orphan;

	(void)events;
	while (read(s->link->orphan_read, &orphan, sizeof(orphan)) == (ssize_t)sizeof(orphan)) {
		if (!session_orphan(s, &orphan)) {
			launch_orphan(s, &orphan);
		}
	}
}

static int watch_own_signals(struct supervisor *s, struct error *err)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD); /* blocked by the guardian; ends come through pidfds */
	sigaddset(&signals, SIGPIPE);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	sigdelset(&signals, SIGCHLD);
	sigdelset(&signals, SIGPIPE);
	s->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0) {
		return error_set(err, errno, "create a signal descriptor");
	}
	return loop_add(s->loop, &s->signal_watch, s->signal_fd, EPOLLIN, on_signal, s);
}

/* Sees the guardian's death, also when it has happened already. */
static int watch_guardian(struct supervisor *s, struct error *err)
{
	s->guardian_pidfd = sys_pidfd_open(s->link->guardian_pid, 0);
	if (s->guardian_pidfd < 0 || getppid() != s->link->guardian_pid) {
		return error_say(err, ESRCH, "the guardian is gone");
	}
	return loop_add(
		s->loop, &s->guardian_watch, s->guardian_pidfd, EPOLLIN, on_guardian_gone, s);
}

/* Closes every descriptor in the shared table that nobody knows: what a predecessor was working
 * with when it died. Called before anything of our own is open. */
static void sweep_descriptors(struct supervisor *s, bool same_table)
{
	unsigned char keep[8192] = { 0 };
	const struct table_head *head = s->table.head;
	struct slot slot;
	int limit = (int)sizeof(keep) * 8;

#define KEEP(fd)                                                                                   \
	do {                                                                                       \
		int fd_ = (fd);                                                                    \
		if (fd_ >= 0 && fd_ < limit) {                                                     \
			keep[fd_ / 8] |= (unsigned char)(1u << (fd_ % 8));                         \
		}                                                                                  \
	} while (0)
	for (int fd = 0; fd < 3; fd++) {
		KEEP(fd);
	}
	KEEP(s->link->dir_fd);
	KEEP(s->link->lock_fd);
	KEEP(s->link->orphan_read);
	KEEP(s->link->orphan_write);
	KEEP(s->link->ready_fd);
	KEEP(s->table.fd);
	for (int i = 0; same_table && i < TABLE_FDS; i++) {
		KEEP(head->fds[i]);
	}
	for (int i = 0; same_table && i < TABLE_SESSIONS; i++) {
		if (head->sessions[i].kind != SESSION_FREE) {
			KEEP(head->sessions[i].pidfd);
			KEEP(head->sessions[i].client);
		}
	}
	for (uint32_t i = 0; same_table && i < table_slots(&s->table); i++) {
		if (table_read(&s->table, i, &slot, NULL)) {
			for (int k = 0; k < SLOT_FDS; k++) {
				KEEP(slot.fds[k]);
			}
			for (uint32_t k = 0; k < slot.port_count; k++) {
				KEEP(slot.ports[k].fd);
			}
		}
	}
#undef KEEP
	for (int fd = 0; fd < limit; fd++) {
		int first = fd;

		if (keep[fd / 8] & (1u << (fd % 8))) {
			continue;
		}
		while (fd + 1 < limit && !(keep[(fd + 1) / 8] & (1u << ((fd + 1) % 8)))) {
			fd++;
		}
		sys_close_range((unsigned)first, fd + 1 == limit ? ~0U : (unsigned)fd, 0);
	}
}

static int set_up(struct supervisor *s, struct error *err)
{
	bool same_table;
	int state, r;

	s->state_dir = dirs_state(err);
	if (!s->state_dir) {
		return -err->code;
	}
	state = table_open(&s->table, s->link->dir_fd, err);
	if (state < 0) {
		return state;
	}
	same_table = s->table.head->nonce == s->link->nonce;
	sweep_descriptors(s, same_table);
	if (!same_table) {
		for (int i = 0; i < TABLE_FDS; i++) {
			s->table.head->fds[i] = -1;
		}
	}
	s->table.head->supervisor_pid = getpid();
	s->table.head->guardian_pid = s->link->guardian_pid;
	s->loop = loop_create(err);
	if (!s->loop) {
		return -err->code;
	}
	r = watch_own_signals(s, err);
	r = r < 0 ? r : watch_guardian(s, err);
	r = r < 0 ? r : journal_open(&s->journal, s->table.head, same_table, err);
	r = r < 0 ? r : cgroup_layout_read(&s->cgroups, err);
	if (r < 0) {
		return r;
	}
	s->resolver = resolver_create(s->loop, names_lookup, names_reverse, s);
	r = adopt_project(s, state, same_table, err);
	if (r < 0) {
		return r;
	}
	s->table.head->nonce = s->link->nonce;
	r = loop_add(s->loop, &s->orphan_watch, s->link->orphan_read, EPOLLIN, on_orphan, s);
	return r < 0 ? error_set(err, r, "watch the guardian's pipe") : control_open(s, err);
}

/* What is left in the run folder of a project that is down. */
static void remove_run_dir(struct supervisor *s)
{
	char path[300];
	const char *run = dirs_run(NULL);

	snprintf(path, sizeof(path), "wherry/%s", s->link->project);
	cgroup_remove_parents(&s->cgroups, path);
	if (run) {
		_cleanup_fd_ int dir = sys_open(run, O_RDONLY | O_DIRECTORY, 0);

		/* The lock is still ours: whoever finds the folder gone makes a new one. */
		if (dir >= 0) {
			file_remove_tree(dir, s->link->project);
		}
	}
}

int supervisor_run(struct guardian_link *link)
{
	static struct supervisor s;
	struct error err = ERROR_INIT;
	int r;

	memset(&s, 0, sizeof(s)); /* in a take-over it holds our parent's */
	s.link = link;
	s.pid1_fd = s.guardian_pidfd = s.signal_fd = -EBADF;
	s.table.fd = -EBADF;
	prctl(PR_SET_NAME, "wherry");
	prctl(PR_SET_DUMPABLE, 0);
	r = set_up(&s, &err);
	if (r < 0) {
		bool waiting = link->ready_fd >= 0;

		guardian_ready(link, err.message);
		return waiting ? SUPERVISOR_GIVE_UP : SUPERVISOR_ERROR;
	}
	guardian_ready(link, NULL);
	malloc_trim(0);
	while (!s.finished) {
		settle(&s);
		if (s.finished) {
			break;
		}
		r = loop_turn(s.loop, streams_work(&s) ? 0 : USEC_NEVER, &err);
		if (r < 0) {
			return SUPERVISOR_ERROR;
		}
	}
	if (s.take_over) {
		/* The containers are our plain children; the next supervisor adopts what is in the
		 * table. This process goes on as its guardian. */
		return guardian_loop(link);
	}
	if (s.exit_status == SUPERVISOR_DONE && !s.stopping) {
		remove_run_dir(&s);
	}
	control_say_goodbye(&s);
	return s.exit_status;
}
