#include "rootfs-tools/store.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/utsname.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/json.h"
#include "base/sys.h"
#include "specs/image_name.h"

#define DIGEST_HEX    64
#define DIGEST_PREFIX "sha256:"

static const char *digest_hex(const char *digest)
{
	return digest + strlen(DIGEST_PREFIX);
}

int store_open(const char *state_dir, struct error *err)
{
	_cleanup_free_ char *path = file_join(state_dir, "images");
	int fd = sys_open(path, O_RDONLY | O_DIRECTORY, 0);

	return fd < 0 ? error_set(err, fd, "open image store %s", path) : fd;
}

int store_lock(int store, int operation, struct error *err)
{
	/* Read-only is enough for flock(2), so a reader needs no right to write. */
	_cleanup_fd_ int fd = sys_openat(store, "lock", O_RDONLY, 0);

	if (fd < 0) {
		return error_set(err, fd, "open the image store's lock");
	}
	while (flock(fd, operation) < 0) {
		if (errno != EINTR) {
			return error_set(err, errno, "lock the image store");
		}
	}
	return take_fd(&fd);
}

json_t *store_index_read(int store, struct error *err)
{
	struct error e = ERROR_INIT;
	_cleanup_json_ json_t *index = json_read_at(store, "index.json", STORE_INDEX_LIMIT, &e);

	if (!index && e.code == ENOENT) {
		index = json_object();
		json_put_int(index, "schemaVersion", 2);
		json_put_text(index, "mediaType", "application/vnd.oci.image.index.v1+json");
		json_put(index, "manifests", json_array());
	}
	if (!index) {
		error_say(err, e.code, "image store: %s", e.message);
		return NULL;
	}
	if (!json_is_array(json_object_get(index, "manifests"))) {
		error_say(err, EBADMSG, "image store: index.json has no list of manifests");
		return NULL;
	}
	return take_ptr(index);
}

json_t *store_blob_json(int store, const char *digest, struct error *err)
{
	char path[sizeof("blobs/sha256/") + DIGEST_HEX];
	json_t *value;

	if (!image_digest_valid(digest)) {
		error_say(err, EBADMSG, "image store: a digest is missing or of the wrong form");
		return NULL;
	}
	snprintf(path, sizeof(path), "blobs/sha256/%s", digest_hex(digest));
	value = json_read_at(store, path, STORE_BLOB_LIMIT, err);
	if (!value) {
		error_prefix(err, "image store");
	}
	return value;
}

static const char *descriptor_name(const json_t *descriptor)
{
	return json_text(json_object_get(descriptor, "annotations"), STORE_ANNOTATION_NAME, NULL);
}

/* Whether the canonical name @have stands for @wanted: the same, or the same repository with the
 * digest that @wanted asks for. */
static bool name_fits(const char *have, const json_t *descriptor, const struct image_name *wanted)
{
	struct image_name name;

	if (!have || image_name_parse(have, &name, NULL) < 0 ||
		strcmp(name.domain, wanted->domain) != 0 ||
		strcmp(name.repository, wanted->repository) != 0) {
		return false;
	}
	if (wanted->digest[0]) {
		return strcmp(json_text(descriptor, "digest", ""), wanted->digest) == 0;
	}
	return strcmp(name.tag, wanted->tag) == 0;
}

static json_t *find_by_name(const json_t *list, const char *reference, struct error *err)
{
	struct image_name wanted;
	json_t *descriptor;
	size_t i;

	if (image_name_parse(reference, &wanted, err) < 0) {
		return NULL;
	}
	json_array_foreach(list, i, descriptor)
	{
		if (name_fits(descriptor_name(descriptor), descriptor, &wanted)) {
			return descriptor;
		}
	}
	error_say(err, ENOENT, "image %s is not in the store", reference);
	return NULL;
}

/* By id: the digest of the configuration, whole or a prefix that fits only one image. */
static json_t *find_by_id(int store, const json_t *list, const char *prefix, struct error *err)
{
	_cleanup_free_ char *found_id = NULL;
	json_t *descriptor, *found = NULL;
	size_t i;

	json_array_foreach(list, i, descriptor)
	{
		_cleanup_json_ json_t *manifest =
			store_blob_json(store, json_text(descriptor, "digest", NULL), NULL);
		const char *id = json_text(json_object_get(manifest, "config"), "digest", NULL);

		if (!image_digest_valid(id) ||
			strncmp(digest_hex(id), prefix, strlen(prefix)) != 0) {
			continue;
		}
		if (found_id && strcmp(found_id, id) != 0) {
			error_say(err, ENOTUNIQ, "image id %s fits more than one image", prefix);
			return NULL;
		}
		if (!found) {
			found = descriptor;
			found_id = xstrdup(id);
		}
	}
	if (!found) {
		error_say(err, ENOENT, "no image has an id that starts with %s", prefix);
	}
	return found;
}

json_t *store_index_find(int store, const json_t *index, const char *reference, struct error *err)
{
	const json_t *list = json_object_get(index, "manifests");
	bool prefixed = strncmp(reference, DIGEST_PREFIX, strlen(DIGEST_PREFIX)) == 0;
	const char *hex = prefixed ? digest_hex(reference) : reference;
	json_t *found = find_by_name(list, reference, err);
	struct error by_id = ERROR_INIT;

	/* A name wins over an id that reads the same, as with docker. */
	if (found || !hex[0] || strlen(hex) > DIGEST_HEX ||
		strspn(hex, "0123456789abcdef") != strlen(hex)) {
		return found;
	}
	found = find_by_id(store, list, hex, &by_id);
	if (!found && (by_id.code == ENOTUNIQ || prefixed)) {
		error_say(err, by_id.code, "%s", by_id.message);
	}
	return found;
}

