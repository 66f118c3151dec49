#include "runtime/container.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/rootfs.h"
#include "runtime/spawn.h"

#define CLONE_KINDS                                                                                \
	(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP)

static const struct oci_namespace *find_namespace(const struct oci_config *config, int type)
{
	for (size_t i = 0; i < config->namespace_count; i++) {
		if (config->namespaces[i].type == type) {
			return &config->namespaces[i];
		}
	}
	return NULL;
}

static int step_cgroup(struct child *c)
{
	const struct oci_namespace *ns = find_namespace(c->config, CLONE_NEWCGROUP);
	int r = 0;

	if (c->join_cgroup && c->cgroup) {
		r = cgroup_enter(c->cgroup, 0);
		if (r < 0) {
			return error_set(&c->err, r, "enter the control group %s", c->cgroup->path);
		}
	}
	/* Its root is where we are now, so it comes after joining; one made by clone would hang on
	 * the caller's group on kernels where CLONE_INTO_CGROUP takes effect later. */
	if (ns && !ns->path) {
		r = sys_unshare(CLONE_NEWCGROUP);
		if (r < 0) {
			return error_set(&c->err, r, "make a control group namespace");
		}
	}
	return 0;
}

static int step_namespaces(struct child *c)
{
	if (c->container->netns_fd >= 0) {
		int r = sys_setns(c->container->netns_fd, CLONE_NEWNET);

		if (r < 0) {
			return error_set(&c->err, r, "enter the network namespace");
		}
	}
	for (size_t i = 0; i < c->config->namespace_count; i++) {
		const struct oci_namespace *ns = &c->config->namespaces[i];
		_cleanup_fd_ int fd = -EBADF;
		int r;

		if (!ns->path || (ns->type == CLONE_NEWNET && c->container->netns_fd >= 0)) {
			continue;
		}
		fd = sys_open(ns->path, O_RDONLY, 0);
		r = fd < 0 ? fd : sys_setns(fd, ns->type);
		if (r < 0) {
			return error_set(&c->err, r, "enter the namespace %s", ns->path);
		}
	}
	return 0;
}

static int step_root(struct child *c)
{
	int r = devices_open_null(c);

	c->init_fd = c->container->init_fd;
	if (r < 0) {
		return r;
	}
	c->root_fd = rootfs_mount(
		c->container->overlay, c->config->root_path, c->container->mount_point, &c->err);
	return c->root_fd < 0 ? c->root_fd : 0;
}

static int set_name(const char *what, long call, const char *name, struct child *c)
{
	if (name && syscall(call, name, strlen(name)) < 0) {
		return error_set(&c->err, errno, "set the %s to %s", what, name);
	}
	return 0;
}

static int step_hostname(struct child *c)
{
	int r = set_name("host name", SYS_sethostname, c->config->hostname, c);

	return r < 0 ? r : set_name("domain name", SYS_setdomainname, c->config->domainname, c);
}

static int step_pivot(struct child *c)
{
	return rootfs_pivot(c->root_fd, &c->err);
}

static const struct step container_steps[] = {
	/* Limits before anything is built, so that even that is accounted for. */
	{ "control group", step_cgroup },
	/* Before /sys and sysctls, which show the namespace of whoever mounts or writes. */
	{ "namespaces", step_namespaces },
	/* Before the first mount of ours: the host must not see any of them. */
	{ "mount namespace", mounts_make_private },
	{ "root", step_root },
	{ "mounts", mounts_build },
	/* After the mounts, because /dev is one of them. */
	{ "devices", devices_create },
	{ "console", devices_console },
	{ "host name", step_hostname },
	/* Before /proc/sys becomes read-only. */
	{ "sysctls", sysctls_write },
	{ "read-only paths", mounts_readonly_paths },
	{ "masked paths", mounts_masked_paths },
	{ "session", identity_session },
	/* The user's files as the container will see them, with every mount in place. */
	{ "user", identity_user },
	{ "terminal", identity_terminal },
	{ "resource limits", identity_limits },
	{ "oom score", identity_oom_score },
	/* The last look at the host; from here on there is only the container. */
	{ "root folder", step_pivot },
	{ "working folder", identity_working_folder },
	/* After everything that had to be created in it. */
	{ "read-only root", mounts_readonly_root },
	{ "seccomp", identity_seccomp_early },
	{ "identity", identity_assume },
	{ "seccomp", identity_seccomp_late },
	{ "exec", execute_payload },
	{ NULL, NULL },
};

static int check_spec(const struct container_spec *spec, struct error *err)
{
	const struct oci_config *config = spec->config;

	if (find_namespace(config, CLONE_NEWUSER) || config->uid_map_count ||
		config->gid_map_count) {
		return error_say(err, EOPNOTSUPP, "user namespaces are not supported here yet");
	}
	if (!find_namespace(config, CLONE_NEWNS) || find_namespace(config, CLONE_NEWNS)->path) {
		return error_say(err, EINVAL, "a container needs a mount namespace of its own");
	}
	for (size_t i = 0; i < config->namespace_count; i++) {
		const struct oci_namespace *ns = &config->namespaces[i];

		if (!(ns->type & CLONE_KINDS) || (ns->type == CLONE_NEWPID && ns->path)) {
			return error_say(err, EOPNOTSUPP, "namespace type 0x%x%s is not supported",
				(unsigned)ns->type, ns->path ? " by path" : "");
		}
	}
	if (!spec->overlay && !config->root_path) {
		return error_say(err, EINVAL, "the container has no root file system");
	}
	if (!config->process.arg_count) {
		error_say(err, EINVAL, "no command specified");
		return error_exit_status(err, 127);
	}
	return 0;
}

static uint64_t clone_flags(const struct container_spec *spec)
{
	const struct oci_config *config = spec->config;
	uint64_t flags = CLONE_PIDFD;

	for (size_t i = 0; i < config->namespace_count; i++) {
		const struct oci_namespace *ns = &config->namespaces[i];

		/* The cgroup namespace waits until the group is joined; see step_cgroup(). */
		if (!ns->path && ns->type != CLONE_NEWCGROUP &&
			!(ns->type == CLONE_NEWNET && spec->netns_fd >= 0)) {
			flags |= (uint64_t)ns->type;
		}
	}
	return flags;
}

static void init_child(struct child *c, const struct container_spec *spec)
{
	*c = (struct child){
		.container = spec,
		.config = spec->config,
		.process = spec->config->process,
		.user = spec->user,
		.extra_gids = spec->extra_gids,
		.extra_gid_count = spec->extra_gid_count,
		.seccomp = spec->seccomp,
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
}

int container_spawn(
	const struct container_spec *spec, struct container_process *process, struct error *err)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	struct spawn spawn;
	int pidfd = -EBADF, group, r = check_spec(spec, err);
	pid_t pid;

	if (r < 0) {
		return r;
	}
	r = spawn_prepare(&spawn, spec->config->process.terminal, err);
	if (r < 0) {
		return r;
	}
	args.flags = clone_flags(spec);
	args.pidfd = (uintptr_t)&pidfd;
	group = spec->cgroup ? cgroup_clone_fd(spec->cgroup) : -EBADF;
	if (group >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)group;
	}
	pid = sys_clone3(&args);
	if (pid == 0) {
		static struct child c; /* too large for comfort on the stack */

		init_child(&c, spec);
		c.join_cgroup = group < 0;
		spawn_child(&spawn, &c);
		child_run(&c, container_steps);
	}
	if (pid < 0) {
		spawn_abort(&spawn);
		return error_set(err, pid, "clone the container's first process");
	}
	return spawn_finish(&spawn, pid, pidfd, process, err);
}
