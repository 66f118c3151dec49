/*
 * A small Internet for tests. The test itself stands in a fresh network namespace that plays the
 * host, beside it one that plays the outside, and containers as the product makes them. All in this
 * header, so that only the tests that want it need net/ behind it.
 */
#ifndef WHERRY_TESTS_LIB_NET_LAB_H
#define WHERRY_TESTS_LIB_NET_LAB_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/file.h"
#include "net/link.h"
#include "net/net.h"

#define LAB         static __attribute__((unused))

#define LAB_HOST    0xc6336401 /* 198.51.100.1, the host's outer address */
#define LAB_OUTSIDE 0xc6336402 /* 198.51.100.2 */
#define LAB_LOCAL   0x7f000001

struct lab {
	struct net *net;
	int outside; /* namespace, default route through the host */
	int c1, c2; /* 10.89.0.2 and .3 on bridge "whb1" */
	int other; /* 10.90.0.2 on bridge "whb2" */
};

#define PATIENCE_MS 3000 /* for what has to come */
#define DEADLINE_MS 250 /* for what must not come */

#define MUST(what)                                                                                 \
	do {                                                                                       \
		struct error err_ = ERROR_INIT, *err = &err_;                                      \
		long r_ = (what);                                                                  \
		if (r_ < 0) {                                                                      \
			fprintf(stderr, "%s:%d: %s: %ld %s\n", __FILE__, __LINE__, #what, r_,      \
				err->message);                                                     \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* Moves the process into a namespace of its own, with lo up. */
LAB void lab_enter(void)
{
	struct netlink nl;

	MUST(unshare(CLONE_NEWNET));
	MUST(netlink_open(&nl, NETLINK_ROUTE, err));
	MUST(link_up(&nl, 1, "lo", err));
	netlink_close(&nl);
}

LAB void attach(struct lab *lab, int *ns, const char *bridge, const char *port, uint32_t address)
{
	struct net_attachment a = { .bridge = bridge,
		.host_interface = port,
		.name = "eth0",
		.address = { address, 24 },
		.gateway = { (address & 0xffffff00) | 1, 24 } };

	MUST(net_ns_create(false, ns, err));
	MUST(net_attach(lab->net, *ns, &a, err));
}

LAB void connect_outside(struct lab *lab)
{
	struct link_veth veth = { .name = "uplink",
		.peer_name = "eth0",
		.peer_ns = lab->outside,
		.mtu = 1500,
		.peer_mac = { 2, 0, 0, 0, 0, 2 } };
	struct net_ipv4 host = { LAB_HOST, 24 }, outside = { LAB_OUTSIDE, 24 };
	struct link_info link;
	struct netlink nl;

	MUST(link_veth_create(&lab->net->route, &veth, err));
	MUST(link_get(&lab->net->route, "uplink", 0, &link));
	MUST(link_address_add(&lab->net->route, link.index, "uplink", host, err));
	MUST(netlink_in_ns(lab->outside, NETLINK_ROUTE, &nl, err));
	MUST(link_get(&nl, "eth0", 0, &link));
	MUST(link_address_add(&nl, link.index, "eth0", outside, err));
	MUST(link_up(&nl, link.index, "eth0", err));
	MUST(link_default_route(&nl, link.index, host, err));
	link_settle(&nl, "eth0");
	link_settle(&lab->net->route, "uplink");
	netlink_close(&nl);
}

/* Host, outside link, two bridges, three containers. */
LAB void lab_build(struct lab *lab)
{
	struct net_ipv4 first = { 0x0a590001, 24 }, second = { 0x0a5a0001, 24 };

	MUST(net_open(&lab->net, err));
	MUST(net_ns_create(false, &lab->outside, err));
	connect_outside(lab);
	MUST(net_bridge_create(lab->net, "whb1", first, err));
	MUST(net_bridge_create(lab->net, "whb2", second, err));
	attach(lab, &lab->c1, "whb1", "wh00000001", 0x0a590002);
	attach(lab, &lab->c2, "whb1", "wh00000002", 0x0a590003);
	attach(lab, &lab->other, "whb2", "wh00000003", 0x0a5a0002);
	MUST(file_put_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "1"));
}

LAB void lab_destroy(struct lab *lab)
{
	fd_close(&lab->outside);
	fd_close(&lab->c1);
	fd_close(&lab->c2);
	fd_close(&lab->other);
	net_close(lab->net);
}

struct open_socket {
	int type;
	int fd;
};

LAB int open_here(void *data)
{
	struct open_socket *o = data;

	o->fd = socket(AF_INET, o->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return o->fd < 0 ? -errno : 0;
}

LAB int lab_socket(int ns, uint8_t protocol)
{
	struct open_socket o = { .type = protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM };

	MUST(ns < 0 ? open_here(&o) : net_ns_do(ns, open_here, &o));
	return o.fd;
}

LAB struct sockaddr_in lab_address(uint32_t address, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)
	};
}

