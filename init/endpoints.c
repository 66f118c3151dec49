/*
 * What a container has of its networks: a namespace that outlives each of its lives, an interface
 * and an address for each endpoint, and the sockets of its resolver.
 */
#include <errno.h>
#include <sched.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/sys.h"
#include "init/supervisor.h"

static bool uses_host_network(const struct unit *u)
{
	return u->plan->network_mode && strcmp(u->plan->network_mode, "host") == 0;
}

uint32_t endpoint_gateway(struct unit *u)
{
	struct network *n =
		u->plan->endpoint_count ? network_find(u->s, u->plan->endpoints[0].network) : NULL;

	return n ? n->gateway.address : 0;
}

uint32_t endpoint_address(const struct unit *u, const char *network)
{
	for (size_t i = 0; i < u->plan->endpoint_count && i < SLOT_ENDPOINTS; i++) {
		if (strcmp(u->plan->endpoints[i].network, network) == 0) {
			return u->slot.addresses[i];
		}
	}
	return 0;
}

/* "wh" and 8 hex digits: the same for every life, so that an adopter finds it. */
static void host_interface(const struct unit *u, size_t endpoint, char out[IFNAMSIZ])
{
	struct hash hash;
	char hex[HASH_HEX_SIZE];

	hash_init(&hash);
	hash_add_text(&hash, u->slot.id);
	hash_add(&hash, &endpoint, sizeof(endpoint));
	hash_hex(&hash, hex);
	snprintf(out, IFNAMSIZ, "wh%.8s", hex);
}

static bool address_taken(struct supervisor *s, const struct network *n, uint32_t address)
{
	if (address == n->gateway.address) {
		return true;
	}
	for (size_t i = 0; i < s->unit_room; i++) {
		if (s->units[i] && endpoint_address(s->units[i], n->name) == address) {
			return true;
		}
	}
	return false;
}

/* An address that somebody else's endpoint asks for by number is not given away. */
static bool address_asked_for(struct supervisor *s, uint32_t address)
{
	for (size_t i = 0; i < s->unit_room; i++) {
		const struct plan_container *plan = s->units[i] ? s->units[i]->plan : NULL;

		for (size_t k = 0; plan && k < plan->endpoint_count; k++) {
			struct net_ipv4 ip;

			if (plan->endpoints[k].ipv4_address &&
				net_ipv4_parse(plan->endpoints[k].ipv4_address, &ip) == 0 &&
				ip.address == address) {
				return true;
			}
		}
	}
	return false;
}

static int choose_address(struct unit *u, const struct network *n,
	const struct plan_endpoint *endpoint, uint32_t *address, struct error *err)
{
	uint32_t host_bits = n->subnet.prefix >= 32 ? 0 : UINT32_MAX >> n->subnet.prefix;
	uint32_t base = n->subnet.address & ~host_bits;
	struct net_ipv4 ip;

	if (endpoint->ipv4_address) {
		if (net_ipv4_parse(endpoint->ipv4_address, &ip) < 0 ||
			(ip.address & ~host_bits) != base) {
			return error_say(err, EINVAL,
				"network %s: no configured subnet contains IP address %s", n->name,
				endpoint->ipv4_address);
		}
		if (address_taken(u->s, n, ip.address)) {
			return error_say(err, EADDRINUSE, "network %s: Address already in use: %s",
				n->name, endpoint->ipv4_address);
		}
		*address = ip.address;
		return 0;
	}
	for (uint32_t i = 2; i < host_bits; i++) {
		if (!address_taken(u->s, n, base + i) && !address_asked_for(u->s, base + i)) {
			*address = base + i;
			return 0;
		}
	}
	return error_say(err, EADDRNOTAVAIL, "network %s: no available IPv4 addresses", n->name);
}

static void parse_mac(const char *text, uint8_t mac[6])
{
	unsigned b[6];

	if (text && sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &b[0], &b[1], &b[2], &b[3], &b[4],
			    &b[5]) == 6) {
		for (int i = 0; i < 6; i++) {
			mac[i] = (uint8_t)b[i];
		}
	}
}

/* The default route goes through the first network that leads out. */
static bool has_default_route(struct unit *u, size_t endpoint)
{
	for (size_t i = 0; i < u->plan->endpoint_count; i++) {
		struct network *n = network_find(u->s, u->plan->endpoints[i].network);

		if (n && !n->internal) {
			return i == endpoint;
		}
	}
	return false;
}

