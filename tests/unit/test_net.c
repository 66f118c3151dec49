/* Needs root (CAP_NET_ADMIN, CAP_SYS_ADMIN): every test stands in a network namespace of its own. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "net/link.h"
#include "net/resolver.h"
#include "tests/lib/net_lab.h"

#define C1      0x0a590002
#define C2      0x0a590003
#define GATEWAY 0x0a590001
#define OTHER   0x0a5a0002

#define assert_ok(call)                                                                            \
	do {                                                                                       \
		struct error why_ = ERROR_INIT, *why = &why_;                                      \
		int r_ = (call);                                                                   \
		if (r_ < 0) {                                                                      \
			fail_msg("%s: %d %s", #call, r_, why->message);                            \
		}                                                                                  \
	} while (0)

static int set_up(void **state)
{
	struct lab *lab = xcalloc(1, sizeof(*lab));

	lab_enter();
	lab_build(lab);
	*state = lab;
	return 0;
}

static int tear_down(void **state)
{
	lab_destroy(*state);
	free(*state);
	return 0;
}

/* Bridge 1 has a way out; bridge 2 is as the test says. */
static void put_rules(
	struct lab *lab, bool internal, const struct net_rule_port *ports, size_t count)
{
	const struct net_rule_bridge bridges[] = {
		{ "whb1", { GATEWAY & 0xffffff00, 24 }, false },
		{ "whb2", { OTHER & 0xffffff00, 24 }, internal },
	};

	assert_ok(net_rules_replace(lab->net, "lab", bridges, 2, ports, count, why));
}

/* Bridged packets pass the forward chains or not, as the host has it. */
static bool set_bridge_filter(const char *value)
{
	return file_put_at(AT_FDCWD, "/proc/sys/net/bridge/bridge-nf-call-iptables", value) == 0;
}

enum from { HOST, OUTSIDE, FIRST, SECOND, ELSEWHERE };

static int ns_of(const struct lab *lab, enum from from)
{
	return (const int[]){ -1, lab->outside, lab->c1, lab->c2, lab->other }[from];
}

#define ANY 0xffffffff /* any source will do */
#define NOT 0 /* must not get through */

struct path {
	const char *name;
	enum from from;
	uint32_t to;
	uint16_t port;
	uint32_t seen; /* source that the server sees */
};

static void check_paths(
	struct lab *lab, uint8_t protocol, int server, const struct path *paths, size_t count)
{
	const char *kind = protocol == IPPROTO_TCP ? "tcp" : "udp";

	for (size_t i = 0; i < count; i++) {
		const struct path *p = &paths[i];
		uint32_t seen = 0;
		int r = lab_try(ns_of(lab, p->from), protocol, p->to, p->port, server, &seen);

		if (p->seen == NOT && r == 0) {
			fail_msg("%s, %s: got through", p->name, kind);
		}
		if (p->seen != NOT && r < 0) {
			fail_msg("%s, %s: %s", p->name, kind, strerror(-r));
		}
		if (p->seen != NOT && p->seen != ANY && p->seen != seen) {
			fail_msg("%s, %s: the server saw %08x", p->name, kind, seen);
		}
	}
}

static void check_both(struct lab *lab, const struct path *paths, size_t count)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };

	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		int server = lab_serve(lab->c1, protocols[i], 0, 8000);

		check_paths(lab, protocols[i], server, paths, count);
		close(server);
	}
}

static const struct net_rule_port ports[] = {
	{ IPPROTO_TCP, 0, 8010, C1, 8000 },
	{ IPPROTO_UDP, 0, 8010, C1, 8000 },
	{ IPPROTO_TCP, LAB_LOCAL, 8011, C1, 8000 },
	{ IPPROTO_UDP, LAB_LOCAL, 8011, C1, 8000 },
	{ IPPROTO_TCP, LAB_HOST, 8012, C1, 8000 },
	{ IPPROTO_UDP, LAB_HOST, 8012, C1, 8000 },
};

