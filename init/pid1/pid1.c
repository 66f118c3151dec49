/*
 * The init of `init: true`: PID 1 inside the container, in front of the payload.
 *
 *     wherry-init PROGRAM [ARGUMENT...]
 *
 * It passes every signal on to the payload, reaps whatever falls to it, and ends with the
 * payload's status (128 + N for signal N; 127 not found, 126 not executable). When the payload has
 * ended it sends TERM to what is left and gives it a short grace before the kernel takes it.
 *
 * The launcher blocks all signals before clone(2), and we never unblock them: a signal sent in the
 * first microsecond stays pending until sigtimedwait(2) takes it, even though we are PID 1, for
 * which the kernel discards signals of default action. The payload gets an empty mask.
 *
 * Static, no allocation, one file; executed from a sealed memfd, so that nothing inside can write it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_SECONDS 2

static pid_t payload;
static int payload_status = -1;

/* Reaps everything that is dead: one SIGCHLD may stand for many. Returns 0 when no child is left. */
static int reap(void)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid == 0) {
			return 1;
		}
		if (pid < 0) {
			return errno != ECHILD;
		}
		if (pid == payload) {
			payload_status =
				WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		}
	}
}

static void complain(const char *program, int error)
{
	char text[512];
	int length =
		snprintf(text, sizeof(text), "wherry-init: %s: %s\n", program, strerror(error));

	if (length > 0 && write(STDERR_FILENO, text, (size_t)length) < 0) {
		return;
	}
}

static _Noreturn void become_payload(char **argv)
{
	sigset_t none;
	int error;

	/* A group of its own, as a shell would make: ^C in its terminal reaches it alone. */
	setpgid(0, 0);
	if (isatty(STDIN_FILENO)) {
		sigset_t out;

		sigemptyset(&out);
		sigaddset(&out, SIGTTOU);
		sigprocmask(SIG_BLOCK, &out, NULL);
		tcsetpgrp(STDIN_FILENO, getpid());
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(argv[1], argv + 1);
	error = errno;
	complain(argv[1], error);
	_exit(error == ENOENT || error == ENOTDIR ? 127 : 126);
}

/* After the payload: the rest is asked to end, and waited for up to the grace. */
static void end_the_rest(const sigset_t *all)
{
	struct timespec start, now, wait = { .tv_sec = 0, .tv_nsec = 100000000 };

	if (!reap()) {
		return;
	}
	kill(-1, SIGTERM);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		sigtimedwait(all, NULL, &wait);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (reap() && now.tv_sec - start.tv_sec < GRACE_SECONDS);
}

int main(int argc, char **argv)
{
	sigset_t all;

	if (argc < 2) {
		complain("usage: wherry-init PROGRAM [ARGUMENT...]", EINVAL);
		return 127;
	}
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	payload = fork();
	if (payload == 0) {
		become_payload(argv);
	}
	if (payload < 0) {
		complain("fork", errno);
		return 125;
	}
	/* Both sides: whoever comes first, the group exists before a signal is passed on. */
	setpgid(payload, payload);
	prctl(PR_SET_NAME, "wherry-init");
	while (payload_status < 0) {
		siginfo_t info;
		int number = sigwaitinfo(&all, &info);

		if (number == SIGCHLD) {
			reap();
		} else if (number > 0 && number != SIGTTIN && number != SIGTTOU) {
			kill(payload, number);
			if (number == SIGTERM) {
				/* A stopped payload could not answer. */
				kill(payload, SIGCONT);
			}
		}
	}
	end_the_rest(&all);
	return payload_status;
}
