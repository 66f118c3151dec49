/* Interfaces, addresses and routes, one rtnetlink request each. */
#include "net/link.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include "net/net.h"

static int read_link(const struct nlmsghdr *header, void *data)
{
	struct link_info *info = data;
	const struct ifinfomsg *link = nlmsg_data(header);
	struct nlattr *a[IFLA_MAX + 1], *li[IFLA_INFO_MAX + 1];

	if (header->nlmsg_type != RTM_NEWLINK || nlmsg_parse((struct nlmsghdr *)(uintptr_t)header,
							 sizeof(*link), a, IFLA_MAX, NULL) < 0) {
		return 0;
	}
	memset(info, 0, sizeof(*info));
	info->index = link->ifi_index;
	if (a[IFLA_MTU]) {
		info->mtu = nla_get_u32(a[IFLA_MTU]);
	}
	if (a[IFLA_GROUP]) {
		info->group = nla_get_u32(a[IFLA_GROUP]);
	}
	if (a[IFLA_IFNAME]) {
		nla_strlcpy(info->name, a[IFLA_IFNAME], sizeof(info->name));
	}
	if (a[IFLA_LINKINFO] && nla_parse_nested(li, IFLA_INFO_MAX, a[IFLA_LINKINFO], NULL) >= 0 &&
		li[IFLA_INFO_KIND]) {
		nla_strlcpy(info->kind, li[IFLA_INFO_KIND], sizeof(info->kind));
	}
	return 0;
}

int link_get(struct netlink *nl, const char *name, int index, struct link_info *info)
{
	struct ifinfomsg link = { .ifi_index = index };
	struct nl_msg *request = netlink_request(RTM_GETLINK, 0, &link, sizeof(link));

	if (name) {
		nla_put_string(request, IFLA_IFNAME, name);
	}
	/* The statistics of 64 counters are not wanted, but cannot be left out. */
	nla_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return netlink_get(nl, request, read_link, info);
}

int link_remove(struct netlink *nl, const char *name, struct error *err)
{
	struct ifinfomsg link = { .ifi_family = AF_UNSPEC };
	struct nl_msg *request = netlink_request(RTM_DELLINK, 0, &link, sizeof(link));
	struct error inner = ERROR_INIT;
	int r;

	nla_put_string(request, IFLA_IFNAME, name);
	r = netlink_call(nl, request, &inner, "remove interface %s", name);
	if (r == -ENODEV) {
		return 0;
	}
	if (r < 0 && err) {
		*err = inner;
	}
	return r;
}

int link_remove_group(struct netlink *nl, uint32_t group, struct error *err)
{
	struct ifinfomsg link = { .ifi_family = AF_UNSPEC };
	struct nl_msg *request;
	struct error inner = ERROR_INIT;
	int r;

	if (group == 0) { /* where everything is that nobody grouped */
		return error_set(err, EINVAL, "remove the default group of interfaces");
	}
	request = netlink_request(RTM_DELLINK, 0, &link, sizeof(link));
	nla_put_u32(request, IFLA_GROUP, group);
	r = netlink_call(nl, request, &inner, "remove the interfaces of group %u", group);
	if (r == -ENODEV) {
		return 0;
	}
	if (r < 0 && err) {
		*err = inner;
	}
	return r;
}

int link_up(struct netlink *nl, int index, const char *name, struct error *err)
{
	struct ifinfomsg link = { .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };

	return netlink_call(nl, netlink_request(RTM_NEWLINK, 0, &link, sizeof(link)), err,
		"bring up interface %s", name);
}

void link_settle(struct netlink *nl, const char *name)
{
	struct link_info link;

	link_get(nl, name, 0, &link);
}

int link_address_add(
	struct netlink *nl, int index, const char *name, struct net_ipv4 ip, struct error *err)
{
	struct ifaddrmsg address = { .ifa_family = AF_INET,
		.ifa_prefixlen = ip.prefix,
		.ifa_scope = RT_SCOPE_UNIVERSE,
		.ifa_index = (unsigned)index };
	struct nl_msg *request = netlink_request(
		RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &address, sizeof(address));
	char text[NET_IPV4_SIZE];

