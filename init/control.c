#include "init/control.h"

#include <errno.h>
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/sys.h"

#define BACKLOG         512
#define CONNECTIONS_MAX 512
#define ACCEPT_PAUSE_US (100 * USEC_PER_MSEC)

static const struct {
	const char *name;
	request_fn *call;
} requests[] = {
	{ "apply", request_apply },
	{ "down", request_down },
	{ "events", request_events },
	{ "exec", request_exec },
	{ "kill", request_kill },
	{ "pause", request_pause },
	{ "ps", request_ps },
	{ "remove", request_remove },
	{ "restart", request_restart },
	{ "run", request_run },
	{ "start", request_start },
	{ "status", request_status },
	{ "stop", request_stop },
	{ "unpause", request_unpause },
};

static void update_watch(struct connection *c)
{
	if (c->watch.serial) {
		loop_modify(c->s->loop, &c->watch, EPOLLIN | (c->buffer.out.size ? EPOLLOUT : 0u));
	}
}

static void connection_kill(struct connection *c)
{
	c->dead = true;
	loop_remove(c->s->loop, &c->watch);
}

static void flush(struct connection *c)
{
	int r = c->dead ? 0 : protocol_flush(&c->buffer, c->fd);

	if (r < 0 && r != -EAGAIN) {
		connection_kill(c);
	} else if (r == 0 && c->closing) {
		connection_kill(c);
	} else {
		update_watch(c);
	}
}

void connection_send(struct connection *c, json_t *frame)
{
	if (!c->dead && protocol_queue(&c->buffer, frame) < 0) {
		connection_kill(c); /* it does not read: it may ask again */
	}
	json_decref(frame);
}

void connection_done(struct connection *c, int exit_status, const char *error)
{
	json_t *frame = json_object();

	json_put_bool(frame, "done", true);
	json_put_int(frame, "exit", exit_status);
	json_put_text(frame, "error", error);
	connection_send(c, frame);
	c->operation = NULL;
	c->closing = true;
	loop_timer_cancel(c->s->loop, &c->timer);
}

void connection_fail(struct connection *c, const struct error *err)
{
	connection_done(c, err->exit_status ? err->exit_status : 1, err->message);
}

/* Events. */

void control_event(struct supervisor *s, json_t *event)
{
	for (struct connection *c = s->connections; c; c = c->next) {
		if (c->listening && !c->closing) {
			connection_send(c, json_incref(event));
		}
	}
	json_decref(event);
}

void connection_tell_name(struct connection *c, const char *kind, const char *name)
{
	json_t *event = json_object();

	json_put_text(event, "event", kind);
	json_put_text(event, "name", name);
	if (c) {
		control_event(c->s, event);
	} else {
		json_decref(event);
	}
}

void control_warn(struct supervisor *s, const char *format, ...)
{
	char text[1200];
	json_t *event = json_object();
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	json_put_text(event, "event", "warning");
	json_put_text(event, "text", text);
	control_event(s, event);
}

json_t *control_unit_event(struct unit *u, const char *kind)
{
	json_t *event = json_object();

	json_put_text(event, "event", kind);
	json_put_text(event, "container", u->plan->name);
	json_put_text(event, "service", u->plan->service);
	json_put_text(event, "id", u->slot.id);
	return event;
}

static const char *const change_names[] = {
	[CHANGE_WAITING] = "waiting",
	[CHANGE_STARTING] = "starting",
	[CHANGE_STARTED] = "started",
	[CHANGE_START_FAILED] = "failed",
	[CHANGE_HEALTH] = "healthy",
	[CHANGE_STOPPING] = "stopping",
	[CHANGE_EXITED] = "exited",
	[CHANGE_RESTARTING] = "restarting",
	[CHANGE_PAUSED] = "paused",
	[CHANGE_UNPAUSED] = "unpaused",
	[CHANGE_REMOVED] = "removed",
	[CHANGE_DEPENDENCY_FAILED] = "failed",
	[CHANGE_UNKILLABLE] = "warning",
};

static const char *change_name(const struct unit *u, enum unit_change change)
{
	if (change == CHANGE_HEALTH) {
		return u->slot.state.health == HEALTH_HEALTHY ? "healthy" : "unhealthy";
	}
	return change_names[change];
}

void control_changed(
	struct supervisor *s, struct unit *u, enum unit_change change, struct unit *other)
{
	const struct unit_state *state = &u->slot.state;
	json_t *event;

