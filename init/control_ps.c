/* ps, status, events: what the project looks like. */
#include <unistd.h>

#include "base/json.h"
#include "init/control.h"
#include "specs/units.h"

static json_t *networks_of(const struct unit *u)
{
	json_t *all = json_array();

	for (size_t i = 0; i < u->plan->endpoint_count && i < SLOT_ENDPOINTS; i++) {
		const struct plan_endpoint *endpoint = &u->plan->endpoints[i];
		json_t *one = json_object();
		char ip[NET_IPV4_SIZE];

		json_put_text(one, "name", endpoint->network);
		if (u->slot.addresses[i]) {
			net_ipv4_print((struct net_ipv4){ u->slot.addresses[i], 32 }, false, ip);
			json_put_text(one, "ip", ip);
		}
		if (endpoint->aliases) {
			json_put(one, "aliases", json_from_strings(endpoint->aliases));
		}
		json_array_append_new(all, one);
	}
	return all;
}

static json_t *mounts_of(const struct unit *u)
{
	json_t *all = json_array();

	for (size_t i = 0; i < u->plan->volume_count; i++) {
		json_array_append_new(all,
			json_string(u->plan->volumes[i].volume ? u->plan->volumes[i].volume : ""));
	}
	return all;
}

static json_t *labels_of(const struct unit *u)
{
	json_t *all = json_object();

	for (size_t i = 0; i < u->plan->labels.count; i++) {
		const struct compose_pair *pair = &u->plan->labels.items[i];

		json_put_text(all, pair->key, pair->value ? pair->value : "");
	}
	return all;
}

static void put_state(json_t *json, const struct unit *u)
{
	const struct unit_state *state = &u->slot.state;

	json_put_text(json, "state",
		state->paused ? "paused" : unit_phase_name((enum unit_phase)state->phase));
	json_put_int(json, "phase", state->phase);
	json_put_text(json, "health", unit_health_name((enum unit_health)state->health));
	json_put_int(json, "exit_code", state->exit_code);
	json_put_bool(json, "oom_killed", state->oom_killed);
	json_put_int(json, "restart_count", state->restart_count);
	json_put_int(json, "life", state->life);
	json_put_int(json, "pid", u->slot.pid);
	json_put_int(json, "created_ns", u->plan->created_wall_ns);
	json_put_int(json, "started_ns", u->slot.started_wall_ns);
	json_put_int(json, "finished_ns", u->slot.finished_wall_ns);
	json_put_text(json, "error", u->error);
}

static json_t *unit_print(const struct unit *u)
{
	const struct plan_container *plan = u->plan;
	json_t *json = json_object();
	_cleanup_free_ char *log = xasprintf("%s/logs/%s/%s/%s-json.log", u->s->state_dir,
		u->s->link->project, plan->name, u->slot.id);
	char cgroup[300];

	unit_cgroup_path(u, cgroup);
	json_put_text(json, "id", u->slot.id);
	json_put_text(json, "name", plan->name);
	json_put_text(json, "service", plan->service);
	json_put_int(json, "number", plan->number);
	json_put_bool(json, "oneoff", plan->oneoff);
	json_put_text(json, "image", plan->image);
	json_put_text(json, "image_id", plan->image_id);
	json_put(json, "args", json_from_strings(plan->config.process.args));
	put_state(json, u);
	json_put_text(json, "hash", plan->hash);
	json_put(json, "labels", labels_of(u));
	json_put_text(json, "log_path", log);
	json_put_text(json, "cgroup", cgroup);
	json_put(json, "ports", ports_print(u));
	if (plan->expose) {
		json_put(json, "expose", json_from_strings(plan->expose));
	}
	json_put(json, "networks", networks_of(u));
	json_put(json, "mounts", mounts_of(u));
	json_put(json, "health_log", health_log_print(u));
	return json;
}

void request_ps(struct connection *c, const json_t *request)
{
	json_t *frame = json_object(), *all = json_array();

	(void)request;
	for (size_t i = 0; i < c->s->unit_room; i++) {
		if (c->s->units[i]) {
			json_array_append_new(all, unit_print(c->s->units[i]));
		}
	}
	json_put(frame, "containers", all);
	connection_send(c, frame);
	connection_done(c, 0, NULL);
}

void request_events(struct connection *c, const json_t *request)
{
	json_t *frame = json_object();

	(void)request;
	json_put_bool(frame, "ready", true);
	connection_send(c, frame);
	c->listening = true;
}

void request_status(struct connection *c, const json_t *request)
{
	struct supervisor *s = c->s;
	json_t *frame = json_object();
	static const char *const none[] = { NULL };

	(void)request;
	json_put_int(frame, "supervisor_pid", getpid());
	json_put_int(frame, "guardian_pid", s->link->guardian_pid);
	json_put_text(frame, "project", s->link->project);
	json_put_text(frame, "directory", s->directory ? s->directory : "/");
	json_put(frame, "config_files",
		json_from_strings(
			s->config_files.items ? (const char *const *)s->config_files.items : none));
	json_put_text(frame, "run_dir", s->link->run_dir);
	json_put_text(frame, "version", WHERRY_VERSION);
	connection_send(c, frame);
	connection_done(c, 0, NULL);
}
