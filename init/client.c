#include "init/client.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/dirs.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "init/guardian.h"
#include "init/protocol.h"

#define CONNECT_PATIENCE_US  (20 * USEC_PER_SEC)
#define HANDSHAKE_PATIENCE_S 15
#define RETRY_US             10000
#define PROJECT_NAME_MAX     200

/* What of the caller's environment the guardian needs; the rest stays behind, secrets with it. */
static const char *const kept_environment[] = { "PATH", "HOME", "LANG", "TZ", "TMPDIR",
	"XDG_RUNTIME_DIR", "XDG_DATA_HOME", "WHERRY_RUN_DIR", "WHERRY_STATE_DIR", "WHERRY_FAULT",
	"ASAN_OPTIONS", "UBSAN_OPTIONS" };

static bool project_name_ok(const char *project)
{
	size_t length = strspn(project, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	return length > 0 && length <= PROJECT_NAME_MAX && project[length] == '\0' &&
	       project[0] != '-' && project[0] != '_';
}

static int open_project(const char *project, struct error *err)
{
	const char *run = dirs_run(err);
	_cleanup_free_ char *path = run ? file_join(run, project) : NULL;
	int fd;

	if (!path) {
		return -err->code;
	}
	fd = sys_open(path, O_RDONLY | O_DIRECTORY, 0);
	return fd < 0 ? error_set(err, fd, "open %s", path) : fd;
}

static void set_patience(int fd, int seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

/* Connects to the socket in the folder @dir, whatever the length of its path. */
static int connect_in(int dir)
{
	_cleanup_fd_ int fd = sys_socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (fd < 0) {
		return fd;
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control", dir);
	set_patience(fd, HANDSHAKE_PATIENCE_S); /* its queue may be full */
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return -errno;
	}
	return take_fd(&fd);
}

/* -ECONNRESET: the supervisor was just leaving. */
static int shake_hands(int fd, struct error *err)
{
	_cleanup_json_ json_t *mine = protocol_hello(), *theirs = NULL;
	int r;

	r = protocol_send(fd, mine, NULL, 0, err);
	if (r == 0) {
		r = protocol_receive(fd, &theirs, NULL, NULL, err);
	}
	if (r == 0 || r == -EPIPE || r == -EPROTO) {
		return error_say(err, ECONNRESET, "the supervisor closed the connection");
	}
	if (r == -EAGAIN) {
		return error_say(err, ETIMEDOUT, "the supervisor did not answer within %d seconds",
			HANDSHAKE_PATIENCE_S);
	}
	if (r < 0) {
		return r;
	}
	set_patience(fd, 0);
	return protocol_check_hello(theirs, err);
}

/* Nothing that the caller ignores or blocks is for the guardian and its services. */
static void reset_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++) {
		sigaction(i, &action, NULL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the detached grandchild: nothing of the caller's but the ready pipe. */
static _Noreturn void become_guardian(const char *project, int ready, char **environment)
{
	char *argv[] = { (char[]){ "wherry" }, (char[]){ "__guardian" }, (char *)(uintptr_t)project,
		(char[]){ "3" }, NULL };

	_Static_assert(GUARDIAN_READY_FD == 3, "the last argument says so too");
	/* Out of the way: whoever called us may have had 0, 1 or 2 closed. */
	int high = fcntl(ready, F_DUPFD_CLOEXEC, 10), null = open("/dev/null", O_RDWR);

	reset_signals();
	for (int fd = 0; fd < 3 && null >= 0; fd++) {
		dup2(null, fd);
	}
	dup2(high, GUARDIAN_READY_FD);
	sys_close_range(GUARDIAN_READY_FD + 1, ~0U, 0);
	if (chdir("/") == 0) {
		execve("/proc/self/exe", argv, environment);
	}
	dprintf(GUARDIAN_READY_FD, "cannot execute the guardian: %s", strerror(errno));
	_exit(1);
}

/* Forks twice, so that the guardian is nobody's child and nobody's job. */
static int detach_guardian(const char *project, int ready, struct error *err)
{
	_cleanup_strv_ struct strv environment = { 0 };
	pid_t child;
	int status;

	for (size_t i = 0; i < ARRAY_SIZE(kept_environment); i++) {
		const char *value = getenv(kept_environment[i]);

		if (value) {
			strv_addf(&environment, "%s=%s", kept_environment[i], value);
		}
	}
	if (!environment.items) {
		strv_add(&environment, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
	}
	child = fork();
	if (child < 0) {
		return error_set(err, errno, "fork the guardian");
	}
	if (child == 0) {
		setsid();
		child = fork();
		if (child == 0) {
			become_guardian(project, ready, environment.items);
		}
		_exit(child < 0 ? 1 : 0);
	}
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR) {
			return 0; /* ends are ignored here; the ready pipe tells how it went */
		}
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0
		       ? 0
		       : error_set(err, EAGAIN, "fork the guardian");
}

/*
 * Starts a guardian and waits for its word. 0: it serves; -EBUSY: another one holds the project
 * (and will serve in a moment); otherwise @err says what it could not do.
 */
static int start_guardian(const char *project, struct error *err)
{
	_cleanup_fd_ int in = -EBADF, out = -EBADF;
	char text[900];
	int pipe[2];
	ssize_t n;
	int r = sys_pipe2(pipe, 0);

	if (r < 0) {
		return error_set(err, r, "make a pipe");
	}
	in = pipe[0];
	out = pipe[1];
	r = detach_guardian(project, out, err);
	fd_close(&out);
	if (r < 0) {
		return r;
	}
	n = fd_read_full(in, text, sizeof(text) - 1);
	if (n < 0) {
		return error_set(err, (int)n, "wait for the guardian");
	}
	text[n] = '\0';
	if (strcmp(text, "ok") == 0) {
		return 0;
	}
	if (strcmp(text, "busy") == 0) {
		return -EBUSY;
	}
	if (n == 0) {
		return error_say(err, EPROTO, "the guardian of project %s died at once", project);
	}
	return error_say(err, EPROTO, "%s", text);
}

/* Whether the folder holds a project whose keepers are gone: a table that nobody holds a lock for. */
static bool has_orphaned_state(int dir)
{
	_cleanup_fd_ int lock = sys_openat(dir, "lock", O_RDWR, 0);

	if (lock < 0 || faccessat(dir, "project.json", F_OK, 0) < 0) {
		return false;
	}
	return flock(lock, LOCK_EX | LOCK_NB) == 0; /* let go again by the close */
}

static int connect_once(const char *project, bool *orphaned, struct error *err)
{
	_cleanup_fd_ int dir = open_project(project, err), fd = -EBADF;
	int r;

	*orphaned = false;
	if (dir < 0) {
		return dir;
	}
	fd = connect_in(dir);
	if (fd < 0) {
		*orphaned = has_orphaned_state(dir);
		return error_set(err, fd, "connect to the supervisor of project %s", project);
	}
	r = shake_hands(fd, err);
	return r < 0 ? r : take_fd(&fd);
}

int client_connect(const char *project, bool start, struct error *err)
{
	int64_t deadline = clock_now_us() + CONNECT_PATIENCE_US;
	struct error own = ERROR_INIT;

	err = err ? err : &own;
	if (!project_name_ok(project)) {
		return error_say(err, EINVAL,
			"project name %s: must start with a letter or digit and hold only "
			"lower-case "
			"letters, digits, '_' and '-'",
			project);
	}
	for (;;) {
		bool orphaned, absent;
		int fd = connect_once(project, &orphaned, err), r = 0;

		absent = fd == -ENOENT || fd == -ECONNREFUSED || fd == -ECONNRESET;
		if (fd >= 0 || !absent) {
			return fd;
		}
		if (start || orphaned) {
			r = start_guardian(project, err);
			if (r < 0 && r != -EBUSY) {
				return r;
			}
		} else if (fd != -ECONNRESET) {
			return error_say(err, ENOENT, "project %s is not running", project);
		}
		if (clock_now_us() > deadline) {
			return error_prefix(err, "project %s: gave up", project);
		}
		/* Served already, or another guardian is on its way up or down: look again. */
		if (r == -EBUSY || fd == -ECONNRESET) {
			poll(NULL, 0, RETRY_US / 1000);
		}
	}
}

int client_projects(struct strv *names, struct error *err)
{
	const char *run = dirs_run(err);
	struct dirent *entry;
	DIR *dir;

	if (!run) {
		return -err->code;
	}
	dir = opendir(run);
	if (!dir) {
		return error_set(err, errno, "open %s", run);
	}
	while ((entry = readdir(dir))) {
		struct stat st;

		if (project_name_ok(entry->d_name) &&
			fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISDIR(st.st_mode)) {
			strv_add(names, entry->d_name);
		}
	}
	closedir(dir);
	return 0;
}

/* The last frame: its exit status, or the error that it carries. */
static int finish_call(const json_t *frame, struct error *err)
{
	int64_t status = json_int(frame, "exit", 1);
	const char *text = json_text(frame, "error", NULL);

	if (status < 0 || status > 255) {
		status = 255;
	}
	if (text) {
		error_say(err, (int)json_int(frame, "errno", EIO), "%s", text);
		error_exit_status(err, (int)status);
		return err && err->code ? -err->code : -EIO;
	}
	return (int)status;
}

int client_call(int socket, const json_t *request, const int *fds, size_t fd_count,
	client_event_fn *on_event, void *data, struct error *err)
{
	int r = protocol_send(socket, request, fds, fd_count, err);

	if (r < 0) {
		return r;
	}
	for (;;) {
		_cleanup_json_ json_t *frame = NULL;
		int received[PROTOCOL_FDS];
		size_t count = 0;

		r = protocol_receive(socket, &frame, received, &count, err);
		if (r == 0) {
			return error_say(
				err, ECONNRESET, "the supervisor closed before it was done");
		}
		if (r < 0) {
			return r;
		}
		if (json_bool(frame, "done", false)) {
			r = finish_call(frame, err);
		} else if (on_event) {
			on_event(data, frame, received, count);
		}
		for (size_t i = 0; i < count; i++) {
			fd_close(&received[i]);
		}
		if (json_bool(frame, "done", false)) {
			return r;
		}
	}
}
