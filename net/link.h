/* Interfaces, addresses and routes: the rtnetlink requests of this folder. */
#ifndef WHERRY_NET_LINK_H
#define WHERRY_NET_LINK_H

#include <net/if.h>
#include <stdint.h>

#include "net/net.h"
#include "net/netlink.h"

struct link_info {
	int index;
	uint32_t mtu, group;
	char name[IFNAMSIZ];
	char kind[16]; /* "bridge", "veth", empty for hardware */
};

struct link_veth {
	const char *name, *peer_name;
	int bridge_index;
	int peer_ns; /* namespace descriptor */
	uint32_t group; /* of our end, 0: none */
	uint32_t mtu;
	uint8_t peer_mac[6];
};

/* By @name, or by @index where @name is NULL. 0 or a negative errno (-ENODEV). */
int link_get(struct netlink *nl, const char *name, int index, struct link_info *info);
int link_remove(struct netlink *nl, const char *name, struct error *err);
/* Removes every interface of a group other than 0 in one go; none is fine. */
int link_remove_group(struct netlink *nl, uint32_t group, struct error *err);
int link_up(struct netlink *nl, int index, const char *name, struct error *err);
/*
 * Waits until an interface that has just come up can send. The kernel switches its queue on from a
 * worker; what is sent before that is lost, and a lost first SYN costs a second. Asking for the
 * interface makes it do so at once (Linux 6.7 and later; earlier it is left to the worker).
 */
void link_settle(struct netlink *nl, const char *name);
int link_address_add(
	struct netlink *nl, int index, const char *name, struct net_ipv4 ip, struct error *err);
int link_default_route(struct netlink *nl, int index, struct net_ipv4 gateway, struct error *err);
/* -EEXIST if any interface has that name. */
int link_bridge_create(struct netlink *nl, const char *name, const uint8_t mac[6], uint32_t mtu,
	uint32_t group, struct error *err);
/* Our end is up and a port of the bridge (index 0: of none), the other in its namespace, down. */
int link_veth_create(struct netlink *nl, const struct link_veth *veth, struct error *err);
/* Lets the bridge send a frame back out of the port it came from. */
int link_hairpin(struct netlink *nl, const char *name, struct error *err);

#endif