static const struct path publish_paths[] = {
	/* Published on every address. */
	{ "host to 127.0.0.1", HOST, LAB_LOCAL, 8010, GATEWAY },
	{ "host to its own address", HOST, LAB_HOST, 8010, LAB_HOST },
	{ "host to the gateway address", HOST, GATEWAY, 8010, GATEWAY },
	{ "outside to host", OUTSIDE, LAB_HOST, 8010, LAB_OUTSIDE },
	{ "neighbour through the host", SECOND, LAB_HOST, 8010, ANY },
	{ "neighbour through the gateway", SECOND, GATEWAY, 8010, ANY },
	{ "itself through the host", FIRST, LAB_HOST, 8010, GATEWAY },
	{ "itself through the gateway", FIRST, GATEWAY, 8010, GATEWAY },
	{ "another network through the host", ELSEWHERE, LAB_HOST, 8010, ANY },
	{ "neighbour directly", SECOND, C1, 8000, C2 },
	{ "host directly", HOST, C1, 8000, GATEWAY },
	/* Published on 127.0.0.1. */
	{ "host to 127.0.0.1 alone", HOST, LAB_LOCAL, 8011, GATEWAY },
	{ "host's other address, port on 127.0.0.1", HOST, LAB_HOST, 8011, NOT },
	{ "outside, port on 127.0.0.1", OUTSIDE, LAB_HOST, 8011, NOT },
	{ "neighbour, port on 127.0.0.1", SECOND, LAB_HOST, 8011, NOT },
	/* Published on the host's outer address. */
	{ "host to that address", HOST, LAB_HOST, 8012, LAB_HOST },
	{ "outside to that address", OUTSIDE, LAB_HOST, 8012, LAB_OUTSIDE },
	{ "neighbour to that address", SECOND, LAB_HOST, 8012, ANY },
	{ "itself to that address", FIRST, LAB_HOST, 8012, GATEWAY },
	{ "host to 127.0.0.1, port on the other", HOST, LAB_LOCAL, 8012, NOT },
	/* Not published: not to be had by knowing the container's address. */
	{ "outside directly", OUTSIDE, C1, 8000, NOT },
	{ "another network directly", ELSEWHERE, C1, 8000, NOT },
	{ "another network's gateway", OUTSIDE, OTHER, 8000, NOT },
};

static void published_ports_are_reachable_from_where_they_should_be(void **state)
{
	struct lab *lab = *state;

	put_rules(lab, false, ports, ARRAY_SIZE(ports));
	if (!set_bridge_filter("0")) {
		print_message("no br_netfilter here: one setting only\n");
	}
	check_both(lab, publish_paths, ARRAY_SIZE(publish_paths));
}

static void published_ports_work_when_bridged_packets_are_filtered(void **state)
{
	struct lab *lab = *state;

	put_rules(lab, false, ports, ARRAY_SIZE(ports));
	if (!set_bridge_filter("1")) {
		skip();
	}
	check_both(lab, publish_paths, ARRAY_SIZE(publish_paths));
}

static void containers_get_out_unless_their_network_is_internal(void **state)
{
	struct lab *lab = *state;
	int server = lab_serve(lab->outside, IPPROTO_TCP, 0, 8000);
	uint32_t seen = 0;

	put_rules(lab, false, NULL, 0);
	assert_int_equal(lab_try(lab->c1, IPPROTO_TCP, LAB_OUTSIDE, 8000, server, &seen), 0);
	assert_int_equal(seen, LAB_HOST);
	assert_int_equal(lab_try(lab->other, IPPROTO_TCP, LAB_OUTSIDE, 8000, server, &seen), 0);
	put_rules(lab, true, NULL, 0);
	assert_int_equal(
		lab_try(lab->other, IPPROTO_TCP, LAB_OUTSIDE, 8000, server, &seen), -ETIMEDOUT);
	assert_int_equal(lab_try(lab->c1, IPPROTO_TCP, LAB_OUTSIDE, 8000, server, &seen), 0);
	close(server);
}

static void nothing_is_published_from_an_internal_network(void **state)
{
	struct lab *lab = *state;
	const struct net_rule_port port = { IPPROTO_TCP, 0, 8010, OTHER, 8000 };
	const struct path paths[] = {
		{ "host to 127.0.0.1", HOST, LAB_LOCAL, 8010, NOT },
		{ "outside", OUTSIDE, LAB_HOST, 8010, NOT },
		{ "other network", FIRST, LAB_HOST, 8010, NOT },
		{ "other network directly", FIRST, OTHER, 8000, NOT },
	};
	int server = lab_serve(lab->other, IPPROTO_TCP, 0, 8000);

	put_rules(lab, true, &port, 1);
	check_paths(lab, IPPROTO_TCP, server, paths, ARRAY_SIZE(paths));
	close(server);
}

static void internal_network_cannot_use_another_ones_published_port(void **state)
{
	struct lab *lab = *state;
	const struct path path = { "internal to published", ELSEWHERE, LAB_HOST, 8010, NOT };
	int server = lab_serve(lab->c1, IPPROTO_TCP, 0, 8000);

	put_rules(lab, true, ports, ARRAY_SIZE(ports));
	check_paths(lab, IPPROTO_TCP, server, &path, 1);
	close(server);
}

