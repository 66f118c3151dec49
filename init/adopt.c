/*
 * Taking over what an earlier supervisor left: with its descriptors (the guardian's table is
 * shared), without them (guardian and supervisor both died), or without even a usable table (the
 * records and the control groups tell what there is).
 */
#include <dirent.h>
#include <errno.h>
#include <sched.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/proc.h"
#include "base/sys.h"
#include "init/control.h"

#define GROUP_PIDS_MAX 4096

static void say(struct supervisor *s, const char *name, const struct error *err)
{
	control_warn(s, "%s: %s", name, err->message);
}

/* Ports of a container whose reservations went with their descriptors. */
static void reserve_again(struct unit *u)
{
	for (uint32_t i = 0; i < u->slot.port_count; i++) {
		struct slot_port *p = &u->slot.ports[i];
		struct error err = ERROR_INIT;
		uint16_t chosen;

		p->fd = net_port_reserve(p->protocol, p->host_ip, p->published, &chosen, &err);
		if (p->fd < 0) {
			p->fd = -1;
			say(u->s, u->plan->name, &err);
		}
	}
	u->s->rules_dirty = true;
	unit_commit(u);
}

/* Makes again what descriptors stood for. 1: the process lives, 0: there is none, or it is gone. */
static int find_process(struct unit *u)
{
	int fd;

	for (int i = 0; i < SLOT_FDS; i++) {
		u->slot.fds[i] = -1;
	}
	reserve_again(u);
	if (u->slot.pid == 0) {
		return 0;
	}
	fd = proc_open(u->slot.pid, u->slot.start_time);
	if (fd < 0) {
		return 0;
	}
	unit_fd_set(u, SLOT_PIDFD, fd);
	return 1;
}

/* What is on record about a start or an end that a supervisor did not live to see through. */
static void answer_for(struct unit *u, bool same_table, bool lives)
{
	struct machine_event event = { .unit = u->index, .exit_code = 255, .retryable = true };
	bool starting = u->slot.state.phase == UNIT_STARTING;

	if (lives) {
		if (starting && u->slot.fds[SLOT_STATUS] < 0) {
			/* Whoever waited for the news is gone; that it lives is news enough. */
			supervisor_post_simple(u->s, EVENT_STARTED, u->index);
		}
		return;
	}
	if (u->slot.pid != 0 && !same_table) {
		launch_ended(u, -1);
		return;
	}
	if (starting) {
		event.type = EVENT_START_FAILED;
		event.exit_code = 125;
		supervisor_post(u->s, &event);
	} else if (u->slot.state.phase == UNIT_RUNNING || u->slot.state.phase == UNIT_STOPPING) {
		event.type = EVENT_EXITED;
		supervisor_post(u->s, &event);
	}
}

static void adopt_unit(struct unit *u, bool same_table)
{
	struct supervisor *s = u->s;
	bool lives = same_table ? u->slot.pid != 0 : find_process(u) == 1;
	struct error err = ERROR_INIT;

	if ((lives || u->slot.state.ever_started) && streams_open(u, &err) < 0) {
		say(s, u->plan->name, &err);
	}
	if (endpoint_adopt(u, same_table, &err) < 0) {
		say(s, u->plan->name, &err);
	}
	launch_watch(u);
	answer_for(u, same_table, lives);
	if (same_table && u->slot.fds[SLOT_CLIENT] >= 0) {
		run_adopt(s, u);
	}
}

/* Before a reboot: nothing of it runs, no descriptor or group means anything. */
static void forget_boot(struct slot *slot)
{
	for (int i = 0; i < SLOT_FDS; i++) {
		slot->fds[i] = -1;
	}
	memset(slot->addresses, 0, sizeof(slot->addresses));
	slot->port_count = 0;
	slot->pid = 0;
	if (slot->state.phase != UNIT_CREATED) {
		slot->state.phase = UNIT_EXITED;
	}
	slot->state.goal = slot->state.goal == GOAL_REMOVED ? GOAL_REMOVED : GOAL_STOPPED;
	slot->state.paused = 0;
}

/* Units as the table has them. */
static void attach_units(struct supervisor *s, bool rebooted)
{
	for (uint32_t i = 0; i < table_slots(&s->table); i++) {
		struct error err = ERROR_INIT;
		struct plan_container *plan;
		struct slot slot;

		if (!table_read(&s->table, i, &slot, NULL)) {
			continue;
		}
		if (rebooted) {
			forget_boot(&slot);
		}
		plan = record_unit_read(s, slot.id, &err);
		if (!plan) {
			/* Without its record nobody can run it; what runs of it goes with its group. */
			say(s, slot.id, &err);
			slot_init(&slot);
			table_commit(&s->table, i, &slot);
			continue;
		}
		unit_attach(s, i, &slot, plan);
	}
}

/* The first process of a pid namespace among those of a group: "NSpid: <ours> 1". */
static pid_t first_process(const struct cgroup *group)
{
	_cleanup_free_ pid_t *pids = xcalloc(GROUP_PIDS_MAX, sizeof(*pids));
	int count = cgroup_pids(group, pids, GROUP_PIDS_MAX);

	for (int i = 0; i < count && i < GROUP_PIDS_MAX; i++) {
		_cleanup_free_ char *text = NULL;
		char path[64];
		const char *line;
		int outer, inner, more;

		snprintf(path, sizeof(path), "/proc/%d/status", (int)pids[i]);
		if (file_read_at(AT_FDCWD, path, 65536, &text, NULL, NULL) < 0) {
			continue;
		}
		line = strstr(text, "\nNSpid:");
		if (line && sscanf(line + 7, "%d %d %d", &outer, &inner, &more) == 2 &&
			inner == 1) {
			return pids[i];
		}
	}
	return 0;
}

