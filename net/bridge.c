/* A network's bridge, and a container's connection to it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>

#include "base/fd.h"
#include "base/file.h"
#include "net/link.h"
#include "net/net.h"

#define MTU_DEFAULT 1500

int net_open(struct net **net, struct error *err)
{
	struct net *n = xcalloc(1, sizeof(*n));
	int r;

	n->filter.fd = -EBADF;
	r = netlink_open(&n->route, NETLINK_ROUTE, err);
	if (r == 0) {
		r = netlink_open(&n->filter, NETLINK_NETFILTER, err);
	}
	if (r < 0) {
		net_close(n);
		n = NULL;
	}
	*net = n;
	return r;
}

void net_close(struct net *net)
{
	if (net) {
		netlink_close(&net->route);
		netlink_close(&net->filter);
		free(net);
	}
}

int net_link_remove(struct net *net, const char *name, struct error *err)
{
	return link_remove(&net->route, name, err);
}

static int check_name(const char *name, struct error *err)
{
	size_t size = strlen(name);

	if (size == 0 || size >= IFNAMSIZ || strpbrk(name, "/: \t\n") || name[0] == '.') {
		return error_say(err, EINVAL, "\"%s\" cannot be the name of an interface", name);
	}
	return 0;
}

/*
 * A bridge and its ports form a group of interfaces, whose number is what its name "wh12345678"
 * says: the kernel removes a group in about the time of one of its members. 0: has none.
 */
static uint32_t bridge_group(const char *name)
{
	unsigned group;

	if (strlen(name) != 10 || strncmp(name, "wh", 2) != 0 ||
		strspn(name + 2, "0123456789abcdef") != 8 || sscanf(name + 2, "%8x", &group) != 1) {
		return 0;
	}
	return group;
}

static int set_sysctl(const char *family, const char *interface, const char *key, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, interface, key);
	return file_put_at(AT_FDCWD, path, value);
}

/* The default route with the lowest metric. */
struct default_route {
	int index;
	uint32_t metric;
};

static int see_route(const struct nlmsghdr *header, void *data)
{
	struct default_route *best = data;
	const struct rtmsg *route = nlmsg_data(header);
	struct nlattr *a[RTA_MAX + 1];
	uint32_t metric;

	if (header->nlmsg_type != RTM_NEWROUTE ||
		nlmsg_parse((struct nlmsghdr *)(uintptr_t)header, sizeof(*route), a, RTA_MAX,
			NULL) < 0 ||
		route->rtm_dst_len != 0 || route->rtm_type != RTN_UNICAST || !a[RTA_OIF]) {
		return 0;
	}
	metric = a[RTA_PRIORITY] ? nla_get_u32(a[RTA_PRIORITY]) : 0;
	if (best->index == 0 || metric < best->metric) {
		best->index = (int)nla_get_u32(a[RTA_OIF]);
		best->metric = metric;
	}
	return 0;
}

/* What fits through the host's way out; packets made larger inside would be lost on the way. */
static uint32_t outside_mtu(struct netlink *nl)
{
	struct rtmsg route = { .rtm_family = AF_INET };
	struct default_route best = { .index = 0 };
	struct link_info link;

	netlink_dump(nl, netlink_request(RTM_GETROUTE, 0, &route, sizeof(route)), see_route, &best);
	if (best.index == 0 || link_get(nl, NULL, best.index, &link) < 0 || link.mtu < 576) {
		return MTU_DEFAULT;
	}
	return link.mtu > 65535 ? 65535 : link.mtu;
}

static void mac_from_address(uint32_t address, uint8_t mac[6])
{
	const uint8_t bytes[6] = { 0x02, 0x42, (uint8_t)(address >> 24), (uint8_t)(address >> 16),
		(uint8_t)(address >> 8), (uint8_t)address };

	memcpy(mac, bytes, 6);
}

static int bridge_settings(const char *name, struct error *err)
{
	/* Packets to a port published on 127.0.0.1 leave through the bridge with that source. */
	int r = set_sysctl("ipv4", name, "route_localnet", "1");

	if (r < 0) {
		return error_set(err, r,
			"let %s route 127.0.0.0/8 (net.ipv4.conf.%s.route_localnet)", name, name);
	}
	/* A container must not become the host's router (CVE-2020-13401). A kernel without IPv6
	 * has no such file. */
	set_sysctl("ipv6", name, "accept_ra", "0");
	r = set_sysctl("ipv6", name, "disable_ipv6", "1");
	if (r < 0 && r != -ENOENT) {
		return error_set(err, r, "turn IPv6 off on %s", name);
	}
	return 0;
}

