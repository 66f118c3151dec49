/*
 * A process beside the first one of a running container.
 *
 * Only a child can be born into another pid namespace, and it has to be the caller's own child, to
 * be reaped by it: so the caller turns its namespace for children to the container's for the one
 * clone, and back. Everything else the child enters by itself, all at once, through the pidfd of
 * the container's first process: no number, no path that could mean another one meanwhile.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/container.h"
#include "runtime/rootfs.h"
#include "runtime/spawn.h"
#include "specs/docker_defaults.h"

#define ENTER_KINDS (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP)

static int step_cgroup(struct child *c)
{
	int r = 0;

	if (c->join_cgroup && c->cgroup) {
		r = cgroup_enter(c->cgroup, 0);
	}
	return r < 0 ? error_set(&c->err, r, "enter the control group %s", c->cgroup->path) : 0;
}

/* Through the host's procfs, of which the payload cannot make something else. */
static int step_oom_score(struct child *c)
{
	_cleanup_fd_ int proc = -EBADF;
	int r;

	if (!c->process.has_oom_score_adj) {
		return 0;
	}
	proc = sys_open("/proc", O_PATH | O_DIRECTORY, 0);
	c->proc_fd = proc;
	r = identity_oom_score(c);
	c->proc_fd = -EBADF;
	return r;
}

/*
 * The container's root, as its first process has it. The mount namespace's own root is another
 * folder when the container was started from inside a chroot, where pivot_root(2) moves no more
 * than that.
 */
static int open_root(struct child *c, int *root)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/root", (int)c->session->container_pid);
	*root = sys_open(path, O_PATH | O_DIRECTORY, 0);
	if (*root == -ENOENT || *root == -ESRCH) {
		return error_say(&c->err, ESRCH, "the container has ended");
	}
	return *root < 0 ? error_set(&c->err, *root, "open the container's root") : 0;
}

static int step_namespaces(struct child *c)
{
	_cleanup_fd_ int root = -EBADF;
	int r = open_root(c, &root);

	if (r < 0) {
		return r;
	}
	/* Fails when that process is gone: so the root above was its own, not a later one's. */
	r = sys_setns(c->session->container_pidfd, ENTER_KINDS);
	if (r < 0) {
		return r == -ESRCH ? error_say(&c->err, ESRCH, "the container has ended")
				   : error_set(&c->err, r, "enter the container");
	}
	if (fchdir(root) < 0 || chroot(".") < 0) {
		return error_set(&c->err, errno, "enter the container's root");
	}
	c->root_fd = take_fd(&root);
	return 0;
}

