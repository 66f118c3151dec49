/* Which subnets are free on this host. */
#include <errno.h>
#include <linux/rtnetlink.h>

#include "net/link.h"
#include "net/net.h"

/* Split default routes of VPNs (0.0.0.0/1 and 128.0.0.0/1) are ways out, not places. */
#define ROUTE_PREFIX_MIN 8
#define DUMP_TRIES       5

struct host_block {
	struct net_ipv4 block;
	int index; /* interface, 0: unknown */
	bool route;
};

struct host_blocks {
	struct host_block *items;
	size_t count;
};

static void add_block(struct host_blocks *all, struct host_block block)
{
	if ((all->count & (all->count - 1)) == 0) {
		all->items = xrealloc(
			all->items, all->count ? all->count * 2 : 1, sizeof(all->items[0]));
	}
	all->items[all->count++] = block;
}

static int see_route(const struct nlmsghdr *header, void *data)
{
	const struct rtmsg *route = nlmsg_data(header);
	struct nlattr *a[RTA_MAX + 1];
	struct host_block block = { .route = true };

	if (header->nlmsg_type != RTM_NEWROUTE ||
		nlmsg_parse((struct nlmsghdr *)(uintptr_t)header, sizeof(*route), a, RTA_MAX,
			NULL) < 0 ||
		route->rtm_dst_len < ROUTE_PREFIX_MIN || !a[RTA_DST] ||
		nla_len(a[RTA_DST]) != sizeof(uint32_t)) {
		return 0;
	}
	block.block.address = ntohl(nla_get_u32(a[RTA_DST]));
	block.block.prefix = route->rtm_dst_len;
	block.index = a[RTA_OIF] ? (int)nla_get_u32(a[RTA_OIF]) : 0;
	add_block(data, block);
	return 0;
}

static int see_address(const struct nlmsghdr *header, void *data)
{
	const struct ifaddrmsg *address = nlmsg_data(header);
	struct nlattr *a[IFA_MAX + 1], *at;
	struct host_block block = { .route = false };

	if (header->nlmsg_type != RTM_NEWADDR || nlmsg_parse((struct nlmsghdr *)(uintptr_t)header,
							 sizeof(*address), a, IFA_MAX, NULL) < 0) {
		return 0;
	}
	at = a[IFA_LOCAL] ? a[IFA_LOCAL] : a[IFA_ADDRESS];
	if (!at || nla_len(at) != sizeof(uint32_t)) {
		return 0;
	}
	block.block.address = ntohl(nla_get_u32(at));
	block.block.prefix = address->ifa_prefixlen;
	block.index = (int)address->ifa_index;
	add_block(data, block);
	return 0;
}

static int read_host(struct net *net, struct host_blocks *all, struct error *err)
{
	struct rtmsg route = { .rtm_family = AF_INET };
	struct ifaddrmsg address = { .ifa_family = AF_INET };
	int r = -EINTR;

	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		all->count = 0;
		r = netlink_dump(&net->route,
			netlink_request(RTM_GETADDR, 0, &address, sizeof(address)), see_address,
			all);
		if (r == 0) {
			r = netlink_dump(&net->route,
				netlink_request(RTM_GETROUTE, 0, &route, sizeof(route)), see_route,
				all);
		}
	}
	/* Interrupted each time: what we saw is as good as any picture of a host so busy. */
	return r < 0 && r != -EINTR ? error_set(err, r, "list the host's addresses and routes") : 0;
}

static const struct host_block *find_overlap(const struct host_blocks *all, struct net_ipv4 subnet)
{
	for (size_t i = 0; i < all->count; i++) {
		if (net_ipv4_overlap(all->items[i].block, subnet)) {
			return &all->items[i];
		}
	}
	return NULL;
}

static bool is_taken(const struct net_ipv4 *taken, size_t count, struct net_ipv4 subnet)
{
	for (size_t i = 0; i < count; i++) {
		if (net_ipv4_overlap(taken[i], subnet)) {
			return true;
		}
	}
	return false;
}

/* docker's default pools, in its order. */
static const struct {
	struct net_ipv4 first;
	unsigned count;
} pools[] = {
	{ { 0xac110000, 16 }, 15 }, /* 172.17.0.0/16 to 172.31.0.0/16 */
	{ { 0xc0a80000, 20 }, 16 }, /* 192.168.0.0/20 to 192.168.240.0/20 */
};

int net_subnet_pick(struct net *net, const struct net_ipv4 *taken, size_t count,
	struct net_ipv4 *subnet, struct error *err)
{
	struct host_blocks all = { .count = 0 };
	int r = read_host(net, &all, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(pools); i++) {
		for (unsigned n = 0; n < pools[i].count; n++) {
			struct net_ipv4 block = pools[i].first;

			block.address += n << (32 - block.prefix);
			if (!find_overlap(&all, block) && !is_taken(taken, count, block)) {
				*subnet = block;
				free(all.items);
				return 0;
			}
		}
	}
	free(all.items);
	return r < 0 ? r
		     : error_say(err, EADDRNOTAVAIL,
			       "no free subnet: each of 172.17.0.0/16 to 172.31.0.0/16 and "
			       "192.168.0.0/20 to 192.168.240.0/20 is in use on this host; "
			       "give the network an ipam subnet in the compose file");
}

int net_subnet_check(struct net *net, struct net_ipv4 subnet, struct error *err)
{
	struct host_blocks all = { .count = 0 };
	const struct host_block *found;
	char wanted[NET_IPV4_SIZE], have[NET_IPV4_SIZE];
	struct link_info link;
	int r = read_host(net, &all, err);

	found = r == 0 ? find_overlap(&all, subnet) : NULL;
	if (found) {
		net_ipv4_print(subnet, true, wanted);
		net_ipv4_print(found->block, true, have);
		if (found->index == 0 || link_get(&net->route, NULL, found->index, &link) < 0) {
			snprintf(link.name, sizeof(link.name), "?");
		}
		r = error_say(err, EEXIST, "subnet %s overlaps the %s %s of interface %s", wanted,
			found->route ? "route" : "address", have, link.name);
	}
	free(all.items);
	return r;
}
