#include "runtime/spawn.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sys.h"

static void close_all(struct spawn *spawn)
{
	for (int i = 0; i < 2; i++) {
		fd_close(&spawn->status[i]);
		fd_close(&spawn->console[i]);
	}
}

static int open_sockets(int fds[2])
{
	SYS_GATE("socketpair");
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0;
}

int spawn_prepare(struct spawn *spawn, bool terminal, struct error *err)
{
	sigset_t all;
	int r;

	*spawn = (struct spawn){ .status = { -EBADF, -EBADF }, .console = { -EBADF, -EBADF } };
	r = sys_pipe2(spawn->status, O_NONBLOCK);
	if (r == 0 && terminal) {
		r = open_sockets(spawn->console);
	}
	if (r < 0) {
		close_all(spawn);
		return error_set(err, r, "open a channel to the new process");
	}
	/* What is sent from here on stays pending in the child until it can be answered. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &spawn->old_mask);
	return 0;
}

void spawn_child(struct spawn *spawn, struct child *c)
{
	c->status_fd = spawn->status[1];
	c->console_socket = spawn->console[1];
	fd_close(&spawn->console[0]); /* else nobody would see it close when the parent dies */
}

void spawn_abort(struct spawn *spawn)
{
	sigprocmask(SIG_SETMASK, &spawn->old_mask, NULL);
	close_all(spawn);
}

/* The master comes before the payload runs, or the child has failed and says why. */
static int receive_master(struct spawn *spawn, int *master, struct error *err)
{
	size_t count;
	char text[1];
	ssize_t n;

	fd_close(&spawn->console[1]);
	n = fd_receive(spawn->console[0], text, sizeof(text), master, 1, &count);
	if (n > 0 && count == 1) {
		return 0;
	}
	if (n < 0) {
		return error_set(err, (int)n, "receive the terminal");
	}
	n = container_spawn_status(spawn->status[0], err);
	return n < 0 ? (int)n
		     : error_say(err, EIO, "the new process died before it had a terminal");
}

/* Raw calls: undoing must not fail because a test wants something to fail. */
static void kill_and_reap(int pidfd)
{
	siginfo_t info;

	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL) < 0 && errno == EINTR) {
	}
}

int spawn_finish(struct spawn *spawn, pid_t pid, int pidfd, struct container_process *process,
	struct error *err)
{
	int r = 0;

	*process = (struct container_process){
		.pid = pid, .pidfd = pidfd, .status_fd = -EBADF, .console_master = -EBADF
	};
	fd_close(&spawn->status[1]);
	if (spawn->console[0] >= 0) {
		r = receive_master(spawn, &process->console_master, err);
	}
	if (r < 0) {
		kill_and_reap(process->pidfd);
		fd_close(&process->pidfd);
	} else {
		process->status_fd = take_fd(&spawn->status[0]);
	}
	spawn_abort(spawn);
	return r;
}

int container_spawn_status(int status_fd, struct error *err)
{
	struct error received;
	ssize_t n = sys_read(status_fd, &received, sizeof(received));

	if (n == -EAGAIN) {
		return 0;
	}
	if (n < 0) {
		return error_set(err, (int)n, "learn what became of the new process");
	}
	if (n == 0) {
		return 1;
	}
	if (n != sizeof(received) || received.code <= 0) {
		return error_say(err, EPROTO, "the new process sent half a message");
	}
	received.message[sizeof(received.message) - 1] = '\0';
	if (err) {
		*err = received;
	}
	return -received.code;
}
