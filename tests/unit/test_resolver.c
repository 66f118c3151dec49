/* Needs root: the test stands in a network namespace of its own that plays the host. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/loop.h"
#include "net/dns.h"
#include "net/resolver.h"
#include "tests/lib/dns_text.h"
#include "tests/lib/net_lab.h"

#define RESOLVER    0x7f00000b
#define UPSTREAMS   3
#define PATIENCE_US (3 * USEC_PER_SEC)

enum behaviour { ANSWER, SILENT, SERVFAIL, REFUSED, NXDOMAIN, FORGE, LARGE };

/* A name server of the host's: 127.0.0.1, .2 and .3, port 53, both transports. */
struct fake {
	struct watcher udp, tcp;
	int udp_fd, tcp_fd;
	enum behaviour behaviour;
	unsigned questions;
	struct fixture *fixture;
};

struct fixture {
	struct loop *loop;
	struct resolver *resolver;
	struct resolver_client *client;
	int ns, udp, tcp;
	struct fake fakes[UPSTREAMS];
	char conf[32];
	unsigned lookups;
	bool internal;
};

static enum resolver_verdict lookup(void *owner, void *client_owner, const char *name,
	uint32_t addresses[RESOLVER_ADDRESSES], size_t *count)
{
	struct fixture *f = owner;

	assert_ptr_equal(client_owner, &f->ns);
	f->lookups++;
	if (strcasecmp(name, "db") == 0) {
		addresses[0] = 0x0a590002;
		*count = 1;
		return RESOLVER_FOUND;
	}
	if (strcasecmp(name, "many") == 0) {
		for (uint32_t i = 0; i < RESOLVER_ADDRESSES; i++) {
			addresses[i] = 0x0a590000 + i;
		}
		*count = RESOLVER_ADDRESSES;
		return RESOLVER_FOUND;
	}
	if (strcasecmp(name, "gone") == 0) {
		return RESOLVER_FOUND; /* known, without an address for now */
	}
	return f->internal ? RESOLVER_REFUSE : RESOLVER_FORWARD;
}

static const char *reverse(void *owner, void *client_owner, uint32_t address)
{
	(void)owner;
	(void)client_owner;
	return address == 0x0a590002 ? "p-db-1.p_default" : NULL;
}

/* Makes the answer of a fake in @m. Returns its size, 0 for none. */
static size_t fake_answer(struct fake *fake, uint8_t *m, size_t size)
{
	static const uint8_t record[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1 };
	size_t copies = fake->behaviour == LARGE ? 80 : 1;

	fake->questions++;
	m[2] |= 0x80;
	switch (fake->behaviour) {
	case SILENT: return 0;
	case SERVFAIL: m[3] = DNS_SERVFAIL; return size;
	case REFUSED: m[3] = DNS_REFUSED; return size;
	case NXDOMAIN: m[3] = DNS_NXDOMAIN; return size;
	case FORGE:
	case LARGE:
	case ANSWER: break;
	}
	for (size_t i = 0; i < copies; i++) {
		memcpy(m + size, record, sizeof(record));
		m[size + 15] = (uint8_t)(fake - fake->fixture->fakes + 1);
		size += sizeof(record);
	}
	m[7] = (uint8_t)copies;
	return size;
}

static void fake_udp(struct watcher *watcher, uint32_t events)
{
	struct fake *fake = watcher->owner;
	uint8_t m[4096] = { 0 };
	struct sockaddr_in from;
	socklen_t from_size = sizeof(from);
	ssize_t n = recvfrom(
		watcher->fd, m, sizeof(m), MSG_DONTWAIT, (struct sockaddr *)&from, &from_size);
	size_t size;

	(void)events;
	if (n < 12) {
		return;
	}
	size = fake_answer(fake, m, (size_t)n);
	if (fake->behaviour == FORGE) { /* first one for another id, then for another name */
		m[0] ^= 0xff;
		sendto(watcher->fd, m, size, 0, (struct sockaddr *)&from, from_size);
		m[0] ^= 0xff;
		m[13] ^= 0x01;
		m[size - 1] = 66;
		sendto(watcher->fd, m, size, 0, (struct sockaddr *)&from, from_size);
		m[13] ^= 0x01;
		m[size - 1] = 1;
	}
	if (size > 0) {
		sendto(watcher->fd, m, size, 0, (struct sockaddr *)&from, from_size);
	}
}

