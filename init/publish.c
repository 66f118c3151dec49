/* Published ports: reservations on the host, and the packet rules that lead to the containers. */
#include <errno.h>
#include <netinet/in.h>

#include "base/dirs.h"
#include "base/fd.h"
#include "base/json.h"
#include "init/supervisor.h"

static uint8_t protocol_of(const struct plan_port *port)
{
	return port->protocol && strcmp(port->protocol, "udp") == 0 ? IPPROTO_UDP : IPPROTO_TCP;
}

/* docker's words, which scripts look for; what net/ found out about the holder follows. */
static int port_error(const struct unit *u, const struct plan_port *port, const char *ip,
	uint16_t number, struct error *err)
{
	char first[sizeof(err->message)];

	snprintf(first, sizeof(first), "%s", err->message);
	if (err->code == EADDRINUSE) {
		error_say(err, EADDRINUSE,
			"%s%sfailed to set up container networking: Bind for %s:%u failed: port is "
			"already allocated (%.500s)",
			port->where ? port->where : "", port->where ? ": " : "", ip, number, first);
	} else {
		error_prefix(err, "%s: publish %s:%u", u->plan->name, ip, number);
	}
	return -err->code;
}

static int reserve_one(struct unit *u, const struct plan_port *port, struct error *err)
{
	struct slot_port *out = &u->slot.ports[u->slot.port_count];
	const char *ip = port->host_ip && *port->host_ip ? port->host_ip : "0.0.0.0";
	struct net_ipv4 address = { 0 };
	uint16_t chosen = 0;
	int fd = -EBADF;

	if (net_ipv4_parse(ip, &address) < 0) {
		return error_say(err, EINVAL, "%s: publish on %s: not an IPv4 address",
			port->where ? port->where : u->plan->name, ip);
	}
	if (u->slot.port_count >= SLOT_PORTS) {
		return error_say(
			err, E2BIG, "%s: more than %d published ports", u->plan->name, SLOT_PORTS);
	}
	/* A range for one port: the first that is free. */
	for (uint32_t n = port->published_first;; n++) {
		fd = net_port_reserve(
			protocol_of(port), address.address, (uint16_t)n, &chosen, err);
		if (fd != -EADDRINUSE || n >= port->published_last) {
			break;
		}
	}
	if (fd < 0) {
		return port_error(u, port, ip, port->published_last, err);
	}
	*out = (struct slot_port){ .fd = fd,
		.host_ip = address.address,
		.published = chosen ? chosen : port->published_first,
		.target = port->target,
		.protocol = protocol_of(port) };
	u->slot.port_count++;
	unit_commit(u);
	u->s->rules_dirty = true;
	return 0;
}

/* An internal network publishes nothing. */
static bool publishes(const struct unit *u)
{
	if (u->plan->port_count == 0 || u->plan->network_mode) {
		return false;
	}
	for (size_t i = 0; i < u->plan->endpoint_count; i++) {
		const struct network *n = network_find(u->s, u->plan->endpoints[i].network);

		if (n && !n->internal) {
			return true;
		}
	}
	return false;
}

int ports_reserve(struct unit *u, struct error *err)
{
	if (!publishes(u) || u->slot.port_count > 0) {
		return 0;
	}
	for (size_t i = 0; i < u->plan->port_count; i++) {
		int r = reserve_one(u, &u->plan->ports[i], err);

		if (r < 0) {
			ports_release(u);
			return r;
		}
	}
	return 0;
}

void ports_release(struct unit *u)
{
	uint32_t count = u->slot.port_count;
	int fds[SLOT_PORTS];

	if (count == 0) {
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		fds[i] = u->slot.ports[i].fd;
	}
	u->slot.port_count = 0;
	unit_commit(u);
	for (uint32_t i = 0; i < count; i++) {
		fd_close(&fds[i]);
	}
	u->s->rules_dirty = true;
}

/* The address that ports lead to: on the first network that is not internal. */
static uint32_t published_address(struct unit *u)
{
	for (size_t i = 0; i < u->plan->endpoint_count && i < SLOT_ENDPOINTS; i++) {
		struct network *n = network_find(u->s, u->plan->endpoints[i].network);

		if (n && !n->internal && u->slot.addresses[i]) {
			return u->slot.addresses[i];
		}
	}
	return 0;
}

int networks_flush_rules(struct supervisor *s, struct error *err)
{
	struct net_rule_bridge *bridges;
	struct net_rule_port *ports = NULL;
	size_t count = 0;
	int r;

	if (!s->rules_dirty || s->network_count == 0) {
		return 0;
	}
	s->rules_dirty = false;
	if (!s->net && net_open(&s->net, err) < 0) {
		return -err->code;
	}
	bridges = xcalloc(s->network_count, sizeof(*bridges));
	for (size_t i = 0; i < s->network_count; i++) {
		bridges[i] = (struct net_rule_bridge){ .name = s->networks[i].bridge,
			.subnet = s->networks[i].subnet,
			.internal = s->networks[i].internal };
	}
	for (size_t i = 0; i < s->unit_room; i++) {
		struct unit *u = s->units[i];
		uint32_t address = u && u->slot.port_count ? published_address(u) : 0;

		for (uint32_t k = 0; address && k < u->slot.port_count; k++) {
			const struct slot_port *p = &u->slot.ports[k];

			ports = xrealloc(ports, count + 1, sizeof(*ports));
			ports[count++] = (struct net_rule_port){ .protocol = p->protocol,
				.host_ip = p->host_ip,
				.host_port = p->published,
				.container_ip = address,
				.container_port = p->target };
		}
	}
	r = net_rules_replace(
		s->net, s->link->project, bridges, s->network_count, ports, count, err);
	free(bridges);
	free(ports);
	return r;
}

json_t *ports_print(const struct unit *u)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < u->slot.port_count; i++) {
		const struct slot_port *p = &u->slot.ports[i];
		json_t *one = json_object();
		char ip[NET_IPV4_SIZE];

		net_ipv4_print((struct net_ipv4){ p->host_ip, 32 }, false, ip);
		json_put_text(one, "ip", ip);
		json_put_int(one, "published", p->published);
		json_put_int(one, "target", p->target);
		json_put_text(one, "protocol", p->protocol == IPPROTO_UDP ? "udp" : "tcp");
		json_array_append_new(all, one);
	}
	return all;
}
