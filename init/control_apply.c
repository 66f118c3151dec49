/* `apply`: from what is there to what the plan says, then wait until it has come true. */
#include <errno.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "init/control.h"

/* 64 hex digits. */
static int make_id(char out[CONTAINER_ID_SIZE])
{
	unsigned char bytes[32];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
		return -EIO;
	}
	for (size_t i = 0; i < sizeof(bytes); i++) {
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
	}
	return 0;
}

static int make_bind_folders(const struct plan_container *plan, struct error *err)
{
	for (const char **folder = plan->bind_folders; folder && *folder; folder++) {
		int r = access(*folder, F_OK) == 0 ? 0 : file_mkdir_p(*folder, 0755, err);

		if (r < 0) {
			return error_prefix(err, "bind source");
		}
	}
	return 0;
}

static int settle(struct supervisor *s, struct plan_container *plan,
	const struct plan_container *old, struct error *err)
{
	char id[CONTAINER_ID_SIZE], files[PATH_MAX];
	char **paths = xcalloc(plan->volume_count, sizeof(*paths));
	bool *fill = xcalloc(plan->volume_count, sizeof(*fill));
	int r = make_id(id);

	r = r < 0 ? error_set(err, r, "make an id") : make_bind_folders(plan, err);
	r = r < 0 ? r : volumes_settle(s, plan, old, paths, fill, err);
	if (r == 0) {
		struct plan_settlement settlement = { .id = id,
			.created_wall_ns = clock_wall_ns(),
			.files_dir = files,
			.volume_paths = (const char *const *)paths,
			.volume_fill = fill };

		snprintf(files, sizeof(files), "%s/containers/%s", s->state_dir, id);
		plan_container_settle(plan, &settlement);
	}
	for (size_t i = 0; i < plan->volume_count; i++) {
		free(paths[i]);
	}
	free(paths);
	free(fill);
	return r;
}

struct unit *apply_create(struct connection *c, struct plan_container *plan, struct unit *old,
	bool inherit, struct error *err)
{
	struct supervisor *s = c->s;
	struct unit *u = NULL;
	int r = settle(s, plan, old && inherit ? old->plan : NULL, err);

	if (r == 0) {
		u = unit_create(s, plan, err);
	}
	if (!u) {
		if (!err->exit_status) {
			error_prefix(err, "container %s", plan->name);
		}
		plan_container_free(plan);
		return NULL;
	}
	if (old) {
		u->slot.state.predecessor = (int32_t)old->index;
		unit_commit(u);
	}
	return u;
}

static struct unit *find_existing(struct supervisor *s, const struct plan_container *plan)
{
	for (size_t i = 0; i < s->unit_room; i++) {
		struct unit *u = s->units[i];

		if (u && u->slot.state.goal != GOAL_REMOVED && !u->plan->oneoff &&
			u->plan->number == plan->number &&
			strcmp(u->plan->service, plan->service) == 0) {
			return u;
		}
	}
	return NULL;
}

