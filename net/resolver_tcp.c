/*
 * Clients over TCP: one question at a time on each connection, its answer, then the next. The
 * number of connections is bounded; at the bound the one that has been idle longest makes room.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "net/resolver_private.h"

#define PREFIX 2

struct connection {
	struct aged aged;
	struct resolver_client *client;
	struct watcher watcher;
	int fd;
	struct forward *waits; /* for this question's answer */
	uint8_t *out; /* answer being written, with its prefix */
	size_t out_size, out_sent;
	size_t got;
	uint8_t in[PREFIX + QUERY_SIZE];
};

struct resolver_client *connection_client(const struct connection *c)
{
	return c->client;
}

void connection_waits(struct connection *c, struct forward *f)
{
	if (c) {
		c->waits = f;
	}
}

void connection_close(struct connection *c)
{
	struct resolver *resolver = c->client->resolver;

	if (c->waits) {
		forward_cancel(c->waits);
	}
	loop_remove(resolver->loop, &c->watcher);
	ages_remove(resolver->loop, &resolver->connections, &c->aged);
	c->client->connections--;
	fd_close(&c->fd);
	free(c->out);
	free(c);
}

static void expire(struct timer *timer)
{
	struct resolver *resolver = timer->owner;
	int64_t now = clock_now_us();
	struct aged *oldest;

	while ((oldest = ages_due(&resolver->connections, now))) {
		connection_close((struct connection *)oldest);
	}
}

/* Only whole questions and answers prolong a connection's life, not single bytes. */
static void refresh(struct connection *c)
{
	struct resolver *resolver = c->client->resolver;

	ages_remove(resolver->loop, &resolver->connections, &c->aged);
	ages_add(resolver->loop, &resolver->connections, &c->aged, CONNECTION_IDLE_US, expire,
		resolver);
}

static void set_answer(struct connection *c, const uint8_t *answer, size_t size)
{
	c->out = xcalloc(PREFIX + size, 1);
	c->out[0] = (uint8_t)(size >> 8);
	c->out[1] = (uint8_t)size;
	memcpy(c->out + PREFIX, answer, size);
	c->out_size = PREFIX + size;
	c->out_sent = 0;
	refresh(c);
}

/* 1: written, 0: later, negative: broken. */
static int write_answer(struct connection *c)
{
	ssize_t n = send(c->fd, c->out + c->out_sent, c->out_size - c->out_sent,
		MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0) {
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	c->out_sent += (size_t)n;
	if (c->out_sent < c->out_size) {
		return 0;
	}
	free(take_ptr(c->out));
	return 1;
}

/* Takes one question out of the buffer. 1: taken, 0: none is complete, negative: nonsense. */
static int next_question(struct connection *c)
{
	struct resolver *resolver = c->client->resolver;
	size_t size = (size_t)c->in[0] << 8 | c->in[1];
	struct dns_question q;
	int r;

	if (c->got < PREFIX) {
		return 0;
	}
	if (size > QUERY_SIZE) {
		return -EMSGSIZE;
	}
	if (c->got < PREFIX + size) {
		return 0;
	}
	r = resolver_answer(
		c->client, c->in + PREFIX, size, &q, resolver->scratch, sizeof(resolver->scratch));
	if (r == 0) {
		return -EBADMSG;
	}
	if (r == -EAGAIN && forward_start(c->client, c->in + PREFIX, size, &q, NULL, c) < 0) {
		r = (int)resolver_failure(c->in + PREFIX, &q, DNS_SERVFAIL, resolver->scratch,
			sizeof(resolver->scratch));
	}
	c->got -= PREFIX + size;
	memmove(c->in, c->in + PREFIX + size, c->got);
	if (r > 0) {
		set_answer(c, resolver->scratch, (size_t)r);
	}
	return 1;
}

/* Goes on until it has to wait: for the client's bytes, its window, or an upstream. The buffer is
 * small, so a turn is short. */
static void go_on(struct connection *c)
{
	struct loop *loop = c->client->resolver->loop;
	int r = 1;

	while (r > 0 && !c->waits) {
		r = c->out ? write_answer(c) : next_question(c);
	}
	if (r >= 0) {
		r = loop_modify(loop, &c->watcher, c->out ? EPOLLOUT : c->waits ? 0 : EPOLLIN);
	}
	if (r < 0) {
		connection_close(c);
	}
}

static void connection_ready(struct watcher *watcher, uint32_t events)
{
	struct connection *c = watcher->owner;
	ssize_t n;

	if (c->waits) { /* asked for no event: what came is a hang-up */
		connection_close(c);
		return;
	}
	if (!c->out) {
		n = recv(c->fd, c->in + c->got, sizeof(c->in) - c->got, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			connection_close(c);
			return;
		}
		c->got += n > 0 ? (size_t)n : 0;
	}
	(void)events;
	go_on(c);
}

void connection_answer(struct connection *c, const uint8_t *answer, size_t size)
{
	struct forward *f = take_ptr(c->waits);

	if (size == 0) {
		forward_cancel(f);
		connection_close(c);
		return;
	}
	set_answer(c, answer, size);
	forward_cancel(f); /* behind the copy: the answer may lie in it */
	go_on(c);
}

static void make_room(struct resolver_client *client)
{
	struct resolver *resolver = client->resolver;
	struct aged *aged = resolver->connections.oldest;

	if (client->connections < CONNECTIONS_PER_CLIENT) {
		if (resolver->connections.count >= CONNECTIONS_MAX) {
			connection_close((struct connection *)aged);
		}
		return;
	}
	while (aged && ((struct connection *)aged)->client != client) {
		aged = aged->newer;
	}
	if (aged) {
		connection_close((struct connection *)aged);
	}
}

/* No descriptor left: the listener would stay readable and keep us busy for ever. */
static void turn_away(struct resolver_client *client)
{
	struct resolver *resolver = client->resolver;
	int fd;

	fd_close(&resolver->spare_fd);
	fd = accept4(client->tcp.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	fd_close(&fd);
	resolver->spare_fd = sys_open("/dev/null", O_RDONLY, 0);
}

/* One connection a turn; the listener stays readable while there are more. */
void connection_accept(struct resolver_client *client)
{
	struct resolver *resolver = client->resolver;
	struct connection *c;
	int fd = accept4(client->tcp.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE) {
			turn_away(client);
		}
		return;
	}
	make_room(client);
	c = xcalloc(1, sizeof(*c));
	c->client = client;
	c->fd = fd;
	client->connections++;
	ages_add(resolver->loop, &resolver->connections, &c->aged, CONNECTION_IDLE_US, expire,
		resolver);
	if (loop_add(resolver->loop, &c->watcher, fd, EPOLLIN, connection_ready, c) < 0) {
		connection_close(c);
	}
}