/* Whole question, whole answer, close: enough for what the resolver asks. */
static void fake_tcp(struct watcher *watcher, uint32_t events)
{
	struct fake *fake = watcher->owner;
	uint8_t m[4096 + 2];
	int fd = accept4(watcher->fd, NULL, NULL, SOCK_CLOEXEC);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t size;
	ssize_t n;

	(void)events;
	/* The question may still be on its way from the resolver in this very process. */
	for (int64_t end = clock_now_us() + PATIENCE_US; poll(&p, 1, 0) == 0;) {
		assert_true(clock_now_us() < end);
		loop_turn(fake->fixture->loop, 1000, NULL);
	}
	n = recv(fd, m, sizeof(m), 0);
	if (n > 14) {
		size = fake_answer(fake, m + 2, (size_t)n - 2);
		m[0] = (uint8_t)(size >> 8);
		m[1] = (uint8_t)size;
		if (size > 0) {
			assert_true(send(fd, m, 1, 0) == 1); /* in two pieces */
			assert_true(send(fd, m + 1, size + 1, 0) > 0);
		}
	}
	close(fd);
}

static void write_conf(struct fixture *f, const char *text)
{
	assert_int_equal(
		file_write_atomic(AT_FDCWD, f->conf, text, strlen(text), 0600, false, NULL), 0);
}

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct error err = ERROR_INIT;

	lab_enter();
	f->loop = loop_create(&err);
	snprintf(f->conf, sizeof(f->conf), "/tmp/test-resolver-XXXXXX");
	close(mkstemp(f->conf));
	write_conf(f, "nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n");
	for (uint32_t i = 0; i < UPSTREAMS; i++) {
		struct fake *fake = &f->fakes[i];

		fake->fixture = f;
		fake->udp_fd = lab_serve(-1, IPPROTO_UDP, LAB_LOCAL + i, 53);
		fake->tcp_fd = lab_serve(-1, IPPROTO_TCP, LAB_LOCAL + i, 53);
		loop_add(f->loop, &fake->udp, fake->udp_fd, EPOLLIN, fake_udp, fake);
		loop_add(f->loop, &fake->tcp, fake->tcp_fd, EPOLLIN, fake_tcp, fake);
	}
	assert_int_equal(net_ns_create(false, &f->ns, &err), 0);
	if (resolver_sockets_create(f->ns, &f->udp, &f->tcp, &err) < 0) {
		fail_msg("%s", err.message);
	}
	f->resolver = resolver_create(f->loop, lookup, reverse, f);
	resolver_host_conf(f->resolver, f->conf);
	f->client = resolver_serve(f->resolver, f->udp, f->tcp, &f->ns, &err);
	assert_non_null(f->client);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	resolver_destroy(f->resolver);
	for (size_t i = 0; i < UPSTREAMS; i++) {
		close(f->fakes[i].udp_fd);
		close(f->fakes[i].tcp_fd);
	}
	loop_destroy(f->loop);
	close(f->udp);
	close(f->tcp);
	close(f->ns);
	unlink(f->conf);
	free(f);
	return 0;
}

/* A client's socket inside the container, connected to 127.0.0.11:53. */
static int client_socket(struct fixture *f, uint8_t protocol)
{
	struct sockaddr_in to = lab_address(RESOLVER, 53);
	int fd = lab_socket(f->ns, protocol);

	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		assert_int_equal(errno, EINPROGRESS);
	}
	return fd;
}

/* Turns the loop until the socket has something, or the time is over. */
static bool wait_readable(struct fixture *f, int fd, int64_t patience_us)
{
	int64_t end = clock_now_us() + patience_us;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (poll(&p, 1, 0) == 0) {
		if (clock_now_us() >= end) {
			return false;
		}
		assert_int_equal(loop_turn(f->loop, 5000, NULL), 0);
	}
	return true;
}