static void projects_are_isolated_from_each_other(void **state)
{
	struct lab *lab = *state;
	const struct net_rule_bridge one = { "whb1", { GATEWAY & 0xffffff00, 24 }, false };
	const struct net_rule_bridge two = { "whb2", { OTHER & 0xffffff00, 24 }, false };
	const struct net_rule_port port = { IPPROTO_TCP, 0, 8010, C1, 8000 };
	int first = lab_serve(lab->c1, IPPROTO_TCP, 0, 8000);
	int second = lab_serve(lab->other, IPPROTO_TCP, 0, 8000);

	assert_ok(net_rules_replace(lab->net, "one", &one, 1, &port, 1, why));
	assert_ok(net_rules_replace(lab->net, "two", &two, 1, NULL, 0, why));
	assert_int_equal(lab_try(lab->other, IPPROTO_TCP, C1, 8000, first, NULL), -ETIMEDOUT);
	assert_int_equal(lab_try(lab->c1, IPPROTO_TCP, OTHER, 8000, second, NULL), -ETIMEDOUT);
	assert_int_equal(lab_try(lab->other, IPPROTO_TCP, LAB_HOST, 8010, first, NULL), 0);
	assert_ok(net_rules_remove(lab->net, "two", why));
	assert_int_equal(lab_try(lab->c1, IPPROTO_TCP, OTHER, 8000, second, NULL), 0);
	close(first);
	close(second);
}

/* Somebody who sends 127.0.0.0/8 to the host instead of to himself. @data: "GATEWAY src OWN". */
static int route_loopback_to_host(void *data)
{
	_cleanup_free_ char *script =
		xasprintf("echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet;"
			  "ip rule add pref 1 from all lookup 7; ip rule del pref 0;"
			  "ip rule add pref 9 from all lookup local;"
			  "ip route add 127.0.0.0/8 via %s table 7",
			(const char *)data);

	free(lab_output((const char *const[]){ "sh", "-c", script, NULL }));
	return 0;
}

static void neighbour_cannot_reach_a_port_published_on_loopback(void **state)
{
	struct lab *lab = *state;
	int server = lab_serve(lab->c1, IPPROTO_UDP, 0, 8000);
	char route[] = "198.51.100.1 src 198.51.100.2";

	put_rules(lab, false, ports, ARRAY_SIZE(ports));
	/* Even where somebody else's software lets such packets in. */
	assert_int_equal(
		file_put_at(AT_FDCWD, "/proc/sys/net/ipv4/conf/uplink/route_localnet", "1"), 0);
	assert_int_equal(net_ns_do(lab->outside, route_loopback_to_host, route), 0);
	assert_true(lab_try(lab->outside, IPPROTO_UDP, LAB_LOCAL, 8011, server, NULL) < 0);
	assert_int_equal(recv(server, route, 1, MSG_DONTWAIT), -1); /* not even the question */
	close(server);
}

static void container_cannot_reach_the_hosts_loopback(void **state)
{
	struct lab *lab = *state;
	int server = lab_serve(-1, IPPROTO_UDP, LAB_LOCAL, 9999);
	uint32_t seen = 0;
	char route[] = "10.89.0.1 src 10.89.0.2";

	put_rules(lab, false, NULL, 0);
	assert_int_equal(net_ns_do(lab->c1, route_loopback_to_host, route), 0);
	assert_int_equal(lab_try(lab->c1, IPPROTO_UDP, LAB_LOCAL, 9999, server, NULL), -ETIMEDOUT);
	/* It is our rule that keeps it out: without the rules it is let in. (The answer may get lost.) */
	assert_ok(net_rules_remove(lab->net, "lab", why));
	lab_try(lab->c1, IPPROTO_UDP, LAB_LOCAL, 9999, server, &seen);
	assert_int_equal(seen, C1);
	close(server);
}

static void replacing_the_rules_keeps_one_table(void **state)
{
	struct lab *lab = *state;
	_cleanup_free_ char *once = NULL;
	_cleanup_free_ char *twice = NULL;
	static const char *const list[] = { "nft", "list", "ruleset", NULL };

	put_rules(lab, false, ports, ARRAY_SIZE(ports));
	once = lab_output(list);
	put_rules(lab, false, ports, ARRAY_SIZE(ports));
	twice = lab_output(list);
	assert_string_equal(once, twice);
	assert_non_null(strstr(once, "dnat to 10.89.0.2:8000"));
}

