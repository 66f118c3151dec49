#include "rootfs-tools/image/repository.h"

#include <dirent.h>
#include <errno.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sys.h"
#include "rootfs-tools/image/collect.h"
#include "rootfs-tools/store.h"
#include "specs/image_name.h"

#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define CONFIG_TYPE   "application/vnd.oci.image.config.v1+json"
#define LAYOUT_TEXT   "{\"imageLayoutVersion\":\"1.0.0\"}\n"

/* --- opening --- */

static int make_file(int store, const char *name, const char *text, struct error *err)
{
	struct stat st;

	if (sys_fstatat(store, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		return 0;
	}
	return file_write_atomic(store, name, text, strlen(text), 0644, false, err);
}

int repository_open(struct repository *repository, const char *state_dir, struct error *err)
{
	static const char *const folders[] = { "blobs", "blobs/sha256", "layers", "layers/sha256",
		"tmp" };
	_cleanup_free_ char *path = file_join(state_dir, "images");
	int r = file_mkdir_p(path, 0700, err);

	*repository = (struct repository)REPOSITORY_INIT;
	repository->state_dir = state_dir;
	if (r < 0) {
		return r;
	}
	repository->store = store_open(state_dir, err);
	if (repository->store < 0) {
		return repository->store;
	}
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		r = sys_mkdirat(repository->store, folders[i], 0700);
		if (r < 0 && r != -EEXIST) {
			return error_set(err, r, "create folder %s/%s", path, folders[i]);
		}
	}
	repository->tmp = sys_openat(repository->store, "tmp", O_RDONLY | O_DIRECTORY, 0);
	if (repository->tmp < 0) {
		return error_set(err, repository->tmp, "open folder %s/tmp", path);
	}
	/* The lock file must never be replaced, only made: whoever waits on it holds its inode. */
	r = sys_openat(repository->store, "lock", O_RDONLY | O_CREAT, 0600);
	if (r < 0) {
		return error_set(err, r, "create %s/lock", path);
	}
	fd_close(&r);
	return make_file(repository->store, "oci-layout", LAYOUT_TEXT, err);
}

/* Work folders whose lock can be had belong to nobody alive. Removed outside the store's lock. */
static void find_stale(const struct repository *repository, struct strv *names, struct str *locks)
{
	DIR *stream = fdopendir(sys_openat(repository->tmp, ".", O_RDONLY | O_DIRECTORY, 0));
	struct dirent *entry;

	while (stream && (entry = readdir(stream))) {
		int fd = entry->d_name[0] == '.' ? -EBADF
						 : sys_openat(repository->tmp, entry->d_name,
							   O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
			strv_add(names, entry->d_name);
			str_add_mem(locks, &fd, sizeof(fd));
		} else {
			fd_close(&fd);
		}
	}
	if (stream) {
		closedir(stream);
	}
}

static int make_work(struct repository *repository, struct error *err)
{
	int r;

	snprintf(repository->work_name, sizeof(repository->work_name), "%d-%llx", (int)getpid(),
		(unsigned long long)clock_wall_ns());
	r = sys_mkdirat(repository->tmp, repository->work_name, 0700);
	if (r < 0) {
		return error_set(err, r, "create a work folder in the image store");
	}
	repository->work =
		sys_openat(repository->tmp, repository->work_name, O_RDONLY | O_DIRECTORY, 0);
	if (repository->work < 0 || flock(repository->work, LOCK_EX | LOCK_NB) < 0) {
		return error_set(err, repository->work < 0 ? repository->work : errno,
			"lock a work folder in the image store");
	}
	return 0;
}

int repository_work(struct repository *repository, struct error *err)
{
	_cleanup_fd_ int lock = store_lock(repository->store, LOCK_EX, err);
	_cleanup_strv_ struct strv stale = { 0 };
	_cleanup_str_ struct str locks = { 0 };
	int r;

	if (lock < 0) {
		return lock;
	}
	find_stale(repository, &stale, &locks);
	r = make_work(repository, err);
	fd_close(&lock);
	for (size_t i = 0; i < stale.count; i++) {
		int fd;

		/* Best effort: what will not go now is tried again by the next writer. */
		file_remove_tree(repository->tmp, stale.items[i]);
		memcpy(&fd, locks.data + i * sizeof(fd), sizeof(fd));
		fd_close(&fd);
	}
	return r;
}