static int attach(struct unit *u, size_t i, struct error *err)
{
	const struct plan_endpoint *endpoint = &u->plan->endpoints[i];
	struct network *n = network_find(u->s, endpoint->network);
	char host[IFNAMSIZ], name[IFNAMSIZ];
	struct net_attachment a = { .host_interface = host, .name = name };
	uint32_t address = 0;
	int r;

	if (!n) {
		return error_say(err, ENOENT, "network %s not found", endpoint->network);
	}
	r = choose_address(u, n, endpoint, &address, err);
	if (r < 0) {
		return r;
	}
	host_interface(u, i, host);
	snprintf(name, sizeof(name), "eth%u", (unsigned)(i % SLOT_ENDPOINTS));
	a.bridge = n->bridge;
	a.address = (struct net_ipv4){ address, n->subnet.prefix };
	if (has_default_route(u, i)) {
		a.gateway = n->gateway;
	}
	parse_mac(endpoint->mac_address, a.mac);
	/* A half-made one of a predecessor that was killed here. */
	net_link_remove(u->s->net, host, NULL);
	r = net_attach(u->s->net, u->slot.fds[SLOT_NETNS], &a, err);
	if (r < 0) {
		return r;
	}
	u->slot.addresses[i] = address;
	unit_commit(u);
	return 0;
}

/* The namespace that @call works in is the resolver's affair; both sockets outlive this process. */
static int serve_names(struct unit *u, struct error *err)
{
	int udp = -EBADF, tcp = -EBADF;
	int r = 0;

	if (u->plan->endpoint_count == 0) {
		return 0;
	}
	if (u->slot.fds[SLOT_DNS_UDP] < 0 || u->slot.fds[SLOT_DNS_TCP] < 0) {
		r = resolver_sockets_create(u->slot.fds[SLOT_NETNS], &udp, &tcp, err);
		if (r < 0) {
			return r;
		}
		unit_fd_set(u, SLOT_DNS_UDP, udp);
		unit_fd_set(u, SLOT_DNS_TCP, tcp);
	}
	if (!u->resolver) {
		u->resolver = resolver_serve(u->s->resolver, u->slot.fds[SLOT_DNS_UDP],
			u->slot.fds[SLOT_DNS_TCP], u, err);
	}
	return u->resolver ? 0 : -err->code;
}

int endpoint_set_up(struct unit *u, struct error *err)
{
	int fd = -EBADF, r = 0;

	if (uses_host_network(u)) {
		return 0;
	}
	if (u->plan->endpoint_count > SLOT_ENDPOINTS) {
		return error_say(
			err, E2BIG, "%s: more than %d networks", u->plan->name, SLOT_ENDPOINTS);
	}
	if (!u->s->net) {
		r = net_open(&u->s->net, err);
	}
	if (r == 0 && u->slot.fds[SLOT_NETNS] < 0) {
		r = net_ns_create(false, &fd, err);
		if (r == 0) {
			memset(u->slot.addresses, 0, sizeof(u->slot.addresses));
			unit_fd_set(u, SLOT_NETNS, fd);
		}
	}
	for (size_t i = 0; r == 0 && i < u->plan->endpoint_count; i++) {
		if (u->slot.addresses[i] == 0) {
			r = attach(u, i, err);
		}
	}
	if (r == 0) {
		r = serve_names(u, err);
	}
	if (r < 0) {
		endpoint_remove(u);
	}
	return r;
}

int endpoint_adopt(struct unit *u, bool same_table, struct error *err)
{
	char path[64];
	int fd;

	if (!same_table && u->slot.pid > 0 && !uses_host_network(u)) {
		/* Our descriptors are gone; the namespace lives on with its process. */
		snprintf(path, sizeof(path), "/proc/%d/ns/net", u->slot.pid);
		fd = sys_open(path, O_RDONLY, 0);
		if (fd < 0) {
			return error_set(
				err, fd, "open the network namespace of %s", u->plan->name);
		}
		unit_fd_set(u, SLOT_NETNS, fd);
	}
	if (u->slot.fds[SLOT_NETNS] < 0) {
		/* Stopped, and its namespace went with us: made anew at its next start. */
		memset(u->slot.addresses, 0, sizeof(u->slot.addresses));
		unit_commit(u);
		return 0;
	}
	return serve_names(u, err);
}

void endpoint_remove(struct unit *u)
{
	if (u->resolver) {
		resolver_drop(u->s->resolver, u->resolver);
		u->resolver = NULL;
	}
	for (size_t i = 0; i < u->plan->endpoint_count && i < SLOT_ENDPOINTS; i++) {
		char host[IFNAMSIZ];

		if (u->slot.addresses[i] != 0) {
			/* At a `down` the bridge soon goes with all its ports at once; one by one each
			 * would cost 20 ms. */
			if (!u->s->table.head->going_down) {
				host_interface(u, i, host);
				net_link_remove(u->s->net, host, NULL);
			}
			u->slot.addresses[i] = 0;
		}
	}
	unit_fd_set(u, SLOT_DNS_UDP, -1);
	unit_fd_set(u, SLOT_DNS_TCP, -1);
	unit_fd_set(u, SLOT_NETNS, -1);
}