static int step_terminal(struct child *c)
{
	_cleanup_fd_ int pts = -EBADF, slave = -EBADF;

	if (!c->process.terminal) {
		return 0;
	}
	pts = rootfs_open(c->root_fd, "/dev/pts", O_PATH | O_DIRECTORY, &c->err);
	if (pts < 0) {
		return pts;
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

static const struct step session_steps[] = {
	/* Limits before anything of the container is touched. */
	{ "control group", step_cgroup },
	/* The last look at the host's procfs. */
	{ "oom score", step_oom_score },
	{ "namespaces", step_namespaces },
	/* The container's own devpts: a terminal of the host would be a way out. */
	{ "console", step_terminal },
	{ "session", identity_session },
	{ "user", identity_user },
	{ "terminal", identity_terminal },
	{ "resource limits", identity_limits },
	{ "working folder", identity_working_folder },
	{ "seccomp", identity_seccomp_early },
	{ "identity", identity_assume },
	{ "seccomp", identity_seccomp_late },
	{ "exec", execute_payload },
	{ NULL, NULL },
};

static bool env_has(const char **env, size_t count, const char *entry)
{
	size_t size = strcspn(entry, "=") + 1;

	for (size_t i = 0; i < count; i++) {
		if (strncmp(env[i], entry, size) == 0) {
			return true;
		}
	}
	return false;
}

/* The session's variables, then those of the container that it does not override. */
static void merge_env(struct child *c, const struct session_spec *spec)
{
	const struct oci_process *base = &spec->config->process;
	size_t own = 0, count;
	const char **env;

	while (spec->env && spec->env[own]) {
		own++;
	}
	env = xcalloc(own + base->env_count + 2, sizeof(*env));
	if (own > 0) {
		memcpy(env, spec->env, own * sizeof(*env));
	}
	count = own;
	for (size_t i = 0; i < base->env_count; i++) {
		if (!env_has(env, own, base->env[i])) {
			env[count++] = base->env[i];
		}
	}
	if (spec->terminal && !env_has(env, count, "TERM=")) {
		env[count++] = "TERM=xterm";
	}
	c->process.env = env; /* as long as the child */
	c->process.env_count = count;
}

static void set_identity(struct child *c, const struct session_spec *spec)
{
	c->user = spec->user ? spec->user : spec->container_user;
	if (!spec->user) {
		/* The container's own groups belong to its own user alone. */
		c->extra_gids = spec->extra_gids;
		c->extra_gid_count = spec->extra_gid_count;
	}
	c->seccomp = spec->privileged ? NULL : spec->seccomp;
	if (spec->privileged) {
		c->process.has_capabilities = true;
		memset(c->process.capabilities, 0, sizeof(c->process.capabilities));
		c->process.capabilities[OCI_CAPS_BOUNDING] = CAPABILITY_MASK_ALL;
		c->process.capabilities[OCI_CAPS_EFFECTIVE] = CAPABILITY_MASK_ALL;
		c->process.capabilities[OCI_CAPS_PERMITTED] = CAPABILITY_MASK_ALL;
	}
}

static void init_child(struct child *c, const struct session_spec *spec)
{
	*c = (struct child){
		.session = spec,
		.config = spec->config,
		.process = spec->config->process,
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
	memcpy(c->stdio, spec->stdio, sizeof(c->stdio));
	c->process.args = (const char **)(uintptr_t)spec->args;
	for (c->process.arg_count = 0; spec->args[c->process.arg_count];) {
		c->process.arg_count++;
	}
	c->process.terminal = spec->terminal;
	c->process.console_rows = spec->rows;
	c->process.console_columns = spec->columns;
	if (spec->cwd) {
		c->process.cwd = spec->cwd;
	}
	set_identity(c, spec);
}

/* Clones into the pid namespace of the container. The caller's own is @own in any case after. */
static pid_t clone_into(const struct session_spec *spec, int own, struct clone_args *args)
{
	int r = sys_setns(spec->container_pidfd, CLONE_NEWPID);
	pid_t pid;

	if (r < 0) {
		return r;
	}
	pid = sys_clone3(args);
	/* A raw call: undoing must not fail because a test wants something to fail. It has just
	 * been allowed; were it refused, every later child would be born in the wrong place. */
	if (pid != 0 && syscall(SYS_setns, own, CLONE_NEWPID) < 0) {
		abort();
	}
	return pid;
}

int session_spawn(
	const struct session_spec *spec, struct container_process *process, struct error *err)
{
	struct clone_args args = { .flags = CLONE_PIDFD, .exit_signal = SIGCHLD };
	_cleanup_fd_ int own = -EBADF;
	struct spawn spawn;
	int pidfd = -EBADF, group, r;
	pid_t pid;

	if (!spec->args || !spec->args[0]) {
		error_say(err, EINVAL, "no command specified");
		return error_exit_status(err, 127);
	}
	/* A child that stands still would neither report nor, on v1, die. */
	if (spec->cgroup && cgroup_is_frozen(spec->cgroup)) {
		return error_say(err, EBUSY, "the container is paused");
	}
	own = sys_open("/proc/self/ns/pid", O_RDONLY, 0);
	if (own < 0) {
		return error_set(err, own, "open the caller's pid namespace");
	}
	r = spawn_prepare(&spawn, spec->terminal, err);
	if (r < 0) {
		return r;
	}
	args.pidfd = (uintptr_t)&pidfd;
	group = spec->cgroup ? cgroup_clone_fd(spec->cgroup) : -EBADF;
	if (group >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)group;
	}
	pid = clone_into(spec, own, &args);
	if (pid == 0) {
		static struct child c; /* too large for comfort on the stack */

		init_child(&c, spec);
		merge_env(&c, spec);
		c.join_cgroup = group < 0;
		spawn_child(&spawn, &c);
		child_run(&c, session_steps);
	}
	if (pid < 0) {
		spawn_abort(&spawn);
		return pid == -ESRCH ? error_say(err, ESRCH, "the container has ended")
				     : error_set(err, pid, "clone a process into the container");
	}
	return spawn_finish(&spawn, pid, pidfd, process, err);
}
