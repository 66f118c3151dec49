/*
 * ports, short form: "[[IP:][HOST[-HOST]]:]CONTAINER[-CONTAINER][/PROTOCOL]", IPv6 in brackets.
 * Equal ranges become one port each; a range for one container port stays a range.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>

#include "specs/compose_schema.h"

enum { MAX_PORTS = 65536 };

struct port_range {
	unsigned first, last; /* 0..0: not given */
};

/* "80", "80-90"; an empty text is "not given". */
static int parse_range(const char *text, struct port_range *range)
{
	unsigned *into = &range->first;

	*range = (struct port_range){ 0 };
	for (size_t digits = 0;; text++) {
		if (isdigit((unsigned char)*text) && digits < 6) {
			*into = *into * 10 + (unsigned)(*text - '0');
			digits++;
		} else if (*text == '-' && into == &range->first && digits) {
			into = &range->last;
			digits = 0;
		} else if (*text == '\0' && digits) {
			break;
		} else {
			return -EINVAL;
		}
	}
	if (into == &range->first) {
		range->last = range->first;
	}
	return range->first < 1 || range->last > 65535 || range->last < range->first ? -ERANGE : 0;
}

static struct yaml_node *make_port(struct shaper *s, const struct mark *mark, const char *ip,
	const char *published, unsigned target, const char *protocol)
{
	struct yaml_node *map = yaml_new(s->arena, YAML_MAP, mark);

	yaml_set(s->arena, map, "mode", mark, yaml_new_string(s->arena, "ingress", mark));
	if (*ip) {
		yaml_set(s->arena, map, "host_ip", mark, yaml_new_string(s->arena, ip, mark));
	}
	yaml_set(s->arena, map, "target", mark, yaml_new_int(s->arena, target, mark));
	if (*published) {
		yaml_set(s->arena, map, "published", mark,
			yaml_new_string(s->arena, published, mark));
	}
	yaml_set(s->arena, map, "protocol", mark, yaml_new_string(s->arena, protocol, mark));
	return map;
}

/* The parts of the text; all point into @copy. */
struct port_text {
	const char *ip, *host, *container, *protocol;
};

static bool split_port(char *copy, struct port_text *parts)
{
	char *slash = strchr(copy, '/'), *colon;

	*parts = (struct port_text){ .ip = "", .host = "", .protocol = "tcp" };
	if (slash) {
		*slash = '\0';
		for (char *p = slash + 1; *p; p++) {
			*p = (char)tolower((unsigned char)*p);
		}
		parts->protocol = slash + 1;
	}
	colon = strrchr(copy, ':');
	parts->container = colon ? colon + 1 : copy;
	if (!colon) {
		return true;
	}
	*colon = '\0';
	colon = strrchr(copy, ':');
	parts->host = colon ? colon + 1 : copy;
	if (colon) {
		*colon = '\0';
		parts->ip = copy;
	}
	return true;
}

static bool ip_valid(char *ip)
{
	struct in6_addr address;
	size_t size = strlen(ip);

	if (size > 2 && ip[0] == '[' && ip[size - 1] == ']') {
		memmove(ip, ip + 1, size - 2);
		ip[size - 2] = '\0';
		return inet_pton(AF_INET6, ip, &address) == 1;
	}
	return inet_pton(AF_INET, ip, &address) == 1 || inet_pton(AF_INET6, ip, &address) == 1;
}

static void expand_ranges(struct shaper *s, struct yaml_node *list, const struct mark *mark,
	const struct port_text *parts, const struct port_range *host,
	const struct port_range *container)
{
	char published[32];

	s->ports += container->last - container->first + 1;
	for (unsigned i = 0; i <= container->last - container->first; i++) {
		if (host->first == 0) {
			published[0] = '\0';
		} else if (container->first == container->last && host->first != host->last) {
			snprintf(published, sizeof(published), "%u-%u", host->first, host->last);
		} else {
			snprintf(published, sizeof(published), "%u", host->first + i);
		}
		yaml_append(s->arena, list,
			make_port(s, mark, parts->ip, published, container->first + i,
				parts->protocol));
	}
}

