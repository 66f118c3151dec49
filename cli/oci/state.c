#include <errno.h>
#include <sys/file.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/json.h"
#include "base/proc.h"
#include "base/sys.h"
#include "cli/oci/oci.h"

#define ID_LIMIT    255
#define FILE_LIMIT  65536
#define OCI_VERSION "1.2.0"

int oci_id_check(const char *id, struct error *err)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_+-.";
	size_t length = strlen(id);

	/* No dot in front: "." and ".." would lead elsewhere, and names with a dot are ours. */
	if (length == 0 || length > ID_LIMIT || id[0] == '.' || strspn(id, letters) != length) {
		return error_say(err, EINVAL,
			"container id \"%.80s\": 1 to %d of letters, digits, _ + - and, not in "
			"front, . are possible",
			id, ID_LIMIT);
	}
	return 0;
}

static void file_name(const char *id, char out[ID_LIMIT + 16])
{
	snprintf(out, ID_LIMIT + 16, "%s/state.json", id);
}

int oci_state_reserve(const struct oci_root *root, const char *id, struct error *err)
{
	int r = sys_mkdirat(root->fd, id, 0700);

	if (r == -EEXIST) {
		return error_say(err, EEXIST, "container %s exists already", id);
	}
	if (r < 0) {
		return error_set(err, r, "create folder %s/%s", root->path, id);
	}
	r = oci_state_lock(root, id, err);
	/* A delete --force between the two calls. */
	return r == -EWOULDBLOCK || r == -ENOENT
		       ? error_say(err, EBUSY, "container %s is just being deleted", id)
		       : r;
}

int oci_state_lock(const struct oci_root *root, const char *id, struct error *err)
{
	_cleanup_fd_ int fd = sys_openat(root->fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	struct stat held, named;
	int r = fd;

	if (r >= 0) {
		r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	}
	if (r == 0) {
		r = sys_fstat(fd, &held);
	}
	if (r == 0) {
		r = sys_fstatat(root->fd, id, &named, AT_SYMLINK_NOFOLLOW);
	}
	/* Removed, and perhaps made anew, between open and lock. */
	if (r == 0 && (held.st_ino != named.st_ino || held.st_dev != named.st_dev)) {
		r = -EWOULDBLOCK;
	}
	if (r < 0) {
		return r == -ENOENT || r == -EWOULDBLOCK
			       ? r
			       : error_set(err, r, "lock folder %s/%s", root->path, id);
	}
	return take_fd(&fd);
}

int oci_state_write(const struct oci_root *root, const struct oci_state *state, struct error *err)
{
	_cleanup_json_ json_t *json = json_object();
	_cleanup_free_ char *text = NULL;
	char name[ID_LIMIT + 16];

	json_put_text(json, "ociVersion", OCI_VERSION);
	json_put_int(json, "wherry", 1);
	json_put_text(json, "id", state->id);
	json_put_text(json, "bundle", state->bundle);
	json_put_text(json, "cgroup", state->cgroup);
	json_put_text(json, "bootId", state->boot_id);
	json_put_int(json, "pid", state->pid);
	json_put_int(json, "startTime", state->start_time);
	text = json_print(json);
	file_name(state->id, name);
	return file_write_atomic(root->fd, name, text, strlen(text), 0600, false, err);
}

int oci_state_read(const struct oci_root *root, const char *id, struct arena *arena,
	struct oci_state *state, struct error *err)
{
	_cleanup_json_ json_t *json = NULL;
	struct error why = ERROR_INIT;
	char name[ID_LIMIT + 16];
	struct stat st;
	int64_t pid;

	*state = (struct oci_state){ 0 };
	if (sys_fstatat(root->fd, id, &st, AT_SYMLINK_NOFOLLOW) == -ENOENT) {
		return error_say(err, ENOENT, "container %s does not exist", id);
	}
	file_name(id, name);
	json = json_read_at(root->fd, name, FILE_LIMIT, &why);
	if (!json) {
		return error_say(err, EBADMSG, "state of container %s: %s", id, why.message);
	}
	pid = json_int(json, "pid", -1);
	if (json_int(json, "wherry", 0) != 1 || strcmp(json_text(json, "id", ""), id) != 0 ||
		pid < 0 || pid > INT32_MAX) {
		return error_say(err, EBADMSG, "state of container %s: not a record of ours", id);
	}
	state->id = arena_strdup(arena, id);
	state->bundle = arena_strdup(arena, json_text(json, "bundle", ""));
	state->cgroup = arena_strdup(arena, json_text(json, "cgroup", ""));
	state->pid = (pid_t)pid;
	state->start_time = json_int(json, "startTime", -1);
	snprintf(state->boot_id, sizeof(state->boot_id), "%s", json_text(json, "bootId", ""));
	return 0;
}

int oci_state_remove(const struct oci_root *root, const char *id, struct error *err)
{
	int r = file_remove_tree(root->fd, id);

	return r < 0 ? error_set(err, r, "remove folder %s/%s", root->path, id) : 0;
}

int oci_state_open(const struct oci_state *state)
{
	char boot_id[BOOT_ID_SIZE];
	_cleanup_fd_ int fd = -EBADF;
	int r = dirs_boot_id(boot_id);

	if (r < 0) {
		return r;
	}
	/* After a reboot pid and start time may fit another process by chance. */
	if (state->pid == 0 || strcmp(boot_id, state->boot_id) != 0) {
		return -ESRCH;
	}
	fd = proc_open(state->pid, state->start_time);
	return take_fd(&fd);
}
