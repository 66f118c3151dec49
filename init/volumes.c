/* Volumes: folders `<state>/volumes/<name>/_data`, with a record of whose they are beside it. */
#include <dirent.h>
#include <errno.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "init/control.h"

static bool name_ok(const char *name)
{
	size_t length =
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

	return length > 0 && name[length] == '\0' && length < 250 && name[0] != '.';
}

static char *volume_path(const struct supervisor *s, const char *name)
{
	return xasprintf("%s/volumes/%s/_data", s->state_dir, name);
}

static struct volume *find(struct supervisor *s, const char *name)
{
	for (size_t i = 0; i < s->volume_count; i++) {
		if (strcmp(s->volumes[i].name, name) == 0) {
			return &s->volumes[i];
		}
	}
	return NULL;
}

static void remember(struct supervisor *s, const char *name, bool external)
{
	if (!find(s, name)) {
		s->volumes = xrealloc(s->volumes, s->volume_count + 1, sizeof(*s->volumes));
		s->volumes[s->volume_count++] =
			(struct volume){ .name = xstrdup(name), .external = external };
	}
}

void volumes_remember(struct supervisor *s, const char *name)
{
	_cleanup_free_ char *path = volume_path(s, name);

	if (name_ok(name) && access(path, F_OK) == 0) {
		remember(s, name, false);
	}
}

/* Makes the folders. 1: it is new, 0: it was there, or a negative errno. The record is written
 * durably: it says which project's data this is. */
static int make_volume(struct supervisor *s, const char *name, bool anonymous,
	const struct compose_pairs *labels, struct error *err)
{
	_cleanup_free_ char *path = volume_path(s, name), *text = NULL;
	_cleanup_free_ char *record = xasprintf("%s/volumes/%s/volume.json", s->state_dir, name);
	_cleanup_json_ json_t *json = json_object();
	json_t *texts = json_object();
	char created[CLOCK_RFC3339_SIZE];
	struct stat st;
	int r;

	json_put(json, "labels", texts);
	if (!name_ok(name)) {
		return error_say(err, EINVAL, "volume name %s: not allowed", name);
	}
	if (stat(path, &st) == 0) {
		return 0;
	}
	r = file_mkdir_p(path, 0755, err);
	if (r < 0) {
		return r;
	}
	clock_rfc3339(clock_wall_ns(), created);
	json_put_text(json, "name", name);
	json_put_text(json, "project", s->link->project);
	json_put_bool(json, "anonymous", anonymous);
	json_put_text(json, "created", created);
	for (size_t i = 0; labels && i < labels->count; i++) {
		json_put_text(texts, labels->items[i].key, labels->items[i].value);
	}
	text = json_print(json);
	r = file_write_atomic(AT_FDCWD, record, text, strlen(text), 0600, false, err);
	return r < 0 ? r : 1;
}

int volumes_apply(
	struct supervisor *s, const struct plan *plan, struct connection *c, struct error *err)
{
	for (size_t i = 0; i < plan->volume_count; i++) {
		const struct plan_volume *v = &plan->volumes[i];
		_cleanup_free_ char *path = volume_path(s, v->name);
		int r;

		if (v->external) {
			if (!name_ok(v->name) || access(path, F_OK) < 0) {
				return error_say(
					err, ENOENT, "external volume \"%s\" not found", v->name);
			}
			remember(s, v->name, true);
			continue;
		}
		r = make_volume(s, v->name, false, &v->labels, err);
		if (r < 0) {
			return r;
		}
		if (r == 1) {
			connection_tell_name(c, "volume-created", v->name);
		}
		remember(s, v->name, false);
	}
	return 0;
}

static bool is_empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool empty = true;

	while (dir && empty && (entry = readdir(dir))) {
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	}
	if (dir) {
		closedir(dir);
	}
	return empty;
}

/* 64 hex digits, as docker names what nobody named. */
static const char *anonymous_name(struct plan_container *plan)
{
	unsigned char bytes[32];
	char *name = arena_alloc(&plan->arena, 2 * sizeof(bytes) + 1);

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
		return NULL;
	}
	for (size_t i = 0; i < sizeof(bytes); i++) {
		snprintf(name + 2 * i, 3, "%02x", bytes[i]);
	}
	return name;
}

/* The anonymous volume that the predecessor had at this target. */
static const char *inherited(const struct plan_container *old, const char *target)
{
	for (size_t i = 0; old && i < old->volume_count; i++) {
		if (old->volumes[i].volume && strcmp(old->volumes[i].target, target) == 0) {
			return old->volumes[i].volume;
		}
	}
	return NULL;
}

/* docker's name for what has none: 64 hex digits. */
static bool is_anonymous(const char *name)
{
	return name && strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
}

int volumes_settle(struct supervisor *s, struct plan_container *plan,
	const struct plan_container *old, char **paths, bool *fill, struct error *err)
{
	for (size_t i = 0; i < plan->volume_count; i++) {
		struct plan_volume_mount *mount = &plan->volumes[i];
		bool anonymous = mount->volume == NULL;
		int r;

		if (anonymous) {
			const char *kept = inherited(old, mount->target);

			mount->volume = kept && is_anonymous(kept)
						? arena_strdup(&plan->arena, kept)
						: anonymous_name(plan);
			if (!mount->volume) {
				return error_say(err, EIO, "no random numbers to be had");
			}
		}
		r = make_volume(s, mount->volume, anonymous, NULL, err);
		if (r < 0) {
			return r;
		}
		paths[i] = volume_path(s, mount->volume);
		fill[i] = !mount->nocopy && is_empty(paths[i]);
	}
	return 0;
}

static void remove_volume(struct supervisor *s, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/volumes", s->state_dir);
	_cleanup_fd_ int dir = sys_open(path, O_RDONLY | O_DIRECTORY, 0);
	int r = dir < 0 || !name_ok(name) ? -EINVAL : file_remove_tree(dir, name);

	if (r < 0) {
		control_warn(s, "remove volume %s: %s", name, strerror(-r));
	}
}

void volumes_remove_declared(struct supervisor *s, struct connection *c)
{
	for (size_t i = 0; i < s->volume_count; i++) {
		if (!s->volumes[i].external) {
			remove_volume(s, s->volumes[i].name);
			connection_tell_name(c, "volume-removed", s->volumes[i].name);
		}
	}
	volumes_finish(s);
}

void volumes_remove_anonymous(struct unit *u)
{
	for (size_t i = 0; i < u->plan->volume_count; i++) {
		if (is_anonymous(u->plan->volumes[i].volume)) {
			remove_volume(u->s, u->plan->volumes[i].volume);
		}
	}
}

json_t *volumes_print(const struct supervisor *s)
{
	json_t *all = json_array();

	for (size_t i = 0; i < s->volume_count; i++) {
		json_t *one = json_object();

		json_put_text(one, "name", s->volumes[i].name);
		json_put_bool(one, "external", s->volumes[i].external);
		json_array_append_new(all, one);
	}
	return all;
}

void volumes_parse(struct supervisor *s, const json_t *json)
{
	volumes_finish(s);
	for (size_t i = 0; i < json_array_size(json); i++) {
		const json_t *one = json_array_get(json, i);
		const char *name = json_text(one, "name", NULL);

		if (name && name_ok(name)) {
			remember(s, name, json_bool(one, "external", false));
		}
	}
}

void volumes_finish(struct supervisor *s)
{
	for (size_t i = 0; i < s->volume_count; i++) {
		free(s->volumes[i].name);
	}
	free(s->volumes);
	s->volumes = NULL;
	s->volume_count = 0;
}