/* Asks over UDP. Returns the size of the answer, 0 for none in time. */
static size_t ask_for(struct fixture *f, const char *name, uint16_t type, uint16_t edns,
	int64_t patience_us, uint8_t *out)
{
	uint8_t m[512] = { 0 };
	int fd = client_socket(f, IPPROTO_UDP);
	size_t size = dns_query(m, 0x4711, name, type, edns);
	ssize_t n = 0;

	assert_int_equal(send(fd, m, size, 0), size);
	if (wait_readable(f, fd, patience_us)) {
		n = recv(fd, out, 4096, 0);
		assert_true(n >= 12);
		assert_int_equal(dns_id(out), 0x4711);
	}
	close(fd);
	return (size_t)n;
}

static size_t ask(struct fixture *f, const char *name, uint16_t type, uint8_t *out)
{
	return ask_for(f, name, type, 0, PATIENCE_US, out);
}

static unsigned upstream_questions(struct fixture *f)
{
	return f->fakes[0].questions + f->fakes[1].questions + f->fakes[2].questions;
}

static void known_names_are_answered_from_the_table(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 };
	size_t n = ask(f, "DB", DNS_TYPE_A, m);

	assert_int_equal(dns_code(m), DNS_NOERROR);
	assert_int_equal(dns_answer_count(m), 1);
	assert_memory_equal(m + n - 4, "\x0a\x59\x00\x02", 4);
	assert_int_equal(upstream_questions(f), 0);
}

static void other_types_of_a_known_name_are_empty_and_never_forwarded(void **state)
{
	static const uint16_t types[] = { DNS_TYPE_AAAA, DNS_TYPE_MX, DNS_TYPE_TXT, DNS_TYPE_SRV,
		65 };
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		assert_true(ask(f, "db", types[i], m) > 0);
		assert_int_equal(dns_code(m), DNS_NOERROR);
		assert_int_equal(dns_answer_count(m), 0);
	}
	ask(f, "gone", DNS_TYPE_A, m);
	assert_int_equal(dns_code(m), DNS_NOERROR);
	assert_int_equal(dns_answer_count(m), 0);
	assert_int_equal(upstream_questions(f), 0);
}

static void a_service_may_have_port_53_for_itself(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 };
	int udp = lab_serve(f->ns, IPPROTO_UDP, 0, 53);
	int tcp = lab_serve(f->ns, IPPROTO_TCP, 0, 53);

	assert_true(ask(f, "db", DNS_TYPE_A, m) > 0);
	assert_int_equal(dns_answer_count(m), 1);
	assert_int_equal(lab_try(f->ns, IPPROTO_UDP, LAB_LOCAL, 53, udp, NULL), 0);
	assert_int_equal(lab_try(f->ns, IPPROTO_TCP, LAB_LOCAL, 53, tcp, NULL), 0);
	close(udp);
	close(tcp);
}

static void the_reverse_of_an_address_is_the_containers_name(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 };
	size_t n = ask(f, "2.0.89.10.in-addr.arpa", DNS_TYPE_PTR, m);

	assert_int_equal(dns_answer_count(m), 1);
	assert_memory_equal(m + n - 18, "\6p-db-1\11p_default", 18);
	assert_int_equal(upstream_questions(f), 0);
	ask(f, "9.9.9.9.in-addr.arpa", DNS_TYPE_PTR, m);
	assert_int_equal(upstream_questions(f), 1);
}

static void replicas_come_in_changing_order(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 };
	bool first_seen[RESOLVER_ADDRESSES] = { false };
	unsigned different = 0;

	for (int i = 0; i < 100; i++) {
		bool seen[RESOLVER_ADDRESSES] = { false };

		ask_for(f, "many", DNS_TYPE_A, 1232, PATIENCE_US, m);
		assert_int_equal(dns_answer_count(m), RESOLVER_ADDRESSES);
		assert_false(dns_truncated(m));
		for (size_t k = 0; k < RESOLVER_ADDRESSES; k++) {
			uint8_t last = m[12 + 6 + 4 + 16 * k + 15];

			assert_true(last < RESOLVER_ADDRESSES && !seen[last]);
			seen[last] = true;
			if (k == 0 && !first_seen[last]) {
				first_seen[last] = true;
				different++;
			}
		}
	}
	assert_true(different > 20); /* of 64; less than that is no chance, but a bug */
}

