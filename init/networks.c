/* Networks of the project: a bridge each, with a subnet that nobody on this host uses. */
#include <errno.h>
#include <sys/file.h>

#include "base/dirs.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/sys.h"
#include "init/control.h"

static int open_net(struct supervisor *s, struct error *err)
{
	return s->net ? 0 : net_open(&s->net, err);
}

struct network *network_find(struct supervisor *s, const char *name)
{
	for (size_t i = 0; i < s->network_count; i++) {
		if (strcmp(s->networks[i].name, name) == 0) {
			return &s->networks[i];
		}
	}
	return NULL;
}

/* "wh" and 8 hex digits that no other project's network of that name has. */
static void bridge_name(const struct supervisor *s, const char *network, char out[IFNAMSIZ])
{
	struct hash hash;
	char hex[HASH_HEX_SIZE];

	hash_init(&hash);
	hash_add_text(&hash, s->link->run_dir);
	hash_add_text(&hash, network);
	hash_hex(&hash, hex);
	snprintf(out, IFNAMSIZ, "wh%.8s", hex);
}

/* The subnet asked for, or the next free one of docker's pools. */
static int choose_subnet(struct supervisor *s, const struct plan_network *plan,
	struct network *network, struct error *err)
{
	struct net_ipv4 *taken = xcalloc(s->network_count, sizeof(*taken));
	int r;

	for (size_t i = 0; i < s->network_count; i++) {
		taken[i] = s->networks[i].subnet;
	}
	if (!plan->subnet) {
		r = net_subnet_pick(s->net, taken, s->network_count, &network->subnet, err);
	} else if (net_ipv4_parse(plan->subnet, &network->subnet) < 0 ||
		   network->subnet.prefix > 30) {
		r = error_say(
			err, EINVAL, "network %s: invalid subnet %s", plan->name, plan->subnet);
	} else {
		r = net_subnet_check(s->net, network->subnet, err);
	}
	free(taken);
	if (r < 0) {
		return r;
	}
	network->fixed = plan->subnet != NULL;
	network->gateway = network->subnet;
	network->gateway.address += 1;
	if (plan->gateway) {
		struct net_ipv4 gateway;

		if (net_ipv4_parse(plan->gateway, &gateway) < 0) {
			return error_say(err, EINVAL, "network %s: invalid gateway %s", plan->name,
				plan->gateway);
		}
		network->gateway.address = gateway.address;
	}
	return 0;
}

static json_t *labels_print(const struct compose_pairs *labels)
{
	json_t *json = json_object();

	for (size_t i = 0; i < labels->count; i++) {
		json_put_text(json, labels->items[i].key, labels->items[i].value);
	}
	return json;
}

static void network_finish(struct network *network)
{
	free(network->name);
	free(network->key);
	json_decref(network->labels);
}

static int create_network(struct supervisor *s, const struct plan_network *plan, struct error *err)
{
	struct network network = { 0 };
	int r = choose_subnet(s, plan, &network, err);

	if (r < 0) {
		return r;
	}
	bridge_name(s, plan->name, network.bridge);
	network.internal = plan->internal;
	network.name = xstrdup(plan->name);
	network.key = xstrdup(plan->key ? plan->key : plan->name);
	network.labels = labels_print(&plan->labels);
	s->networks = xrealloc(s->networks, s->network_count + 1, sizeof(*s->networks));
	s->networks[s->network_count++] = network;
	/* Recorded before it is made: what a kill leaves behind is found again by its record. */
	r = record_project(s, err);
	if (r == 0) {
		r = net_bridge_create(s->net, network.bridge, network.gateway, err);
	}
	if (r < 0) {
		net_bridge_remove(s->net, network.bridge, NULL);
		network_finish(&s->networks[--s->network_count]);
		record_project(s, NULL);
		return r;
	}
	s->rules_dirty = true;
	return 0;
}

/* Picking a subnet and making its bridge must not cross another project's doing so. */
static int lock_addresses(struct supervisor *s, struct error *err)
{
	/* The state folder itself carries the lock (net/ locks the run folder for forwarding): a file
	 * for it would stay behind. */
	int fd = sys_open(s->state_dir, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0) {
		return error_set(err, fd, "open %s", s->state_dir);
	}
	while (flock(fd, LOCK_EX) < 0 && errno == EINTR) {
	}
	return fd;
}

int networks_apply(
	struct supervisor *s, const struct plan *plan, struct connection *c, struct error *err)
{
	_cleanup_fd_ int lock = -EBADF;
	bool leads_out = false;

