#include "cli/tty.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/sys.h"

static struct {
	int fd;
	bool raw;
	struct termios before;
} terminal = { .fd = -EBADF };

bool tty_size(int fd, unsigned *rows, unsigned *columns)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0) {
		*rows = 24;
		*columns = 80;
		return false;
	}
	*rows = size.ws_row;
	*columns = size.ws_col;
	return true;
}

void tty_resize(int master, unsigned rows, unsigned columns)
{
	struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };

	ioctl(master, TIOCSWINSZ, &size);
}

void tty_restore(void)
{
	if (terminal.raw) {
		tcsetattr(terminal.fd, TCSADRAIN, &terminal.before);
		terminal.raw = false;
	}
}

int tty_raw(int fd, struct error *err)
{
	static bool registered;
	struct termios raw;

	if (tcgetattr(fd, &terminal.before) < 0) {
		return error_set(err, errno, "read the terminal's mode");
	}
	if (!registered) {
		atexit(tty_restore);
		registered = true;
	}
	raw = terminal.before;
	cfmakeraw(&raw);
	terminal.fd = fd;
	if (tcsetattr(fd, TCSADRAIN, &raw) < 0) {
		return error_set(err, errno, "set the terminal's mode");
	}
	terminal.raw = true;
	return 0;
}

static void finish(struct relay *relay)
{
	relay_end(relay);
	if (relay->on_end) {
		relay->on_end(relay);
	}
}

static void on_again(struct timer *timer);
static void on_in(struct watcher *watcher, uint32_t events);
static void on_out(struct watcher *watcher, uint32_t events);

static void want_read(struct relay *relay)
{
	int r;

	loop_remove(relay->loop, &relay->out);
	if (relay->in.serial) {
		return;
	}
	r = loop_add(relay->loop, &relay->in, relay->from, EPOLLIN, on_in, relay);
	if (r == -EPERM) { /* a file, or a device such as /dev/zero */
		loop_timer(relay->loop, &relay->again, clock_now_us(), on_again, relay);
	} else if (r < 0) {
		finish(relay);
	}
}

static void want_write(struct relay *relay)
{
	loop_remove(relay->loop, &relay->in);
	if (!relay->out.serial &&
		loop_add(relay->loop, &relay->out, relay->to, EPOLLOUT, on_out, relay) < 0) {
		finish(relay);
	}
}

/* True when nothing is left to write. */
static bool write_rest(struct relay *relay)
{
	while (relay->start < relay->end) {
		ssize_t n =
			sys_write(relay->to, relay->data + relay->start, relay->end - relay->start);

		if (n == -EAGAIN) {
			want_write(relay);
			return false;
		}
		if (n < 0) {
			finish(relay);
			return false;
		}
		relay->start += (size_t)n;
	}
	return true;
}

static void on_out(struct watcher *watcher, uint32_t events)
{
	struct relay *relay = watcher->owner;

	(void)events;
	if (write_rest(relay)) {
		want_read(relay);
	}
}

static void copy_once(struct relay *relay)
{
	ssize_t n = sys_read(relay->from, relay->data, sizeof(relay->data));

	if (n == -EAGAIN) {
		want_read(relay);
		return;
	}
	if (n <= 0) { /* a pty's master says EIO when the last user has closed it */
		finish(relay);
		return;
	}
	relay->start = 0;
	relay->end = (size_t)n;
	if (write_rest(relay)) {
		want_read(relay);
	}
}

static void on_in(struct watcher *watcher, uint32_t events)
{
	(void)events;
	copy_once(watcher->owner);
}

static void on_again(struct timer *timer)
{
	copy_once(timer->owner);
}

int relay_begin(struct relay *relay, struct loop *loop, int from, int to, relay_end_fn *on_end,
	void *owner, struct error *err)
{
	relay->loop = loop;
	relay->from = from;
	relay->to = to;
	relay->on_end = NULL;
	relay->owner = owner;
	relay->start = relay->end = 0;
	relay->active = true;
	want_read(relay);
	if (!relay->active) {
		return error_say(err, EINVAL, "cannot watch descriptor %d", from);
	}
	relay->on_end = on_end;
	return 0;
}

void relay_drain(struct relay *relay)
{
	if (!relay->active) {
		return;
	}
	while (relay->active) {
		struct pollfd ready = { .fd = relay->from, .events = POLLIN };

		if (relay->start < relay->end) {
			struct pollfd room = { .fd = relay->to, .events = POLLOUT };

			poll(&room, 1, -1);
			write_rest(relay);
			continue;
		}
		if (poll(&ready, 1, 0) <= 0) {
			break;
		}
		copy_once(relay);
	}
	relay_end(relay);
}

void relay_end(struct relay *relay)
{
	if (!relay->active) {
		return;
	}
	relay->active = false;
	loop_remove(relay->loop, &relay->in);
	loop_remove(relay->loop, &relay->out);
	loop_timer_cancel(relay->loop, &relay->again);
}
