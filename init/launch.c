/* A container's first process: from the plan to the clone, from its end to the machine. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/proc.h"
#include "base/sys.h"
#include "init/supervisor.h"

extern const unsigned char pid1_blob[];
extern const unsigned long pid1_blob_size;

#define STATUS_PATIENCE_US USEC_PER_SEC
#define CONSOLE_PORTION    16384

/* Kernel 6.15 keeps the status of what others reaped for whoever holds a pidfd. */
struct pidfd_info_exit {
	uint64_t mask, cgroupid;
	uint32_t pid, tgid, ppid, ids[8];
	int32_t exit_code;
	uint32_t coredump_mask, pad;
	uint64_t support_mask;
};
#define PIDFD_INFO_EXIT_BIT UINT64_C(8)
#define PIDFD_GET_INFO_CALL _IOWR(0xFF, 11, struct pidfd_info_exit)

/* The pages that a program's bytes took while they were copied out: given back to the cache. */
static void forget_blob_pages(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = ((uintptr_t)pid1_blob + page - 1) & ~(page - 1);
	uintptr_t end = ((uintptr_t)pid1_blob + pid1_blob_size) & ~(page - 1);

	if (end > begin) {
		madvise((void *)begin, end - begin, MADV_DONTNEED);
	}
}

/* Our own init as a sealed file that nobody can write; -EBADF with @err filled. */
static int pid1_file(struct supervisor *s, struct error *err)
{
	if (s->pid1_fd < 0) {
		_cleanup_fd_ int fd =
			sys_memfd_create("wherry-init", MFD_ALLOW_SEALING | 0x10U /* MFD_EXEC */);

		if (fd == -EINVAL) { /* before Linux 6.3 */
			fd = sys_memfd_create("wherry-init", MFD_ALLOW_SEALING);
		}
		if (fd < 0 || fd_write_all(fd, pid1_blob, pid1_blob_size) < 0 ||
			fchmod(fd, 0555) < 0 ||
			fcntl(fd, F_ADD_SEALS,
				F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
			return error_set(err, fd < 0 ? fd : errno, "make the init program");
		}
		s->pid1_fd = take_fd(&fd);
		forget_blob_pages();
	}
	return s->pid1_fd;
}

static int make_folders(struct unit *u, struct error *err)
{
	_cleanup_free_ char *dir = record_container_dir(u);
	static const char *const parts[] = { "upper", "work" };

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, parts[i]);
		int r = file_mkdir_p(path, 0755, err);

		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int write_file(const char *dir, const char *name, const struct str *text, struct error *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	/* In place: the file is bind mounted, and what a payload changed in it stays until a start. */
	_cleanup_fd_ int fd = sys_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
	int r = fd < 0 ? fd : fd_write_all(fd, str_text(text), text->size);

	return r < 0 ? error_set(err, r, "write %s", path) : 0;
}

static void add_extra_hosts(struct unit *u, struct str *hosts)
{
	for (const char **h = u->plan->extra_hosts; h && *h; h++) {
		if (strncmp(*h, "host-gateway\t", 13) == 0) {
			char ip[NET_IPV4_SIZE];

			net_ipv4_print((struct net_ipv4){ endpoint_gateway(u), 32 }, false, ip);
			str_addf(hosts, "%s\t%s\n", ip, *h + 13);
		} else {
			str_addf(hosts, "%s\n", *h);
		}
	}
}

static void resolv_conf(struct unit *u, struct str *text)
{
	const struct plan_container *plan = u->plan;
	char *derived = NULL;

	if (plan->endpoint_count > 0 && !plan->network_mode) {
		derived = resolver_conf("/etc/resolv.conf");
		if (plan->dns_search_count == 0 && plan->dns_option_count == 0) {
			str_add(text, derived ? derived : "nameserver 127.0.0.11\n");
		} else {
			str_add(text, "nameserver 127.0.0.11\n");
		}
	} else if (plan->dns_count > 0) {
		for (size_t i = 0; i < plan->dns_count; i++) {
			str_addf(text, "nameserver %s\n", plan->dns[i]);
		}
	} else if (file_read_at(AT_FDCWD, "/etc/resolv.conf", 65536, &derived, NULL, NULL) == 0) {
		str_add(text, derived);
	}
	free(derived);
	if (plan->dns_search_count > 0) {
		str_add(text, "search");
		for (size_t i = 0; i < plan->dns_search_count; i++) {
			str_addf(text, " %s", plan->dns_search[i]);
		}
		str_add_char(text, '\n');
	}
	if (plan->dns_option_count > 0) {
		str_add(text, "options");
		for (size_t i = 0; i < plan->dns_option_count; i++) {
			str_addf(text, " %s", plan->dns_options[i]);
		}
		str_add_char(text, '\n');
	}
}

/* hosts, hostname and resolv.conf. */
static int write_files(struct unit *u, struct error *err)
{
	_cleanup_free_ char *dir = record_container_dir(u);
	_cleanup_str_ struct str hosts = { 0 }, hostname = { 0 }, resolv = { 0 };
	int r;

	str_add(&hosts, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
			"fe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\n"
			"ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
	add_extra_hosts(u, &hosts);
	for (size_t i = 0; i < u->plan->endpoint_count && i < SLOT_ENDPOINTS; i++) {
		char ip[NET_IPV4_SIZE];

		if (u->slot.addresses[i]) {
			net_ipv4_print((struct net_ipv4){ u->slot.addresses[i], 32 }, false, ip);
			str_addf(&hosts, "%s\t%s\n", ip, u->plan->config.hostname);
		}
	}
	str_addf(&hostname, "%s\n", u->plan->config.hostname);
	resolv_conf(u, &resolv);
	r = write_file(dir, "hosts", &hosts, err);
	r = r < 0 ? r : write_file(dir, "hostname", &hostname, err);
	return r < 0 ? r : write_file(dir, "resolv.conf", &resolv, err);
}

int launch_prepare(struct unit *u, struct error *err)
{
	bool fresh_network = u->slot.fds[SLOT_NETNS] < 0;
	int r = streams_open(u, err);

	r = r < 0 ? r : make_folders(u, err);
	r = r < 0 ? r : endpoint_set_up(u, err);
	if (r >= 0 && (fresh_network || !u->slot.state.ever_started)) {
		r = write_files(u, err);
	}
	return r < 0 ? r : ports_reserve(u, err);
}

static int open_writer(struct unit *u, const char *suffix, struct error *err)
{
	char path[SLOT_ID_SIZE + 16];
	int fd;

	snprintf(path, sizeof(path), "units/%s%s", u->slot.id, suffix);
	fd = sys_openat(u->s->link->dir_fd, path, O_WRONLY | O_NOFOLLOW, 0);
	return fd < 0 ? error_set(err, fd, "open the log pipe %s", path) : fd;
}

static int load_seccomp(struct unit *u, struct seccomp_program *program, struct error *err)
{
	_cleanup_free_ char *cache = xasprintf("%s/seccomp", u->s->state_dir);

	switch (u->plan->seccomp) {
	case PLAN_SECCOMP_UNCONFINED: return 0;
	case PLAN_SECCOMP_CUSTOM:
		return seccomp_compile(u->plan->config.seccomp, cache, program, err);
	default:
		return seccomp_default(u->plan->config.process.capabilities[OCI_CAPS_BOUNDING],
			cache, program, err);
	}
}

/* The soft limit that we raised for ourselves is not for the payload. */
static void restore_nofile(struct unit *u, struct oci_config *config, struct oci_rlimit *room)
{
	const struct oci_process *from = &u->plan->config.process;
	const struct rlimit *was = &u->s->link->nofile;

	for (size_t i = 0; i < from->rlimit_count; i++) {
		if (from->rlimits[i].type == RLIMIT_NOFILE) {
			return;
		}
		room[i] = from->rlimits[i];
	}
	room[from->rlimit_count] = (struct oci_rlimit){
		.type = RLIMIT_NOFILE, .soft = was->rlim_cur, .hard = was->rlim_max
	};
	config->process.rlimits = room;
	config->process.rlimit_count = from->rlimit_count + 1;
}

static int enter_process(struct unit *u, const struct container_process *process)
{
	u->slot.pid = process->pid;
	u->slot.start_time = proc_start_time(process->pid);
	u->slot.fds[SLOT_PIDFD] = process->pidfd;
	u->slot.fds[SLOT_STATUS] = process->status_fd;
	u->slot.fds[SLOT_CONSOLE] = process->console_master >= 0 ? process->console_master : -1;
	unit_commit(u);
	launch_watch(u);
	return 0;
}

static int spawn_in(struct unit *u, const struct cgroup *cgroup, struct error *err)
{
	_cleanup_free_ char *dir = record_container_dir(u);
	_cleanup_free_ char *upper = xasprintf("%s/upper", dir), *work = xasprintf("%s/work", dir);
	_cleanup_free_ char *root = xasprintf("%s/root", u->s->link->run_dir);
	_cleanup_free_ struct oci_rlimit *limits =
		xcalloc(u->plan->config.process.rlimit_count + 1, sizeof(*limits));
	_cleanup_fd_ int out = -EBADF, errors = -EBADF;
	struct oci_config config = u->plan->config;
	struct container_overlay overlay = {
		.lower = (const char *const *)u->plan->lower, .upper = upper, .work = work
	};
	struct seccomp_program seccomp = { 0 };
	struct container_process process;
	struct container_spec spec = { .config = &config,
		.overlay = &overlay,
		.mount_point = root,
		.user = u->plan->user,
		.extra_gids = u->plan->extra_gids,
		.extra_gid_count = u->plan->extra_gid_count,
		.netns_fd = u->slot.fds[SLOT_NETNS],
		.cgroup = cgroup,
		.init_fd = -EBADF,
		.stdio = { u->stdio[0], u->stdio[1], u->stdio[2] } };
	int r = load_seccomp(u, &seccomp, err);

	if (r < 0) {
		return r;
	}
	if (seccomp.length > 0) {
		spec.seccomp = &seccomp;
	}
	restore_nofile(u, &config, limits);
	if (u->plan->init) {
		r = spec.init_fd = pid1_file(u->s, err);
	}
	if (r >= 0 && spec.stdio[1] < 0 && !config.process.terminal) {
		out = open_writer(u, ".out", err);
		errors = out < 0 ? out : open_writer(u, ".err", err);
		r = errors < 0 ? errors : 0;
		spec.stdio[1] = out;
		spec.stdio[2] = errors;
	}
	if (r >= 0) {
		r = container_spawn(&spec, &process, err);
	}
	seccomp_program_finish(&seccomp);
	return r < 0 ? r : enter_process(u, &process);
}

int launch_spawn(struct unit *u, struct error *err)
{
	_cleanup_strv_ struct strv warnings = { 0 };
	struct cgroup cgroup;
	char path[300];
	int r;

	unit_cgroup_path(u, path);
	r = cgroup_create(&u->s->cgroups, path, &u->plan->config.resources, &cgroup,
		u->slot.state.ever_started ? NULL : &warnings, err);
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < warnings.count; i++) {
		control_warn(u->s, "%s: %s", u->plan->name, warnings.items[i]);
	}
	r = spawn_in(u, &cgroup, err);
	cgroup_close(&cgroup); /* opened again when needed: descriptors are dear */
	for (int i = 0; i < 3; i++) {
		fd_close(&u->stdio[i]);
	}
	if (r < 0) {
		supervisor_trash_cgroup(u->s, path);
	}
	return r;
}

static bool is_shortage(const struct error *err)
{
	return (err->exit_status == 0 || err->exit_status == 125) &&
	       (err->code == EAGAIN || err->code == ENOMEM || err->code == EMFILE ||
		       err->code == ENFILE);
}

void launch_failed(struct unit *u, const struct error *err)
{
	struct machine_event event = { .type = EVENT_START_FAILED,
		.unit = u->index,
		.exit_code = err->exit_status ? err->exit_status : 125,
		.retryable = is_shortage(err) };

	unit_set_error(u, err);
	supervisor_post(u->s, &event);
}

/* The news from the child; true when it is decided. */
static bool take_status(struct unit *u, struct error *err, int *verdict)
{
	*verdict = container_spawn_status(u->slot.fds[SLOT_STATUS], err);
	if (*verdict == 0) {
		return false;
	}
	loop_remove(u->s->loop, &u->status_watch);
	unit_fd_set(u, SLOT_STATUS, -1);
	return true;
}

static void note_started(struct unit *u)
{
	u->slot.started_wall_ns = clock_wall_ns();
	u->slot.finished_wall_ns = 0;
	unit_commit(u);
	supervisor_post_simple(u->s, EVENT_STARTED, u->index);
}

static void on_status(struct watcher *w, uint32_t events)
{
	struct unit *u = w->owner;
	struct error err = ERROR_INIT;
	int verdict;

	(void)events;
	if (!take_status(u, &err, &verdict)) {
		return;
	}
	if (verdict > 0) {
		note_started(u);
	} else {
		unit_set_error(u, &err); /* its end, which follows, tells the machine */
	}
}

/* A service with a terminal: what comes out of it goes the way of all output. */
static void on_console(struct watcher *w, uint32_t events)
{
	struct unit *u = w->owner;
	char data[CONSOLE_PORTION];
	ssize_t n = sys_read(u->slot.fds[SLOT_CONSOLE], data, sizeof(data));

	(void)events;
	if (n > 0) {
		/* Never more than the FIFO takes: a reader that stalls must not stall the loop. */
		ssize_t written = sys_write(u->slot.fds[SLOT_OUT], data, (size_t)n);

		if (written < 0 && written != -EAGAIN) {
			control_warn(u->s, "%s: %s", u->plan->name, strerror((int)-written));
		}
	} else if (n != -EAGAIN) {
		loop_remove(u->s->loop, &u->console_watch);
	}
}

/* What a failed start says, or the status of a life, from a dead first process. */
static void report_end(struct unit *u, int exit_code, bool oom)
{
	struct machine_event event = {
		.type = EVENT_EXITED, .unit = u->index, .exit_code = exit_code, .oom = oom
	};
	struct error err = ERROR_INIT;
	int verdict = 1;

	if (u->slot.fds[SLOT_STATUS] >= 0) {
		take_status(u, &err, &verdict);
		if (verdict > 0) {
			note_started(u);
		} else if (verdict < 0) {
			unit_set_error(u, &err);
		} else {
			error_say(&err, EIO,
				"the container's first process died before the payload "
				"was executed");
			verdict = -EIO;
			unit_fd_set(u, SLOT_STATUS, -1);
			loop_remove(u->s->loop, &u->status_watch);
		}
	} else if (u->error && u->slot.state.phase == UNIT_STARTING) {
		verdict = -EIO;
		error_say(&err, EIO, "%s", u->error);
		err.exit_status = u->error_status;
	}
	if (verdict < 0) {
		launch_failed(u, &err);
	} else {
		supervisor_post(u->s, &event);
	}
}

void launch_ended(struct unit *u, int wait_status)
{
	struct cgroup cgroup;
	char path[300];
	bool oom = false;

	loop_remove(u->s->loop, &u->exit_watch);
	loop_remove(u->s->loop, &u->console_watch);
	loop_timer_cancel(u->s->loop, &u->signal_timer);
	loop_timer_cancel(u->s->loop, &u->status_timer);
	session_drop_unit(u);
	streams_drain(u);
	unit_cgroup_path(u, path);
	if (cgroup_open(&u->s->cgroups, path, &cgroup) == 0) {
		oom = cgroup_oom_kills(&cgroup) > 0;
		cgroup_close(&cgroup);
	}
	supervisor_trash_cgroup(u->s, path);
	u->slot.pid = 0;
	u->slot.finished_wall_ns = clock_wall_ns();
	unit_fd_set(u, SLOT_PIDFD, -1);
	unit_fd_set(u, SLOT_CONSOLE, -1);
	report_end(u, wait_status == -1 ? 255 : proc_exit_status(wait_status), oom);
}

/* An adopted process: its end is known, its status comes through the guardian's pipe, or from
 * the kernel where the guardian died as well. */
static void on_status_patience(struct timer *timer)
{
	struct unit *u = timer->owner;
	struct pidfd_info_exit info = { .mask = PIDFD_INFO_EXIT_BIT };

	if (ioctl(u->slot.fds[SLOT_PIDFD], PIDFD_GET_INFO_CALL, &info) == 0 &&
		(info.mask & PIDFD_INFO_EXIT_BIT)) {
		launch_ended(u, info.exit_code);
		return;
	}
	control_warn(u->s, "container %s ended; nobody knows its exit code", u->plan->name);
	launch_ended(u, -1);
}

static bool take_orphan(struct supervisor *s, pid_t pid, int *wait_status)
{
	for (size_t i = 0; i < s->orphan_count; i++) {
		if (s->orphans[i].pid == pid) {
			*wait_status = s->orphans[i].status;
			s->orphans[i] = s->orphans[--s->orphan_count];
			return true;
		}
	}
	return false;
}

void launch_orphan(struct supervisor *s, const struct guardian_orphan *orphan)
{
	for (size_t i = 0; i < s->unit_room; i++) {
		struct unit *u = s->units[i];

		if (u && u->slot.pid == orphan->pid) {
			launch_ended(u, orphan->status);
			return;
		}
	}
}

static void on_exit_ready(struct watcher *w, uint32_t events)
{
	struct unit *u = w->owner;
	struct supervisor *s = u->s;
	siginfo_t info;
	int wait_status, r;

	(void)events;
	r = sys_waitid_pidfd(u->slot.fds[SLOT_PIDFD], &info, WEXITED | WNOHANG);
	if (r == 0 && info.si_pid == 0) {
		return;
	}
	if (r == 0) {
		wait_status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8
							 : info.si_status & 0x7f;
		launch_ended(u, wait_status);
	} else if (take_orphan(s, u->slot.pid, &wait_status)) {
		launch_ended(u, wait_status);
	} else {
		/* Not our child. Its status is on the way; the pidfd has said all that it can. */
		loop_remove(s->loop, &u->exit_watch);
		loop_timer(s->loop, &u->status_timer, clock_now_us() + STATUS_PATIENCE_US,
			on_status_patience, u);
	}
}

void launch_watch(struct unit *u)
{
	struct loop *loop = u->s->loop;

	if (u->slot.fds[SLOT_STATUS] >= 0) {
		loop_add(loop, &u->status_watch, u->slot.fds[SLOT_STATUS], EPOLLIN, on_status, u);
	}
	if (u->slot.fds[SLOT_PIDFD] >= 0) {
		loop_add(loop, &u->exit_watch, u->slot.fds[SLOT_PIDFD], EPOLLIN, on_exit_ready, u);
	}
	if (u->slot.fds[SLOT_CONSOLE] >= 0 && u->slot.fds[SLOT_CLIENT] < 0) {
		fd_nonblock(u->slot.fds[SLOT_CONSOLE], true);
		loop_add(
			loop, &u->console_watch, u->slot.fds[SLOT_CONSOLE], EPOLLIN, on_console, u);
	}
}
