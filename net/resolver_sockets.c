/*
 * The sockets inside a container. They listen on ports of their own, and a rule leads port 53 of
 * 127.0.0.11 to them: a socket on port 53 itself would keep the payload from being a name server.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <linux/netfilter.h>

#include "base/fd.h"
#include "base/sys.h"
#include "net/nft.h"
#include "net/resolver.h"

#define RESOLVER_ADDRESS 0x7f00000b
#define BACKLOG          64

struct sockets {
	int udp, tcp;
	struct error *err;
};

static int open_socket(int type, uint16_t *port, struct error *err)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(RESOLVER_ADDRESS) };
	socklen_t size = sizeof(address);
	_cleanup_fd_ int fd = sys_socket(AF_INET, type | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		return error_set(err, fd, "open the resolver's socket");
	}
	if (bind(fd, (struct sockaddr *)&address, size) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
		(type == SOCK_STREAM && listen(fd, BACKLOG) < 0)) {
		return error_set(err, errno, "bind the resolver to 127.0.0.11");
	}
	*port = ntohs(address.sin_port);
	return take_fd(&fd);
}

static void lead(struct nft *nft, uint8_t protocol, uint16_t port)
{
	const struct net_ipv4 address = { RESOLVER_ADDRESS, 32 };

	nft_rule_begin(nft, "output");
	nft_match_destination(nft, address);
	nft_match_port(nft, protocol, 53);
	nft_dnat(nft, RESOLVER_ADDRESS, port);
	nft_rule_end(nft);
}

static int add_table(
	struct netlink *nl, bool replace, uint16_t udp_port, uint16_t tcp_port, struct error *err)
{
	static const struct nft_hook output = { "nat", NF_INET_LOCAL_OUT, -100 };
	struct nft nft;

	nft_begin(&nft, "wherry-dns");
	if (replace) {
		nft_table_add(&nft);
		nft_table_delete(&nft);
	}
	nft_table_create(&nft);
	nft_chain_add(&nft, "output", &output);
	lead(&nft, IPPROTO_UDP, udp_port);
	lead(&nft, IPPROTO_TCP, tcp_port);
	return nft_commit(&nft, nl, err);
}

static int add_rules(uint16_t udp_port, uint16_t tcp_port, struct error *err)
{
	struct netlink nl;
	int r = netlink_open(&nl, NETLINK_NETFILTER, err);

	if (r == 0) {
		/* Having deleted makes the socket's close wait for an RCU grace period, 14 ms;
		 * so it is kept for the rare namespace that has such a table already. */
		r = add_table(&nl, false, udp_port, tcp_port, err);
		if (r == -EEXIST) {
			r = add_table(&nl, true, udp_port, tcp_port, err);
		}
	}
	netlink_close(&nl);
	return r;
}

static int create_inside(void *data)
{
	struct sockets *s = data;
	_cleanup_fd_ int udp = -EBADF, tcp = -EBADF;
	uint16_t udp_port = 0, tcp_port = 0;
	int r;

	udp = open_socket(SOCK_DGRAM, &udp_port, s->err);
	if (udp < 0) {
		return udp;
	}
	tcp = open_socket(SOCK_STREAM, &tcp_port, s->err);
	if (tcp < 0) {
		return tcp;
	}
	r = add_rules(udp_port, tcp_port, s->err);
	if (r == 0) {
		s->udp = take_fd(&udp);
		s->tcp = take_fd(&tcp);
	}
	return r;
}

int resolver_sockets_create(int ns_fd, int *udp_fd, int *tcp_fd, struct error *err)
{
	struct error inner = ERROR_INIT;
	struct sockets s = { .udp = -EBADF, .tcp = -EBADF, .err = &inner };
	int r = net_ns_do(ns_fd, create_inside, &s);

	*udp_fd = s.udp;
	*tcp_fd = s.tcp;
	if (r < 0) {
		return inner.code
			       ? error_say(err, r, "%s in the container's network", inner.message)
			       : error_set(err, r, "enter the container's network namespace");
	}
	return 0;
}