void repository_close(struct repository *repository)
{
	if (repository->work >= 0) {
		file_remove_tree(repository->tmp, repository->work_name);
	}
	fd_close(&repository->work);
	fd_close(&repository->tmp);
	fd_close(&repository->store);
}

/* --- the index --- */

static const char *entry_name(const json_t *entry)
{
	return json_text(json_object_get(entry, "annotations"), STORE_ANNOTATION_NAME, NULL);
}

/* How many entries of the index point at manifest @digest. */
static size_t count_digest(const json_t *list, const char *digest)
{
	json_t *entry;
	size_t i, count = 0;

	json_array_foreach(list, i, entry)
	{
		count += strcmp(json_text(entry, "digest", ""), digest) == 0;
	}
	return count;
}

static int index_write(const struct repository *repository, const json_t *index, struct error *err)
{
	_cleanup_free_ char *text = json_print(index);

	return file_write_atomic(
		repository->store, "index.json", text, strlen(text), 0644, true, err);
}

/* Gives @name to the manifest @descriptor (reference taken); whoever had the name loses it. */
static void index_name(json_t *index, const char *name, json_t *descriptor)
{
	json_t *list = json_object_get(index, "manifests"), *annotations = json_object();
	const char *digest = json_text(descriptor, "digest", "");
	struct image_name parsed;

	for (size_t i = json_array_size(list); i-- > 0;) {
		json_t *entry = json_array_get(list, i);
		const char *old_name = entry_name(entry),
			   *old_digest = json_text(entry, "digest", "");
		bool same_image = strcmp(old_digest, digest) == 0;

		if (!old_name ? same_image : strcmp(old_name, name) == 0) {
			if (!same_image && count_digest(list, old_digest) == 1) {
				json_object_del(entry, "annotations");
			} else {
				json_array_remove(list, i);
			}
		}
	}
	json_put_text(annotations, STORE_ANNOTATION_NAME, name);
	if (image_name_parse(name, &parsed, NULL) == 0 && parsed.tag[0]) {
		json_put_text(annotations, STORE_ANNOTATION_TAG, parsed.tag);
	}
	json_put(descriptor, "annotations", annotations);
	json_array_append_new(list, descriptor);
}

/* --- committing --- */

/* A descriptor; the reference is the caller's. */
static json_t *make_descriptor(const char *type, const char *digest, int64_t size)
{
	json_t *descriptor = json_object();

	json_put_text(descriptor, "mediaType", type);
	json_put_text(descriptor, "digest", digest);
	json_put_int(descriptor, "size", size);
	return descriptor;
}

/* Writes @document into the work folder as FILE.blob; gives its descriptor or NULL. */
static json_t *write_document(const struct repository *repository, const char *file,
	const char *type, const json_t *document, struct error *err)
{
	_cleanup_free_ char *text = json_print(document);
	_cleanup_free_ char *path = xasprintf("%s.blob", file);
	char digest[DIGEST_SIZE];
	struct digest d;

	if (file_write_atomic(repository->work, path, text, strlen(text), 0600, false, err) < 0) {
		return NULL;
	}
	digest_start(&d);
	digest_add(&d, text, strlen(text));
	digest_end(&d, digest);
	return make_descriptor(type, digest, (int64_t)strlen(text));
}

static json_t *make_manifest(const json_t *config, const struct layer *layers, size_t layer_count)
{
	json_t *manifest = json_object(), *list = json_array();

	for (size_t i = 0; i < layer_count; i++) {
		json_t *layer =
			make_descriptor(layers[i].media_type, layers[i].digest, layers[i].size);
		json_t *annotations = json_object();
		_cleanup_free_ char *bytes = xasprintf("%lld", (long long)layers[i].totals.bytes);

		json_put_text(annotations, STORE_ANNOTATION_UNPACKED, bytes);
		json_put(layer, "annotations", annotations);
		json_array_append_new(list, layer);
	}
	json_put_int(manifest, "schemaVersion", 2);
	json_put_text(manifest, "mediaType", MANIFEST_TYPE);
	json_put(manifest, "config", json_deep_copy(config));
	json_put(manifest, "layers", list);
	return manifest;
}