	for (size_t i = 0; i < plan->network_count; i++) {
		const struct plan_network *wanted = &plan->networks[i];
		int r;

		if (network_find(s, wanted->name)) {
			continue;
		}
		if (wanted->external) {
			return error_say(err, ENOENT,
				"network %s declared as external, but could not be found",
				wanted->name);
		}
		if (lock < 0) {
			lock = lock_addresses(s, err);
		}
		r = lock < 0 ? lock : open_net(s, err);
		r = r < 0 ? r : create_network(s, wanted, err);
		if (r < 0) {
			return r;
		}
		connection_tell_name(c, "network-created", wanted->name);
		leads_out |= !wanted->internal;
	}
	/* It takes the same lock. */
	fd_close(&lock);
	/* What leaves a container for the outside, or comes from there to a published port, is
	 * forwarded by this host. An internal network needs none of it. */
	return leads_out ? net_forwarding_acquire(dirs_run(NULL), s->link->project, err) : 0;
}

int networks_restore(struct supervisor *s, struct error *err)
{
	int r = s->network_count > 0 ? open_net(s, err) : 0;

	for (size_t i = 0; i < s->network_count && r == 0; i++) {
		r = net_bridge_create(s->net, s->networks[i].bridge, s->networks[i].gateway, err);
		if (r == 0 && !s->networks[i].internal) {
			r = net_forwarding_acquire(dirs_run(NULL), s->link->project, err);
		}
	}
	s->rules_dirty = s->network_count > 0;
	return r;
}

void networks_remove_all(struct supervisor *s, struct connection *c)
{
	const char *run = dirs_run(NULL);

	if (s->network_count > 0 && open_net(s, NULL) == 0) {
		struct error err = ERROR_INIT;

		if (net_rules_remove(s->net, s->link->project, &err) < 0) {
			control_warn(s, "%s", err.message);
		}
		net_forwarding_release(run, s->link->project);
	}
	while (s->network_count > 0) {
		struct network *network = &s->networks[s->network_count - 1];
		struct error err = ERROR_INIT;

		if (net_bridge_remove(s->net, network->bridge, &err) < 0) {
			control_warn(s, "%s", err.message);
		}
		connection_tell_name(c, "network-removed", network->name);
		network_finish(network);
		s->network_count--;
	}
	s->rules_dirty = false;
}

json_t *networks_print(const struct supervisor *s)
{
	json_t *all = json_array();

	for (size_t i = 0; i < s->network_count; i++) {
		const struct network *n = &s->networks[i];
		json_t *json = json_object();
		char text[NET_IPV4_SIZE];

		json_put_text(json, "name", n->name);
		json_put_text(json, "key", n->key);
		json_put_text(json, "bridge", n->bridge);
		net_ipv4_print(n->subnet, true, text);
		json_put_text(json, "subnet", text);
		net_ipv4_print(n->gateway, true, text);
		json_put_text(json, "gateway", text);
		json_put_bool(json, "internal", n->internal);
		json_put_bool(json, "fixed", n->fixed);
		json_put(json, "labels", json_incref(n->labels));
		json_array_append_new(all, json);
	}
	return all;
}

void networks_parse(struct supervisor *s, const json_t *json)
{
	networks_finish(s);
	for (size_t i = 0; i < json_array_size(json); i++) {
		const json_t *one = json_array_get(json, i);
		struct network n = { .internal = json_bool(one, "internal", false),
			.fixed = json_bool(one, "fixed", false) };
		const char *name = json_text(one, "name", NULL);
		const json_t *labels = json_object_get(one, "labels");

		if (!name || net_ipv4_parse(json_text(one, "subnet", ""), &n.subnet) < 0 ||
			net_ipv4_parse(json_text(one, "gateway", ""), &n.gateway) < 0) {
			continue;
		}
		n.name = xstrdup(name);
		n.key = xstrdup(json_text(one, "key", name));
		n.labels = labels ? json_incref((json_t *)(uintptr_t)labels) : json_object();
		bridge_name(s, name, n.bridge);
		s->networks = xrealloc(s->networks, s->network_count + 1, sizeof(*s->networks));
		s->networks[s->network_count++] = n;
	}
}

void networks_finish(struct supervisor *s)
{
	for (size_t i = 0; i < s->network_count; i++) {
		network_finish(&s->networks[i]);
	}
	free(s->networks);
	s->networks = NULL;
	s->network_count = 0;
}