static void a_thousand_ports_fit_one_transaction(void **state)
{
	struct lab *lab = *state;
	struct net_rule_port *many = xcalloc(1000, sizeof(*many));
	int server = lab_serve(lab->c1, IPPROTO_TCP, 0, 8000);

	for (uint16_t i = 0; i < 1000; i++) {
		many[i] = (struct net_rule_port){ IPPROTO_TCP, 0, (uint16_t)(20000 + i), C1, 8000 };
	}
	put_rules(lab, false, many, 1000);
	assert_int_equal(lab_try(-1, IPPROTO_TCP, LAB_LOCAL, 20999, server, NULL), 0);
	free(many);
	close(server);
}

static void a_refused_transaction_names_its_step_and_changes_nothing(void **state)
{
	struct lab *lab = *state;
	struct error err = ERROR_INIT;
	char project[300];
	_cleanup_free_ char *before = lab_snapshot();
	_cleanup_free_ char *after = NULL;
	const struct net_rule_bridge bridge = { "whb1", { GATEWAY, 24 }, false };

	memset(project, 'x', sizeof(project) - 1);
	project[sizeof(project) - 1] = '\0';
	assert_int_equal(
		net_rules_replace(lab->net, project, &bridge, 1, NULL, 0, &err), -ENAMETOOLONG);
	sys_fault_arm("nft", 1, EPERM);
	assert_int_equal(net_rules_replace(lab->net, "p", &bridge, 1, NULL, 0, &err), -EPERM);
	assert_non_null(strstr(err.message, "wherry-p"));
	after = lab_snapshot();
	assert_string_equal(before, after);
}

static void nothing_is_left_after_everything_is_removed(void **state)
{
	_cleanup_free_ char *before = NULL;
	_cleanup_free_ char *after = NULL;
	struct net_ipv4 gateway = { 0x0a5b0001, 24 };
	const struct net_rule_bridge bridge = { "wh0000b001", { 0x0a5b0000, 24 }, false };
	const struct net_rule_port port = { IPPROTO_TCP, LAB_LOCAL, 8010, 0x0a5b0002, 80 };
	struct net_attachment a = { .bridge = "wh0000b001",
		.host_interface = "wh0000b002",
		.name = "eth0",
		.address = { 0x0a5b0002, 24 },
		.gateway = gateway };
	char dir[] = "/tmp/test-net-XXXXXX", record[64];
	struct net *net;
	int ns;

	(void)state;
	lab_enter();
	assert_non_null(mkdtemp(dir));
	before = lab_snapshot();
	assert_non_null(strstr(before, "cat:\n0\n"));
	assert_ok(net_open(&net, why));
	assert_ok(net_bridge_create(net, a.bridge, gateway, why));
	assert_ok(net_bridge_create(net, a.bridge, gateway, why)); /* taken over */
	assert_ok(net_ns_create(false, &ns, why));
	assert_ok(net_attach(net, ns, &a, why));
	assert_ok(net_forwarding_acquire(dir, "one", why));
	assert_ok(net_forwarding_acquire(dir, "two", why));
	assert_ok(net_forwarding_acquire(dir, "two", why));
	assert_ok(net_rules_replace(net, "one", &bridge, 1, &port, 1, why));
	assert_int_equal(net_forwarding_release(dir, "two"), 0);
	_cleanup_free_ char *between = lab_snapshot();
	assert_non_null(strstr(between, "cat:\n1\n"));
	assert_ok(net_rules_remove(net, "one", why));
	assert_ok(net_rules_remove(net, "one", why)); /* a missing one is fine */
	assert_ok(net_link_remove(net, a.host_interface, why));
	assert_ok(net_link_remove(net, a.bridge, why));
	assert_ok(net_link_remove(net, a.bridge, why));
	assert_int_equal(net_forwarding_release(dir, "one"), 0);
	assert_int_equal(net_forwarding_release(dir, "never"), 0);
	close(ns);
	net_close(net);
	after = lab_snapshot();
	assert_string_equal(before, after);
	snprintf(record, sizeof(record), "%s/ip_forward", dir);
	assert_int_equal(access(record, F_OK), -1);
	assert_int_equal(rmdir(dir), 0);
}