static void too_many_addresses_are_truncated_for_old_clients(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 };
	size_t n = ask(f, "many", DNS_TYPE_A, m);

	assert_true(n <= 512);
	assert_true(dns_truncated(m));
}

static void unknown_names_go_to_the_first_upstream(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 };
	size_t n = ask(f, "example", DNS_TYPE_A, m); /* also without a dot */

	assert_memory_equal(m + n - 4, "\xc0\x00\x02\x01", 4);
	assert_int_equal(f->fakes[0].questions, 1);
	assert_int_equal(upstream_questions(f), 1);
}

static void failure_and_refusal_go_to_the_next_upstream(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 };
	size_t n;

	f->fakes[0].behaviour = SERVFAIL;
	f->fakes[1].behaviour = REFUSED;
	n = ask(f, "example.org", DNS_TYPE_A, m);
	assert_memory_equal(m + n - 4, "\xc0\x00\x02\x03", 4);
	f->fakes[2].behaviour = SERVFAIL;
	ask(f, "example.org", DNS_TYPE_A, m);
	assert_int_equal(dns_code(m), DNS_SERVFAIL);
}

static void no_such_name_is_final(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 };

	f->fakes[0].behaviour = NXDOMAIN;
	ask(f, "example.org", DNS_TYPE_A, m);
	assert_int_equal(dns_code(m), DNS_NXDOMAIN);
	assert_int_equal(upstream_questions(f), 1);
}

static void a_dead_upstream_is_passed_over_at_once(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 };
	int64_t start = clock_now_us();
	size_t n;

	write_conf(f, "nameserver 127.0.0.99\nnameserver 127.0.0.2\n");
	n = ask(f, "example.org", DNS_TYPE_A, m);
	assert_memory_equal(m + n - 4, "\xc0\x00\x02\x02", 4);
	assert_true(clock_now_us() - start < USEC_PER_SEC);
}

static void a_silent_upstream_is_given_four_seconds(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 };
	int64_t start = clock_now_us(), took;
	size_t n;

	f->fakes[0].behaviour = SILENT;
	n = ask_for(f, "example.org", DNS_TYPE_A, 0, 8 * USEC_PER_SEC, m);
	took = clock_now_us() - start;
	assert_memory_equal(m + n - 4, "\xc0\x00\x02\x02", 4);
	assert_true(took >= 4 * USEC_PER_SEC && took < 6 * USEC_PER_SEC);
}

static void without_upstreams_the_answer_is_servfail(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 };

	write_conf(f, "# nothing\nnameserver nonsense\n");
	ask(f, "example.org", DNS_TYPE_A, m);
	assert_int_equal(dns_code(m), DNS_SERVFAIL);
	unlink(f->conf);
	ask(f, "example.org", DNS_TYPE_A, m);
	assert_int_equal(dns_code(m), DNS_SERVFAIL);
	write_conf(f, "nameserver 127.0.0.2\n"); /* and a new file is followed */
	ask(f, "example.org", DNS_TYPE_A, m);
	assert_int_equal(dns_code(m), DNS_NOERROR);
	assert_int_equal(f->fakes[1].questions, 1);
}

static void forged_answers_are_not_passed_on(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 };
	size_t n;

	f->fakes[0].behaviour = FORGE;
	n = ask(f, "example.org", DNS_TYPE_A, m);
	assert_memory_equal(m + n - 4, "\xc0\x00\x02\x01", 4);
}

static void a_client_without_a_way_out_is_not_forwarded(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 };

	f->internal = true;
	ask(f, "example.org", DNS_TYPE_A, m);
	assert_int_equal(dns_code(m), DNS_SERVFAIL);
	ask(f, "db", DNS_TYPE_A, m);
	assert_int_equal(dns_answer_count(m), 1);
	assert_int_equal(upstream_questions(f), 0);
}

static void a_large_answer_is_cut_to_what_the_client_takes(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 };

	f->fakes[0].behaviour = LARGE;
	assert_true(ask(f, "example.org", DNS_TYPE_A, m) <= 512);
	assert_true(dns_truncated(m));
	assert_true(ask_for(f, "example.org", DNS_TYPE_A, 4096, PATIENCE_US, m) > 1232);
	assert_false(dns_truncated(m));
	assert_int_equal(dns_answer_count(m), 80);
}