/* Renames @from in the work folder to @to in the store. What is already there is the same thing. */
static int put_in_place(
	const struct repository *repository, const char *from, const char *to, struct error *err)
{
	int r = sys_renameat2(repository->work, from, repository->store, to, RENAME_NOREPLACE);

	return r < 0 && r != -EEXIST ? error_set(err, r, "put %s in place", to) : 0;
}

static int put_blob(const struct repository *repository, const char *file, const char *digest,
	struct error *err)
{
	char from[64], to[64 + DIGEST_SIZE];

	snprintf(from, sizeof(from), "%s.blob", file);
	snprintf(to, sizeof(to), "blobs/sha256/%s", digest_hex(digest));
	return put_in_place(repository, from, to, err);
}

static int put_all(const struct repository *repository, const struct layer *layers,
	size_t layer_count, const json_t *config, const json_t *manifest, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < layer_count && r == 0; i++) {
		char to[64 + DIGEST_SIZE];

		snprintf(to, sizeof(to), "layers/sha256/%s", digest_hex(layers[i].diff_id));
		r = put_in_place(repository, layers[i].name, to, err);
		if (r == 0) {
			r = put_blob(repository, layers[i].name, layers[i].digest, err);
		}
	}
	if (r == 0) {
		r = put_blob(repository, "config", json_text(config, "digest", ""), err);
	}
	if (r == 0) {
		r = put_blob(repository, "manifest", json_text(manifest, "digest", ""), err);
	}
	return r;
}

static json_t *write_config(const struct repository *repository, const struct layer *layers,
	size_t layer_count, struct image_config *config, struct error *err)
{
	_cleanup_free_ const char **diff_ids = xcalloc(layer_count + 1, sizeof(*diff_ids));
	_cleanup_json_ json_t *document = NULL;

	for (size_t i = 0; i < layer_count; i++) {
		diff_ids[i] = layers[i].diff_id;
	}
	config->diff_ids = diff_ids;
	document = image_config_print(config);
	config->diff_ids = NULL;
	return write_document(repository, "config", CONFIG_TYPE, document, err);
}

int repository_commit(struct repository *repository, const char *name, struct layer *layers,
	size_t layer_count, struct image_config *config, char id[DIGEST_SIZE], struct error *err)
{
	_cleanup_json_ json_t *config_descriptor =
		write_config(repository, layers, layer_count, config, err);
	_cleanup_json_ json_t *manifest =
		config_descriptor ? make_manifest(config_descriptor, layers, layer_count) : NULL;
	_cleanup_json_ json_t *descriptor =
		manifest ? write_document(repository, "manifest", MANIFEST_TYPE, manifest, err)
			 : NULL;
	_cleanup_json_ json_t *index = NULL;
	_cleanup_fd_ int lock = -EBADF;
	json_t *platform;
	int r;

	if (!descriptor) {
		return -err->code;
	}
	/* Thousands of files at once: one flush of the file system, not one for each. */
	if (syncfs(repository->work) < 0) {
		return error_set(err, errno, "write the image to disk");
	}
	lock = store_lock(repository->store, LOCK_EX, err);
	if (lock < 0) {
		return lock;
	}
	index = store_index_read(repository->store, err);
	if (!index) {
		return -err->code;
	}
	r = put_all(repository, layers, layer_count, config_descriptor, descriptor, err);
	if (r < 0) {
		return r;
	}
	snprintf(id, DIGEST_SIZE, "%s", json_text(config_descriptor, "digest", ""));
	platform = json_object();
	json_put_text(platform, "architecture", config->architecture);
	json_put_text(platform, "os", config->os);
	json_put(descriptor, "platform", platform);
	index_name(index, name, take_ptr(descriptor));
	r = index_write(repository, index, err);
	if (r == 0) {
		collect_garbage(repository, index);
	}
	return r;
}

/* --- removing --- */

/* A canonical name as docker shows it. */
static void tell_name(void (*tell)(const char *line), const char *what, const char *canonical)
{
	struct image_name name;
	_cleanup_free_ char *text = image_name_parse(canonical, &name, NULL) == 0
					    ? image_name_familiar(&name)
					    : xstrdup(canonical);
	_cleanup_free_ char *line = xasprintf("%s: %s", what, text);

	tell(line);
}

static void tell_text(void (*tell)(const char *line), const char *what, const char *text)
{
	_cleanup_free_ char *line = xasprintf("%s: %s", what, text);

	tell(line);
}