static void expand_short(struct shaper *s, struct yaml_node *list, const struct yaml_node *item,
	const struct compose_path *path)
{
	char *copy = arena_strdup(s->arena, item->text);
	struct port_range host = { 0 }, container;
	struct port_text parts;

	split_port(copy, &parts);
	if (*parts.ip && !ip_valid(copy)) {
		shape_error(s, &item->mark, path, ": Invalid ip address %s", parts.ip);
	} else if (!*parts.container) {
		shape_error(s, &item->mark, path, ": No port specified: %s<empty>", item->text);
	} else if (parse_range(parts.container, &container) < 0) {
		shape_error(s, &item->mark, path, ": Invalid containerPort: %s", parts.container);
	} else if (*parts.host && parse_range(parts.host, &host) < 0) {
		shape_error(s, &item->mark, path, ": Invalid hostPort: %s", parts.host);
	} else if (strcmp(parts.protocol, "tcp") != 0 && strcmp(parts.protocol, "udp") != 0) {
		shape_error(s, &item->mark, path, ": Invalid proto: %s%s", parts.protocol,
			strcmp(parts.protocol, "sctp") == 0 ? " (not supported)" : "");
	} else if (*parts.host && container.first != container.last &&
		   host.last - host.first != container.last - container.first) {
		shape_error(s, &item->mark, path,
			": Invalid ranges specified for container and host Ports: %s and %s",
			parts.container, parts.host);
	} else if (s->ports + container.last - container.first >= MAX_PORTS) {
		shape_error(s, &item->mark, path, ": too many ports");
	} else {
		expand_ranges(s, list, &item->mark, &parts, &host, &container);
	}
}

/* The long form: what a port is must be given and in range. */
static void complete_long(struct shaper *s, struct yaml_node *item, const struct compose_path *path)
{
	struct yaml_node *target = yaml_get(item, "target"),
			 *published = yaml_get(item, "published");
	struct compose_path child = { .parent = path, .key = "target" };
	const char *protocol = yaml_get_text(item, "protocol");
	const char *ip = yaml_get_text(item, "host_ip");
	struct port_range range;

	if (!target || target->kind == YAML_NULL) {
		shape_error(s, &item->mark, path, ": a port needs a target");
	} else if (yaml_is_scalar(target) && parse_range(target->text, &range) < 0) {
		shape_error(s, &target->mark, &child, ": Invalid containerPort: %s", target->text);
	}
	child.key = "published";
	if (published && yaml_is_scalar(published) && published->kind != YAML_NULL &&
		parse_range(published->text, &range) < 0 && strcmp(published->text, "0") != 0) {
		shape_error(s, &published->mark, &child, ": Invalid hostPort: %s", published->text);
	}
	child.key = "host_ip";
	if (ip && !ip_valid(arena_strdup(s->arena, ip))) {
		shape_error(
			s, &yaml_get(item, "host_ip")->mark, &child, ": Invalid ip address %s", ip);
	}
	child.key = "protocol";
	if (!protocol) {
		yaml_set(s->arena, item, "protocol", NULL,
			yaml_new_string(s->arena, "tcp", &item->mark));
	} else if (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0) {
		shape_error(s, &yaml_get(item, "protocol")->mark, &child, ": Invalid proto: %s",
			protocol);
	}
	if (!yaml_find(item, "mode")) {
		yaml_set(s->arena, item, "mode", NULL,
			yaml_new_string(s->arena, "ingress", &item->mark));
	}
}

struct yaml_node *shape_ports(
	struct shaper *s, struct yaml_node *node, const struct compose_path *path)
{
	struct yaml_node *list;

	if (node->kind != YAML_LIST) {
		return node;
	}
	list = yaml_new(s->arena, YAML_LIST, &node->mark);
	for (size_t i = 0; i < node->count; i++) {
		struct compose_path child = { .parent = path, .index = i };
		struct yaml_node *item = node->entries[i].value;

		if (item->kind == YAML_STRING || item->kind == YAML_INT ||
			item->kind == YAML_FLOAT) {
			expand_short(s, list, item, &child);
		} else {
			if (item->kind == YAML_MAP) {
				complete_long(s, item, &child);
			}
			yaml_append(s->arena, list, item);
		}
	}
	return list;
}
