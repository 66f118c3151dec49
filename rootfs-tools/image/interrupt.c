#include "rootfs-tools/image/interrupt.h"

#include <poll.h>
#include <sys/signalfd.h>

#include "base/banned.h"

static int descriptor = -1;

void interrupt_init(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	descriptor = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

int interrupt_fd(void)
{
	return descriptor;
}

/* The signal is never read, so it stays pending and every later read fails as well. */
bool interrupt_pending(void)
{
	struct pollfd fd = { .fd = descriptor, .events = POLLIN };

	return poll(&fd, 1, 0) > 0;
}