	if (change == CHANGE_UNKILLABLE) {
		return; /* the warning that goes with it says more */
	}
	event = control_unit_event(u, change_name(u, change));
	switch (change) {
	case CHANGE_EXITED:
	case CHANGE_RESTARTING:
		json_put_int(event, "exit_code", state->exit_code);
		json_put_bool(event, "oom_killed", state->oom_killed);
		json_put_bool(event, "restarting", change == CHANGE_RESTARTING);
		break;
	case CHANGE_WAITING:
		if (u->plan->depends_count > 0) {
			json_put_text(event, "dependency", u->plan->depends_on[0].service);
		}
		break;
	case CHANGE_START_FAILED: json_put_text(event, "error", u->error); break;
	case CHANGE_DEPENDENCY_FAILED:
		json_put_text(event, "dependency", other ? other->plan->name : "");
		break;
	default: break;
	}
	control_event(s, event);
	for (struct connection *c = s->connections; change == CHANGE_EXITED && c; c = c->next) {
		if (c->run == u) { /* which may be removed before anybody looks again */
			c->run_ended = state->ever_started;
			c->run_exit = state->exit_code;
		}
	}
	if (change == CHANGE_EXITED && state->ever_started &&
		(state->manual_stop || state->goal == GOAL_REMOVED)) {
		control_event(s, control_unit_event(u, "stopped"));
	}
}

/* Connections. */

static void take_request(struct connection *c, const json_t *request)
{
	const char *op = json_text(request, "op", "");

	c->requested = true;
	if (c->s->table.head->going_down && strcmp(op, "ps") != 0 && strcmp(op, "status") != 0 &&
		strcmp(op, "down") != 0 && strcmp(op, "events") != 0 && strcmp(op, "kill") != 0) {
		connection_done(c, 1, "the project is being taken down; try again when it is gone");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		if (strcmp(requests[i].name, op) == 0) {
			requests[i].call(c, request);
			return;
		}
	}
	connection_done(c, 1, "the supervisor does not know this request");
}

static void take_frame(struct connection *c, const json_t *frame)
{
	struct error err = ERROR_INIT;

	if (!c->greeted) {
		c->greeted = true;
		connection_send(c, protocol_hello());
		if (protocol_check_hello(frame, &err) < 0) {
			connection_fail(c, &err);
		}
	} else if (!c->requested) {
		take_request(c, frame);
	} else if (json_is_integer(json_object_get(frame, "signal"))) {
		client_signal(c, (int)json_int(frame, "signal", 0));
	}
}

static void on_client(struct watcher *w, uint32_t events)
{
	struct connection *c = w->owner;
	struct error err = ERROR_INIT;
	int r = 1;

	(void)events;
	for (int n = 0; n < 16 && r > 0; n++) {
		r = protocol_fill(&c->buffer, c->fd);
	}
	/* What came before the end is still heard. */
	for (;;) {
		json_t *frame = NULL;
		int taken = protocol_take(&c->buffer, &frame, &err);

		if (taken == 0) {
			break;
		}
		if (taken < 0) {
			connection_fail(c, &err);
			c->buffer.in.size = 0;
			break;
		}
		if (!c->closing && !c->dead) {
			take_frame(c, frame);
		}
		if (json_object_get(frame, "plan")) {
			json_decref(frame);
			malloc_trim(0); /* a plan is many times what is kept of it */
		} else {
			json_decref(frame);
		}
	}
	if (r == 0 || (r < 0 && r != -EAGAIN)) {
		client_gone(c);
		connection_kill(c);
		return;
	}
	flush(c);
}

static struct connection *connection_new(struct supervisor *s, int fd)
{
	struct connection *c = xcalloc(1, sizeof(*c));

	c->s = s;
	c->fd = fd;
	c->deadline_us = USEC_NEVER;
	c->next = s->connections;
	s->connections = c;
	loop_add(s->loop, &c->watch, fd, EPOLLIN, on_client, c);
	return c;
}

struct connection *connection_adopt(struct supervisor *s, int fd)
{
	struct connection *c = connection_new(s, fd);

	c->greeted = c->requested = true;
	return c;
}

static void on_accept(struct watcher *w, uint32_t events);

static void on_accept_pause(struct timer *timer)
{
	struct supervisor *s = timer->owner;

	loop_add(s->loop, &s->listen_watch, s->table.head->fds[TABLE_FD_LISTEN], EPOLLIN, on_accept,
		s);
}

static bool is_welcome(int fd, uid_t *uid)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		return false;
	}
	*uid = peer.uid;
	return peer.uid == 0 || peer.uid == geteuid();
}