static bool same_text(const char *a, const char *b)
{
	return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static bool must_recreate(
	const json_t *request, const struct unit *u, const struct plan_container *plan)
{
	const char *how = json_text(request, "recreate", "diverged");
	const json_t *named = json_object_get(request, "services");

	if (strcmp(how, "never") == 0) {
		return false;
	}
	/* Only what was named, not what it depends on. */
	if (strcmp(how, "force") == 0 &&
		(json_array_size(named) == 0 || name_in_list(named, plan->service))) {
		return true;
	}
	return !same_text(u->plan->hash, plan->hash) ||
	       !same_text(u->plan->image_id, plan->image_id) ||
	       !same_text(u->plan->name, plan->name);
}

static void post_remove(struct connection *c, struct unit *u, int64_t grace_us)
{
	supervisor_post(
		c->s, &(struct machine_event){
			      .type = EVENT_REMOVE, .unit = u->index, .grace_us = grace_us });
}

/* Creates, recreates or keeps one container of the plan. Takes @plan over. */
static int apply_container(
	struct connection *c, const json_t *request, struct plan_container *plan, struct error *err)
{
	struct unit *old = find_existing(c->s, plan), *u = old;
	bool recreate = old && must_recreate(request, old, plan);

	if (old && !recreate) {
		plan_container_free(plan);
		if (old->slot.state.phase == UNIT_RUNNING) {
			control_event(c->s, control_unit_event(old, "running"));
		}
	} else {
		bool renew = json_bool(request, "renew_anon_volumes", false);

		u = apply_create(c, plan, old, !renew, err);
		if (!u) {
			return -err->code;
		}
		control_event(c->s, control_unit_event(u, old ? "recreating" : "creating"));
		if (old) {
			old->slot.remove_volumes = renew;
			post_remove(c, old, json_int(request, "timeout_us", INT64_MIN));
		}
		control_event(c->s, control_unit_event(u, old ? "recreated" : "created"));
	}
	targets_add(c, u);
	return 0;
}

static bool plan_has(const struct plan *plan, const struct unit *u)
{
	for (size_t i = 0; i < plan->container_count; i++) {
		if (plan->containers[i]->number == u->plan->number &&
			strcmp(plan->containers[i]->service, u->plan->service) == 0) {
			return true;
		}
	}
	return false;
}

static bool plan_has_service(const struct plan *plan, const char *service)
{
	for (size_t i = 0; i < plan->container_count; i++) {
		if (strcmp(plan->containers[i]->service, service) == 0) {
			return true;
		}
	}
	return false;
}

/* Removes a unit that has no place in the plan; the request waits for its end. */
static void send_away(struct connection *c, struct unit *u, int64_t grace_us)
{
	post_remove(c, u, grace_us);
	targets_add(c, u);
	c->targets[c->target_count - 1].leaving = true;
}

/* Replicas too many, and services that the file no longer has. */
static void remove_surplus(struct connection *c, const json_t *request, const struct plan *plan)
{
	const json_t *known = json_object_get(request, "known_services");
	int64_t grace = json_int(request, "timeout_us", INT64_MIN);
	_cleanup_str_ struct str orphans = { 0 };

	for (size_t i = 0; i < c->s->unit_room; i++) {
		struct unit *u = c->s->units[i];

		if (!u || u->plan->oneoff || u->slot.state.goal == GOAL_REMOVED) {
			continue;
		}
		if (plan_has_service(plan, u->plan->service)) {
			if (!plan_has(plan, u)) {
				send_away(c, u, grace);
			}
		} else if (json_is_array(known) && !name_in_list(known, u->plan->service)) {
			if (json_bool(request, "remove_orphans", false)) {
				send_away(c, u, grace);
			} else {
				str_addf(&orphans, "%s%s", orphans.size ? " " : "", u->plan->name);
			}
		}
	}
	if (orphans.size > 0) {
		control_warn(c->s,
			"Found orphan containers ([%s]) for this project. If you removed or "
			"renamed "
			"this service in your compose file, you can run this command with the "
			"--remove-orphans flag to clean it up.",
			str_text(&orphans));
	}
}

static void take_names(struct supervisor *s, const struct plan *plan)
{
	free(s->directory);
	s->directory = xstrdup(plan->directory ? plan->directory : "/");
	strv_finish(&s->config_files);
	for (const char **file = plan->config_files; file && *file; file++) {
		strv_add(&s->config_files, *file);
	}
}

int apply_plan(struct connection *c, const json_t *request, struct plan *plan, struct error *err)
{
	struct supervisor *s = c->s;
	int r = 0;

	if (!plan->project || strcmp(plan->project, s->link->project) != 0) {
		return error_say(err, EINVAL, "the plan is for another project");
	}
	c->listening = true;
	take_names(s, plan);
	r = record_project(s, err);
	r = r < 0 ? r : networks_apply(s, plan, c, err);
	r = r < 0 ? r : volumes_apply(s, plan, c, err);
	r = r < 0 ? r : record_project(s, err);
	if (r == 0) {
		remove_surplus(c, request, plan);
	}
	/* Each container is taken out of the plan as it is used. */
	while (r == 0 && plan->container_count > 0) {
		struct plan_container *container = plan->containers[0];

		plan->container_count--;
		memmove(plan->containers, plan->containers + 1,
			plan->container_count * sizeof(*plan->containers));
		r = apply_container(c, request, container, err);
	}
	targets_sort(c);
	return r;
}

void apply_start(struct connection *c, const json_t *request)
{
	(void)request;
	for (size_t i = 0; i < c->target_count; i++) {
		struct unit *u = c->targets[i].unit;

		if (c->targets[i].leaving) {
			continue;
		}
		c->targets[i].life = u->slot.state.life;
		if (u->slot.state.phase == UNIT_RUNNING && u->slot.state.goal == GOAL_RUNNING) {
			c->targets[i].done = true;
		} else {
			supervisor_post_simple(c->s, EVENT_START, u->index);
		}
		c->targets[i].asked = true;
	}
}

/* docker's words for a dependency that cannot be met. */
static void dependency_error(struct connection *c, struct unit *u)
{
	enum dependency_condition condition = DEPEND_STARTED;
	uint32_t culprit = u->index;
	struct unit *other;
	char text[700];

	machine_ready(&c->s->machine, u->index, &culprit, &condition);
	other = culprit < c->s->unit_room ? c->s->units[culprit] : NULL;
	if (!other || other == u) {
		snprintf(text, sizeof(text), "dependency failed to start: container %s",
			u->plan->name);
	} else if (condition == DEPEND_COMPLETED) {
		snprintf(text, sizeof(text), "service \"%s\" didn't complete successfully: exit %d",
			other->plan->service, other->slot.state.exit_code);
	} else if (other->error && other->slot.state.start_failed) {
		snprintf(text, sizeof(text), "dependency failed to start: container %s: %s",
			other->plan->name, other->error);
	} else if (condition == DEPEND_HEALTHY && !other->plan->policy.health.enabled) {
		snprintf(text, sizeof(text),
			"dependency failed to start: container %s has no healthcheck configured",
			other->plan->name);
	} else if (other->slot.state.phase == UNIT_RUNNING) {
		snprintf(text, sizeof(text),
			"dependency failed to start: container %s is unhealthy", other->plan->name);
	} else {
		snprintf(text, sizeof(text), "dependency failed to start: container %s exited (%d)",
			other->plan->name, other->slot.state.exit_code);
	}
	connection_done(c, 1, text);
}

/* Whether somebody waits for this one to complete: then its end with 0 is what was wanted. */
static bool is_awaited(const struct connection *c, const struct unit *u)
{
	for (size_t i = 0; i < c->s->unit_room; i++) {
		const struct plan_container *plan = c->s->units[i] ? c->s->units[i]->plan : NULL;

		for (size_t k = 0; plan && k < plan->depends_count; k++) {
			if (plan->depends_on[k].condition == DEPEND_COMPLETED &&
				strcmp(plan->depends_on[k].service, u->plan->service) == 0) {
				return true;
			}
		}
	}
	return false;
}

/* With --wait: 1 it is where it should be, 0 not yet, -1 it failed (the last frame is queued). */
static int look_wait(struct connection *c, struct unit *u)
{
	const struct unit_state *state = &u->slot.state;
	char text[400];

	if (state->phase == UNIT_RUNNING) {
		if (state->health == HEALTH_UNHEALTHY) {
			snprintf(text, sizeof(text), "container %s is unhealthy", u->plan->name);
			connection_done(c, 1, text);
			return -1;
		}
		return state->health == HEALTH_NONE || state->health == HEALTH_HEALTHY;
	}
	if (state->phase == UNIT_EXITED) {
		if (state->exit_code == 0 && is_awaited(c, u)) {
			return 1;
		}
		snprintf(text, sizeof(text), "container %s exited (%d)", u->plan->name,
			state->exit_code);
		connection_done(c, 1, text);
		return -1;
	}
	return 0;
}

static int look_at(struct connection *c, struct target *t, bool wait)
{
	struct unit *u = t->unit;
	const struct unit_state *state = u ? &u->slot.state : NULL;

	if (t->leaving) {
		return !u || state->unkillable;
	}
	if (!u || state->goal == GOAL_REMOVED) {
		return 1; /* somebody else took it away */
	}
	if (state->phase == UNIT_WAITING || state->phase == UNIT_STARTING) {
		return 0;
	}
	if (state->dependency_failed) {
		dependency_error(c, u);
		return -1;
	}
	if (state->start_failed) {
		char text[1200];

		snprintf(text, sizeof(text), "container %s: %s", u->plan->name,
			u->error ? u->error : "could not be started");
		connection_done(c, 1, text);
		return -1;
	}
	if (state->phase == UNIT_CREATED) {
		return 1; /* somebody else stopped it */
	}
	if (state->phase == UNIT_BACKOFF && state->life == t->life + 1 &&
		state->restart_count == 0) {
		return 0; /* a start that is tried again */
	}
	return wait ? look_wait(c, u) : 1;
}

int apply_look(struct connection *c, bool wait)
{
	bool all = true;

	for (size_t i = 0; i < c->target_count; i++) {
		int r = look_at(c, &c->targets[i], wait);

		if (r < 0) {
			return -1;
		}
		all &= r > 0;
	}
	return all;
}

bool operate_apply(struct connection *c)
{
	int r = apply_look(c, c->wait);

	if (r < 0) {
		return true;
	}
	if (r > 0) {
		json_t *ready;

		if (!c->attach) {
			connection_done(c, 0, NULL);
			return true;
		}
		ready = json_object();
		json_put_bool(ready, "ready", true);
		connection_send(c, ready);
		loop_timer_cancel(c->s->loop, &c->timer);
		return true;
	}
	if (clock_now_us() >= c->deadline_us) {
		char text[100];

		snprintf(text, sizeof(text), "application not healthy after %gs",
			(double)c->wait_us / 1e6);
		connection_done(c, 1, text);
		return true;
	}
	return false;
}

/* Without a start there is only what has to go to be waited for. */
static bool operate_leaving(struct connection *c)
{
	for (size_t i = 0; i < c->target_count; i++) {
		if (c->targets[i].leaving && look_at(c, &c->targets[i], false) == 0) {
			return false;
		}
	}
	connection_done(c, 0, NULL);
	return true;
}

void request_apply(struct connection *c, const json_t *request)
{
	struct plan *plan = NULL;
	struct error err = ERROR_INIT;
	int r = plan_parse(json_object_get(request, "plan"), &plan, &err);

	if (r == 0) {
		r = apply_plan(c, request, plan, &err);
	}
	plan_free(plan);
	if (r < 0) {
		connection_fail(c, &err);
		return;
	}
	if (!json_bool(request, "start", true)) {
		operation_begin(c, operate_leaving, 0);
		return;
	}
	c->wait = json_bool(request, "wait", false);
	c->attach = json_bool(request, "attach", false);
	apply_start(c, request);
	operation_begin(c, operate_apply, json_int(request, "wait_timeout_us", 0));
}
