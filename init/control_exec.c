/* exec: a process in a running container, for a client. */
#include <errno.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/proc.h"
#include "init/control.h"

static struct unit *find_running(struct connection *c, const json_t *request)
{
	const char *container = json_text(request, "container", NULL);
	const char *service = json_text(request, "service", "");
	int64_t index = json_int(request, "index", 0);
	struct unit *found = NULL;
	char text[400];

	if (container) {
		found = unit_find(c->s, container);
		found = found && found->slot.state.phase == UNIT_RUNNING ? found : NULL;
	}
	for (size_t i = 0; !container && i < c->s->unit_room; i++) {
		struct unit *u = c->s->units[i];

		/* One-off containers only when there is nothing else of the service. */
		if (u && strcmp(u->plan->service, service) == 0 &&
			u->slot.state.phase == UNIT_RUNNING &&
			(index == 0 || (!u->plan->oneoff && u->plan->number == index)) &&
			(!found || (found->plan->oneoff && !u->plan->oneoff) ||
				(found->plan->oneoff == u->plan->oneoff &&
					u->plan->number < found->plan->number))) {
			found = u;
		}
	}
	if (!found) {
		if (container) {
			snprintf(text, sizeof(text), "container %.200s is not running", container);
		} else if (index) {
			snprintf(text, sizeof(text),
				"service \"%.200s\" is not running container #%lld", service,
				(long long)index);
		} else {
			snprintf(text, sizeof(text), "service \"%.200s\" is not running", service);
		}
		connection_done(c, 1, text);
	} else if (found->slot.state.paused) {
		snprintf(text, sizeof(text),
			"container %.200s is paused, unpause the container before exec",
			found->plan->name);
		connection_done(c, 1, text);
		found = NULL;
	}
	return found;
}

/* Strings of an array member, NULL-terminated; the vector is the caller's (free), the texts the
 * request's. NULL: absent or something else in it. */
static const char **texts(const json_t *request, const char *member)
{
	const json_t *array = json_object_get(request, member);
	size_t count = json_array_size(array);
	const char **all;

	if (count == 0) {
		return NULL;
	}
	all = xcalloc(count + 1, sizeof(*all));
	for (size_t i = 0; i < count; i++) {
		all[i] = json_string_value(json_array_get(array, i));
		if (!all[i]) {
			free(all);
			return NULL;
		}
	}
	return all;
}

int connection_take_stdio(struct connection *c, int stdio[3], struct error *err)
{
	struct protocol_buffer *b = &c->buffer;

	for (int i = 0; i < 3; i++) {
		stdio[i] = -EBADF;
	}
	if (b->fd_count != 0 && b->fd_count != 3) {
		return error_say(err, EINVAL, "three descriptors expected");
	}
	for (size_t i = 0; i < b->fd_count; i++) {
		if (!proc_fd_passable(b->fds[i])) {
			/* A terminal or a folder of the host would be a way out of the container. */
			return error_say(err, EINVAL,
				"descriptor %zu: only pipes, sockets, regular files and /dev/null "
				"can "
				"be handed to a container",
				i);
		}
	}
	for (size_t i = 0; i < b->fd_count; i++) {
		stdio[i] = b->fds[i];
	}
	b->fd_count = 0;
	return 0;
}

void connection_send_started(struct connection *c, json_t *frame, int *master)
{
	json_put_bool(frame, "started", true);
	if (master && *master >= 0 && !c->dead) {
		protocol_queue_fd(&c->buffer, frame, take_fd(master));
		json_decref(frame);
	} else {
		connection_send(c, frame);
	}
}

static void exec_started(struct session *session)
{
	struct connection *c = session->owner;
	json_t *frame;

	if (!c) {
		return;
	}
	frame = json_object();
	json_put_int(frame, "pid", session->process.pid);
	connection_send_started(c, frame, &session->process.console_master);
	if (c->detach) {
		session->owner = NULL;
		c->session = NULL;
		connection_done(c, 0, NULL);
	}
}

static void exec_done(struct session *session, int exit_code, const struct error *err)
{
	struct connection *c = session->owner;

	if (!c) {
		return;
	}
	c->session = NULL;
	connection_done(c, exit_code, err ? err->message : NULL);
}

void request_exec(struct connection *c, const json_t *request)
{
	struct unit *u = find_running(c, request);
	struct error err = ERROR_INIT;
	const char **args, **env;
	struct session_request wanted = { .kind = SESSION_EXEC,
		.cwd = json_text(request, "cwd", NULL),
		.user = json_text(request, "user", NULL),
		.privileged = json_bool(request, "privileged", false),
		.terminal = json_bool(request, "tty", false),
		.rows = (uint16_t)json_int(request, "rows", 0),
		.columns = (uint16_t)json_int(request, "columns", 0),
		.deadline_us = USEC_NEVER,
		.done = exec_done,
		.on_started = exec_started,
		.owner = c };

	if (!u) {
		return;
	}
	args = texts(request, "args");
	env = texts(request, "env");
	wanted.args = args;
	wanted.env = env;
	c->detach = json_bool(request, "detach", false);
	wanted.client = c->detach ? -1 : c->fd;
	if (!args) {
		error_say(&err, EINVAL, "no command given");
	} else if (connection_take_stdio(c, wanted.stdio, &err) == 0) {
		c->session = session_start(u, &wanted, &err);
		for (int i = 0; i < 3; i++) {
			fd_close(&wanted.stdio[i]);
		}
	}
	free(args);
	free(env);
	if (!c->session && err.code) {
		connection_fail(c, &err);
	}
}

/* Its process goes on, as docker's does; nobody waits for it any more. */
static void leave_session(struct connection *c)
{
	if (c->session) {
		c->session->owner = NULL;
		if (c->session->note) {
			c->session->note->client = -1;
		}
		c->session = NULL;
	}
}

void client_gone(struct connection *c)
{
	leave_session(c);
	run_client_gone(c);
	down_client_gone(c);
	/* What still waits to be started was wanted by this client alone. */
	for (size_t i = 0; i < c->target_count && c->operation == operate_apply; i++) {
		if (c->targets[i].unit && !c->targets[i].leaving) {
			supervisor_post_simple(c->s, EVENT_CANCEL_WAIT, c->targets[i].unit->index);
		}
	}
	c->operation = NULL;
}

void client_signal(struct connection *c, int signal)
{
	if (c->session) {
		session_signal(c->session, signal);
	} else if (c->run && signal > 0 && signal < 65) {
		supervisor_post(c->s,
			&(struct machine_event){
				.type = EVENT_KILL, .unit = c->run->index, .signal = signal });
	}
}