/* Reads one whole message from a TCP client's socket. */
static size_t read_message(struct fixture *f, int fd, uint8_t *out)
{
	size_t got = 0, want = 2;
	uint8_t m[8192];

	while (got < want) {
		ssize_t n;

		assert_true(wait_readable(f, fd, PATIENCE_US));
		n = recv(fd, m + got, want - got, 0);
		assert_true(n > 0);
		got += (size_t)n;
		want = got < 2 ? 2 : 2 + (size_t)(m[0] << 8 | m[1]);
	}
	memcpy(out, m + 2, got - 2);
	return got - 2;
}

/* A question with its length before it. */
static size_t tcp_query(uint8_t *out, uint16_t id, const char *name, uint16_t type)
{
	size_t size = dns_query(out + 2, id, name, type, 0);

	out[0] = (uint8_t)(size >> 8);
	out[1] = (uint8_t)size;
	return size + 2;
}

static void wait_connected(struct fixture *f, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	for (int64_t end = clock_now_us() + PATIENCE_US; poll(&p, 1, 0) == 0;) {
		assert_true(clock_now_us() < end);
		loop_turn(f->loop, 1000, NULL);
	}
}

static void questions_over_tcp_are_answered_in_turn(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 }, answer[4096] = { 0 };
	int fd = client_socket(f, IPPROTO_TCP);
	size_t size;

	wait_connected(f, fd);
	/* Three at once, the middle one for the upstream. */
	size = tcp_query(m, 1, "many", DNS_TYPE_A);
	size += tcp_query(m + size, 2, "example.org", DNS_TYPE_A);
	size += tcp_query(m + size, 3, "db", DNS_TYPE_AAAA);
	assert_int_equal(send(fd, m, size, 0), size);
	assert_int_equal(read_message(f, fd, answer), 12 + 10 + 64 * 16);
	assert_int_equal(dns_id(answer), 1);
	assert_false(dns_truncated(answer));
	assert_int_equal(dns_answer_count(answer), 64);
	read_message(f, fd, answer);
	assert_int_equal(dns_id(answer), 2);
	assert_int_equal(dns_answer_count(answer), 1);
	read_message(f, fd, answer);
	assert_int_equal(dns_id(answer), 3);
	assert_int_equal(dns_answer_count(answer), 0);
	/* And one byte by byte. */
	size = tcp_query(m, 4, "db", DNS_TYPE_A);
	for (size_t i = 0; i < size; i++) {
		assert_int_equal(send(fd, m + i, 1, 0), 1);
		loop_turn(f->loop, 0, NULL);
	}
	read_message(f, fd, answer);
	assert_int_equal(dns_id(answer), 4);
	close(fd);
}

static void large_upstream_answers_come_whole_over_tcp(void **state)
{
	struct fixture *f = *state;
	uint8_t m[4096] = { 0 }, answer[4096] = { 0 };
	int fd = client_socket(f, IPPROTO_TCP);
	size_t size = tcp_query(m, 9, "example.org", DNS_TYPE_A);

	f->fakes[0].behaviour = SERVFAIL;
	f->fakes[1].behaviour = SILENT; /* hangs up without an answer */
	f->fakes[2].behaviour = LARGE;
	wait_connected(f, fd);
	assert_int_equal(send(fd, m, size, 0), size);
	read_message(f, fd, answer);
	assert_int_equal(dns_id(answer), 9);
	assert_int_equal(dns_answer_count(answer), 80);
	close(fd);
}

static void nonsense_over_tcp_is_hung_up_on(void **state)
{
	struct fixture *f = *state;
	int fd = client_socket(f, IPPROTO_TCP);
	uint8_t m[4096] = { 0 };

	wait_connected(f, fd);
	assert_int_equal(send(fd, "\xff\xff", 2, 0), 2);
	assert_true(wait_readable(f, fd, PATIENCE_US));
	assert_true(recv(fd, m, sizeof(m), 0) <= 0);
	close(fd);
	assert_true(ask(f, "db", DNS_TYPE_A, m) > 0);
}

