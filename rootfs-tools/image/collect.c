#include "rootfs-tools/image/collect.h"

#include <dirent.h>
#include <errno.h>
#include <sys/file.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sys.h"
#include "rootfs-tools/store.h"

/* Sets of hexadecimal digests, as objects: jansson's are hash tables. */
struct needed {
	json_t *blobs, *layers;
};

static void need(json_t *set, const char *digest)
{
	if (image_digest_valid(digest)) {
		json_put(set, digest_hex(digest), json_true());
	}
}

static void need_layers(struct needed *needed, const json_t *config)
{
	json_t *diff_id;
	size_t i;

	json_array_foreach(
		json_object_get(json_object_get(config, "rootfs"), "diff_ids"), i, diff_id)
	{
		need(needed->layers, json_string_value(diff_id));
	}
}

static int need_image(
	const struct repository *repository, struct needed *needed, const char *digest)
{
	_cleanup_json_ json_t *manifest = store_blob_json(repository->store, digest, NULL);
	const char *id = json_text(json_object_get(manifest, "config"), "digest", NULL);
	_cleanup_json_ json_t *config = store_blob_json(repository->store, id, NULL);
	json_t *layer;
	size_t i;

	if (!manifest || !config) {
		return -EBADMSG;
	}
	need(needed->blobs, digest);
	need(needed->blobs, id);
	json_array_foreach(json_object_get(manifest, "layers"), i, layer)
	{
		need(needed->blobs, json_text(layer, "digest", NULL));
	}
	need_layers(needed, config);
	return 0;
}

static bool is_held_at(int folder, const char *name)
{
	_cleanup_fd_ int fd = sys_openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

bool collect_is_held(const struct repository *repository, const char *id)
{
	char path[64 + DIGEST_SIZE];

	snprintf(path, sizeof(path), "blobs/sha256/%s", digest_hex(id));
	return is_held_at(repository->store, path);
}

/* Blobs first: one that is held is a configuration, and its layers stay. */
static void collect_blobs(const struct repository *repository, struct needed *needed)
{
	DIR *stream =
		fdopendir(sys_openat(repository->store, "blobs/sha256", O_RDONLY | O_DIRECTORY, 0));
	struct dirent *entry;

	while (stream && (entry = readdir(stream))) {
		if (entry->d_name[0] == '.' || json_object_get(needed->blobs, entry->d_name)) {
			continue;
		}
		if (is_held_at(dirfd(stream), entry->d_name)) {
			_cleanup_json_ json_t *config =
				json_read_at(dirfd(stream), entry->d_name, STORE_BLOB_LIMIT, NULL);

			need_layers(needed, config);
		} else {
			sys_unlinkat(dirfd(stream), entry->d_name, 0);
		}
	}
	if (stream) {
		closedir(stream);
	}
}

static void collect_layers(const struct repository *repository, const struct needed *needed)
{
	DIR *stream = fdopendir(
		sys_openat(repository->store, "layers/sha256", O_RDONLY | O_DIRECTORY, 0));
	struct dirent *entry;

	while (stream && (entry = readdir(stream))) {
		if (entry->d_name[0] != '.' && !json_object_get(needed->layers, entry->d_name)) {
			_cleanup_free_ char *trash = xasprintf("trash-%s", entry->d_name);

			sys_renameat2(dirfd(stream), entry->d_name, repository->work, trash, 0);
		}
	}
	if (stream) {
		closedir(stream);
	}
}

void collect_garbage(const struct repository *repository, const json_t *index)
{
	struct needed needed = { .blobs = json_object(), .layers = json_object() };
	json_t *entry;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(index, "manifests"), i, entry)
	{
		if (r == 0) {
			r = need_image(repository, &needed, json_text(entry, "digest", NULL));
		}
	}
	if (r == 0) {
		collect_blobs(repository, &needed);
		collect_layers(repository, &needed);
	}
	json_decref(needed.blobs);
	json_decref(needed.layers);
}