/* Removes the entries of @list that fit: by @name, or (NULL) all that point at @digest. */
static void index_forget(json_t *list, const char *digest, const char *name, bool keep_nameless,
	void (*tell)(const char *line))
{
	for (size_t i = json_array_size(list); i-- > 0;) {
		json_t *entry = json_array_get(list, i);
		const char *entry_has = entry_name(entry);

		if (strcmp(json_text(entry, "digest", ""), digest) != 0 ||
			(name && (!entry_has || strcmp(entry_has, name) != 0))) {
			continue;
		}
		if (entry_has) {
			tell_name(tell, "Untagged", entry_has);
		}
		if (keep_nameless && count_digest(list, digest) == 1) {
			json_object_del(entry, "annotations");
		} else {
			json_array_remove(list, i);
		}
	}
}

/* The digest of the configuration of manifest @digest, in @id. */
static int image_id(const struct repository *repository, const char *digest, char id[DIGEST_SIZE])
{
	_cleanup_json_ json_t *manifest = store_blob_json(repository->store, digest, NULL);
	const char *text = json_text(json_object_get(manifest, "config"), "digest", NULL);

	if (!image_digest_valid(text)) {
		return -EBADMSG;
	}
	snprintf(id, DIGEST_SIZE, "%s", text);
	return 0;
}

static int remove_found(struct repository *repository, json_t *index, json_t *entry, bool by_name,
	bool force, void (*tell)(const char *line), struct error *err)
{
	json_t *list = json_object_get(index, "manifests");
	_cleanup_free_ char *digest = xstrdup(json_text(entry, "digest", ""));
	_cleanup_free_ char *name = entry_name(entry) ? xstrdup(entry_name(entry)) : NULL;
	bool last = !by_name || count_digest(list, digest) == 1;
	char id[DIGEST_SIZE] = "";
	bool held;
	int r;

	/* A manifest that cannot be read holds nothing; it must still be possible to be rid of it. */
	held = image_id(repository, digest, id) == 0 && collect_is_held(repository, id);
	if (last && held && !force) {
		return error_say(err, EBUSY, "image %s is in use (--force takes its name away)",
			name ? name : id);
	}
	index_forget(list, digest, by_name ? name : NULL, held, tell);
	r = index_write(repository, index, err);
	if (r < 0) {
		return r;
	}
	if (last && !held) {
		tell_text(tell, "Deleted", id[0] ? id : digest);
	}
	collect_garbage(repository, index);
	return 0;
}

int repository_remove(struct repository *repository, const char *reference, bool force,
	void (*tell)(const char *line), struct error *err)
{
	_cleanup_fd_ int lock = store_lock(repository->store, LOCK_EX, err);
	_cleanup_json_ json_t *index = lock < 0 ? NULL : store_index_read(repository->store, err);
	_cleanup_free_ char *canonical = NULL;
	struct image_name name;
	json_t *entry;
	bool by_name;

	if (!index) {
		return -err->code;
	}
	entry = store_index_find(repository->store, index, reference, err);
	if (!entry) {
		return -err->code;
	}
	if (image_name_parse(reference, &name, NULL) == 0) {
		canonical = image_name_canonical(&name);
	}
	by_name = canonical && entry_name(entry) && strcmp(entry_name(entry), canonical) == 0;
	return remove_found(repository, index, entry, by_name, force, tell, err);
}

int repository_prune(
	struct repository *repository, void (*tell)(const char *line), struct error *err)
{
	_cleanup_fd_ int lock = store_lock(repository->store, LOCK_EX, err);
	_cleanup_json_ json_t *index = lock < 0 ? NULL : store_index_read(repository->store, err);
	json_t *list = json_object_get(index, "manifests");
	int r;

	if (!index) {
		return -err->code;
	}
	for (size_t i = json_array_size(list); i-- > 0;) {
		const json_t *entry = json_array_get(list, i);
		char id[DIGEST_SIZE];

		if (!entry_name(entry) &&
			(image_id(repository, json_text(entry, "digest", ""), id) < 0 ||
				!collect_is_held(repository, id))) {
			tell_text(tell, "Deleted", json_text(entry, "digest", ""));
			json_array_remove(list, i);
		}
	}
	r = index_write(repository, index, err);
	if (r == 0) {
		collect_garbage(repository, index);
	}
	return r;
}
