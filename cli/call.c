#include "cli/call.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/sys.h"
#include "init/client.h"

#define GONE_PATIENCE_US (2 * USEC_PER_SEC)

static void close_call(struct call *call)
{
	if (!call->active) {
		return;
	}
	call->active = false;
	loop_remove(call->loop, &call->watcher);
	fd_close(&call->socket);
	protocol_buffer_finish(&call->buffer);
}

static void finish(struct call *call)
{
	close_call(call);
	if (call->on_done) {
		call->on_done(call);
	}
}

/* The guardian holds the socket open until its last instruction. */
static void wait_until_gone(struct call *call)
{
	int64_t end = clock_now_us() + GONE_PATIENCE_US;
	struct pollfd wait = { .fd = call->socket, .events = POLLIN };
	char rest[64];

	for (;;) {
		int64_t left = end - clock_now_us();
		ssize_t n;

		if (left <= 0 || poll(&wait, 1, (int)(left / USEC_PER_MSEC) + 1) == 0) {
			return;
		}
		n = sys_read(call->socket, rest, sizeof(rest));
		if (n <= 0 && n != -EAGAIN) {
			return;
		}
	}
}

static void take_last(struct call *call, const json_t *frame)
{
	const char *text = json_text(frame, "error", NULL);
	int64_t status = json_int(frame, "exit", text ? 1 : 0);

	call->done = true;
	call->exit_status = status < 0 || status > 255 ? 255 : (int)status;
	if (text) {
		error_say(&call->error, EIO, "%s", text);
		error_exit_status(&call->error, call->exit_status);
	}
	if (call->until_gone && !text) {
		wait_until_gone(call);
	}
	finish(call);
}

/*
 * Descriptors come with the bytes of their frame, but earlier frames may have come in the same
 * read: so they are offered to each frame until one takes them (or the end closes them).
 */
static void take_frame(struct call *call, const json_t *frame)
{
	struct protocol_buffer *b = &call->buffer;
	size_t kept = 0;

	if (json_bool(frame, "done", false)) {
		take_last(call, frame);
		return;
	}
	if (call->on_event) {
		call->on_event(call, frame, b->fds, b->fd_count);
	}
	for (size_t i = 0; call->active && i < b->fd_count; i++) {
		if (b->fds[i] >= 0) {
			b->fds[kept++] = b->fds[i];
		}
	}
	b->fd_count = kept;
}

static void on_readable(struct watcher *watcher, uint32_t events)
{
	struct call *call = watcher->owner;
	int filled = protocol_fill(&call->buffer, call->socket);

	(void)events;
	while (call->active) {
		_cleanup_json_ json_t *frame = NULL;
		int r = protocol_take(&call->buffer, &frame, &call->error);

		if (r < 0) {
			finish(call);
			return;
		}
		if (r == 0) {
			break;
		}
		take_frame(call, frame);
	}
	if (call->active && (filled == 0 || (filled < 0 && filled != -EAGAIN))) {
		error_say(&call->error, ECONNRESET, "the supervisor closed before it was done");
		finish(call);
	}
}

int call_begin(struct call *call, struct loop *loop, const char *project, bool start,
	const json_t *request, const int *fds, size_t fd_count, struct error *err)
{
	_cleanup_fd_ int socket = client_connect(project, start, err);
	int r;

	if (socket < 0) {
		return socket;
	}
	r = protocol_send(socket, request, fds, fd_count, err);
	if (r < 0) {
		return r;
	}
	fd_nonblock(socket, true);
	r = loop_add(loop, &call->watcher, socket, EPOLLIN, on_readable, call);
	if (r < 0) {
		return error_set(err, r, "watch the supervisor's socket");
	}
	call->loop = loop;
	call->socket = take_fd(&socket);
	call->active = true;
	call->done = false;
	call->error = (struct error)ERROR_INIT;
	return 0;
}

void call_send(struct call *call, const json_t *frame)
{
	/* A few bytes on a connection that is read: a failure means that it is closing. */
	if (call->active) {
		protocol_send(call->socket, frame, NULL, 0, NULL);
	}
}

void call_end(struct call *call)
{
	close_call(call);
}

int call_outcome(const struct call *call, struct error *err)
{
	if (call->error.code) {
		*err = call->error;
		return -call->error.code;
	}
	return call->exit_status;
}

struct wanted {
	const char *member;
	json_t *answer;
};

static void keep_answer(void *data, const json_t *event, const int *fds, size_t fd_count)
{
	struct wanted *wanted = data;

	(void)fds;
	(void)fd_count;
	if (wanted->member && json_object_get(event, wanted->member)) {
		json_decref(wanted->answer);
		wanted->answer = json_incref((json_t *)(uintptr_t)event);
	}
}

int call_wait(const char *project, const json_t *request, const char *member, json_t **answer,
	struct error *err)
{
	_cleanup_fd_ int socket = client_connect(project, false, err);
	struct wanted wanted = { .member = member };
	int r;

	if (socket < 0) {
		return socket;
	}
	r = client_call(socket, request, NULL, 0, keep_answer, &wanted, err);
	if (r >= 0 && member && !wanted.answer) {
		r = error_say(err, EPROTO, "the supervisor's answer lacks \"%s\"", member);
	}
	if (r >= 0 && answer) {
		*answer = take_ptr(wanted.answer);
	}
	json_decref(wanted.answer);
	return r;
}

static int compare_names(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;

	return strcmp(json_text(x, "name", ""), json_text(y, "name", ""));
}

static json_t *sorted(const json_t *containers)
{
	size_t count = json_array_size(containers);
	_cleanup_free_ json_t **items = xcalloc(count + 1, sizeof(json_t *));
	json_t *result = json_array();

	for (size_t i = 0; i < count; i++) {
		items[i] = json_array_get(containers, i);
	}
	qsort(items, count, sizeof(json_t *), compare_names);
	for (size_t i = 0; i < count; i++) {
		json_array_append(result, items[i]);
	}
	return result;
}

int call_containers(const char *project, json_t **containers, struct error *err)
{
	_cleanup_json_ json_t *request = call_request("ps", NULL), *answer = NULL;
	int r = call_wait(project, request, "containers", &answer, err);

	if (r == -ENOENT) {
		*err = (struct error)ERROR_INIT;
		r = 0;
	}
	if (r >= 0) {
		*containers = sorted(json_object_get(answer, "containers"));
	}
	return r < 0 ? r : 0;
}

json_t *call_request(const char *op, const char *const *services)
{
	json_t *request = json_object();

	json_put_text(request, "op", op);
	if (services && services[0]) {
		json_put(request, "services", json_from_strings(services));
	}
	return request;
}