	nla_put_u32(request, IFA_LOCAL, htonl(ip.address));
	nla_put_u32(request, IFA_ADDRESS, htonl(ip.address));
	if (ip.prefix < 31) {
		nla_put_u32(request, IFA_BROADCAST, htonl(ip.address | ~net_ipv4_mask(ip.prefix)));
	}
	net_ipv4_print(ip, true, text);
	return netlink_call(nl, request, err, "give %s the address %s", name, text);
}

int link_default_route(struct netlink *nl, int index, struct net_ipv4 gateway, struct error *err)
{
	struct rtmsg route = { .rtm_family = AF_INET,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_BOOT,
		.rtm_scope = RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNICAST };
	struct nl_msg *request =
		netlink_request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &route, sizeof(route));
	char text[NET_IPV4_SIZE];

	nla_put_u32(request, RTA_GATEWAY, htonl(gateway.address));
	nla_put_u32(request, RTA_OIF, (uint32_t)index);
	net_ipv4_print(gateway, false, text);
	return netlink_call(nl, request, err, "set the default route through %s", text);
}

int link_bridge_create(struct netlink *nl, const char *name, const uint8_t mac[6], uint32_t mtu,
	uint32_t group, struct error *err)
{
	struct ifinfomsg link = { .ifi_family = AF_UNSPEC };
	struct nl_msg *request =
		netlink_request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof(link));
	struct nlattr *info;

	nla_put_string(request, IFLA_IFNAME, name);
	/* An address of its own: without one a bridge changes its address with its ports. */
	nla_put(request, IFLA_ADDRESS, 6, mac);
	nla_put_u32(request, IFLA_MTU, mtu);
	nla_put_u32(request, IFLA_GROUP, group);
	info = nla_nest_start(request, IFLA_LINKINFO);
	nla_put_string(request, IFLA_INFO_KIND, "bridge");
	nla_nest_end(request, info);
	return netlink_call(nl, request, err, "make bridge %s", name);
}

int link_veth_create(struct netlink *nl, const struct link_veth *veth, struct error *err)
{
	struct ifinfomsg link = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	struct ifinfomsg down = { .ifi_family = AF_UNSPEC };
	struct nl_msg *request =
		netlink_request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof(link));
	struct nlattr *info, *data, *peer;

	nla_put_string(request, IFLA_IFNAME, veth->name);
	nla_put_u32(request, IFLA_MASTER, (uint32_t)veth->bridge_index);
	nla_put_u32(request, IFLA_MTU, veth->mtu);
	nla_put_u32(request, IFLA_GROUP, veth->group);
	info = nla_nest_start(request, IFLA_LINKINFO);
	nla_put_string(request, IFLA_INFO_KIND, "veth");
	data = nla_nest_start(request, IFLA_INFO_DATA);
	peer = nla_nest_start(request, VETH_INFO_PEER);
	/* Down: it is configured before it knows its other half, and up would fail (ENOTCONN). */
	nlmsg_append(request, &down, sizeof(down), NLMSG_ALIGNTO);
	nla_put_string(request, IFLA_IFNAME, veth->peer_name);
	nla_put(request, IFLA_ADDRESS, 6, veth->peer_mac);
	nla_put_u32(request, IFLA_MTU, veth->mtu);
	nla_put_u32(request, IFLA_NET_NS_FD, (uint32_t)veth->peer_ns);
	nla_nest_end(request, peer);
	nla_nest_end(request, data);
	nla_nest_end(request, info);
	return netlink_call(
		nl, request, err, "make the pair %s and %s", veth->name, veth->peer_name);
}

int link_hairpin(struct netlink *nl, const char *name, struct error *err)
{
	struct ifinfomsg link = { .ifi_family = AF_UNSPEC };
	struct nl_msg *request = netlink_request(RTM_NEWLINK, 0, &link, sizeof(link));
	struct nlattr *info, *data;

	nla_put_string(request, IFLA_IFNAME, name);
	info = nla_nest_start(request, IFLA_LINKINFO);
	nla_put_string(request, IFLA_INFO_SLAVE_KIND, "bridge");
	data = nla_nest_start(request, IFLA_INFO_SLAVE_DATA);
	nla_put_u8(request, IFLA_BRPORT_MODE, 1);
	nla_nest_end(request, data);
	nla_nest_end(request, info);
	return netlink_call(nl, request, err, "set hairpin mode on %s", name);
}
