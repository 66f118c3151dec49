/* The last step: finding the program and becoming it. */
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/child.h"
#include "specs/docker_defaults.h"

/* Signals whose default is not to end a process. */
static bool is_harmless(int signal)
{
	return signal == SIGCHLD || signal == SIGCONT || signal == SIGURG || signal == SIGWINCH ||
	       signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

/*
 * Signals were blocked since before the clone. One that came meanwhile would be thrown away by the
 * kernel if it were let in now: an init without a handler is immune. So do what it would have done
 * to any other process.
 */
static void obey_pending(struct child *c)
{
	sigset_t pending;

	if (c->session || sigpending(&pending) < 0 || sigisemptyset(&pending)) {
		return;
	}
	for (int i = 1; i < NSIG; i++) {
		if (sigismember(&pending, i) == 1 && !is_harmless(i)) {
			_exit(128 + i);
		}
	}
}

/* What the caller ignores would be ignored by the payload too; handlers are reset by exec. These
 * are what programs, nohup(1) and shells are known to ignore. */
static void reset_signals(void)
{
	static const int ignored_by_some[] = { SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD,
		SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU, SIGXFSZ };
	struct sigaction standard = { .sa_handler = SIG_DFL };

	for (size_t i = 0; i < ARRAY_SIZE(ignored_by_some); i++) {
		sigaction(ignored_by_some[i], &standard, NULL);
	}
}

static char **make_environment(const struct child *c)
{
	size_t count = c->process.env_count, used = 0;
	char **env = xcalloc(count + 2, sizeof(*env));
	bool home = false;

	for (size_t i = 0; i < count; i++) {
		env[used] = (char *)(uintptr_t)c->process.env[i];
		home |= strncmp(env[used++], "HOME=", 5) == 0;
	}
	if (!home) {
		env[used++] = xasprintf("HOME=%s", c->home ? c->home : "/");
	}
	return env;
}

static const char *find_path(char **env)
{
	for (; *env; env++) {
		if (strncmp(*env, "PATH=", 5) == 0) {
			return *env + 5;
		}
	}
	return NULL;
}

/* docker's words and exit statuses: 127 not found, 126 found but not to be executed. */
static int fail(struct child *c, const char *name, int r)
{
	if (r == -ENOENT || r == -ENOTDIR) {
		if (strchr(name, '/')) {
			error_say(&c->err, ENOENT,
				"exec: \"%s\": stat %s: no such file or directory", name, name);
		} else {
			error_say(&c->err, ENOENT,
				"exec: \"%s\": executable file not found in $PATH", name);
		}
		error_exit_status(&c->err, 127);
	} else if (r == -EACCES || r == -EISDIR || r == -EPERM) {
		error_say(&c->err, EACCES, "exec: \"%s\": permission denied", name);
		error_exit_status(&c->err, 126);
	} else {
		error_set(&c->err, r, "exec: \"%s\"", name);
		error_exit_status(&c->err, r == -ENOEXEC || r == -ETXTBSY ? 126 : 125);
	}
	return r;
}

typedef int try_fn(struct child *c, const char *path, char **env);

/* Without an init in front: becomes the program. */
static int try_exec(struct child *c, const char *path, char **env)
{
	SYS_GATE("execve");
	execve(path, (char **)(uintptr_t)c->process.args, env);
	return -errno;
}

/* With our init in front: that one executes the path, so it is only looked at here. */
static int try_access(struct child *c, const char *path, char **env)
{
	struct stat st;

	(void)c;
	(void)env;
	if (stat(path, &st) < 0) {
		return -errno;
	}
	if (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0) {
		return -EACCES;
	}
	return 0;
}

/* Calls @try for the program's path, or for each place that $PATH names until one fits. */
static int search(struct child *c, char **env, char path[PATH_MAX], try_fn *try)
{
	const char *name = c->process.args[0], *at = find_path(env);
	int worst = -ENOENT;

	at = at ? at : DOCKER_DEFAULT_PATH;
	if (strchr(name, '/')) {
		snprintf(path, PATH_MAX, "%s", name);
		return try(c, name, env);
	}
	for (;; at++) {
		size_t size = strcspn(at, ":");
		int r;

		if (snprintf(path, PATH_MAX, "%.*s%s%s", (int)size, at, size ? "/" : "./", name) <
			PATH_MAX) {
			r = try(c, path, env);
			if (r != -ENOENT && r != -ENOTDIR && r != -EACCES) {
				return r;
			}
			worst = r == -EACCES ? r : worst;
		}
		at += size;
		if (!*at) {
			return worst;
		}
	}
}

/* The init searches $PATH again, so the payload sees its own name as it was given; without one
 * in the environment it would search less than we do, and gets what we found. */
static int exec_init(struct child *c, const char *path, char **env)
{
	const char **args = xcalloc(c->process.arg_count + 2, sizeof(*args));

	args[0] = "wherry-init";
	memcpy(&args[1], c->process.args, c->process.arg_count * sizeof(*args));
	if (!find_path(env)) {
		args[1] = path;
	}
	SYS_GATE("execve");
	execveat(c->init_fd, "", (char **)(uintptr_t)args, env, AT_EMPTY_PATH);
	return error_set(&c->err, errno, "execute the container's init");
}

int execute_payload(struct child *c)
{
	char **env = make_environment(c), path[PATH_MAX];
	const char *name = c->process.arg_count ? c->process.args[0] : "";
	sigset_t none;
	int r;

	if (!*name) {
		error_say(&c->err, EINVAL, "no command specified");
		return error_exit_status(&c->err, 127);
	}
	if (c->init_fd >= 0) {
		r = search(c, env, path, try_access);
		if (r < 0) {
			return fail(c, name, r);
		}
	}
	umask(c->process.umask >= 0 ? (mode_t)c->process.umask : 0022);
	r = sys_close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	if (r < 0) {
		return error_set(&c->err, r, "close what the payload must not have");
	}
	reset_signals();
	if (c->init_fd >= 0) {
		return exec_init(c, path, env); /* it expects its signals blocked */
	}
	obey_pending(c);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	return fail(c, name, search(c, env, path, try_exec));
}
