#include "net/resolver.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "net/resolver_private.h"

struct resolver *resolver_create(
	struct loop *loop, resolver_lookup_fn *lookup, resolver_reverse_fn *reverse, void *owner)
{
	struct resolver *resolver = xcalloc(1, sizeof(*resolver));

	resolver->loop = loop;
	resolver->lookup = lookup;
	resolver->reverse = reverse;
	resolver->owner = owner;
	resolver->conf_path = xstrdup("/etc/resolv.conf");
	resolver->spare_fd = sys_open("/dev/null", O_RDONLY, 0);
	if (getrandom(&resolver->shuffle_state, sizeof(resolver->shuffle_state), GRND_NONBLOCK) <
		0) {
		resolver->shuffle_state = (uint64_t)clock_now_us();
	}
	resolver->shuffle_state |= 1;
	return resolver;
}

void resolver_host_conf(struct resolver *resolver, const char *path)
{
	free(resolver->conf_path);
	resolver->conf_path = xstrdup(path);
	memset(&resolver->conf_seen, 0, sizeof(resolver->conf_seen));
}

void resolver_destroy(struct resolver *resolver)
{
	if (!resolver) {
		return;
	}
	while (resolver->clients) {
		resolver_drop(resolver, resolver->clients);
	}
	fd_close(&resolver->spare_fd);
	free(resolver->conf_path);
	free(resolver);
}

/* Spreads clients over replicas; nothing depends on it being hard to guess. */
static uint32_t shuffle_number(struct resolver *resolver, uint32_t below)
{
	uint64_t x = resolver->shuffle_state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	resolver->shuffle_state = x;
	return (uint32_t)((x >> 32) * below >> 32);
}

static void shuffle(struct resolver *resolver, uint32_t *addresses, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		size_t j = shuffle_number(resolver, (uint32_t)i);
		uint32_t other = addresses[j];

		addresses[j] = addresses[i - 1];
		addresses[i - 1] = other;
	}
}

size_t resolver_failure(
	const uint8_t *query, const struct dns_question *q, int rcode, uint8_t *out, size_t limit)
{
	return dns_answer_a(query, q, rcode, NULL, 0, 0, out, limit);
}

int resolver_answer(struct resolver_client *client, const uint8_t *query, size_t size,
	struct dns_question *q, uint8_t *out, size_t limit)
{
	struct resolver *resolver = client->resolver;
	uint32_t addresses[RESOLVER_ADDRESSES], address;
	size_t count = 0;
	int r = dns_parse_query(query, size, q);

	if (r == -EBADMSG) {
		return 0;
	}
	if (r < 0) {
		q->question_size = 12; /* what could not be read is not repeated */
		q->edns = false;
		return (int)resolver_failure(query, q, DNS_FORMERR, out, limit);
	}
	if (limit == ANSWER_UDP_SIZE && q->udp_size < limit) {
		limit = q->udp_size;
	}
	if (!dns_is_standard(q)) {
		return (int)resolver_failure(query, q, DNS_NOTIMP, out, limit);
	}
	if (q->type == DNS_TYPE_PTR && dns_reverse_name(q->name, &address) == 0) {
		const char *target = resolver->reverse(resolver->owner, client->owner, address);

		if (target) {
			return (int)dns_answer_ptr(query, q, target, TTL_SECONDS, out, limit);
		}
	}
	switch (resolver->lookup(resolver->owner, client->owner, q->name, addresses, &count)) {
	case RESOLVER_FOUND: break;
	case RESOLVER_FORWARD: return -EAGAIN;
	case RESOLVER_REFUSE:
	default: return (int)resolver_failure(query, q, DNS_SERVFAIL, out, limit);
	}
	/* A known name without what was asked: no error, no record, and never asked upstream, or
	 * libraries that ask for A and AAAA together would believe the upstream's "no such name". */
	if (q->type != DNS_TYPE_A && q->type != DNS_TYPE_ANY) {
		count = 0;
	}
	shuffle(resolver, addresses, count);
	return (int)dns_answer_a(query, q, DNS_NOERROR, addresses, count, TTL_SECONDS, out, limit);
}

