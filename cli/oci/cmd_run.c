#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/loop.h"
#include "base/proc.h"
#include "base/sys.h"
#include "cli/oci/oci.h"
#include "cli/options.h"
#include "cli/tty.h"
#include "runtime/cgroup.h"
#include "runtime/container.h"
#include "runtime/seccomp.h"
#include "specs/oci_config.h"

/* One `run`, from its command line to the end of the process. */
struct run {
	const struct oci_root *root;
	struct error *err;
	const char *bundle_option, *pid_file;
	bool keep;

	struct arena arena;
	struct oci_config config;
	struct oci_state state;
	char *home; /* the container's folder below the root */
	struct cgroup_layout layout;
	struct cgroup cgroup;
	struct seccomp_program seccomp;
	struct container_process process;

	struct loop *loop;
	struct watcher on_signal, on_end, on_status;
	struct relay to_console, from_console;
	bool has_cgroup, has_console, has_spawn_verdict;
	int exit_status;
	int result; /* 0, or what went wrong */
};

/* "a/b" of cgroupsPath "/a/b". The default has no folder of its own around it: on v1 that would
 * double the time that making and removing groups takes. */
static int choose_cgroup(struct run *run)
{
	const char *path = run->config.cgroups_path;

	if (!path || !*path) {
		run->state.cgroup = arena_printf(&run->arena, "wherry-oci.%s", run->state.id);
		return 0;
	}
	/* "slice:prefix:name" asks for systemd's help. */
	if (strchr(path, ':')) {
		return error_say(run->err, EOPNOTSUPP,
			"linux.cgroupsPath: \"%s\" is for systemd, which is not supported", path);
	}
	run->state.cgroup = path + strspn(path, "/");
	return 0;
}

static int load_bundle(struct run *run)
{
	const char *given = run->bundle_option ? run->bundle_option : ".";
	_cleanup_fd_ int bundle = sys_open(given, O_PATH | O_DIRECTORY, 0);
	char absolute[PATH_MAX];
	int r;

	if (bundle < 0 || !realpath(given, absolute)) {
		return error_set(run->err, bundle < 0 ? bundle : errno, "bundle %s", given);
	}
	r = oci_config_load(bundle, "config.json", &run->arena, &run->config, run->err);
	if (r < 0) {
		return error_prefix(run->err, "bundle %s", given);
	}
	if (!run->config.root_path || !*run->config.root_path) {
		return error_say(run->err, EINVAL, "bundle %s: root.path: missing", given);
	}
	if (run->config.root_path[0] != '/') {
		run->config.root_path =
			arena_printf(&run->arena, "%s/%s", absolute, run->config.root_path);
	}
	run->state.bundle = arena_strdup(&run->arena, absolute);
	return choose_cgroup(run);
}

static int compile_seccomp(struct run *run)
{
	_cleanup_free_ char *cache = NULL;

	if (!run->config.seccomp) {
		return 0;
	}
	/* No id begins with a dot. */
	cache = file_join(run->root->path, ".seccomp");
	return seccomp_compile(run->config.seccomp, cache, &run->seccomp, run->err);
}

static int make_cgroup(struct run *run)
{
	_cleanup_strv_ struct strv warnings = { 0 };
	int r = cgroup_create(&run->layout, run->state.cgroup, &run->config.resources, &run->cgroup,
		&warnings, run->err);

	run->has_cgroup = r == 0;
	for (size_t i = 0; i < warnings.count; i++) {
		fprintf(stderr, "wherry-oci: warning: %s\n", warnings.items[i]);
	}
	return r;
}

static int write_pid_file(const struct run *run)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", (int)run->process.pid);

	return file_write_atomic(
		AT_FDCWD, run->pid_file, text, (size_t)length, 0644, false, run->err);
}