static void crowds_of_tcp_clients_push_each_other_out(void **state)
{
	struct fixture *f = *state;
	int fds[40];
	uint8_t m[4096] = { 0 };
	size_t size = tcp_query(m, 5, "db", DNS_TYPE_A);

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = client_socket(f, IPPROTO_TCP);
		wait_connected(f, fds[i]);
		loop_turn(f->loop, 0, NULL);
	}
	/* The first one was closed to make room; the last one is served. */
	assert_true(wait_readable(f, fds[0], PATIENCE_US));
	assert_int_equal(recv(fds[0], m + 512, 1, 0), 0);
	assert_int_equal(send(fds[39], m, size, 0), size);
	read_message(f, fds[39], m);
	assert_int_equal(dns_id(m), 5);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		close(fds[i]);
	}
}

static void one_container_cannot_take_all_forwards(void **state)
{
	struct fixture *f = *state;
	int fd = client_socket(f, IPPROTO_UDP);
	uint8_t m[512], answer[512] = { 0 };
	size_t size;
	unsigned failed = 0;

	for (size_t i = 0; i < UPSTREAMS; i++) {
		f->fakes[i].behaviour = SILENT;
	}
	for (uint16_t i = 0; i < 300; i++) {
		size = dns_query(m, i, "slow.example", DNS_TYPE_A, 0);
		assert_int_equal(send(fd, m, size, 0), size);
		loop_turn(f->loop, 0, NULL);
	}
	while (failed < 300 - 256 && wait_readable(f, fd, PATIENCE_US)) {
		assert_true(recv(fd, answer, sizeof(answer), 0) >= 12);
		assert_int_equal(dns_code(answer), DNS_SERVFAIL);
		failed++;
	}
	assert_int_equal(failed, 300 - 256);
	/* And its table is still served. */
	assert_true(ask(f, "db", DNS_TYPE_A, answer) > 0);
	close(fd);
}

static void questions_that_cannot_be_read_are_told_so(void **state)
{
	struct fixture *f = *state;
	int fd = client_socket(f, IPPROTO_UDP);
	uint8_t m[512] = { 0 };
	size_t size = dns_query(m, 6, "db", DNS_TYPE_A, 0);

	m[5] = 2;
	assert_int_equal(send(fd, m, size, 0), size);
	assert_true(wait_readable(f, fd, PATIENCE_US));
	assert_int_equal(recv(fd, m, sizeof(m), 0), 12);
	assert_int_equal(dns_code(m), DNS_FORMERR);
	size = dns_query(m, 6, "db", DNS_TYPE_A, 0);
	m[2] = 0x28; /* UPDATE */
	assert_int_equal(send(fd, m, size, 0), size);
	assert_true(wait_readable(f, fd, PATIENCE_US));
	assert_int_equal(recv(fd, m, sizeof(m), 0), size);
	assert_int_equal(dns_code(m), DNS_NOTIMP);
	/* What is no question gets no answer: the next thing to come is the one to the real one. */
	assert_int_equal(send(fd, "short", 5, 0), 5);
	size = dns_query(m, 6, "db", DNS_TYPE_A, 0);
	m[2] |= 0x80;
	assert_int_equal(send(fd, m, size, 0), size);
	size = dns_query(m, 8, "db", DNS_TYPE_A, 0);
	assert_int_equal(send(fd, m, size, 0), size);
	assert_true(wait_readable(f, fd, PATIENCE_US));
	recv(fd, m, sizeof(m), 0);
	assert_int_equal(dns_id(m), 8);
	close(fd);
}

static unsigned open_fds(void)
{
	_cleanup_free_ char *text =
		lab_output((const char *const[]){ "sh", "-c", "ls /proc/$PPID/fd | wc -l", NULL });

	return (unsigned)strtoul(text, NULL, 10);
}

