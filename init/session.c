/*
 * Sessions: processes that join a running container (exec, health checks). Always children of the
 * supervisor, each in a group of its own below the container's, so that it lives within the
 * container's limits and ends with all it started.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/proc.h"
#include "base/sys.h"
#include "init/supervisor.h"

static void session_unlink(struct session *session)
{
	struct session **at = &session->s->sessions;

	while (*at && *at != session) {
		at = &(*at)->next;
	}
	if (*at) {
		*at = session->next;
	}
}

static void session_destroy(struct session *session)
{
	struct loop *loop = session->s->loop;

	loop_remove(loop, &session->exit_watch);
	loop_remove(loop, &session->status_watch);
	loop_remove(loop, &session->output_watch);
	session_unlink(session);
	if (session->note) {
		table_session_free(session->note);
	}
	fd_close(&session->process.pidfd);
	fd_close(&session->process.status_fd);
	fd_close(&session->process.console_master);
	fd_close(&session->output_fd);
	str_finish(&session->output);
	free(session);
}

static void read_output(struct session *session)
{
	char data[HEALTH_OUTPUT_MAX];

	while (session->output_fd >= 0) {
		ssize_t n = sys_read(session->output_fd, data, sizeof(data));
		size_t room = HEALTH_OUTPUT_MAX - session->output.size;

		if (n <= 0) {
			if (n != -EAGAIN) {
				loop_remove(session->s->loop, &session->output_watch);
			}
			return;
		}
		str_add_mem(&session->output, data, (size_t)n < room ? (size_t)n : room);
		if ((size_t)n >= room) {
			/* More is not kept. The check may go on writing; nobody waits for it, and one that
			 * fills the pipe runs into its time limit or gets EPIPE. */
			loop_remove(session->s->loop, &session->output_watch);
			fd_close(&session->output_fd);
		}
	}
}

static void on_output(struct watcher *w, uint32_t events)
{
	(void)events;
	read_output(w->owner);
}

/* What the child had to say about its start, if that is decided. */
static void take_status(struct session *session)
{
	struct error err = ERROR_INIT;
	int verdict;

	if (session->process.status_fd < 0) {
		return;
	}
	verdict = container_spawn_status(session->process.status_fd, &err);
	if (verdict == 0) {
		return;
	}
	loop_remove(session->s->loop, &session->status_watch);
	fd_close(&session->process.status_fd);
	if (verdict < 0) {
		session->failed = true;
		session->error = err;
	} else {
		session->started = true;
		if (session->on_started) {
			session->on_started(session);
		}
	}
}

static void on_status(struct watcher *w, uint32_t events)
{
	(void)events;
	take_status(w->owner);
}

static void finish(struct session *session, int wait_status)
{
	session_done_fn *done = session->done;
	int code = proc_exit_status(wait_status);

	take_status(session);
	read_output(session);
	if (session->failed) {
		code = session->error.exit_status ? session->error.exit_status : 125;
	}
	supervisor_trash_cgroup(session->s, session->cgroup_path);
	done(session, code, session->failed ? &session->error : NULL);
	session_destroy(session);
}

static void on_exit_ready(struct watcher *w, uint32_t events)
{
	struct session *session = w->owner;
	siginfo_t info;
	int r;

	(void)events;
	r = sys_waitid_pidfd(session->process.pidfd, &info, WEXITED | WNOHANG);
	if (r == 0 && info.si_pid == 0) {
		return;
	}
	if (r < 0) {
		/* Adopted: the guardian's pipe brings its status, see session_orphan(). */
		loop_remove(session->s->loop, &session->exit_watch);
		return;
	}
	finish(session,
		info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f);
}

bool session_orphan(struct supervisor *s, const struct guardian_orphan *orphan)
{
	for (struct session *session = s->sessions; session; session = session->next) {
		if (session->process.pid == orphan->pid) {
			finish(session, orphan->status);
			return true;
		}
	}
	return false;
}

static int make_output_pipe(
	struct session *session, struct session_request *request, int *write_end, struct error *err)
{
	int pipe[2], r;

