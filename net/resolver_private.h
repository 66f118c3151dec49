/*
 * How the resolver hangs together; for net/resolver*.c alone.
 *
 * A question comes in over UDP (resolver.c) or over one of a bounded number of TCP connections
 * (resolver_tcp.c). What the owner's table knows is answered at once and without allocation. The
 * rest becomes a `forward` (resolver_forward.c): one connected socket to one upstream server at a
 * time, over the transport that the client used, so that a truncated answer can be passed on as
 * it is. Forwards and connections stand in lists by age; as each list has one time limit, its
 * oldest member is the next to expire and one timer a list will do.
 */
#ifndef WHERRY_NET_RESOLVER_PRIVATE_H
#define WHERRY_NET_RESOLVER_PRIVATE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/loop.h"
#include "net/dns.h"
#include "net/resolver.h"

#define QUERY_SIZE             1500 /* a longer question is no honest one */
#define ANSWER_UDP_SIZE        1232
#define UDP_BATCH              32
#define UPSTREAMS_MAX          3
#define UPSTREAM_TIMEOUT_US    (4 * USEC_PER_SEC)
#define FORWARDS_MAX           1024
#define FORWARDS_PER_CLIENT    256
#define CONNECTION_IDLE_US     (15 * USEC_PER_SEC) /* more than three upstreams' patience */
#define CONNECTIONS_MAX        128
#define CONNECTIONS_PER_CLIENT 16
#define TTL_SECONDS            600

struct connection;

/* Members of a list by age; embedded first in forwards and connections. */
struct aged {
	struct aged *older, *newer;
	int64_t due_us;
};
struct ages {
	struct aged *oldest, *newest;
	size_t count;
	struct timer timer;
};

struct forward {
	struct aged aged;
	struct resolver *resolver;
	struct resolver_client *client;
	struct connection *connection; /* NULL: came over UDP */
	struct sockaddr_in from; /* over UDP: who asked */
	struct dns_question question; /* its id is the client's */
	unsigned upstream; /* which one is being asked */
	int fd;
	struct watcher watcher;
	size_t sent, got; /* over TCP: bytes so far, the length prefix included */
	uint8_t *answer; /* over TCP; NULL until its size is known */
	uint8_t answer_prefix[2];
	size_t query_size; /* with the length prefix */
	uint8_t query[]; /* length prefix, then the message with our id */
};

struct resolver_client {
	struct resolver *resolver;
	struct resolver_client *next;
	void *owner;
	struct watcher udp, tcp;
	size_t forwards, connections;
};

struct upstream {
	struct sockaddr_storage address;
	socklen_t size;
};

struct resolver {
	struct loop *loop;
	resolver_lookup_fn *lookup;
	resolver_reverse_fn *reverse;
	void *owner;
	struct resolver_client *clients;
	struct ages forwards, connections;
	int spare_fd; /* given up for a moment to turn a client away when descriptors run out */
	char *conf_path;
	struct stat conf_seen; /* of the file the upstreams were read from */
	struct upstream upstreams[UPSTREAMS_MAX];
	unsigned upstream_count;
	uint64_t shuffle_state;
	uint16_t ids[64]; /* random, used up from the end */
	unsigned ids_left;
	uint8_t in[UDP_BATCH][QUERY_SIZE];
	uint8_t out[UDP_BATCH][ANSWER_UDP_SIZE];
	uint8_t scratch[65535];
};

/*
 * Answers from the table: the size of the answer in @out, 0 for none at all, or -EAGAIN if the
 * question has to go upstream (@q is filled then).
 */
int resolver_answer(struct resolver_client *client, const uint8_t *query, size_t size,
	struct dns_question *q, uint8_t *out, size_t limit);
size_t resolver_failure(
	const uint8_t *query, const struct dns_question *q, int rcode, uint8_t *out, size_t limit);

/* Sends a question upstream; the answer goes to @connection or, over UDP, to @from. Returns 0, or
 * a negative errno if it cannot (the caller answers SERVFAIL). */
int forward_start(struct resolver_client *client, const uint8_t *query, size_t size,
	const struct dns_question *q, const struct sockaddr_in *from,
	struct connection *connection);
/* Forgets it without an answer. */
void forward_cancel(struct forward *forward);

void connection_accept(struct resolver_client *client);
/* The answer to the question that the connection waits for; @size 0: none, close it. */
void connection_answer(struct connection *connection, const uint8_t *answer, size_t size);
void connection_close(struct connection *connection);
/* Notes which forward it waits for; @connection may be NULL. */
void connection_waits(struct connection *connection, struct forward *forward);
/* The client whose connection it is. */
struct resolver_client *connection_client(const struct connection *connection);

/* Lists by age. The timer always stands on the oldest member: add and remove see to it. */
void ages_add(struct loop *loop, struct ages *ages, struct aged *aged, int64_t lifetime_us,
	timer_fn *expire, void *owner);
/* The oldest member if its time is over at @now, else NULL. It stays in the list. */
struct aged *ages_due(const struct ages *ages, int64_t now);
void ages_remove(struct loop *loop, struct ages *ages, struct aged *aged);

#endif
