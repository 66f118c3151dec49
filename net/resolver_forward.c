/* Questions that go to the host's own resolvers. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sys.h"
#include "net/resolver_private.h"

#define CONF_LIMIT (64 << 10)
#define PREFIX     2 /* bytes of length before a message over TCP */

/* "192.0.2.1", "2001:db8::1" or "fe80::1%eth0". */
static int parse_upstream(const char *text, struct upstream *up)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&up->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&up->address;
	char address[INET6_ADDRSTRLEN + 1];
	const char *zone = strchr(text, '%');

	memset(up, 0, sizeof(*up));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(53);
		up->size = sizeof(*v4);
		return 0;
	}
	snprintf(address, sizeof(address), "%.*s", zone ? (int)(zone - text) : INET6_ADDRSTRLEN,
		text);
	if (inet_pton(AF_INET6, address, &v6->sin6_addr) != 1) {
		return -EINVAL;
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(53);
	v6->sin6_scope_id = zone ? if_nametoindex(zone + 1) : 0;
	up->size = sizeof(*v6);
	return 0;
}

static void parse_conf(struct resolver *resolver, char *text)
{
	char *line;

	resolver->upstream_count = 0;
	while ((line = strsep(&text, "\n")) && resolver->upstream_count < UPSTREAMS_MAX) {
		char address[80];

		if (sscanf(line, " nameserver %79s", address) == 1 &&
			parse_upstream(address, &resolver->upstreams[resolver->upstream_count]) ==
				0) {
			resolver->upstream_count++;
		}
	}
}

/* Follows the file: a laptop changes networks while containers run. */
static void refresh_upstreams(struct resolver *resolver)
{
	const struct stat *seen = &resolver->conf_seen;
	_cleanup_free_ char *text = NULL;
	struct stat now;

	if (sys_fstatat(AT_FDCWD, resolver->conf_path, &now, 0) < 0) {
		memset(&resolver->conf_seen, 0, sizeof(resolver->conf_seen));
		resolver->upstream_count = 0;
		return;
	}
	if (now.st_ino == seen->st_ino && now.st_dev == seen->st_dev &&
		now.st_size == seen->st_size && now.st_mtim.tv_sec == seen->st_mtim.tv_sec &&
		now.st_mtim.tv_nsec == seen->st_mtim.tv_nsec) {
		return;
	}
	resolver->upstream_count = 0;
	if (file_read_at(AT_FDCWD, resolver->conf_path, CONF_LIMIT, &text, NULL, NULL) == 0) {
		resolver->conf_seen = now;
		parse_conf(resolver, text);
	}
}

static int random_id(struct resolver *resolver, uint16_t *id)
{
	if (resolver->ids_left == 0) {
		if (getrandom(resolver->ids, sizeof(resolver->ids), 0) !=
			(ssize_t)sizeof(resolver->ids)) {
			return -EIO;
		}
		resolver->ids_left = ARRAY_SIZE(resolver->ids);
	}
	*id = resolver->ids[--resolver->ids_left];
	return 0;
}

static void stop_asking(struct forward *f)
{
	loop_remove(f->resolver->loop, &f->watcher);
	fd_close(&f->fd);
	free(take_ptr(f->answer));
	f->sent = f->got = 0;
}

void forward_cancel(struct forward *f)
{
	stop_asking(f);
	ages_remove(f->resolver->loop, &f->resolver->forwards, &f->aged);
	f->client->forwards--;
	free(f);
}

static void forward_finish(struct forward *f, const uint8_t *answer, size_t size)
{
	struct resolver_client *client = f->client;
	struct connection *connection = f->connection;
	struct sockaddr_in from = f->from;

	if (connection) {
		/* It frees this forward's place first: the answer may start the next question. */
		connection_answer(connection, answer, size);
		return;
	}
	if (size > 0) {
		sendto(client->udp.fd, answer, size, MSG_DONTWAIT | MSG_NOSIGNAL,
			(struct sockaddr *)&from, sizeof(from));
	}
	forward_cancel(f);
}

static void give_up(struct forward *f)
{
	uint8_t answer[PREFIX + QUERY_SIZE];

	forward_finish(f, answer,
		resolver_failure(
			f->query + PREFIX, &f->question, DNS_SERVFAIL, answer, sizeof(answer)));
}

static void ask_next(struct forward *f);
static void forward_ready(struct watcher *watcher, uint32_t events);

static void expire(struct timer *timer)
{
	struct resolver *resolver = timer->owner;
	int64_t now = clock_now_us();
	struct aged *oldest;

	while ((oldest = ages_due(&resolver->forwards, now))) {
		ask_next((struct forward *)oldest);
	}
}

/* A socket of its own for each question: its random port is half of what keeps forged answers
 * out, and being connected it takes none from other addresses. */
static int ask(struct forward *f, const struct upstream *up)
{
	int type = f->connection ? SOCK_STREAM : SOCK_DGRAM;
	uint16_t id;
	int r = random_id(f->resolver, &id);

	if (r < 0) {
		return r;
	}
	dns_set_id(f->query + PREFIX, id);
	f->fd = sys_socket(up->address.ss_family, type | SOCK_NONBLOCK, 0);
	if (f->fd < 0) {
		return f->fd;
	}
	if (connect(f->fd, (const struct sockaddr *)&up->address, up->size) < 0 &&
		errno != EINPROGRESS) {
		return -errno;
	}
	if (!f->connection &&
		send(f->fd, f->query + PREFIX, f->query_size - PREFIX, MSG_NOSIGNAL) < 0) {
		return -errno;
	}
	return loop_add(f->resolver->loop, &f->watcher, f->fd, f->connection ? EPOLLOUT : EPOLLIN,
		forward_ready, f);
}

