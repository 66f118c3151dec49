/*
 * The private networks of one project: namespaces, bridges, veth pairs, addresses, packet rules.
 *
 * Everything is made through netlink (libnl) from this process; no helper is executed. Names of
 * interfaces are "wh" + 8 hex digits. Each project has one nf_tables table, replaced as a whole in
 * one transaction whenever its ports or bridges change.
 */
#ifndef WHERRY_NET_NET_H
#define WHERRY_NET_NET_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

struct net_ipv4 { /* host byte order */
	uint32_t address;
	uint8_t prefix;
};

/* "10.1.2.3/24" or "10.1.2.3" (prefix 32). 0 or -EINVAL. */
int net_ipv4_parse(const char *text, struct net_ipv4 *ip);
#define NET_IPV4_SIZE 20
void net_ipv4_print(struct net_ipv4 ip, bool with_prefix, char out[NET_IPV4_SIZE]);
/* The network mask of a prefix length, host byte order. */
uint32_t net_ipv4_mask(uint8_t prefix);
/* Whether the two blocks share an address. */
bool net_ipv4_overlap(struct net_ipv4 a, struct net_ipv4 b);

/* The netlink sockets of this process: route and netfilter. One per supervisor. */
struct net;
int net_open(struct net **net, struct error *err);
void net_close(struct net *net);

/*
 * Makes a network namespace with `lo` up and docker's sysctls in it (ip_unprivileged_port_start 0,
 * ping_group_range, no IPv6 unless asked), without leaving the caller's own namespace.
 * *@fd is the caller's; the namespace lives as long as it is open (or a process is inside).
 */
int net_ns_create(bool ipv6, int *fd, struct error *err);
/* Runs @call(@data) inside the namespace and comes back. Returns what @call returned. */
int net_ns_do(int ns_fd, int (*call)(void *data), void *data);

/* Picks a subnet that overlaps no route, address or @taken entry of this host, in docker's order:
 * 172.17/16 .. 172.31/16, then 192.168.0/20 .. */
int net_subnet_pick(struct net *net, const struct net_ipv4 *taken, size_t count,
	struct net_ipv4 *subnet, struct error *err);
/* -EEXIST with the route or interface named if @subnet overlaps one of the host. */
int net_subnet_check(struct net *net, struct net_ipv4 subnet, struct error *err);

/* Makes the bridge, gives it the gateway address, MTU of the host's default route, route_localnet,
 * no IPv6 router advertisements, up. An existing interface of that name is taken over. */
int net_bridge_create(
	struct net *net, const char *name, struct net_ipv4 gateway, struct error *err);
/* Removes the bridge with all its ports (net_attach) at once: about 20 ms however many there are,
 * where net_link_remove() takes that for each. The containers' ends vanish too. A missing bridge
 * is fine. */
int net_bridge_remove(struct net *net, const char *name, struct error *err);
/* Removes an interface; a missing one is fine. */
int net_link_remove(struct net *net, const char *name, struct error *err);

struct net_attachment {
	const char *bridge; /* name of the bridge */
	const char *host_interface; /* "wh" + 8 hex */
	const char *name; /* inside, "eth0" */
	struct net_ipv4 address;
	struct net_ipv4 gateway; /* address 0: no default route through this network */
	uint8_t mac[6]; /* all zero: derived from the address as docker does (02:42:...) */
};
/* One RTM_NEWLINK makes the pair with its peer already inside @ns_fd; hairpin mode is set on the
 * bridge's port; then address, up and default route inside. On failure nothing remains. */
int net_attach(struct net *net, int ns_fd, const struct net_attachment *a, struct error *err);

/* What the project's table has to hold. */
struct net_rule_bridge {
	const char *name;
	struct net_ipv4 subnet;
	bool internal; /* no way out, nothing published */
};
struct net_rule_port {
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint32_t host_ip; /* host byte order; 0: every address */
	uint16_t host_port;
	uint32_t container_ip;
	uint16_t container_port;
};
/*
 * Replaces the table "wherry-<project>" by one that isolates the bridges from each other and from
 * unpublished outside traffic, masquerades what leaves, and leads the published ports to their
 * containers from loopback, from the host's other addresses, from outside and from containers
 * (hairpin). One transaction. Ports of containers on internal networks are left out. That the host
 * forwards at all is the caller's business (net_forwarding_acquire).
 */
int net_rules_replace(struct net *net, const char *project, const struct net_rule_bridge *bridges,
	size_t bridge_count, const struct net_rule_port *ports, size_t port_count,
	struct error *err);
/* Removes the table; a missing one is fine. */
int net_rules_remove(struct net *net, const char *project, struct error *err);

/*
 * net.ipv4.ip_forward: remembers in @run_dir/ip_forward what it was before the first project and
 * which projects need it; puts it back when the last one lets go. Both hold flock(2) on @run_dir
 * itself for the moment: call them without such a lock.
 */
int net_forwarding_acquire(const char *run_dir, const char *project, struct error *err);
int net_forwarding_release(const char *run_dir, const char *project);

/*
 * Holds a host port for as long as the descriptor is open, without accepting anything on it.
 * Address in host byte order, 0 for all. Returns the descriptor or a negative errno; on
 * EADDRINUSE @err names the port and, where it can be found, the process that holds it.
 * @port 0 picks a free one of ip_local_port_range (*@chosen says which).
 */
int net_port_reserve(
	uint8_t protocol, uint32_t host_ip, uint16_t port, uint16_t *chosen, struct error *err);

#endif
