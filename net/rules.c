/*
 * The packet rules of a project.
 *
 *   raw          what comes from a bridge may not talk to the host's 127.0.0.0/8, which
 *                route_localnet would let through (CVE-2020-8558)
 *   prerouting   published ports, for what comes from outside and from containers
 *   output       the same for what the host itself sends, and the ports published on 127.0.0.1,
 *                which nobody else can reach (CVE-2025-54388)
 *   forward      into a bridge only answers and what was led there by a published port; that one
 *                rule keeps out the outside, the project's other networks and other projects
 *   postrouting  source addresses: of the way out, of loopback, of a container that calls itself
 *                or its neighbour through a published port
 */
#include <errno.h>
#include <netinet/in.h>

/* Behind netinet/in.h, whose structures it otherwise defines a second time. */
#include <linux/netfilter.h>

#include "net/nft.h"

#define TABLE_NAME_SIZE 256 /* the kernel's NFT_NAME_MAXLEN */

enum { PRIORITY_RAW = -300, PRIORITY_DSTNAT = -100, PRIORITY_FILTER = 0, PRIORITY_SRCNAT = 100 };

static const struct {
	const char *name;
	struct nft_hook hook;
} base_chains[] = {
	{ "raw", { "filter", NF_INET_PRE_ROUTING, PRIORITY_RAW } },
	{ "prerouting", { "nat", NF_INET_PRE_ROUTING, PRIORITY_DSTNAT } },
	{ "output", { "nat", NF_INET_LOCAL_OUT, PRIORITY_DSTNAT } },
	{ "forward", { "filter", NF_INET_FORWARD, PRIORITY_FILTER } },
	{ "postrouting", { "nat", NF_INET_POST_ROUTING, PRIORITY_SRCNAT } },
};

static const struct net_ipv4 loopback = { 0x7f000000, 8 };

static int table_name(const char *project, char name[TABLE_NAME_SIZE], struct error *err)
{
	int n = snprintf(name, TABLE_NAME_SIZE, "wherry-%s", project);

	if (n >= TABLE_NAME_SIZE) {
		return error_say(err, ENAMETOOLONG, "project name %s is too long", project);
	}
	return 0;
}

static void add_raw(struct nft *nft, const struct net_rule_bridge *bridge)
{
	nft_rule_begin(nft, "raw");
	nft_match_iif(nft, bridge->name, true);
	nft_match_destination(nft, loopback);
	nft_drop(nft);
	nft_rule_end(nft);
	nft_rule_begin(nft, "raw");
	nft_match_iif(nft, bridge->name, true);
	nft_match_source(nft, loopback);
	nft_drop(nft);
	nft_rule_end(nft);
}

/* Stand before the others: not even an answer passes. */
static void add_internal(struct nft *nft, const struct net_rule_bridge *bridge)
{
	nft_rule_begin(nft, "forward");
	nft_match_iif(nft, bridge->name, true);
	nft_match_oif(nft, bridge->name, false);
	nft_drop(nft);
	nft_rule_end(nft);
	nft_rule_begin(nft, "forward");
	nft_match_oif(nft, bridge->name, true);
	nft_match_iif(nft, bridge->name, false);
	nft_drop(nft);
	nft_rule_end(nft);
}

static void add_forward(struct nft *nft, const struct net_rule_bridge *bridge)
{
	nft_rule_begin(nft, "forward");
	nft_match_oif(nft, bridge->name, true);
	nft_match_iif(nft, bridge->name, false);
	nft_match_state(nft, NFT_STATE_KNOWN, false);
	nft_match_status(nft, NFT_STATUS_DST_NAT, false);
	nft_drop(nft);
	nft_rule_end(nft);
}