/* A listening (or bound, for UDP) socket in the namespace @ns (-1: the host). */
LAB int lab_serve(int ns, uint8_t protocol, uint32_t address, uint16_t port)
{
	struct sockaddr_in at = lab_address(address, port);
	int fd = lab_socket(ns, protocol), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	MUST(bind(fd, (struct sockaddr *)&at, sizeof(at)));
	if (protocol == IPPROTO_TCP) {
		MUST(listen(fd, 64));
	}
	return fd;
}

LAB int wait_for(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, ms) == 1 ? 0 : -ETIMEDOUT;
}

/* The answer that a client waits for: "pong" from the address that it asked. */
LAB int read_pong(int client)
{
	char text[8];
	ssize_t n;

	if (wait_for(client, POLLIN, PATIENCE_MS) < 0) {
		return -ETIMEDOUT;
	}
	n = recv(client, text, sizeof(text), 0);
	return n == 4 && memcmp(text, "pong", 4) == 0 ? 0 : -EBADMSG;
}

LAB int try_tcp(int client, int server, uint32_t *seen)
{
	struct sockaddr_in from = { .sin_family = AF_UNSPEC };
	socklen_t size = sizeof(from);
	int error = 0, r;
	_cleanup_fd_ int accepted = -EBADF;

	r = wait_for(client, POLLOUT, DEADLINE_MS);
	if (r < 0) {
		return r;
	}
	getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){ sizeof(error) });
	if (error) {
		return -error;
	}
	if (wait_for(server, POLLIN, PATIENCE_MS) < 0) {
		return -ENOTCONN; /* connected, but to somebody else */
	}
	accepted = accept(server, (struct sockaddr *)&from, &size);
	*seen = ntohl(from.sin_addr.s_addr);
	MUST(send(accepted, "pong", 4, 0));
	return read_pong(client);
}

LAB int try_udp(int client, int server, uint32_t *seen)
{
	struct sockaddr_in from = { .sin_family = AF_UNSPEC };
	socklen_t size = sizeof(from);
	char text[8];
	ssize_t n;

	if (send(client, "ping", 4, 0) < 0) {
		return -errno;
	}
	if (wait_for(server, POLLIN, DEADLINE_MS) < 0) {
		return -ETIMEDOUT;
	}
	n = recvfrom(server, text, sizeof(text), 0, (struct sockaddr *)&from, &size);
	if (n != 4) {
		return -EBADMSG;
	}
	*seen = ntohl(from.sin_addr.s_addr);
	MUST(sendto(server, "pong", 4, 0, (struct sockaddr *)&from, size));
	return read_pong(client);
}

/*
 * Sends a request from @ns and has @server answer it. Returns 0 with *@seen the client's address
 * as the server saw it, or a negative errno (-ETIMEDOUT where nothing came through).
 */
LAB int lab_try(
	int ns, uint8_t protocol, uint32_t address, uint16_t port, int server, uint32_t *seen)
{
	struct sockaddr_in to = lab_address(address, port);
	_cleanup_fd_ int client = lab_socket(ns, protocol);
	uint32_t ignored = 0;

	if (connect(client, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS) {
		return -errno;
	}
	return (protocol == IPPROTO_TCP ? try_tcp : try_udp)(
		client, server, seen ? seen : &ignored);
}

/* What a program prints. The caller's (free). */
LAB char *lab_output(const char *const argv[])
{
	int pipe_fds[2], status;
	char *text = NULL;
	pid_t pid;

	MUST(pipe(pipe_fds));
	pid = fork();
	if (pid == 0) {
		dup2(pipe_fds[1], 1);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(pipe_fds[1]);
	MUST(file_read_fd(pipe_fds[0], 1 << 20, &text, NULL));
	close(pipe_fds[0]);
	waitpid(pid, &status, 0);
	if (status != 0) {
		fprintf(stderr, "%s ended with status %d\n", argv[0], status);
		abort();
	}
	return text;
}

/* Interfaces, routes, packet rules and forwarding as text, for before and after. */
LAB char *lab_snapshot(void)
{
	static const char *const commands[][6] = {
		{ "ip", "-o", "link", NULL },
		{ "ip", "-o", "address", NULL },
		{ "ip", "route", "show", "table", "all", NULL },
		{ "nft", "list", "ruleset", NULL },
		{ "cat", "/proc/sys/net/ipv4/ip_forward", NULL },
	};
	struct str all = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		_cleanup_free_ char *text = lab_output(commands[i]);

		str_addf(&all, "%s:\n%s", commands[i][0], text);
	}
	return str_take(&all);
}

#endif