static void a_bridge_goes_with_all_its_ports_and_nothing_else(void **state)
{
	_cleanup_free_ char *before = NULL;
	_cleanup_free_ char *after = NULL;
	struct net_ipv4 gateway = { 0x0a5b0001, 24 }, other = { 0x0a5c0001, 24 };
	struct net *net;
	int ns[20];

	(void)state;
	lab_enter();
	assert_ok(net_open(&net, why));
	assert_ok(net_bridge_create(net, "wh0000b002", other, why));
	before = lab_snapshot();
	assert_ok(net_bridge_create(net, "wh0000b001", gateway, why));
	for (unsigned i = 0; i < ARRAY_SIZE(ns); i++) {
		char name[16];
		struct net_attachment a = { .bridge = "wh0000b001",
			.host_interface = name,
			.name = "eth0",
			.address = { 0x0a5b0002 + i, 24 },
			.gateway = gateway };

		snprintf(name, sizeof(name), "wh%08x", 0xc000 + i);
		assert_ok(net_ns_create(false, &ns[i], why));
		assert_ok(net_attach(net, ns[i], &a, why));
	}
	assert_ok(net_bridge_remove(net, "wh0000b001", why));
	assert_ok(net_bridge_remove(net, "wh0000b001", why));
	after = lab_snapshot();
	assert_string_equal(before, after);
	/* One that a user made and called as he liked goes alone. */
	free(lab_output((const char *const[]){
		"ip", "link", "add", "wh00000000", "type", "bridge", NULL }));
	assert_ok(net_bridge_remove(net, "wh00000000", why));
	free(take_ptr(after));
	after = lab_snapshot();
	assert_string_equal(before, after);
	for (unsigned i = 0; i < ARRAY_SIZE(ns); i++) {
		close(ns[i]);
	}
	net_close(net);
}

static void forwarding_that_was_on_stays_on(void **state)
{
	char dir[] = "/tmp/test-net-XXXXXX", path[64];
	_cleanup_free_ char *text = NULL;

	(void)state;
	lab_enter();
	assert_non_null(mkdtemp(dir));
	assert_int_equal(file_put_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "1"), 0);
	snprintf(path, sizeof(path), "%s/ip_forward", dir);
	/* A torn record, or one of an earlier boot, is as good as none. */
	assert_int_equal(
		file_write_atomic(AT_FDCWD, path, "wherry-forw", 11, 0600, false, NULL), 0);
	assert_ok(net_forwarding_acquire(dir, "one", why));
	assert_int_equal(net_forwarding_release(dir, "one"), 0);
	assert_int_equal(
		file_read_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", 16, &text, NULL, NULL), 0);
	assert_string_equal(text, "1\n");
	assert_int_equal(rmdir(dir), 0);
}

static void a_failed_attachment_leaves_nothing(void **state)
{
	struct lab *lab = *state;
	_cleanup_free_ char *before = lab_snapshot();
	struct net_attachment a = { .bridge = "whb1",
		.host_interface = "wh00000009",
		.name = "eth1",
		.address = { 0x0a590009, 24 },
		.gateway = { 0x0a630001, 24 } }; /* unreachable: the last step fails */
	struct error err = ERROR_INIT;

	assert_true(net_attach(lab->net, lab->c1, &a, &err) < 0);
	assert_non_null(strstr(err.message, "default route through 10.99.0.1"));
	for (unsigned i = 1; i <= 7; i++) {
		_cleanup_free_ char *after = NULL;

		sys_fault_arm("netlink", i, EIO);
		assert_int_equal(net_attach(lab->net, lab->c1, &a, &err) < 0, true);
		sys_fault_disarm();
		after = lab_snapshot();
		assert_string_equal(before, after);
	}
}

static unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(dir)) {
		count++;
	}
	closedir(dir);
	return count;
}

static ino_t own_ns(void)
{
	struct stat st;

	assert_int_equal(stat("/proc/thread-self/ns/net", &st), 0);
	return st.st_ino;
}

/* *@over: the armed fault was not reached any more. */
static int make_and_serve(struct lab *lab, bool *over, struct error *err)
{
	struct net_attachment a = { .bridge = "whb1",
		.host_interface = "wh00000009",
		.name = "eth0",
		.address = { 0x0a590009, 24 },
		.gateway = { GATEWAY, 24 } };
	int ns = -EBADF, udp = -EBADF, tcp = -EBADF;
	int r = net_ns_create(false, &ns, err);

	r = r < 0 ? r : net_attach(lab->net, ns, &a, err);
	r = r < 0 ? r : resolver_sockets_create(ns, &udp, &tcp, err);
	fd_close(&ns);
	fd_close(&udp);
	fd_close(&tcp);
	*over = sys_fault_armed;
	sys_fault_disarm();
	assert_ok(net_link_remove(lab->net, a.host_interface, why));
	return r;
}

