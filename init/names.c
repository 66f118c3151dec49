/* The names that a container sees: its neighbours on the networks that it shares with them. */
#include <strings.h>

#include "init/supervisor.h"

static bool has_alias(const struct plan_endpoint *endpoint, const char *name, size_t length)
{
	for (const char **a = endpoint->aliases; a && *a; a++) {
		if (strlen(*a) == length && strncasecmp(*a, name, length) == 0) {
			return true;
		}
	}
	return false;
}

static bool same(const char *text, const char *name, size_t length)
{
	return text && strlen(text) == length && strncasecmp(text, name, length) == 0;
}

/* Whether @u answers to @name on that endpoint. */
static bool answers(
	const struct unit *u, const struct plan_endpoint *endpoint, const char *name, size_t length)
{
	char id[UNIT_ID_SHORT + 1];

	return (!u->plan->oneoff && same(u->plan->service, name, length)) ||
	       same(u->plan->name, name, length) || same(u->plan->config.hostname, name, length) ||
	       has_alias(endpoint, name, length) || same(unit_short_id(u, id), name, length);
}

struct lookup {
	struct supervisor *s;
	const struct unit *client;
	uint32_t *addresses;
	size_t *count;
	bool known; /* somebody has the name, running or not */
};

/* Looks on all networks of the client (@network NULL) or on one of them. */
static void look(struct lookup *l, const char *name, size_t length, const char *network)
{
	for (size_t i = 0; i < l->s->unit_room; i++) {
		struct unit *u = l->s->units[i];

		for (size_t k = 0; u && k < u->plan->endpoint_count && k < SLOT_ENDPOINTS; k++) {
			const struct plan_endpoint *e = &u->plan->endpoints[k];
			uint32_t phase = u->slot.state.phase;

			if ((network && strcmp(network, e->network) != 0) ||
				!endpoint_address(l->client, e->network) ||
				!answers(u, e, name, length)) {
				continue;
			}
			l->known = true;
			if (u->slot.addresses[k] && *l->count < RESOLVER_ADDRESSES &&
				(phase == UNIT_RUNNING || phase == UNIT_STOPPING ||
					phase == UNIT_STARTING)) {
				l->addresses[(*l->count)++] = u->slot.addresses[k];
				break;
			}
		}
	}
}

static bool leads_out(struct supervisor *s, const struct unit *client)
{
	for (size_t i = 0; i < client->plan->endpoint_count; i++) {
		struct network *n = network_find(s, client->plan->endpoints[i].network);

		if (n && !n->internal) {
			return true;
		}
	}
	return false;
}

enum resolver_verdict names_lookup(void *owner, void *client_owner, const char *name,
	uint32_t addresses[RESOLVER_ADDRESSES], size_t *count)
{
	struct lookup l = {
		.s = owner, .client = client_owner, .addresses = addresses, .count = count
	};
	size_t length = strlen(name);

	*count = 0;
	look(&l, name, length, NULL);
	/* "name.network" */
	for (size_t i = 0; !l.known && i < l.client->plan->endpoint_count; i++) {
		const char *network = l.client->plan->endpoints[i].network;
		size_t tail = strlen(network);

		if (length > tail + 1 && name[length - tail - 1] == '.' &&
			strcasecmp(name + length - tail, network) == 0) {
			look(&l, name, length - tail - 1, network);
		}
	}
	/* A name of ours that nobody runs under now is no business of the outside's: an empty answer. */
	if (l.known) {
		return RESOLVER_FOUND;
	}
	return leads_out(l.s, l.client) ? RESOLVER_FORWARD : RESOLVER_REFUSE;
}

const char *names_reverse(void *owner, void *client_owner, uint32_t address)
{
	static char text[400];
	struct supervisor *s = owner;
	const struct unit *client = client_owner;

	for (size_t i = 0; i < s->unit_room; i++) {
		struct unit *u = s->units[i];

		for (size_t k = 0; u && k < u->plan->endpoint_count && k < SLOT_ENDPOINTS; k++) {
			const char *network = u->plan->endpoints[k].network;

			if (u->slot.addresses[k] == address && endpoint_address(client, network)) {
				snprintf(text, sizeof(text), "%s.%s", u->plan->name, network);
				return text;
			}
		}
	}
	return NULL;
}
