/*
 * Sessions: a process inside a running container, as the caller's own child.
 *
 * The caller points its children's pid namespace at the container's for the time of one clone3(2),
 * so that no helper process stands in between; the child enters the other namespaces itself, all
 * at once, through the pidfd of the container's first process. It cannot be looked into from
 * inside before exec (not dumpable), and holds nothing open that is not close-on-exec.
 */
#include <errno.h>
#include <sched.h>
#include <sys/capability.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/spawn.h"
#include "specs/docker_defaults.h"

#define SESSION_NAMESPACES                                                                         \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP)

static int step_cgroup(struct child *c)
{
	int r = c->join_cgroup && c->cgroup ? cgroup_enter(c->cgroup, 0) : 0;

	return r < 0 ? error_set(&c->err, r, "enter the control group %s", c->cgroup->path) : 0;
}

static int step_namespaces(struct child *c)
{
	int r = sys_setns(c->session->container_pidfd, SESSION_NAMESPACES);

	if (r == -ESRCH) {
		return error_say(&c->err, ESRCH, "the container has ended");
	}
	if (r < 0) {
		return error_set(&c->err, r, "enter the container's namespaces");
	}
	c->root_fd = sys_open("/", O_PATH | O_DIRECTORY, 0);
	return c->root_fd < 0 ? error_set(&c->err, c->root_fd, "open the container's root") : 0;
}

static int step_pty(struct child *c)
{
	_cleanup_fd_ int pts = -EBADF, slave = -EBADF;

	if (!c->process.terminal) {
		return 0;
	}
	pts = sys_open_in_root(c->root_fd, "dev/pts", O_PATH | O_DIRECTORY, 0);
	if (pts < 0) {
		return error_set(&c->err, pts, "open /dev/pts of the container");
	}
	slave = devices_open_pty(c, pts);
	if (slave < 0) {
		return slave;
	}
	for (int i = 0; i < 3; i++) {
		if (dup2(slave, i) < 0) {
			return error_set(&c->err, errno, "pass the terminal");
		}
	}
	return 0;
}

static bool same_key(const char *a, const char *b)
{
	size_t length = strcspn(a, "=");

	return strncmp(a, b, length) == 0 && (b[length] == '=' || b[length] == '\0');
}

static bool has_key(const char *const *list, size_t count, const char *entry)
{
	for (size_t i = 0; i < count; i++) {
		if (same_key(list[i], entry)) {
			return true;
		}
	}
	return false;
}

/* The container's environment with the session's own on top. Lives as long as this process. */
static int step_environment(struct child *c)
{
	const char *const *own = c->session->env;
	size_t own_count = 0, count = 0;
	const char **all;

	while (own && own[own_count]) {
		own_count++;
	}
	all = xcalloc(c->config->process.env_count + own_count + 2, sizeof(*all));
	for (size_t i = 0; i < c->config->process.env_count; i++) {
		if (!has_key(own, own_count, c->config->process.env[i])) {
			all[count++] = c->config->process.env[i];
		}
	}
	for (size_t i = 0; i < own_count; i++) {
		all[count++] = own[i];
	}
	if (c->process.terminal && !has_key(all, count, "TERM=")) {
		all[count++] = "TERM=xterm";
	}
	c->process.env = all;
	c->process.env_count = count;
	return 0;
}

static const struct step session_steps[] = {
	/* Its limits first; they are within the container's. */
	{ "control group", step_cgroup },
	{ "namespaces", step_namespaces },
	{ "session", identity_session },
	{ "pty", step_pty },
	/* The container's own files decide who it is. */
	{ "user", identity_user },
	{ "terminal", identity_terminal },
	{ "environment", step_environment },
	{ "resource limits", identity_limits },
	{ "working folder", identity_working_folder },
	{ "seccomp", identity_seccomp_early },
	{ "identity", identity_assume },
	{ "seccomp", identity_seccomp_late },
	{ "exec", execute_payload },
	{ NULL, NULL },
};