/* Asks the upstream whose turn it is; -EHOSTUNREACH when all have failed. */
static int ask_current(struct forward *f)
{
	struct resolver *resolver = f->resolver;

	for (; f->upstream < resolver->upstream_count; f->upstream++) {
		if (ask(f, &resolver->upstreams[f->upstream]) == 0) {
			return 0;
		}
		stop_asking(f);
	}
	return -EHOSTUNREACH;
}

static void ask_next(struct forward *f)
{
	struct resolver *resolver = f->resolver;

	stop_asking(f);
	f->upstream++;
	if (ask_current(f) < 0) {
		give_up(f);
		return;
	}
	ages_remove(resolver->loop, &resolver->forwards, &f->aged);
	ages_add(resolver->loop, &resolver->forwards, &f->aged, UPSTREAM_TIMEOUT_US, expire,
		resolver);
}

static void take_answer(struct forward *f, uint8_t *answer, size_t size)
{
	int rcode;

	if (!dns_answers(f->query + PREFIX, f->question.question_size, answer, size)) {
		if (f->connection) { /* over TCP there is nobody else it could be from */
			ask_next(f);
		}
		return; /* over UDP a forgery, or late: the right one may still come */
	}
	rcode = dns_rcode(answer);
	if (rcode == DNS_SERVFAIL || rcode == DNS_REFUSED) {
		ask_next(f);
		return;
	}
	dns_set_id(answer, f->question.id);
	if (!f->connection) {
		size = dns_truncate(answer, size, f->question.question_size, f->question.udp_size);
	}
	forward_finish(f, answer, size);
}

static void udp_ready(struct forward *f)
{
	uint8_t *answer = f->resolver->scratch;
	ssize_t n = recv(f->fd, answer, sizeof(f->resolver->scratch), MSG_DONTWAIT);

	if (n >= 0) {
		take_answer(f, answer, (size_t)n);
	} else if (errno != EAGAIN && errno != EINTR) { /* refused: nobody listens there */
		ask_next(f);
	}
}

/* Returns 1 when all is sent, 0 when more can be sent later, or a negative errno. */
static int tcp_send(struct forward *f)
{
	ssize_t n = send(
		f->fd, f->query + f->sent, f->query_size - f->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0) {
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	f->sent += (size_t)n;
	return f->sent == f->query_size;
}

/* Returns the size of the answer when it is complete, 0 before, or a negative errno. */
static int tcp_receive(struct forward *f)
{
	size_t size = (size_t)f->answer_prefix[0] << 8 | f->answer_prefix[1];
	bool prefix = f->got < PREFIX;
	uint8_t *to = prefix ? f->answer_prefix + f->got : f->answer + (f->got - PREFIX);
	size_t room = prefix ? PREFIX - f->got : size - (f->got - PREFIX);
	ssize_t n = recv(f->fd, to, room, MSG_DONTWAIT);

	if (n <= 0) {
		return n == 0 ? -ECONNRESET : errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	f->got += (size_t)n;
	if (prefix && f->got == PREFIX) {
		size = (size_t)f->answer_prefix[0] << 8 | f->answer_prefix[1];
		if (size == 0) {
			return -EBADMSG;
		}
		f->answer = xcalloc(size, 1);
	}
	return f->got > PREFIX && f->got == PREFIX + size ? (int)size : 0;
}

static void tcp_ready(struct forward *f)
{
	int r;

	if (f->sent < f->query_size) {
		r = tcp_send(f);
		if (r > 0) {
			r = loop_modify(f->resolver->loop, &f->watcher, EPOLLIN);
		}
		if (r < 0) {
			ask_next(f);
		}
		return;
	}
	r = tcp_receive(f);
	if (r < 0) {
		ask_next(f);
	} else if (r > 0) {
		uint8_t *answer = take_ptr(f->answer);

		take_answer(f, answer, (size_t)r);
		free(answer);
	}
}

static void forward_ready(struct watcher *watcher, uint32_t events)
{
	struct forward *f = watcher->owner;

	(void)events;
	if (f->connection) {
		tcp_ready(f);
	} else {
		udp_ready(f);
	}
}

int forward_start(struct resolver_client *client, const uint8_t *query, size_t size,
	const struct dns_question *q, const struct sockaddr_in *from, struct connection *connection)
{
	struct resolver *resolver = client->resolver;
	struct forward *f;
	int r;

	refresh_upstreams(resolver);
	if (resolver->upstream_count == 0) {
		return -EHOSTUNREACH;
	}
	if (resolver->forwards.count >= FORWARDS_MAX || client->forwards >= FORWARDS_PER_CLIENT) {
		return -EAGAIN;
	}
	f = xcalloc(1, sizeof(*f) + PREFIX + size);
	f->resolver = resolver;
	f->client = client;
	f->connection = connection;
	f->question = *q;
	f->fd = -EBADF;
	if (from) {
		f->from = *from;
	}
	f->query_size = PREFIX + size;
	f->query[0] = (uint8_t)(size >> 8);
	f->query[1] = (uint8_t)size;
	memcpy(f->query + PREFIX, query, size);
	r = ask_current(f);
	if (r < 0) {
		stop_asking(f);
		free(f);
		return r;
	}
	client->forwards++;
	ages_add(resolver->loop, &resolver->forwards, &f->aged, UPSTREAM_TIMEOUT_US, expire,
		resolver);
	connection_waits(connection, f);
	return 0;
}
