/* The units that a request is about. */
#include <errno.h>

#include "base/clock.h"
#include "base/json.h"
#include "init/control.h"

bool name_in_list(const json_t *list, const char *name)
{
	size_t i;
	json_t *value;

	json_array_foreach(list, i, value)
	{
		const char *text = json_string_value(value);

		if (text && strcmp(text, name) == 0) {
			return true;
		}
	}
	return false;
}

void targets_add(struct connection *c, struct unit *u)
{
	c->targets = xrealloc(c->targets, c->target_count + 1, sizeof(*c->targets));
	c->targets[c->target_count++] = (struct target){ .unit = u,
		.life = u->slot.state.life,
		.name = xstrdup(u->plan->name),
		.service = xstrdup(u->plan->service) };
}

static bool service_exists(struct supervisor *s, const char *name)
{
	for (size_t i = 0; i < s->unit_room; i++) {
		if (s->units[i] && strcmp(s->units[i]->plan->service, name) == 0) {
			return true;
		}
	}
	return false;
}

bool targets_select(struct connection *c, const json_t *request, bool oneoffs)
{
	const json_t *services = json_object_get(request, "services");
	size_t i;
	json_t *value;

	if (services && !json_is_array(services) && !json_is_null(services)) {
		connection_done(c, 1, "\"services\": an array expected");
		return false;
	}
	json_array_foreach(services, i, value)
	{
		char text[300];

		if (!json_is_string(value) || !service_exists(c->s, json_string_value(value))) {
			snprintf(text, sizeof(text), "no such service: %.200s",
				json_is_string(value) ? json_string_value(value) : "?");
			connection_done(c, 1, text);
			return false;
		}
	}
	for (i = 0; i < c->s->unit_room; i++) {
		struct unit *u = c->s->units[i];

		if (u && (oneoffs || !u->plan->oneoff) &&
			(!json_is_array(services) || json_array_size(services) == 0 ||
				name_in_list(services, u->plan->service))) {
			targets_add(c, u);
		}
	}
	targets_sort(c);
	return true;
}

/* How long the chain of dependencies below a unit is, among the targets. Found by relaxing: at
 * most one round for each link, and a cycle (which no plan has) ends after as many. */
void targets_sort(struct connection *c)
{
	size_t n = c->target_count;
	size_t *rank = xcalloc(n, sizeof(*rank));
	bool changed = true;

	for (size_t round = 0; changed && round < n; round++) {
		changed = false;
		for (size_t i = 0; i < n; i++) {
			for (size_t k = 0; k < n; k++) {
				if (c->targets[i].unit && c->targets[k].unit && i != k &&
					rank[i] <= rank[k] &&
					unit_depends_on(c->targets[i].unit, c->targets[k].unit)) {
					rank[i] = rank[k] + 1;
					changed = true;
				}
			}
		}
	}
	for (size_t i = 1; i < n; i++) {
		struct target target = c->targets[i];
		size_t r = rank[i], j = i;

		for (; j > 0 && rank[j - 1] > r; j--) {
			c->targets[j] = c->targets[j - 1];
			rank[j] = rank[j - 1];
		}
		c->targets[j] = target;
		rank[j] = r;
	}
	free(rank);
}

bool targets_dependents_rest(const struct connection *c, const struct unit *u)
{
	for (size_t i = 0; i < c->target_count; i++) {
		const struct unit *other = c->targets[i].unit;

		if (other && other != u && unit_is_active(other) && unit_depends_on(other, u)) {
			return false;
		}
	}
	return true;
}

/* Wakes the loop; the operation itself looks at the clock. */
static void on_deadline(struct timer *timer)
{
	(void)timer;
}

void operation_begin(struct connection *c, operation_fn *operation, int64_t timeout_us)
{
	c->operation = operation;
	c->deadline_us = USEC_NEVER;
	c->wait_us = timeout_us;
	if (timeout_us > 0) {
		c->deadline_us = clock_now_us() + timeout_us;
		loop_timer(c->s->loop, &c->timer, c->deadline_us, on_deadline, c);
	}
}
