/* Containers as objects of the supervisor: slot, record and machine entry kept in step. */
#include <errno.h>

#include "base/fd.h"
#include "init/supervisor.h"

static struct unit_state no_state = { .phase = UNIT_NONE, .predecessor = -1 };

/* Makes arrays as long as the table. */
static void grow_arrays(struct supervisor *s)
{
	size_t room = table_slots(&s->table);

	if (room <= s->unit_room) {
		return;
	}
	s->units = xrealloc(s->units, room, sizeof(*s->units));
	s->machine.units = xrealloc(s->machine.units, room, sizeof(*s->machine.units));
	for (size_t i = s->unit_room; i < room; i++) {
		s->units[i] = NULL;
		s->machine.units[i] = (struct machine_unit){ .state = &no_state };
	}
	s->unit_room = room;
}

/* The machine goes through all its units at every step: no longer than it must be. */
static void count_machine(struct supervisor *s)
{
	s->machine.count = 0;
	for (size_t i = 0; i < s->unit_room; i++) {
		if (s->units[i]) {
			s->machine.count = i + 1;
		}
	}
}

void supervisor_rebuild_dependencies(struct supervisor *s)
{
	size_t count = 0, at = 0;

	for (size_t i = 0; i < s->unit_room; i++) {
		count += s->units[i] ? s->units[i]->plan->depends_count : 0;
	}
	s->dependencies = xrealloc(s->dependencies, count, sizeof(*s->dependencies));
	for (size_t i = 0; i < s->unit_room; i++) {
		const struct plan_container *plan = s->units[i] ? s->units[i]->plan : NULL;

		for (size_t k = 0; plan && k < plan->depends_count; k++) {
			const struct plan_dependency *d = &plan->depends_on[k];

			s->dependencies[at++] = (struct unit_dependency){ .unit = (uint32_t)i,
				.service = supervisor_service(s, d->service),
				.condition = d->condition,
				.required = d->required,
				.restart = d->restart };
		}
	}
	s->machine.dependencies = s->dependencies;
	s->machine.dependency_count = at;
	count_machine(s);
}

static struct unit *make_unit(
	struct supervisor *s, uint32_t index, const struct slot *slot, struct plan_container *plan)
{
	struct unit *u = xcalloc(1, sizeof(*u));

	u->s = s;
	u->index = index;
	u->slot = *slot;
	u->plan = plan;
	u->log.fd = -EBADF;
	u->exit_watch.fd = u->status_watch.fd = u->console_watch.fd = -EBADF;
	for (int i = 0; i < 3; i++) {
		u->stdio[i] = -EBADF;
	}
	plan->policy.service = supervisor_service(s, plan->service);
	s->units[index] = u;
	s->machine.units[index] =
		(struct machine_unit){ .policy = plan->policy, .state = &u->slot.state };
	supervisor_rebuild_dependencies(s);
	return u;
}

struct unit *unit_attach(
	struct supervisor *s, uint32_t index, const struct slot *slot, struct plan_container *plan)
{
	struct unit *u;

	grow_arrays(s);
	u = make_unit(s, index, slot, plan);
	u->committed = slot->state;
	return u;
}

static int free_slot(struct supervisor *s, struct error *err)
{
	grow_arrays(s);
	for (size_t i = 0; i < s->unit_room; i++) {
		if (!s->units[i]) {
			return (int)i;
		}
	}
	if (table_grow(&s->table, err) < 0) {
		return -err->code;
	}
	grow_arrays(s);
	return (int)(s->unit_room - TABLE_CHUNK_SLOTS);
}

struct unit *unit_create(struct supervisor *s, struct plan_container *plan, struct error *err)
{
	int index = free_slot(s, err);
	struct slot slot;
	struct unit *u;

	if (index < 0) {
		return NULL;
	}
	slot_init(&slot);
	slot.used = 1;
	snprintf(slot.id, sizeof(slot.id), "%s", plan->id);
	machine_unit_init(&slot.state);
	u = make_unit(s, (uint32_t)index, &slot, plan);
	/* The record first: a slot always has one to go with it. */
	if (record_unit(u, err) < 0) {
		u->plan = NULL; /* stays the caller's */
		unit_destroy(u);
		return NULL;
	}
	record_unit_compact(u);
	unit_commit(u);
	return u;
}

void unit_commit(struct unit *u)
{
	table_commit(&u->s->table, u->index, &u->slot);
	u->committed = u->slot.state;
}

void unit_fd_set(struct unit *u, enum slot_fd which, int fd)
{
	int old = u->slot.fds[which];

	u->slot.fds[which] = fd < 0 ? -1 : fd;
	unit_commit(u);
	if (old >= 0 && old != fd) {
		close(old);
	}
}

void unit_destroy(struct unit *u)
{
	struct supervisor *s = u->s;
	struct slot empty;

	control_forget_unit(s, u);
	health_finish(u);
	loop_remove(s->loop, &u->exit_watch);
	loop_remove(s->loop, &u->status_watch);
	loop_remove(s->loop, &u->console_watch);
	loop_timer_cancel(s->loop, &u->signal_timer);
	loop_timer_cancel(s->loop, &u->status_timer);
	streams_close(u);
	slot_init(&empty);
	table_commit(&s->table, u->index, &empty);
	for (int i = 0; i < SLOT_FDS; i++) {
		fd_close(&u->slot.fds[i]);
	}
	for (int i = 0; i < 3; i++) {
		fd_close(&u->stdio[i]);
	}
	s->units[u->index] = NULL;
	s->machine.units[u->index] = (struct machine_unit){ .state = &no_state };
	plan_container_free(u->plan);
	free(u->log_path);
	free(u->error);
	free(u);
	supervisor_rebuild_dependencies(s);
}

struct unit *unit_find(struct supervisor *s, const char *name_or_id)
{
	size_t length = strlen(name_or_id);

	for (size_t i = 0; i < s->unit_room; i++) {
		struct unit *u = s->units[i];

		if (u && (strcmp(u->plan->name, name_or_id) == 0 ||
				 (length >= UNIT_ID_SHORT &&
					 strncmp(u->slot.id, name_or_id, length) == 0))) {
			return u;
		}
	}
	return NULL;
}

void unit_set_error(struct unit *u, const struct error *err)
{
	free(u->error);
	u->error = xstrdup(err->message);
	u->error_status = err->exit_status;
}

const char *unit_short_id(const struct unit *u, char out[UNIT_ID_SHORT + 1])
{
	snprintf(out, UNIT_ID_SHORT + 1, "%.*s", UNIT_ID_SHORT, u->slot.id);
	return out;
}

void unit_cgroup_path(const struct unit *u, char out[300])
{
	snprintf(out, 300, "wherry/%.200s/%.*s.%u", u->s->link->project, UNIT_ID_SHORT, u->slot.id,
		u->slot.state.life);
}

bool unit_is_active(const struct unit *u)
{
	switch (u->slot.state.phase) {
	case UNIT_STARTING:
	case UNIT_RUNNING:
	case UNIT_STOPPING:
	case UNIT_BACKOFF:
	case UNIT_WAITING: return true;
	default: return false;
	}
}

bool unit_depends_on(const struct unit *u, const struct unit *other)
{
	for (size_t i = 0; i < u->plan->depends_count; i++) {
		if (strcmp(u->plan->depends_on[i].service, other->plan->service) == 0) {
			return true;
		}
	}
	return false;
}