static void a_dropped_client_leaves_no_descriptor(void **state)
{
	struct fixture *f = *state;
	unsigned before = open_fds();
	struct error err = ERROR_INIT;
	int udp = client_socket(f, IPPROTO_UDP), tcp = client_socket(f, IPPROTO_TCP);
	uint8_t m[512] = { 0 };
	size_t size;

	for (size_t i = 0; i < UPSTREAMS; i++) {
		f->fakes[i].behaviour = SILENT;
	}
	for (uint16_t i = 0; i < 20; i++) {
		size = dns_query(m, i, "slow.example", DNS_TYPE_A, 0);
		assert_int_equal(send(udp, m, size, 0), size);
	}
	wait_connected(f, tcp);
	assert_int_equal(send(tcp, "\0", 1, 0), 1);
	while (upstream_questions(f) < 20) {
		loop_turn(f->loop, 1000, NULL);
	}
	assert_true(open_fds() > before + 20);
	resolver_drop(f->resolver, f->client);
	close(udp);
	close(tcp);
	assert_int_equal(open_fds(), before);
	/* The sockets are still there to be served anew, as after a supervisor's death. */
	f->client = resolver_serve(f->resolver, f->udp, f->tcp, &f->ns, &err);
	assert_non_null(f->client);
	assert_true(ask(f, "db", DNS_TYPE_A, m) > 0);
}

static void a_containers_resolv_conf_keeps_search_and_options(void **state)
{
	static const struct {
		const char *host, *container;
	} cases[] = {
		{ "nameserver 9.9.9.9\n", "nameserver 127.0.0.11\noptions ndots:0\n" },
		{ "", "nameserver 127.0.0.11\noptions ndots:0\n" },
		{ "search a.example\tb.example # lab\noptions edns0 trust-ad\n",
			"nameserver 127.0.0.11\nsearch a.example b.example\n"
			"options edns0 trust-ad ndots:0\n" },
		{ "domain old.example\nsearch new.example\n  options ndots:2\noptions timeout:1",
			"nameserver 127.0.0.11\nsearch new.example\noptions ndots:2 timeout:1\n" },
		{ "searching x\noptions\n", "nameserver 127.0.0.11\noptions ndots:0\n" },
	};
	char path[] = "/tmp/test-conf-XXXXXX";
	char *text;

	(void)state;
	close(mkstemp(path));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(file_write_atomic(AT_FDCWD, path, cases[i].host,
					 strlen(cases[i].host), 0600, false, NULL),
			0);
		text = resolver_conf(path);
		assert_string_equal(text, cases[i].container);
		free(text);
	}
	unlink(path);
	text = resolver_conf(path); /* a host without the file */
	assert_string_equal(text, cases[0].container);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define RESOLVER_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		RESOLVER_TEST(known_names_are_answered_from_the_table),
		RESOLVER_TEST(other_types_of_a_known_name_are_empty_and_never_forwarded),
		RESOLVER_TEST(a_service_may_have_port_53_for_itself),
		RESOLVER_TEST(the_reverse_of_an_address_is_the_containers_name),
		RESOLVER_TEST(replicas_come_in_changing_order),
		RESOLVER_TEST(too_many_addresses_are_truncated_for_old_clients),
		RESOLVER_TEST(unknown_names_go_to_the_first_upstream),
		RESOLVER_TEST(failure_and_refusal_go_to_the_next_upstream),
		RESOLVER_TEST(no_such_name_is_final),
		RESOLVER_TEST(a_dead_upstream_is_passed_over_at_once),
		RESOLVER_TEST(a_silent_upstream_is_given_four_seconds),
		RESOLVER_TEST(without_upstreams_the_answer_is_servfail),
		RESOLVER_TEST(forged_answers_are_not_passed_on),
		RESOLVER_TEST(a_client_without_a_way_out_is_not_forwarded),
		RESOLVER_TEST(a_large_answer_is_cut_to_what_the_client_takes),
		RESOLVER_TEST(questions_over_tcp_are_answered_in_turn),
		RESOLVER_TEST(large_upstream_answers_come_whole_over_tcp),
		RESOLVER_TEST(nonsense_over_tcp_is_hung_up_on),
		RESOLVER_TEST(crowds_of_tcp_clients_push_each_other_out),
		RESOLVER_TEST(one_container_cannot_take_all_forwards),
		RESOLVER_TEST(questions_that_cannot_be_read_are_told_so),
		RESOLVER_TEST(a_dropped_client_leaves_no_descriptor),
		cmocka_unit_test(a_containers_resolv_conf_keeps_search_and_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