	if (!request->capture) {
		return 0;
	}
	r = sys_pipe2(pipe, 0);
	if (r < 0) {
		return error_set(err, r, "make a pipe");
	}
	fd_nonblock(pipe[0], true);
	session->output_fd = pipe[0];
	*write_end = request->stdio[1] = request->stdio[2] = pipe[1];
	return 0;
}

static int spawn(struct session *session, const struct session_request *request,
	const struct cgroup *cgroup, struct error *err)
{
	struct unit *u = session->unit;
	struct seccomp_program seccomp = { 0 };
	_cleanup_free_ char *cache = xasprintf("%s/seccomp", u->s->state_dir);
	bool privileged = request->privileged || u->plan->privileged;
	struct session_spec spec = { .container_pidfd = u->slot.fds[SLOT_PIDFD],
		.container_pid = u->slot.pid,
		.config = &u->plan->config,
		.args = request->args,
		.env = request->env,
		.cwd = request->cwd,
		.user = request->user,
		.container_user = u->plan->user,
		.privileged = privileged,
		.terminal = request->terminal,
		.rows = request->rows,
		.columns = request->columns,
		.cgroup = cgroup,
		.stdio = { request->stdio[0], request->stdio[1], request->stdio[2] } };
	int r = 0;

	if (!privileged && u->plan->seccomp == PLAN_SECCOMP_DEFAULT) {
		r = seccomp_default(u->plan->config.process.capabilities[OCI_CAPS_BOUNDING], cache,
			&seccomp, err);
	} else if (!privileged && u->plan->seccomp == PLAN_SECCOMP_CUSTOM) {
		r = seccomp_compile(u->plan->config.seccomp, cache, &seccomp, err);
	}
	if (r == 0) {
		spec.seccomp = seccomp.length ? &seccomp : NULL;
		r = session_spawn(&spec, &session->process, err);
	}
	seccomp_program_finish(&seccomp);
	return r;
}

/* Watches what has been started; also what has been adopted. */
static void watch(struct session *session)
{
	struct loop *loop = session->s->loop;

	session->next = session->s->sessions;
	session->s->sessions = session;
	loop_add(loop, &session->exit_watch, session->process.pidfd, EPOLLIN, on_exit_ready,
		session);
	if (session->process.status_fd >= 0) {
		loop_add(loop, &session->status_watch, session->process.status_fd, EPOLLIN,
			on_status, session);
	}
	if (session->output_fd >= 0) {
		loop_add(loop, &session->output_watch, session->output_fd, EPOLLIN, on_output,
			session);
	}
}

static struct session *session_new(struct unit *u)
{
	struct session *session = xcalloc(1, sizeof(*session));

	session->s = u->s;
	session->unit = u;
	session->output_fd = -EBADF;
	session->process = (struct container_process){
		.pidfd = -EBADF, .status_fd = -EBADF, .console_master = -EBADF
	};
	return session;
}

static void cgroup_of(struct session *session)
{
	char path[300];

	unit_cgroup_path(session->unit, path);
	snprintf(session->cgroup_path, sizeof(session->cgroup_path), "%.270s/s%u", path,
		session->note->serial);
}

struct session *session_start(
	struct unit *u, const struct session_request *asked, struct error *err)
{
	struct session *session = session_new(u);
	struct session_request request = *asked;
	_cleanup_fd_ int write_end = -EBADF;
	struct cgroup cgroup;
	int r;

	session->done = request.done;
	session->on_started = request.on_started;
	session->owner = request.owner;
	session->started_wall_ns = clock_wall_ns();
	session->note = table_session_take(&u->s->table);
	if (!session->note) {
		error_say(err, EAGAIN, "more than %d sessions at once", TABLE_SESSIONS);
		session_destroy(session);
		return NULL;
	}
	cgroup_of(session);
	r = cgroup_create(&u->s->cgroups, session->cgroup_path, NULL, &cgroup, NULL, err);
	if (r < 0) {
		session_destroy(session);
		return NULL;
	}
	/* Noted before anything runs: its group names it, whatever becomes of us. */
	session->note->slot = u->index;
	session->note->deadline_us = request.deadline_us;
	session->note->client = request.client;
	session->note->kind = request.kind;
	r = make_output_pipe(session, &request, &write_end, err);
	r = r < 0 ? r : spawn(session, &request, &cgroup, err);
	cgroup_close(&cgroup);
	if (r < 0) {
		supervisor_trash_cgroup(u->s, session->cgroup_path);
		session_destroy(session);
		return NULL;
	}
	session->note->start_time = proc_start_time(session->process.pid);
	session->note->pidfd = session->process.pidfd;
	session->note->pid = session->process.pid;
	watch(session);
	return session;
}