/* Absolute paths of the trees, topmost first; each must be there. */
static int load_layers(
	const char *state_dir, int store, struct store_image *image, struct error *err)
{
	const char *const *diff_ids = image->config.diff_ids;
	const char **layers;
	size_t count = 0;

	while (diff_ids[count]) {
		count++;
	}
	layers = arena_array(&image->arena, count + 1, sizeof(*layers));
	for (size_t i = 0; i < count; i++) {
		const char *hex = digest_hex(diff_ids[i]);
		char path[sizeof("layers/sha256//fs") + DIGEST_HEX];
		struct stat st;
		int r;

		snprintf(path, sizeof(path), "layers/sha256/%s/fs", hex);
		r = sys_fstatat(store, path, &st, AT_SYMLINK_NOFOLLOW);
		if (r < 0) {
			return error_set(err, r,
				"image %s: layer %.12s is not unpacked (remove and import the "
				"image again)",
				image->name, hex);
		}
		layers[count - 1 - i] = arena_printf(
			&image->arena, "%s/images/layers/sha256/%s/fs", state_dir, hex);
	}
	image->layers = layers;
	return 0;
}

static int64_t manifest_size(const json_t *manifest)
{
	int64_t size = json_int(json_object_get(manifest, "config"), "size", 0);
	const json_t *layer;
	size_t i;

	json_array_foreach(json_object_get(manifest, "layers"), i, layer)
	{
		size += json_int(layer, "size", 0);
	}
	return size;
}

static int load(const char *state_dir, int store, const json_t *descriptor,
	struct store_image *image, struct error *err)
{
	const char *digest = json_text(descriptor, "digest", NULL);
	_cleanup_json_ json_t *manifest = store_blob_json(store, digest, err);
	const char *id = json_text(json_object_get(manifest, "config"), "digest", NULL);
	_cleanup_json_ json_t *config = manifest ? store_blob_json(store, id, err) : NULL;
	const char *name = descriptor_name(descriptor);
	int r;

	if (!config) {
		return err ? -err->code : -EBADMSG;
	}
	image->manifest = arena_strdup(&image->arena, digest);
	image->id = arena_strdup(&image->arena, id);
	image->name = arena_strdup(&image->arena, name ? name : id);
	image->size = manifest_size(manifest);
	r = image_config_parse(config, &image->arena, &image->config, err);
	if (r < 0) {
		error_prefix(err, "image %s", image->name);
		return r;
	}
	return load_layers(state_dir, store, image, err);
}

int store_image_load(const char *state_dir, int store, const json_t *descriptor,
	struct store_image *image, struct error *err)
{
	struct error e = ERROR_INIT;
	int r;

	memset(image, 0, sizeof(*image));
	r = load(state_dir, store, descriptor, image, &e);
	if (r < 0) {
		store_image_finish(image);
		/* A part that is missing is damage; -ENOENT is kept for an image that is not there. */
		return error_say(err, r == -ENOENT ? EBADMSG : r, "%s", e.message);
	}
	return 0;
}

int store_image_find(
	const char *state_dir, const char *reference, struct store_image *image, struct error *err)
{
	_cleanup_fd_ int store = -EBADF, lock = -EBADF;
	_cleanup_json_ json_t *index = NULL;
	struct error e = ERROR_INIT;
	json_t *descriptor;

	memset(image, 0, sizeof(*image));
	store = store_open(state_dir, &e);
	if (store >= 0) {
		lock = store_lock(store, LOCK_SH, &e);
	}
	if (store == -ENOENT || lock == -ENOENT) {
		return error_say(err, ENOENT, "image %s is not in the store", reference);
	}
	if (lock < 0) {
		return error_say(err, e.code, "%s", e.message);
	}
	index = store_index_read(store, &e);
	descriptor = index ? store_index_find(store, index, reference, &e) : NULL;
	if (!descriptor) {
		return error_say(err, e.code, "%s", e.message);
	}
	return store_image_load(state_dir, store, descriptor, image, err);
}

void store_image_finish(struct store_image *image)
{
	arena_finish(&image->arena);
	memset(image, 0, sizeof(*image));
}

int store_image_hold(const char *state_dir, const struct store_image *image, struct error *err)
{
	_cleanup_free_ char *path =
		xasprintf("%s/images/blobs/sha256/%s", state_dir, digest_hex(image->id));
	_cleanup_fd_ int fd = sys_open(path, O_RDONLY, 0);
	struct stat st;
	int r;

	if (fd < 0) {
		return error_set(err, fd, "hold image %s", image->name);
	}
	/* Whoever removes the image holds the exclusive lock for an instant only: wait for it. */
	while (flock(fd, LOCK_SH) < 0) {
		if (errno != EINTR) {
			return error_set(err, errno, "hold image %s", image->name);
		}
	}
	r = sys_fstat(fd, &st);
	if (r < 0 || st.st_nlink == 0) {
		return error_set(err, r < 0 ? r : -ENOENT, "hold image %s", image->name);
	}
	return take_fd(&fd);
}

const char *store_architecture(void)
{
	/* uname's word, the image specification's (Go's GOARCH). */
	static const struct {
		const char *machine, *architecture;
	} words[] = {
		{ "x86_64", "amd64" },
		{ "aarch64", "arm64" },
		{ "armv7l", "arm" },
		{ "armv6l", "arm" },
		{ "i686", "386" },
		{ "i386", "386" },
		{ "riscv64", "riscv64" },
		{ "ppc64le", "ppc64le" },
		{ "s390x", "s390x" },
		{ "loongarch64", "loong64" },
	};
	static struct utsname name;

	if (!name.machine[0] && uname(&name) < 0) {
		return "unknown";
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i].machine, name.machine) == 0) {
			return words[i].architecture;
		}
	}
	return name.machine;
}
