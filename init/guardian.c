#include "init/guardian.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/dirs.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sys.h"
#include "init/supervisor.h"

/* A supervisor that lived this long was no part of a crash loop. */
#define CRASH_LOOP_US      USEC_PER_SEC
#define CRASH_DELAY_MIN_US (10 * USEC_PER_MSEC)
#define CRASH_DELAY_MAX_US (250 * USEC_PER_MSEC)
#define OPEN_TRIES         50

void guardian_ready(struct guardian_link *link, const char *error)
{
	if (link->ready_fd >= 0) {
		const char *text = error ? error : "ok";

		if (fd_write_all(link->ready_fd, text, strlen(text)) < 0) {
			/* Whoever waited has gone; there is nobody to tell. */
		}
		fd_close(&link->ready_fd);
	}
}

/* Opens the project's folder and takes its lock. -EBUSY: another guardian has it. */
static int take_project(struct guardian_link *link, struct error *err)
{
	for (int tries = 0; tries < OPEN_TRIES; tries++) {
		_cleanup_fd_ int dir = -EBADF, lock = -EBADF;
		struct stat here, there;
		int r = file_mkdir_p(link->run_dir, 0700, err);

		if (r < 0) {
			return r;
		}
		dir = sys_open(link->run_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (dir == -ENOENT) {
			continue;
		}
		if (dir < 0) {
			return error_set(err, dir, "open %s", link->run_dir);
		}
		lock = sys_openat(dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
		if (lock == -ENOENT) {
			continue; /* removed by the end of a `down` meanwhile */
		}
		if (lock < 0) {
			return error_set(err, lock, "open %s/lock", link->run_dir);
		}
		if (flock(lock, LOCK_EX | LOCK_NB) < 0) {
			return errno == EWOULDBLOCK
				       ? -EBUSY
				       : error_set(err, errno, "lock %s/lock", link->run_dir);
		}
		/* A `down` may have removed the folder between our open and our lock. */
		if (fstat(lock, &here) < 0 || here.st_nlink == 0 || fstat(dir, &here) < 0 ||
			stat(link->run_dir, &there) < 0 || here.st_ino != there.st_ino ||
			here.st_dev != there.st_dev) {
			continue;
		}
		link->dir_fd = take_fd(&dir);
		link->lock_fd = take_fd(&lock);
		return 0;
	}
	return error_say(err, EBUSY, "%s: comes and goes", link->run_dir);
}

static int set_up(struct guardian_link *link, struct error *err)
{
	const char *run = dirs_run(err);
	struct rlimit limit;
	int pipe[2], r;

	if (!run || !dirs_state(err)) {
		return -err->code;
	}
	if ((size_t)snprintf(link->run_dir, sizeof(link->run_dir), "%s/%s", run, link->project) >=
		sizeof(link->run_dir)) {
		return error_say(err, ENAMETOOLONG, "%s/%s: too long", run, link->project);
	}
	r = take_project(link, err);
	if (r < 0) {
		return r;
	}
	r = sys_pipe2(pipe, O_NONBLOCK);
	if (r < 0) {
		return error_set(err, r, "make a pipe");
	}
	link->orphan_read = pipe[0];
	link->orphan_write = pipe[1];
	if (getrandom(&link->nonce, sizeof(link->nonce), 0) != sizeof(link->nonce) ||
		link->nonce == 0) {
		link->nonce = (uint64_t)clock_wall_ns() | 1;
	}
	getrlimit(RLIMIT_NOFILE, &link->nofile);
	limit = link->nofile;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	umask(0022);
	prctl(PR_SET_DUMPABLE, 0);
	return 0;
}

int guardian_main(const char *project, int ready_fd)
{
	static struct guardian_link link = { .dir_fd = -EBADF,
		.lock_fd = -EBADF,
		.orphan_read = -EBADF,
		.orphan_write = -EBADF,
		.ready_fd = -EBADF };
	struct error err = ERROR_INIT;
	struct stat st;
	int r;

	link.project = project;
	if (ready_fd >= 0 && fstat(ready_fd, &st) == 0 && S_ISFIFO(st.st_mode) &&
		fcntl(ready_fd, F_SETFD, FD_CLOEXEC) == 0) {
		link.ready_fd = ready_fd;
		link.ready_inode = st.st_ino;
	}
	r = set_up(&link, &err);
	if (r < 0) {
		guardian_ready(&link, r == -EBUSY ? "busy" : err.message);
		return 1;
	}
	return guardian_loop(&link);
}

/* From here on: no allocation, no parsing, nothing that can fail for want of anything. */

/* Clones the supervisor: same descriptor table, own memory, no exec. */
static pid_t make_supervisor(struct guardian_link *link)
{
	struct clone_args args = { .flags = CLONE_FILES, .exit_signal = SIGCHLD };
	pid_t pid = sys_clone3(&args);

	if (pid == 0) {
		struct stat st;

		/* An earlier supervisor may have closed it in the table that we share. */
		if (link->ready_fd >= 0 &&
			(fstat(link->ready_fd, &st) < 0 || st.st_ino != link->ready_inode)) {
			link->ready_fd = -EBADF;
		}
		_exit(supervisor_run(link));
	}
	return pid;
}

/* Reaps all that is there. True when the supervisor was among it, with its *@status. */
static bool reap(struct guardian_link *link, pid_t supervisor, int *status)
{
	bool ended = false;

	for (;;) {
		struct guardian_orphan orphan;
		int s;
		pid_t pid = waitpid(-1, &s, WNOHANG | __WALL);

		if (pid <= 0) {
			return ended;
		}
		if (pid == supervisor) {
			ended = true;
			*status = s;
			continue;
		}
		/* Not blocking: with 4096 records unread nobody is interested any more. */
		orphan = (struct guardian_orphan){ .pid = pid, .status = s };
		if (write(link->orphan_write, &orphan, sizeof(orphan)) < 0) {
			continue;
		}
	}
}

/* Waits for the supervisor's end; hands SIGTERM and SIGINT on to it. Returns its wait status. */
static int watch(struct guardian_link *link, pid_t supervisor, const sigset_t *signals)
{
	for (;;) {
		int status = 0, signal;

		if (reap(link, supervisor, &status)) {
			return status;
		}
		signal = sigwaitinfo(signals, NULL);
		if (signal == SIGTERM || signal == SIGINT) {
			/* Our own child, reaped by nobody but us: the number cannot be another's. */
			kill(supervisor, signal);
		}
	}
}

int guardian_loop(struct guardian_link *link)
{
	int64_t delay = 0;
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_NAME, "wherry-guardian");
	link->guardian_pid = getpid();
	for (;;) {
		int64_t began = clock_now_us();
		pid_t supervisor = make_supervisor(link);
		int status = 0;

		if (supervisor > 0) {
			status = watch(link, supervisor, &signals);
		}
		/* The supervisor has written to it, or died before it could; -1 tells the next. */
		if (WIFEXITED(status) && supervisor > 0) {
			int code = WEXITSTATUS(status);

			if (code == SUPERVISOR_DONE || code == SUPERVISOR_GIVE_UP) {
				return code;
			}
		}
		if (supervisor < 0 || clock_now_us() - began < CRASH_LOOP_US) {
			struct timespec wait;

			delay = delay ? delay * 2 : CRASH_DELAY_MIN_US;
			delay = delay > CRASH_DELAY_MAX_US ? CRASH_DELAY_MAX_US : delay;
			wait = (struct timespec){ .tv_sec = delay / USEC_PER_SEC,
				.tv_nsec = delay % USEC_PER_SEC * 1000 };
			nanosleep(&wait, NULL);
		} else {
			delay = 0;
		}
	}
}