/* Every capability that this process could pass on. */
static uint64_t own_capabilities(void)
{
	uint64_t mask = 0;

	for (int cap = 0; cap <= CAPABILITY_LAST; cap++) {
		if (cap_get_bound(cap) > 0) {
			mask |= UINT64_C(1) << cap;
		}
	}
	return mask;
}

static void init_child(struct child *c, const struct session_spec *spec)
{
	struct oci_process *process = &c->process;

	*c = (struct child){
		.session = spec,
		.config = spec->config,
		.process = spec->config->process,
		.user = spec->user ? spec->user : spec->container_user,
		.seccomp = spec->privileged ? NULL : spec->seccomp,
		.cgroup = spec->cgroup,
		.status_fd = -EBADF,
		.console_socket = -EBADF,
		.root_fd = -EBADF,
		.proc_fd = -EBADF,
		.pts_fd = -EBADF,
		.null_fd = -EBADF,
		.empty_fd = -EBADF,
		.init_fd = -EBADF,
	};
	process->terminal = spec->terminal;
	process->console_rows = spec->rows;
	process->console_columns = spec->columns;
	process->args = (const char **)(uintptr_t)spec->args;
	process->arg_count = 0;
	while (spec->args[process->arg_count]) {
		process->arg_count++;
	}
	if (spec->cwd) {
		process->cwd = spec->cwd;
	}
	if (spec->privileged) {
		process->has_capabilities = true;
		process->no_new_privileges = false;
		for (int set = OCI_CAPS_BOUNDING; set <= OCI_CAPS_PERMITTED; set++) {
			process->capabilities[set] = own_capabilities();
		}
	}
	memcpy(c->stdio, spec->stdio, sizeof(c->stdio));
}

/* Clones into the container's pid namespace and comes back to our own. */
static pid_t clone_inside(
	const struct session_spec *spec, struct clone_args *args, struct error *err)
{
	_cleanup_fd_ int home = sys_open("/proc/self/ns/pid", O_RDONLY, 0);
	pid_t pid;
	int r;

	if (home < 0) {
		return error_set(err, home, "open our own pid namespace");
	}
	r = sys_setns(spec->container_pidfd, CLONE_NEWPID);
	if (r < 0) {
		return r == -ESRCH ? error_say(err, ESRCH, "the container has ended")
				   : error_set(err, r, "enter the container's pid namespace");
	}
	pid = sys_clone3(args);
	if (pid == 0) {
		return 0;
	}
	/* A raw call: a supervisor whose next child lands in some container is beyond repair. */
	if (setns(home, CLONE_NEWPID) < 0) {
		abort();
	}
	return pid < 0 ? error_set(err, pid, "clone a process into the container") : pid;
}

int session_spawn(
	const struct session_spec *spec, struct container_process *process, struct error *err)
{
	struct clone_args args = { .flags = CLONE_PIDFD, .exit_signal = SIGCHLD };
	int group = spec->cgroup ? cgroup_clone_fd(spec->cgroup) : -EBADF, pidfd = -EBADF, r;
	struct spawn spawn;
	pid_t pid;

	if (!spec->args || !spec->args[0]) {
		error_say(err, EINVAL, "no command specified");
		return error_exit_status(err, 127);
	}
	r = spawn_prepare(&spawn, spec->terminal, err);
	if (r < 0) {
		return r;
	}
	args.pidfd = (uintptr_t)&pidfd;
	if (group >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)group;
	}
	pid = clone_inside(spec, &args, err);
	if (pid == 0) {
		static struct child c;

		init_child(&c, spec);
		c.join_cgroup = group < 0;
		spawn_child(&spawn, &c);
		child_run(&c, session_steps);
	}
	if (pid < 0) {
		spawn_abort(&spawn);
		return pid;
	}
	return spawn_finish(&spawn, pid, pidfd, process, err);
}