static void on_accept(struct watcher *w, uint32_t events)
{
	struct supervisor *s = w->owner;
	size_t count = 0;

	(void)events;
	for (struct connection *c = s->connections; c; c = c->next) {
		count++;
	}
	for (;;) {
		int fd = count >= CONNECTIONS_MAX
				 ? -EMFILE
				 : accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct connection *c;
		uid_t uid;

		if (fd < 0 &&
			(fd == -EMFILE || errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
			/* Not again at once: the queue would keep us spinning. */
			loop_remove(s->loop, &s->listen_watch);
			loop_timer(s->loop, &s->accept_timer, clock_now_us() + ACCEPT_PAUSE_US,
				on_accept_pause, s);
			return;
		}
		if (fd < 0) {
			return;
		}
		if (!is_welcome(fd, &uid)) {
			close(fd);
			continue;
		}
		c = connection_new(s, fd);
		c->uid = uid;
		count++;
	}
}

/* Bound through the folder's descriptor: the path may be longer than a socket address holds. */
static int make_socket(struct supervisor *s, struct error *err)
{
	_cleanup_fd_ int fd = sys_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t old;
	int r;

	if (fd < 0) {
		return error_set(err, fd, "make the control socket");
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control",
		s->link->dir_fd);
	sys_unlinkat(s->link->dir_fd, "control", 0);
	old = umask(0177);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(old);
	if (r == 0 && listen(fd, BACKLOG) < 0) {
		r = -errno;
	}
	if (r < 0) {
		return error_set(err, r, "bind the control socket in %s", s->link->run_dir);
	}
	s->table.head->fds[TABLE_FD_LISTEN] = take_fd(&fd);
	return 0;
}

int control_open(struct supervisor *s, struct error *err)
{
	int r = 0;

	if (s->table.head->fds[TABLE_FD_LISTEN] < 0) {
		r = make_socket(s, err);
	}
	if (r == 0) {
		r = loop_add(s->loop, &s->listen_watch, s->table.head->fds[TABLE_FD_LISTEN],
			EPOLLIN, on_accept, s);
	}
	return r;
}

/* Targets. */

static void targets_finish(struct connection *c)
{
	for (size_t i = 0; i < c->target_count; i++) {
		free(c->targets[i].name);
		free(c->targets[i].service);
	}
	free(c->targets);
}

static void connection_destroy(struct connection *c)
{
	struct connection **at = &c->s->connections;

	while (*at != c) {
		at = &(*at)->next;
	}
	*at = c->next;
	loop_remove(c->s->loop, &c->watch);
	loop_timer_cancel(c->s->loop, &c->timer);
	protocol_buffer_finish(&c->buffer);
	targets_finish(c);
	fd_close(&c->fd);
	free(c);
}

void control_forget_unit(struct supervisor *s, struct unit *u)
{
	for (struct connection *c = s->connections; c; c = c->next) {
		for (size_t i = 0; i < c->target_count; i++) {
			if (c->targets[i].unit == u) {
				c->targets[i].unit = NULL;
			}
		}
		if (c->run == u) {
			c->run = NULL;
		}
	}
}

/* The end that SIGTERM asks for: all services stopped in order, containers kept. */
static bool stop_everything(struct supervisor *s)
{
	bool active = false;

	for (size_t i = 0; i < s->unit_room; i++) {
		struct unit *u = s->units[i];
		bool dependents = false;

		if (!u || !unit_is_active(u)) {
			continue;
		}
		active = true;
		for (size_t k = 0; k < s->unit_room && !dependents; k++) {
			dependents = s->units[k] && s->units[k] != u &&
				     unit_is_active(s->units[k]) && unit_depends_on(s->units[k], u);
		}
		if (!dependents && u->slot.state.goal == GOAL_RUNNING) {
			supervisor_post_simple(s, EVENT_STOP, u->index);
		}
	}
	return !active;
}

void control_settle(struct supervisor *s)
{
	struct connection *next;
	bool trim = false;

	if (s->stopping && stop_everything(s)) {
		s->finished = true;
		s->exit_status = SUPERVISOR_DONE;
	}
	for (struct connection *c = s->connections; c; c = c->next) {
		if (c->operation && !c->closing && c->operation(c)) {
			c->operation = NULL;
		}
	}
	for (struct connection *c = s->connections; c; c = next) {
		next = c->next;
		if (c->buffer.out.size > 0 || c->closing) {
			flush(c);
		}
		if (c->dead) {
			trim = true;
			client_gone(c);
			connection_destroy(c);
		}
	}
	if (trim) { /* what it took is given back: nothing else may happen for days */
		malloc_trim(0);
	}
}

void control_say_goodbye(struct supervisor *s)
{
	static const struct timeval patience = { .tv_sec = 1 };

	for (struct connection *c = s->connections; c; c = c->next) {
		if (c->operation || c->listening) {
			connection_done(c, 0, NULL);
		}
		fd_nonblock(c->fd, false);
		/* One that does not read must not hold up the end. */
		setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		/* Not closed: the end of the file tells the client that the guardian has gone too. */
		protocol_flush(&c->buffer, c->fd);
	}
}