/* Calls @call for each group "<id12>.<life>" of the project, in any hierarchy. */
static void each_group(
	struct supervisor *s, void (*call)(struct supervisor *s, const char *name, unsigned life))
{
	struct strv names = { 0 };
	char parent[256];

	snprintf(parent, sizeof(parent), "wherry/%.200s", s->link->project);
	for (int i = 0; i < s->cgroups.count; i++) {
		int fd = sys_openat(
			s->cgroups.hierarchies[i].root_fd, parent, O_RDONLY | O_DIRECTORY, 0);
		DIR *dir = fd < 0 ? NULL : fdopendir(fd);
		struct dirent *entry;

		while (dir && (entry = readdir(dir))) {
			if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
				strv_find(&names, entry->d_name) < 0) {
				strv_add(&names, entry->d_name);
			}
		}
		if (dir) {
			closedir(dir);
		} else {
			fd_close(&fd);
		}
	}
	for (size_t i = 0; i < names.count; i++) {
		char id[UNIT_ID_SHORT + 1];
		unsigned life;

		if (sscanf(names.items[i], "%12[0-9a-f].%u", id, &life) == 2) {
			call(s, names.items[i], life);
		}
	}
	strv_finish(&names);
}

/* A group without a unit whose life it is: left by a kill between two steps. */
static void sweep_group(struct supervisor *s, const char *name, unsigned life)
{
	char path[300];

	for (size_t i = 0; i < s->unit_room; i++) {
		const struct unit *u = s->units[i];

		if (u && strncmp(u->slot.id, name, UNIT_ID_SHORT) == 0 &&
			u->slot.state.life == life && u->slot.pid != 0) {
			return;
		}
	}
	snprintf(path, sizeof(path), "wherry/%.200s/%s", s->link->project, name);
	supervisor_trash_cgroup(s, path);
}

/* The table could not be used: what a unit is doing is read off its control group. */
static void rebuild_state(struct supervisor *s, const char *name, unsigned life)
{
	struct unit *u = unit_find(
		s, (char[]){ name[0], name[1], name[2], name[3], name[4], name[5], name[6], name[7],
			   name[8], name[9], name[10], name[11], '\0' });
	struct cgroup group;
	char path[300];
	pid_t pid;

	snprintf(path, sizeof(path), "wherry/%.200s/%s", s->link->project, name);
	if (!u || u->slot.pid != 0 || cgroup_open(&s->cgroups, path, &group) < 0) {
		return;
	}
	pid = first_process(&group);
	cgroup_close(&group);
	if (pid == 0) {
		return;
	}
	u->slot.pid = pid;
	u->slot.start_time = proc_start_time(pid);
	u->slot.started_wall_ns = clock_wall_ns();
	u->slot.state.phase = UNIT_RUNNING;
	u->slot.state.goal = GOAL_RUNNING;
	u->slot.state.health = u->plan->policy.health.enabled ? HEALTH_STARTING : HEALTH_NONE;
	u->slot.state.life = life;
	u->slot.state.ever_started = 1;
	u->slot.state.started_us = clock_now_us();
	unit_commit(u);
}

/* Units as the records have them. */
static void rebuild_units(struct supervisor *s)
{
	int fd = sys_openat(s->link->dir_fd, "units", O_RDONLY | O_DIRECTORY, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		size_t length = strlen(entry->d_name);
		struct error err = ERROR_INIT;
		struct plan_container *plan;
		char id[SLOT_ID_SIZE];

		if (length != SLOT_ID_SIZE - 1 + 5 ||
			strcmp(entry->d_name + length - 5, ".json") != 0) {
			continue;
		}
		snprintf(id, sizeof(id), "%.64s", entry->d_name);
		plan = record_unit_read(s, id, &err);
		if (!plan || !unit_create(s, plan, &err)) {
			say(s, id, &err);
			plan_container_free(plan);
		}
	}
	if (dir) {
		closedir(dir);
	}
	each_group(s, rebuild_state);
}

int adopt_project(struct supervisor *s, int table_state, bool same_table, struct error *err)
{
	struct error ignored = ERROR_INIT;
	int r = sys_mkdirat(s->link->dir_fd, "units", 0700);

	if (r < 0 && r != -EEXIST) {
		return error_set(err, r, "make the folder %s/units", s->link->run_dir);
	}
	r = sys_mkdirat(s->link->dir_fd, "root", 0700);
	if (r < 0 && r != -EEXIST) {
		return error_set(err, r, "make the folder %s/root", s->link->run_dir);
	}
	if (table_state == 0 && faccessat(s->link->dir_fd, "project.json", F_OK, 0) < 0) {
		return 0; /* a new project */
	}
	if (record_project_read(s, &ignored) < 0 || networks_restore(s, &ignored) < 0) {
		control_warn(s, "%s", ignored.message);
	}
	if (table_state == 1 || table_state == TABLE_REBOOTED) {
		attach_units(s, table_state == TABLE_REBOOTED);
	} else {
		rebuild_units(s);
	}
	for (size_t i = 0; i < s->unit_room; i++) {
		if (s->units[i]) {
			adopt_unit(s->units[i], same_table);
		}
	}
	sessions_adopt(s, same_table);
	streams_recover(s);
	each_group(s, sweep_group);
	record_remove_leftovers(s);
	s->table.head->going_down = 0;
	supervisor_adopt_machine(s);
	return 0;
}