int net_bridge_create(struct net *net, const char *name, struct net_ipv4 gateway, struct error *err)
{
	struct netlink *nl = &net->route;
	struct link_info link;
	uint8_t mac[6];
	bool made;
	int r = check_name(name, err);

	if (r < 0) {
		return r;
	}
	mac_from_address(gateway.address, mac);
	r = link_bridge_create(nl, name, mac, outside_mtu(nl), bridge_group(name), err);
	made = r == 0;
	if (r < 0 && r != -EEXIST) {
		return r;
	}
	r = link_get(nl, name, 0, &link);
	if (r < 0) {
		return error_set(err, r, "look at interface %s", name);
	}
	if (strcmp(link.kind, "bridge") != 0) {
		return error_say(err, EEXIST, "interface %s exists and is no bridge", name);
	}
	r = bridge_settings(name, err);
	if (r == 0) {
		r = link_address_add(nl, link.index, name, gateway, err);
	}
	if (r == 0) {
		r = link_up(nl, link.index, name, err);
	}
	if (r < 0 && made) {
		link_remove(nl, name, NULL);
	}
	return r;
}

int net_bridge_remove(struct net *net, const char *name, struct error *err)
{
	uint32_t group = bridge_group(name);
	struct link_info link;

	/* Only if it surely is ours: the group's number is not reserved to us by anything. */
	if (group != 0 && link_get(&net->route, name, 0, &link) == 0 && link.group == group &&
		link_remove_group(&net->route, group, NULL) == 0) {
		return 0;
	}
	return link_remove(&net->route, name, err);
}

static int make_pair(struct netlink *nl, const struct link_veth *veth, struct error *err)
{
	struct error inner = ERROR_INIT;
	struct link_info old;
	int r = link_veth_create(nl, veth, &inner);

	/* Our end left over from a life that was cut short. (The other name may be what exists.) */
	if (r == -EEXIST && link_get(nl, veth->name, 0, &old) == 0 &&
		strcmp(old.kind, "veth") == 0 && strncmp(veth->name, "wh", 2) == 0) {
		link_remove(nl, veth->name, NULL);
		r = link_veth_create(nl, veth, &inner);
	}
	if (r < 0 && err) {
		*err = inner;
	}
	return r;
}

/* What has to be done from inside the namespace: the address and the way out. */
static int configure_inside(int ns_fd, const struct net_attachment *a, struct error *err)
{
	struct netlink nl;
	struct link_info link;
	int r = netlink_in_ns(ns_fd, NETLINK_ROUTE, &nl, err);

	if (r == 0) {
		r = link_get(&nl, a->name, 0, &link);
		if (r < 0) {
			error_set(err, r, "find %s in the container's network", a->name);
		}
	}
	if (r == 0) {
		r = link_address_add(&nl, link.index, a->name, a->address, err);
	}
	if (r == 0) {
		r = link_up(&nl, link.index, a->name, err);
	}
	link_settle(&nl, a->name);
	if (r == 0 && a->gateway.address != 0) {
		r = link_default_route(&nl, link.index, a->gateway, err);
	}
	netlink_close(&nl);
	return r;
}

int net_attach(struct net *net, int ns_fd, const struct net_attachment *a, struct error *err)
{
	static const uint8_t none[6];
	struct netlink *nl = &net->route;
	struct link_veth veth = {
		.name = a->host_interface, .peer_name = a->name, .peer_ns = ns_fd
	};
	struct link_info bridge;
	int r = check_name(a->host_interface, err);

	r = r < 0 ? r : check_name(a->name, err);
	if (r < 0) {
		return r;
	}
	r = link_get(nl, a->bridge, 0, &bridge);
	if (r < 0) {
		return error_set(err, r, "find bridge %s", a->bridge);
	}
	veth.bridge_index = bridge.index;
	veth.mtu = bridge.mtu;
	veth.group = bridge.group == bridge_group(a->bridge) ? bridge.group : 0;
	if (memcmp(a->mac, none, sizeof(none)) == 0) {
		mac_from_address(a->address.address, veth.peer_mac);
	} else {
		memcpy(veth.peer_mac, a->mac, sizeof(a->mac));
	}
	r = make_pair(nl, &veth, err);
	if (r < 0) {
		return r;
	}
	/* A port of a bridge needs no address; without this it would announce one. */
	set_sysctl("ipv6", a->host_interface, "disable_ipv6", "1");
	/* A container that calls its own published port needs its frames to come back to it. */
	r = link_hairpin(nl, a->host_interface, err);
	if (r == 0) {
		r = configure_inside(ns_fd, a, err);
	}
	if (r < 0) {
		link_remove(nl, a->host_interface, NULL);
		return r;
	}
	/* First the port, whose news the bridge takes its own from. */
	link_settle(nl, a->host_interface);
	link_settle(nl, a->bridge);
	return 0;
}