static void any_call_may_fail_and_nothing_leaks(void **state)
{
	struct lab *lab = *state;
	unsigned fds = count_fds(), failures = 0;
	ino_t home = own_ns();
	bool over = false;

	for (unsigned i = 1; !over; i++) {
		struct error err = ERROR_INIT;
		int r;

		assert_true(i < 200);
		sys_fault_arm("*", i, EIO);
		r = make_and_serve(lab, &over, &err);
		assert_true(!over || r == 0);
		if (r < 0) {
			failures++;
			assert_true(err.message[0] != '\0');
		}
		assert_int_equal(count_fds(), fds);
		assert_int_equal(own_ns(), home);
	}
	assert_true(failures > 15);
}

static void a_stale_interface_of_ours_makes_way(void **state)
{
	struct lab *lab = *state;
	struct net_attachment a = { .bridge = "whb1",
		.host_interface = "wh00000001",
		.name = "eth0",
		.address = { 0x0a590009, 24 },
		.gateway = { GATEWAY, 24 } };
	int ns, server;

	assert_ok(net_ns_create(false, &ns, why));
	assert_ok(net_attach(lab->net, ns, &a, why));
	server = lab_serve(ns, IPPROTO_TCP, 0, 80);
	assert_int_equal(lab_try(lab->c2, IPPROTO_TCP, 0x0a590009, 80, server, NULL), 0);
	close(server);
	close(ns);
}

static int read_inside(void *data)
{
	struct strv *texts = data;
	static const char *const files[] = {
		"/proc/sys/net/ipv4/ip_unprivileged_port_start",
		"/proc/sys/net/ipv4/ping_group_range",
		"/proc/sys/net/ipv6/conf/eth0/disable_ipv6",
		"/proc/sys/net/ipv6/conf/lo/disable_ipv6",
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *text = NULL;

		if (file_read_at(AT_FDCWD, files[i], 64, &text, NULL, NULL) == 0) {
			strv_add(texts, text);
		}
	}
	_cleanup_free_ char *links = lab_output((const char *const[]){ "ip", "-o", "link", NULL });
	strv_add(texts, links);
	return 0;
}

static void a_containers_network_is_set_up_as_docker_does(void **state)
{
	struct lab *lab = *state;
	_cleanup_strv_ struct strv texts = { 0 };

	assert_int_equal(net_ns_do(lab->c1, read_inside, &texts), 0);
	assert_int_equal(texts.count, 5);
	assert_string_equal(texts.items[0], "0\n");
	assert_string_equal(texts.items[1], "0\t2147483647\n");
	assert_string_equal(texts.items[2], "1\n");
	assert_string_equal(texts.items[3], "0\n");
	assert_non_null(strstr(texts.items[4], "02:42:0a:59:00:02"));
	assert_non_null(strstr(texts.items[4], "lo: <LOOPBACK,UP,LOWER_UP>"));
}

static void a_bridge_takes_the_mtu_of_the_way_out(void **state)
{
	struct lab *lab = *state;
	struct net_ipv4 gateway = { 0x0a5c0001, 24 };
	struct link_info link;

	free(lab_output(
		(const char *const[]){ "ip", "link", "set", "uplink", "mtu", "1400", NULL }));
	free(lab_output((const char *const[]){
		"ip", "route", "add", "default", "via", "198.51.100.2", NULL }));
	assert_ok(net_bridge_create(lab->net, "whb3", gateway, why));
	assert_int_equal(link_get(&lab->net->route, "whb3", 0, &link), 0);
	assert_int_equal(link.mtu, 1400);
}

static void another_kind_of_interface_is_not_taken_over(void **state)
{
	struct lab *lab = *state;
	struct net_ipv4 gateway = { 0x0a5c0001, 24 };
	struct error err = ERROR_INIT;

	assert_int_equal(net_bridge_create(lab->net, "uplink", gateway, &err), -EEXIST);
	assert_non_null(strstr(err.message, "uplink exists and is no bridge"));
	assert_int_equal(
		net_bridge_create(lab->net, "far-too-long-a-name", gateway, &err), -EINVAL);
	assert_int_equal(net_bridge_create(lab->net, "../x", gateway, &err), -EINVAL);
}

