/* Files of the project: what a container is, what the project has; and their removal. */
#include <dirent.h>
#include <errno.h>
#include <sys/epoll.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "init/supervisor.h"

#define RECORD_MAX     (16u << 20)
#define RECORD_VERSION 1

/* A process of ours that removes a big tree, so that the loop goes on. */
struct helper {
	struct helper *next;
	struct supervisor *s;
	struct watcher watch;
	int pidfd;
};

static int write_record(
	struct supervisor *s, const char *path, const json_t *json, struct error *err)
{
	_cleanup_free_ char *text = json_print(json);

	return file_write_atomic(s->link->dir_fd, path, text, strlen(text), 0600, false, err);
}

int record_unit(struct unit *u, struct error *err)
{
	_cleanup_json_ json_t *json = plan_container_print(u->plan);
	char path[SLOT_ID_SIZE + 16];

	snprintf(path, sizeof(path), "units/%s.json", u->slot.id);
	return write_record(u->s, path, json, err);
}

void record_unit_compact(struct unit *u)
{
	_cleanup_json_ json_t *json = plan_container_print(u->plan);
	struct plan_container *copy = NULL;

	if (plan_container_parse(json, &copy, NULL) == 0) {
		copy->policy.service = u->plan->policy.service;
		plan_container_free(u->plan);
		u->plan = copy;
	}
}

struct plan_container *record_unit_read(struct supervisor *s, const char *id, struct error *err)
{
	struct plan_container *plan = NULL;
	_cleanup_json_ json_t *json = NULL;
	char path[SLOT_ID_SIZE + 16];

	snprintf(path, sizeof(path), "units/%.64s.json", id);
	json = json_read_at(s->link->dir_fd, path, RECORD_MAX, err);
	if (!json || plan_container_parse(json, &plan, err) < 0) {
		return NULL;
	}
	if (!plan->id || !plan->name || !plan->service || strcmp(plan->id, id) != 0) {
		error_say(err, EBADMSG, "%s: not the record of that container", path);
		plan_container_free(plan);
		return NULL;
	}
	return plan;
}

int record_project(struct supervisor *s, struct error *err)
{
	_cleanup_json_ json_t *json = json_object();

	json_put_int(json, "version", RECORD_VERSION);
	json_put_text(json, "project", s->link->project);
	json_put_text(json, "directory", s->directory);
	json_put(json, "config_files",
		json_from_strings(
			(const char *const *)(s->config_files.items ? s->config_files.items
								    : (char *[]){ NULL })));
	json_put(json, "networks", networks_print(s));
	json_put(json, "volumes", volumes_print(s));
	return write_record(s, "project.json", json, err);
}

int record_project_read(struct supervisor *s, struct error *err)
{
	_cleanup_json_ json_t *json =
		json_read_at(s->link->dir_fd, "project.json", RECORD_MAX, err);
	const json_t *files;

	if (!json) {
		return -err->code;
	}
	if (json_int(json, "version", 0) != RECORD_VERSION) {
		return error_say(err, EBADMSG, "project.json: version %lld, this wherry knows %d",
			(long long)json_int(json, "version", 0), RECORD_VERSION);
	}
	free(s->directory);
	s->directory = xstrdup(json_text(json, "directory", "/"));
	strv_finish(&s->config_files);
	files = json_object_get(json, "config_files");
	for (size_t i = 0; i < json_array_size(files); i++) {
		const char *text = json_string_value(json_array_get(files, i));

		if (text) {
			strv_add(&s->config_files, text);
		}
	}
	networks_parse(s, json_object_get(json, "networks"));
	volumes_parse(s, json_object_get(json, "volumes"));
	return 0;
}

char *record_container_dir(const struct unit *u)
{
	return xasprintf("%s/containers/%s", u->s->state_dir, u->slot.id);
}

static void on_helper(struct watcher *w, uint32_t events)
{
	struct helper *h = w->owner;
	struct helper **at = &h->s->helpers;
	siginfo_t info;

	(void)events;
	sys_waitid_pidfd(h->pidfd, &info, WEXITED | WNOHANG);
	loop_remove(h->s->loop, &h->watch);
	fd_close(&h->pidfd);
	while (*at != h) {
		at = &(*at)->next;
	}
	*at = h->next;
	free(h);
}