static void add_postrouting(struct nft *nft, const struct net_rule_bridge *bridge)
{
	nft_rule_begin(nft, "postrouting");
	nft_match_source(nft, bridge->subnet);
	nft_match_oif(nft, bridge->name, false);
	nft_masquerade(nft);
	nft_rule_end(nft);
	nft_rule_begin(nft, "postrouting");
	nft_match_oif(nft, bridge->name, true);
	nft_match_source(nft, loopback);
	nft_masquerade(nft);
	nft_rule_end(nft);
	nft_rule_begin(nft, "postrouting");
	nft_match_source(nft, bridge->subnet);
	nft_match_destination(nft, bridge->subnet);
	nft_match_status(nft, NFT_STATUS_DST_NAT, true);
	nft_masquerade(nft);
	nft_rule_end(nft);
}

static void add_bridges(struct nft *nft, const struct net_rule_bridge *bridges, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		add_raw(nft, &bridges[i]);
		if (bridges[i].internal) {
			add_internal(nft, &bridges[i]);
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (!bridges[i].internal) {
			add_forward(nft, &bridges[i]);
			add_postrouting(nft, &bridges[i]);
		}
	}
}

static bool on_internal(const struct net_rule_bridge *bridges, size_t count, uint32_t address)
{
	struct net_ipv4 one = { address, 32 };

	for (size_t i = 0; i < count; i++) {
		if (bridges[i].internal && net_ipv4_overlap(bridges[i].subnet, one)) {
			return true;
		}
	}
	return false;
}

static void add_port(struct nft *nft, const struct net_rule_port *port)
{
	struct net_ipv4 address = { port->host_ip, 32 };
	bool from_host_only = (port->host_ip & 0xff000000) == loopback.address;

	nft_rule_begin(nft, from_host_only ? "published-loopback" : "published");
	if (port->host_ip != 0) {
		nft_match_destination(nft, address);
	}
	nft_match_port(nft, port->protocol, port->host_port);
	nft_dnat(nft, port->container_ip, port->container_port);
	nft_rule_end(nft);
}

static void add_jump(struct nft *nft, const char *from, const char *to)
{
	nft_rule_begin(nft, from);
	nft_match_local(nft);
	nft_jump(nft, to);
	nft_rule_end(nft);
}

int net_rules_replace(struct net *net, const char *project, const struct net_rule_bridge *bridges,
	size_t bridge_count, const struct net_rule_port *ports, size_t port_count,
	struct error *err)
{
	char name[TABLE_NAME_SIZE];
	struct nft nft;
	int r = table_name(project, name, err);

	if (r < 0) {
		return r;
	}
	if (bridge_count == 0) {
		return net_rules_remove(net, project, err);
	}
	nft_begin(&nft, name);
	/* Added so that there surely is one to delete; the old and the new change places at once. */
	nft_table_add(&nft);
	nft_table_delete(&nft);
	nft_table_add(&nft);
	for (size_t i = 0; i < ARRAY_SIZE(base_chains); i++) {
		nft_chain_add(&nft, base_chains[i].name, &base_chains[i].hook);
	}
	add_bridges(&nft, bridges, bridge_count);
	if (port_count > 0) {
		nft_chain_add(&nft, "published", NULL);
		nft_chain_add(&nft, "published-loopback", NULL);
		add_jump(&nft, "prerouting", "published");
		add_jump(&nft, "output", "published");
		add_jump(&nft, "output", "published-loopback");
	}
	for (size_t i = 0; i < port_count; i++) {
		if (!on_internal(bridges, bridge_count, ports[i].container_ip)) {
			add_port(&nft, &ports[i]);
		}
	}
	return nft_commit(&nft, &net->filter, err);
}

int net_rules_remove(struct net *net, const char *project, struct error *err)
{
	char name[TABLE_NAME_SIZE];
	struct nft nft;
	int r = table_name(project, name, err);

	if (r < 0) {
		return r;
	}
	nft_begin(&nft, name);
	nft_table_add(&nft);
	nft_table_delete(&nft);
	return nft_commit(&nft, &net->filter, err);
}