static void subnets_are_picked_around_the_host(void **state)
{
	struct lab *lab = *state;
	const struct net_ipv4 taken[] = { { 0xac130000, 24 } }; /* 172.19.0.0/24 */
	struct net_ipv4 subnet;
	struct error err = ERROR_INIT;

	assert_ok(net_subnet_pick(lab->net, NULL, 0, &subnet, why));
	assert_int_equal(subnet.address, 0xac110000);
	assert_int_equal(subnet.prefix, 16);
	free(lab_output((const char *const[]){
		"ip", "address", "add", "172.17.9.9/24", "dev", "uplink", NULL }));
	free(lab_output((const char *const[]){
		"ip", "route", "add", "172.18.4.0/24", "via", "198.51.100.2", NULL }));
	/* The two halves of a VPN's default route are no obstacle. */
	free(lab_output((const char *const[]){
		"ip", "route", "add", "128.0.0.0/1", "via", "198.51.100.2", NULL }));
	assert_ok(net_subnet_pick(lab->net, taken, 1, &subnet, why));
	assert_int_equal(subnet.address, 0xac140000);
	free(lab_output((const char *const[]){
		"ip", "route", "add", "172.16.0.0/12", "via", "198.51.100.2", NULL }));
	assert_ok(net_subnet_pick(lab->net, NULL, 0, &subnet, why));
	assert_int_equal(subnet.address, 0xc0a80000);
	assert_int_equal(subnet.prefix, 20);
	free(lab_output((const char *const[]){
		"ip", "route", "add", "192.168.0.0/16", "via", "198.51.100.2", NULL }));
	assert_int_equal(net_subnet_pick(lab->net, NULL, 0, &subnet, &err), -EADDRNOTAVAIL);
	subnet = (struct net_ipv4){ 0xc0a80100, 24 };
	assert_int_equal(net_subnet_check(lab->net, subnet, &err), -EEXIST);
	assert_string_equal(err.message,
		"subnet 192.168.1.0/24 overlaps the route 192.168.0.0/16 of interface uplink");
	subnet = (struct net_ipv4){ 0x0afe0000, 16 };
	assert_ok(net_subnet_check(lab->net, subnet, why));
}

static bool kernel_tells_bound_sockets(void)
{
	struct utsname name;
	unsigned major = 0, minor = 0;

	uname(&name);
	sscanf(name.release, "%u.%u", &major, &minor);
	return major > 6 || (major == 6 && minor >= 8);
}

static void a_reserved_port_is_refused_to_others(void **state)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(8080) };
	int on = 1;

	(void)state;
	lab_enter();
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		bool tcp = protocols[i] == IPPROTO_TCP;
		struct error err = ERROR_INIT;
		uint16_t port;
		int fd = net_port_reserve(protocols[i], 0, 8080, &port, &err);
		int other = socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);

		assert_true(fd >= 0);
		assert_int_equal(port, 8080);
		setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(other, (struct sockaddr *)&at, sizeof(at)) == 0) {
			assert_true(tcp);
			assert_int_equal(listen(other, 1), -1);
		}
		assert_int_equal(errno, EADDRINUSE);
		close(other);
		/* A second reservation as well, also of one address among all. */
		assert_int_equal(net_port_reserve(protocols[i], 0, 8080, &port, &err), -EADDRINUSE);
		assert_int_equal(
			net_port_reserve(protocols[i], LAB_LOCAL, 8080, &port, &err), -EADDRINUSE);
		assert_non_null(strstr(
			err.message, "Bind for 127.0.0.1:8080 failed: port is already allocated"));
		if (!tcp || kernel_tells_bound_sockets()) {
			assert_non_null(strstr(err.message, "(held by "));
		}
		close(fd);
		fd = net_port_reserve(protocols[i], LAB_LOCAL, 8080, &port, &err);
		assert_true(fd >= 0);
		close(fd);
	}
}

static void a_port_with_a_listener_is_not_reserved_and_the_holder_named(void **state)
{
	struct error err = ERROR_INIT;
	char expected[200], name[32] = "";
	int server, comm;
	uint16_t port;

	(void)state;
	lab_enter();
	comm = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	assert_true(read(comm, name, sizeof(name) - 1) > 0);
	close(comm);
	name[strcspn(name, "\n")] = '\0';
	server = lab_serve(-1, IPPROTO_TCP, LAB_LOCAL, 8080);
	assert_int_equal(net_port_reserve(IPPROTO_TCP, 0, 8080, &port, &err), -EADDRINUSE);
	snprintf(expected, sizeof(expected),
		"Bind for 0.0.0.0:8080 failed: port is already allocated (held by %s, pid %d)",
		name, (int)getpid());
	assert_string_equal(err.message, expected);
	close(server);
	server = lab_serve(-1, IPPROTO_UDP, 0, 8081);
	assert_int_equal(net_port_reserve(IPPROTO_UDP, LAB_LOCAL, 8081, &port, &err), -EADDRINUSE);
	assert_non_null(strstr(err.message, "(held by"));
	close(server);
}

