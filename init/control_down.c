/* down: containers, networks, volumes, run folder; then this supervisor ends. */
#include <errno.h>
#include <unistd.h>

#include "base/json.h"
#include "init/control.h"

/* Volumes that the files declare may be left from an earlier life of the project. */
static void take_volume_names(struct supervisor *s, const json_t *names)
{
	size_t i;
	json_t *value;

	json_array_foreach(names, i, value)
	{
		if (json_is_string(value)) {
			volumes_remember(s, json_string_value(value));
		}
	}
}

/* What is still on its way out when the last unit has gone. */
static bool is_swept(struct supervisor *s)
{
	return !helpers_busy(s) && s->cgroup_trash.count == 0;
}

/* Units that came after the request was made. True: there are some. */
static bool add_latecomers(struct connection *c)
{
	bool any = false;

	for (size_t i = 0; i < c->s->unit_room; i++) {
		if (c->s->units[i]) {
			targets_add(c, c->s->units[i]);
			any = true;
		}
	}
	targets_sort(c);
	return any;
}

static bool operate_down(struct connection *c)
{
	struct supervisor *s = c->s;

	if (c->stage == 0) {
		if (!operate_remove_all(c)) {
			return false;
		}
		if (c->closing) { /* one that cannot be killed: the rest of the project stays too */
			s->table.head->going_down = 0;
			return true;
		}
		if (add_latecomers(c)) {
			return false;
		}
		networks_remove_all(s, c);
		if (c->volumes) {
			volumes_remove_declared(s, c);
		}
		c->stage = 1;
	}
	if (!is_swept(s)) {
		return false;
	}
	/* The last frame is sent when everything has gone: control_say_goodbye(). */
	s->finished = true;
	s->exit_status = SUPERVISOR_DONE;
	return false;
}

void down_client_gone(struct connection *c)
{
	struct supervisor *s = c->s;

	if (c->operation != operate_down) {
		return;
	}
	if (c->stage == 0) {
		s->table.head->going_down =
			0; /* what is left stays, as after any request given up */
	} else {
		/* Nothing is left but this process. */
		s->finished = true;
		s->exit_status = SUPERVISOR_DONE;
	}
}

void request_down(struct connection *c, const json_t *request)
{
	struct supervisor *s = c->s;

	c->listening = true;
	c->volumes = json_bool(request, "volumes", false);
	c->grace_us = json_int(request, "timeout_us", INT64_MIN);
	s->table.head->going_down = c->volumes ? 2 : 1;
	if (c->volumes) {
		take_volume_names(s, json_object_get(request, "volume_names"));
	}
	for (size_t i = 0; i < s->unit_room; i++) {
		if (s->units[i]) {
			targets_add(c, s->units[i]);
		}
	}
	targets_sort(c);
	operation_begin(c, operate_down, 0);
}