/* One batch a turn: whoever floods us gets his answers between everybody else's. */
static void udp_ready(struct watcher *watcher, uint32_t events)
{
	struct resolver_client *client = watcher->owner;
	struct resolver *resolver = client->resolver;
	struct sockaddr_in from[UDP_BATCH];
	struct iovec in[UDP_BATCH], out[UDP_BATCH];
	struct mmsghdr questions[UDP_BATCH], answers[UDP_BATCH];
	int n, ready = 0;

	(void)events;
	for (int i = 0; i < UDP_BATCH; i++) {
		in[i] = (struct iovec){ resolver->in[i], QUERY_SIZE };
		questions[i].msg_hdr = (struct msghdr){ .msg_name = &from[i],
			.msg_namelen = sizeof(from[i]),
			.msg_iov = &in[i],
			.msg_iovlen = 1 };
	}
	n = recvmmsg(watcher->fd, questions, UDP_BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		struct dns_question q;
		int r;

		if (questions[i].msg_hdr.msg_flags & MSG_TRUNC) {
			continue;
		}
		r = resolver_answer(client, resolver->in[i], questions[i].msg_len, &q,
			resolver->out[ready], ANSWER_UDP_SIZE);
		if (r == -EAGAIN && forward_start(client, resolver->in[i], questions[i].msg_len, &q,
					    &from[i], NULL) < 0) {
			r = (int)resolver_failure(resolver->in[i], &q, DNS_SERVFAIL,
				resolver->out[ready], DNS_UDP_SIZE);
		}
		if (r > 0) {
			out[ready] = (struct iovec){ resolver->out[ready], (size_t)r };
			answers[ready].msg_hdr = (struct msghdr){ .msg_name = &from[i],
				.msg_namelen = sizeof(from[i]),
				.msg_iov = &out[ready],
				.msg_iovlen = 1 };
			ready++;
		}
	}
	/* A refused datagram is skipped; the client asks again. */
	for (int sent = 0; sent < ready;) {
		int r = sendmmsg(
			watcher->fd, answers + sent, (unsigned)(ready - sent), MSG_DONTWAIT);

		sent += r > 0 ? r : 1;
	}
}

static void tcp_ready(struct watcher *watcher, uint32_t events)
{
	(void)events;
	connection_accept(watcher->owner);
}

struct resolver_client *resolver_serve(
	struct resolver *resolver, int udp_fd, int tcp_fd, void *client_owner, struct error *err)
{
	struct resolver_client *client = xcalloc(1, sizeof(*client));
	int r;

	client->resolver = resolver;
	client->owner = client_owner;
	r = loop_add(resolver->loop, &client->udp, udp_fd, EPOLLIN, udp_ready, client);
	if (r == 0) {
		r = loop_add(resolver->loop, &client->tcp, tcp_fd, EPOLLIN, tcp_ready, client);
	}
	if (r < 0) {
		loop_remove(resolver->loop, &client->udp);
		free(client);
		error_set(err, r, "watch the resolver's sockets");
		return NULL;
	}
	client->next = resolver->clients;
	resolver->clients = client;
	return client;
}

void resolver_drop(struct resolver *resolver, struct resolver_client *client)
{
	struct aged *aged, *newer;

	if (!client) {
		return;
	}
	for (aged = resolver->connections.oldest; aged; aged = newer) {
		newer = aged->newer;
		if (connection_client((struct connection *)aged) == client) {
			connection_close((struct connection *)aged);
		}
	}
	for (aged = resolver->forwards.oldest; aged; aged = newer) {
		newer = aged->newer;
		if (((struct forward *)aged)->client == client) {
			forward_cancel((struct forward *)aged);
		}
	}
	loop_remove(resolver->loop, &client->udp);
	loop_remove(resolver->loop, &client->tcp);
	for (struct resolver_client **at = &resolver->clients; *at; at = &(*at)->next) {
		if (*at == client) {
			*at = client->next;
			break;
		}
	}
	free(client);
}

static void rearm(struct loop *loop, struct ages *ages, timer_fn *expire, void *owner)
{
	if (ages->oldest) {
		loop_timer(loop, &ages->timer, ages->oldest->due_us, expire, owner);
	} else {
		loop_timer_cancel(loop, &ages->timer);
	}
}

void ages_add(struct loop *loop, struct ages *ages, struct aged *aged, int64_t lifetime_us,
	timer_fn *expire, void *owner)
{
	aged->due_us = clock_now_us() + lifetime_us;
	aged->newer = NULL;
	aged->older = ages->newest;
	*(ages->newest ? &ages->newest->newer : &ages->oldest) = aged;
	ages->newest = aged;
	ages->count++;
	if (ages->oldest == aged) {
		rearm(loop, ages, expire, owner);
	}
}

struct aged *ages_due(const struct ages *ages, int64_t now)
{
	return ages->oldest && ages->oldest->due_us <= now ? ages->oldest : NULL;
}

void ages_remove(struct loop *loop, struct ages *ages, struct aged *aged)
{
	bool was_oldest = ages->oldest == aged;

	*(aged->older ? &aged->older->newer : &ages->oldest) = aged->newer;
	*(aged->newer ? &aged->newer->older : &ages->newest) = aged->older;
	aged->older = aged->newer = NULL;
	ages->count--;
	if (was_oldest) {
		rearm(loop, ages, ages->timer.call, ages->timer.owner);
	}
}