static void connections_in_time_wait_do_not_hold_a_port(void **state)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons(8080), .sin_addr.s_addr = htonl(LAB_LOCAL)
	};
	int server, client, accepted, fd;
	_cleanup_free_ char *table = NULL;
	struct error err = ERROR_INIT;
	uint16_t port;
	char byte;

	(void)state;
	lab_enter();
	server = lab_serve(-1, IPPROTO_TCP, LAB_LOCAL, 8080);
	client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
	accepted = accept(server, NULL, NULL);
	close(accepted); /* who closes first waits */
	assert_int_equal(read(client, &byte, 1), 0);
	close(client);
	close(server);
	assert_int_equal(file_read_at(AT_FDCWD, "/proc/net/tcp", 1 << 20, &table, NULL, NULL), 0);
	assert_non_null(strstr(table, "0100007F:1F90 0100007F:")); /* state 06 lies there */
	fd = net_port_reserve(IPPROTO_TCP, 0, 8080, &port, &err);
	if (fd < 0) {
		fail_msg("%s", err.message);
	}
	close(fd);
}

static void a_free_port_is_chosen_and_held(void **state)
{
	uint16_t port = 0, again;
	struct error err = ERROR_INIT;
	int fd;

	(void)state;
	lab_enter();
	fd = net_port_reserve(IPPROTO_TCP, 0, 0, &port, &err);
	assert_true(fd >= 0 && port >= 1024);
	assert_int_equal(net_port_reserve(IPPROTO_TCP, 0, port, &again, &err), -EADDRINUSE);
	close(fd);
	assert_int_equal(
		net_port_reserve(IPPROTO_TCP, 0xc0000201, 80, &again, &err), -EADDRNOTAVAIL);
	assert_non_null(strstr(err.message, "Bind for 192.0.2.1:80 failed"));
}

static void a_reserved_port_accepts_nothing(void **state)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons(8080), .sin_addr.s_addr = htonl(LAB_LOCAL)
	};
	struct error err = ERROR_INIT;
	int client = socket(AF_INET, SOCK_STREAM, 0), fd;

	(void)state;
	lab_enter();
	close(client);
	client = socket(AF_INET, SOCK_STREAM, 0);
	fd = net_port_reserve(IPPROTO_TCP, 0, 8080, NULL, &err);
	assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(client);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define LAB_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		LAB_TEST(published_ports_are_reachable_from_where_they_should_be),
		LAB_TEST(published_ports_work_when_bridged_packets_are_filtered),
		LAB_TEST(containers_get_out_unless_their_network_is_internal),
		LAB_TEST(nothing_is_published_from_an_internal_network),
		LAB_TEST(internal_network_cannot_use_another_ones_published_port),
		LAB_TEST(projects_are_isolated_from_each_other),
		LAB_TEST(neighbour_cannot_reach_a_port_published_on_loopback),
		LAB_TEST(container_cannot_reach_the_hosts_loopback),
		LAB_TEST(replacing_the_rules_keeps_one_table),
		LAB_TEST(a_thousand_ports_fit_one_transaction),
		LAB_TEST(a_refused_transaction_names_its_step_and_changes_nothing),
		LAB_TEST(a_failed_attachment_leaves_nothing),
		LAB_TEST(any_call_may_fail_and_nothing_leaks),
		LAB_TEST(a_stale_interface_of_ours_makes_way),
		LAB_TEST(a_containers_network_is_set_up_as_docker_does),
		LAB_TEST(a_bridge_takes_the_mtu_of_the_way_out),
		LAB_TEST(another_kind_of_interface_is_not_taken_over),
		LAB_TEST(subnets_are_picked_around_the_host),
		cmocka_unit_test(nothing_is_left_after_everything_is_removed),
		cmocka_unit_test(a_bridge_goes_with_all_its_ports_and_nothing_else),
		cmocka_unit_test(forwarding_that_was_on_stays_on),
		cmocka_unit_test(a_reserved_port_is_refused_to_others),
		cmocka_unit_test(a_port_with_a_listener_is_not_reserved_and_the_holder_named),
		cmocka_unit_test(connections_in_time_wait_do_not_hold_a_port),
		cmocka_unit_test(a_free_port_is_chosen_and_held),
		cmocka_unit_test(a_reserved_port_accepts_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