static int spawn(struct run *run)
{
	struct container_spec spec = { .config = &run->config,
		.mount_point = run->home,
		.netns_fd = -EBADF,
		.init_fd = -EBADF,
		.cgroup = &run->cgroup,
		.stdio = { 0, 1, 2 },
		.seccomp = run->config.seccomp ? &run->seccomp : NULL };
	int r = container_spawn(&spec, &run->process, run->err);

	if (r < 0) {
		return r;
	}
	run->state.pid = run->process.pid;
	run->state.start_time = proc_start_time(run->process.pid);
	r = oci_state_write(run->root, &run->state, run->err);
	if (r == 0 && run->pid_file) {
		r = write_pid_file(run);
	}
	return r;
}

/* While it runs */

static void on_signal(struct watcher *watcher, uint32_t events)
{
	struct run *run = watcher->owner;
	struct signalfd_siginfo info;
	unsigned rows, columns;

	(void)events;
	while (sys_read(watcher->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGWINCH && run->has_console) {
			if (tty_size(STDIN_FILENO, &rows, &columns)) {
				tty_resize(run->process.console_master, rows, columns);
			}
		} else if (info.ssi_signo != SIGCHLD) {
			sys_pidfd_send_signal(run->process.pidfd, (int)info.ssi_signo);
		}
	}
}

/* Whether the payload was reached. Asked for at the end as well: both may become known at once. */
static void read_spawn_verdict(struct run *run)
{
	struct error why = ERROR_INIT;
	int r;

	if (run->has_spawn_verdict) {
		return;
	}
	r = container_spawn_status(run->process.status_fd, &why);
	run->has_spawn_verdict = r != 0;
	if (r < 0) {
		*run->err = why;
		run->result = r;
	}
}

static void on_status(struct watcher *watcher, uint32_t events)
{
	struct run *run = watcher->owner;

	(void)events;
	read_spawn_verdict(run);
	if (run->has_spawn_verdict) {
		loop_remove(run->loop, watcher);
	}
}

static void on_end(struct watcher *watcher, uint32_t events)
{
	struct run *run = watcher->owner;

	(void)events;
	loop_remove(run->loop, watcher);
	loop_stop(run->loop);
}

static int start_console(struct run *run)
{
	unsigned rows, columns;
	int r;

	if (run->process.console_master < 0) {
		return 0;
	}
	run->has_console = true;
	if (tty_size(STDIN_FILENO, &rows, &columns)) {
		tty_resize(run->process.console_master, rows, columns);
		r = tty_raw(STDIN_FILENO, run->err);
		if (r < 0) {
			return r;
		}
	}
	r = relay_begin(&run->to_console, run->loop, STDIN_FILENO, run->process.console_master,
		NULL, run, run->err);
	if (r == 0) {
		r = relay_begin(&run->from_console, run->loop, run->process.console_master,
			STDOUT_FILENO, NULL, run, run->err);
	}
	return r;
}

static int watch(struct run *run, int signals)
{
	int r;

	run->loop = loop_create(run->err);
	if (!run->loop) {
		return -run->err->code;
	}
	r = loop_add(run->loop, &run->on_signal, signals, EPOLLIN, on_signal, run);
	if (r == 0) {
		r = loop_add(run->loop, &run->on_end, run->process.pidfd, EPOLLIN, on_end, run);
	}
	if (r == 0) {
		r = loop_add(run->loop, &run->on_status, run->process.status_fd, EPOLLIN, on_status,
			run);
	}
	return r < 0 ? error_set(run->err, r, "watch the container") : start_console(run);
}

static void stop_watching(struct run *run)
{
	if (run->has_console) {
		relay_drain(&run->from_console);
		relay_end(&run->from_console);
		relay_end(&run->to_console);
		tty_restore();
	}
	if (run->loop) {
		loop_remove(run->loop, &run->on_status);
		loop_remove(run->loop, &run->on_signal);
		loop_remove(run->loop, &run->on_end);
		loop_destroy(run->loop);
	}
}

/* Waits for the end of the first process, which was killed before if something went wrong. */
static void reap(struct run *run)
{
	siginfo_t info = { 0 };

	if (sys_waitid_pidfd(run->process.pidfd, &info, WEXITED) < 0) {
		run->exit_status = 1;
	} else {
		run->exit_status =
			info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	}
}