bool helpers_busy(const struct supervisor *s)
{
	return s->helpers != NULL;
}

/* Removes @name below @dir (a path), in a process of its own where one can be had. */
static void remove_in_helper(struct supervisor *s, const char *dir, const char *name)
{
	struct clone_args args = { .flags = CLONE_PIDFD, .exit_signal = SIGCHLD };
	struct helper *h = xcalloc(1, sizeof(*h));
	_cleanup_fd_ int at = sys_open(dir, O_RDONLY | O_DIRECTORY, 0);
	pid_t pid;

	h->pidfd = -EBADF;
	h->s = s;
	args.pidfd = (uint64_t)(uintptr_t)&h->pidfd;
	pid = at < 0 ? at : sys_clone3(&args);
	if (pid == 0) {
		/* A copy of our whole descriptor table would keep ports, locks and clients alive. */
		int only = at == 3 ? 3 : dup2(at, 3);

		sys_close_range(4, ~0U, 0);
		_exit(only < 0 || file_remove_tree(only, name) < 0);
	}
	if (pid < 0 || loop_add(s->loop, &h->watch, h->pidfd, EPOLLIN, on_helper, h) < 0) {
		if (at >= 0 && pid < 0) {
			file_remove_tree(at, name);
		}
		fd_close(&h->pidfd);
		free(h);
		return;
	}
	h->next = s->helpers;
	s->helpers = h;
}

/* What is about to be removed gets a name that says so: after a kill the next one goes on. */
static void remove_container_dir(struct unit *u)
{
	_cleanup_free_ char *dir = xasprintf("%s/containers", u->s->state_dir);
	_cleanup_free_ char *doomed = xasprintf("removing.%s.%s", u->s->link->project, u->slot.id);
	_cleanup_fd_ int at = sys_open(dir, O_RDONLY | O_DIRECTORY, 0);

	if (at >= 0 && sys_renameat2(at, u->slot.id, at, doomed, 0) == 0) {
		remove_in_helper(u->s, dir, doomed);
	}
}

void record_remove_leftovers(struct supervisor *s)
{
	_cleanup_free_ char *path = xasprintf("%s/containers", s->state_dir);
	_cleanup_free_ char *prefix = xasprintf("removing.%s.", s->link->project);
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
			remove_in_helper(s, path, entry->d_name);
		}
	}
	if (dir) {
		closedir(dir);
	}
}

/* Logs go with their container, as docker's do. */
static void remove_logs(struct unit *u)
{
	_cleanup_free_ char *logs = xasprintf("%s/logs", u->s->state_dir);
	_cleanup_free_ char *dir = xasprintf("%s/%s", u->s->link->project, u->plan->name);
	_cleanup_fd_ int at = sys_open(logs, O_RDONLY | O_DIRECTORY, 0);

	if (at < 0) {
		return;
	}
	for (uint32_t i = 0; i < 1 || i < u->plan->log_max_file; i++) {
		_cleanup_free_ char *name =
			i == 0 ? xasprintf("%s/%s-json.log", dir, u->slot.id)
			       : xasprintf("%s/%s-json.log.%u", dir, u->slot.id, i);

		sys_unlinkat(at, name, 0);
	}
	/* Both may still hold another container's. */
	sys_unlinkat(at, dir, AT_REMOVEDIR);
	sys_unlinkat(at, u->s->link->project, AT_REMOVEDIR);
}

void record_unit_remove(struct unit *u)
{
	static const char *const suffixes[] = { ".json", ".out", ".err", ".out.part", ".err.part" };

	control_event(u->s, control_unit_event(u, "removing"));
	streams_close(u);
	ports_release(u);
	endpoint_remove(u);
	remove_logs(u);
	if (u->slot.remove_volumes) {
		volumes_remove_anonymous(u);
	}
	remove_container_dir(u);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		char path[SLOT_ID_SIZE + 16];

		snprintf(path, sizeof(path), "units/%s%s", u->slot.id, suffixes[i]);
		sys_unlinkat(u->s->link->dir_fd, path, 0);
	}
	supervisor_post_simple(u->s, EVENT_REMOVED, u->index);
}