/* Kills the group and leaves the reaping of its first process to the exit watch. */
static void kill_group(struct session *session)
{
	struct cgroup cgroup;

	sys_pidfd_send_signal(session->process.pidfd, SIGKILL);
	if (cgroup_open(&session->s->cgroups, session->cgroup_path, &cgroup) == 0) {
		cgroup_kill(&cgroup);
		cgroup_close(&cgroup);
	}
}

static void ignore_end(struct session *session, int exit_code, const struct error *err)
{
	(void)session;
	(void)exit_code;
	(void)err;
}

void session_cancel(struct session *session)
{
	session->done = ignore_end;
	session->on_started = NULL;
	session->owner = NULL;
	kill_group(session);
}

void session_signal(struct session *session, int signal)
{
	if (session->process.pidfd >= 0 && signal > 0 && signal < 65) {
		sys_pidfd_send_signal(session->process.pidfd, signal);
	}
}

/* Its container ended, and it with it: what is left of it is reaped as it dies. */
void session_drop_unit(struct unit *u)
{
	for (struct session *session = u->s->sessions; session; session = session->next) {
		if (session->unit != u) {
			continue;
		}
		session->unit = NULL;
		if (session == u->probe) {
			u->probe = NULL;
			session_cancel(session);
		} else {
			kill_group(session);
		}
	}
}

/* Tells the client that a predecessor had: its frames were all its own to send but the last. */
static void adopted_done(struct session *session, int exit_code, const struct error *err)
{
	static const char format[] = "{\"done\":true,\"exit\":%d}";
	char frame[80];
	int length, client = session->note->client;

	(void)err;
	if (client < 0) {
		return;
	}
	length = snprintf(frame + 4, sizeof(frame) - 4, format, exit_code);
	for (int i = 0; i < 4; i++) {
		frame[i] = (char)(length >> (8 * i));
	}
	fd_send(client, frame, (size_t)length + 4, NULL, 0);
	close(client);
}

static bool adopt_exec(struct supervisor *s, struct table_session *note, bool same_table)
{
	struct unit *u = note->slot < s->unit_room ? s->units[note->slot] : NULL;
	struct session *session;
	int pidfd = same_table ? note->pidfd : proc_open(note->pid, note->start_time);

	if (!u || pidfd < 0) {
		return false;
	}
	session = session_new(u);
	session->note = note;
	session->done = adopted_done;
	session->started = true;
	session->process.pid = note->pid;
	session->process.pidfd = pidfd;
	note->pidfd = pidfd;
	if (!same_table) {
		note->client = -1;
	}
	cgroup_of(session);
	watch(session);
	return true;
}

void sessions_adopt(struct supervisor *s, bool same_table)
{
	for (int i = 0; i < TABLE_SESSIONS; i++) {
		struct table_session *note = &s->table.head->sessions[i];
		struct unit *u = note->slot < s->unit_room ? s->units[note->slot] : NULL;
		char path[300];

		if (note->kind == SESSION_FREE || (note->kind == SESSION_EXEC && note->pid > 0 &&
							  adopt_exec(s, note, same_table))) {
			continue;
		}
		/* Health checks are asked anew; what was killed before it was complete goes. */
		if (u) {
			size_t used;

			unit_cgroup_path(u, path);
			used = strlen(path);
			snprintf(path + used, sizeof(path) - used, "/s%u", note->serial);
			supervisor_trash_cgroup(s, path);
		}
		if (same_table) {
			fd_close(&note->pidfd);
			fd_close(&note->client);
		}
		table_session_free(note);
	}
}