static int supervise(struct run *run, int signals)
{
	int r = watch(run, signals);

	if (r == 0) {
		r = loop_run(run->loop, run->err);
	}
	if (r < 0) {
		sys_pidfd_send_signal(run->process.pidfd, SIGKILL);
	}
	stop_watching(run);
	reap(run);
	read_spawn_verdict(run);
	return r < 0 ? r : run->result;
}

/* The steps in order; each undoes itself in clean_up(), which looks at what is there. */
static int start(struct run *run)
{
	int r = oci_state_write(run->root, &run->state, run->err);

	if (r == 0) {
		r = make_cgroup(run);
	}
	return r < 0 ? r : spawn(run);
}

static int clean_up(struct run *run, int result)
{
	struct error why = ERROR_INIT;
	int r = 0;

	fd_close(&run->process.pidfd);
	fd_close(&run->process.status_fd);
	fd_close(&run->process.console_master);
	/* --keep is about a container that ran, not about a failed start. */
	if (!run->keep || result < 0) {
		/* A group that was there before is somebody else's. */
		r = run->has_cgroup ? oci_cgroup_end(&run->cgroup, &why) : 0;
		if (r == 0) {
			r = oci_state_remove(run->root, run->state.id, &why);
		}
		if (r < 0) {
			fprintf(stderr, "wherry-oci: %s\n", why.message);
		}
	}
	return result < 0 ? result : r < 0 ? 1 : run->exit_status;
}

static int run_container(struct run *run)
{
	_cleanup_fd_ int signals = -EBADF, lock = -EBADF;
	sigset_t all;
	int r = load_bundle(run);

	if (r == 0) {
		r = compile_seccomp(run);
	}
	if (r == 0) {
		r = dirs_boot_id(run->state.boot_id);
	}
	if (r == 0) {
		r = cgroup_layout_read(&run->layout, run->err);
	}
	if (r < 0) {
		return r;
	}
	/* From here on a signal is the container's, or is waiting for it. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0) {
		return error_set(run->err, errno, "make a signal descriptor");
	}
	lock = oci_state_reserve(run->root, run->state.id, run->err);
	if (lock < 0) {
		return lock;
	}
	r = start(run);
	if (run->process.pidfd >= 0) {
		/* It runs, even if what followed the spawn failed. */
		if (r < 0) {
			sys_pidfd_send_signal(run->process.pidfd, SIGKILL);
			reap(run);
		} else {
			r = supervise(run, signals);
		}
	}
	return clean_up(run, r);
}

static int command_run(const struct oci_root *root, int argc, char **argv, struct error *err)
{
	struct run run = { .root = root,
		.err = err,
		.process = { .pidfd = -EBADF, .status_fd = -EBADF, .console_master = -EBADF } };
	const struct option options[] = {
		{ 'b', "bundle", OPTION_TEXT, &run.bundle_option, "DIR", "the bundle (default .)" },
		{ 0, "pid-file", OPTION_TEXT, &run.pid_file, "FILE", "where its pid is written" },
		{ 0, "keep", OPTION_FLAG, &run.keep, NULL, "leave its record for delete" },
		{ .name = NULL },
	};
	int words, r = options_parse(options, NULL, false, argc, argv, &words, err);

	if (r < 0) {
		return r;
	}
	if (words != 1) {
		return error_say(err, EINVAL, "usage: wherry-oci %s", oci_command_run.usage);
	}
	r = oci_id_check(argv[0], err);
	if (r < 0) {
		return r;
	}
	run.state.id = argv[0];
	run.home = file_join(root->path, argv[0]);
	r = run_container(&run);
	cgroup_layout_finish(&run.layout);
	seccomp_program_finish(&run.seccomp);
	oci_config_finish(&run.config);
	arena_finish(&run.arena);
	free(run.home);
	return r;
}

const struct oci_command oci_command_run = {
	.name = "run",
	.usage = "run [--bundle DIR] [--pid-file FILE] [--keep] ID",
	.summary = "start a container, wait for its end, remove it",
	.run = command_run,
};
