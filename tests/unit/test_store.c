/* The image store's reading side, on stores written here by hand: sound ones and damaged ones. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "rootfs-tools/store.h"

/* Digests that nobody computed: the reader trusts the store's names. */
#define HEX60       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"
#define CONFIG1     "sha256:c100" HEX60
#define CONFIG2     "sha256:c200" HEX60
#define MANIFEST1   "sha256:a100" HEX60
#define MANIFEST2   "sha256:a200" HEX60
#define LAYER1      "sha256:1100" HEX60
#define LAYER2      "sha256:2200" HEX60
#define BLOB1       "sha256:b100" HEX60
#define NAMED(name) "\"annotations\":{\"" STORE_ANNOTATION_NAME "\":\"" name "\"}"

static char folder[64];

static void put(const char *path, const char *text)
{
	_cleanup_free_ char *full = xasprintf("%s/images/%s", folder, path);

	assert_int_equal(
		file_write_atomic(AT_FDCWD, full, text, strlen(text), 0600, false, NULL), 0);
}

static void put_blob(const char *digest, const char *text)
{
	_cleanup_free_ char *path = xasprintf("blobs/sha256/%s", digest + strlen("sha256:"));

	put(path, text);
}

static void make_folder(const char *path)
{
	_cleanup_free_ char *full = xasprintf("%s/images/%s", folder, path);

	assert_int_equal(file_mkdir_p(full, 0700, NULL), 0);
}

static void make_layer(const char *digest)
{
	_cleanup_free_ char *path = xasprintf("layers/sha256/%s/fs", digest + strlen("sha256:"));

	make_folder(path);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/wherry-store-XXXXXX");
	assert_non_null(mkdtemp(folder));
	make_folder("blobs/sha256");
	make_layer(LAYER1);
	make_layer(LAYER2);
	put("lock", "");
	put("index.json",
		"{\"schemaVersion\":2,\"manifests\":["
		"{\"digest\":\"" MANIFEST1 "\"," NAMED(
			"docker.io/library/redis:7") "},"
						     "{\"digest\":\"" MANIFEST1 "\"," NAMED(
							     "docker.io/me/copy:latest") "},"
											 "{\"digest"
											 "\":"
											 "\"" MANIFEST2
											 "\"}]}");
	put_blob(MANIFEST1, "{\"config\":{\"digest\":\"" CONFIG1 "\",\"size\":100},"
			    "\"layers\":[{\"digest\":\"" BLOB1 "\",\"size\":20},{\"size\":3}]}");
	put_blob(MANIFEST2, "{\"config\":{\"digest\":\"" CONFIG2 "\",\"size\":1},\"layers\":[]}");
	put_blob(CONFIG1,
		"{\"architecture\":\"riscv64\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"run\"]},"
		"\"rootfs\":{\"diff_ids\":[\"" LAYER1 "\",\"" LAYER2 "\"]}}");
	put_blob(CONFIG2, "{\"rootfs\":{\"diff_ids\":[]}}");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return file_remove_tree(AT_FDCWD, folder);
}

static int find(const char *reference, struct error *err)
{
	struct store_image image;
	int r = store_image_find(folder, reference, &image, err);

	store_image_finish(&image);
	return r;
}

static void an_image_is_found_by_every_form_of_its_name(void **state)
{
	static const char *const references[] = { "redis:7", "library/redis:7", "docker.io/redis:7",
		"docker.io/library/redis:7", "redis@" MANIFEST1, "redis:other@" MANIFEST1,
		"me/copy", "me/copy:latest", CONFIG1, "sha256:c1", "c1", "c100" HEX60 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(references); i++) {
		struct error err = ERROR_INIT;
		struct store_image image;

		assert_int_equal(store_image_find(folder, references[i], &image, &err), 0);
		assert_string_equal(image.id, CONFIG1);
		assert_string_equal(image.manifest, MANIFEST1);
		assert_int_equal(image.size, 123);
		assert_string_equal(image.config.cmd[0], "run");
		assert_string_equal(image.config.architecture, "riscv64");
		store_image_finish(&image);
	}
}

static void layers_are_absolute_and_topmost_first(void **state)
{
	_cleanup_free_ char *top =
		xasprintf("%s/images/layers/sha256/%s/fs", folder, LAYER2 + strlen("sha256:"));
	_cleanup_free_ char *bottom =
		xasprintf("%s/images/layers/sha256/%s/fs", folder, LAYER1 + strlen("sha256:"));
	struct store_image image;

	(void)state;
	assert_int_equal(store_image_find(folder, "redis:7", &image, NULL), 0);
	assert_string_equal(image.name, "docker.io/library/redis:7");
	assert_string_equal(image.layers[0], top);
	assert_string_equal(image.layers[1], bottom);
	assert_null(image.layers[2]);
	store_image_finish(&image);
}

static void an_image_without_a_name_goes_by_its_id(void **state)
{
	struct store_image image;

	(void)state;
	assert_int_equal(store_image_find(folder, "c2", &image, NULL), 0);
	assert_string_equal(image.name, CONFIG2);
	assert_null(image.layers[0]);
	store_image_finish(&image);
}

static void what_is_not_there_is_enoent(void **state)
{
	static const char *const references[] = { "redis", "redis:8", "me/redis:7", "nothing",
		"abc123", "sha256:ffff", "localhost:5000/redis:7" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(references); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(find(references[i], &err), -ENOENT);
		assert_non_null(strstr(err.message, references[i] + (i == 5 ? 7 : 0)));
	}
	assert_int_equal(find("redis@" MANIFEST2, NULL), -ENOENT);
}

static void a_prefix_of_two_ids_is_ambiguous(void **state)
{
	(void)state;
	assert_int_equal(find("c", NULL), -ENOTUNIQ);
	assert_int_equal(find("sha256:c", NULL), -ENOTUNIQ);
}

static void a_wrong_reference_is_einval(void **state)
{
	(void)state;
	assert_int_equal(find("UPPER", NULL), -EINVAL);
	assert_int_equal(find("", NULL), -EINVAL);
	assert_int_equal(find("../../etc/passwd", NULL), -EINVAL);
}

static void no_store_at_all_is_enoent(void **state)
{
	struct store_image image;

	(void)state;
	assert_int_equal(store_image_find("/nonexistent/state", "redis", &image, NULL), -ENOENT);
}

static void damage_is_an_error_that_says_what(void **state)
{
	static const struct {
		const char *digest, *text, *message;
	} rows[] = {
		{ NULL, "{\"manifests\":[{\"digest\"", "index.json" },
		{ NULL, "[]", "manifests" },
		{ NULL, "{\"manifests\":{}}", "manifests" },
		{ MANIFEST1, "{}", "digest" },
		{ MANIFEST1, "{\"config\":{\"digest\":\"sha256:../../../lock\"}}", "digest" },
		{ MANIFEST1, "", "image store" },
		{ CONFIG1, "[[[[", "image store" },
		{ CONFIG1, "{\"rootfs\":{\"diff_ids\":[\"../..\"]}}", "diff_ids" },
		{ CONFIG1, "{\"rootfs\":{\"diff_ids\":[\"" BLOB1 "\"]}}", "not unpacked" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error err = ERROR_INIT;
		int r;

		if (i > 0) {
			tear_down(state);
			set_up(state);
		}
		if (rows[i].digest) {
			put_blob(rows[i].digest, rows[i].text);
		} else {
			put("index.json", rows[i].text);
		}
		r = find("redis:7", &err);
		assert_true(r < 0 && r != -ENOENT);
		assert_non_null(strstr(err.message, rows[i].message));
	}
}

static void a_document_past_the_limit_is_not_read(void **state)
{
	_cleanup_free_ char *huge = xcalloc(STORE_BLOB_LIMIT + 2, 1);

	(void)state;
	memset(huge, ' ', STORE_BLOB_LIMIT + 1);
	put_blob(CONFIG1, huge);
	assert_int_equal(find("redis:7", NULL), -EFBIG);
}

static void a_held_image_cannot_be_locked_for_removal(void **state)
{
	_cleanup_free_ char *path =
		xasprintf("%s/images/blobs/sha256/%s", folder, CONFIG1 + strlen("sha256:"));
	_cleanup_fd_ int other = sys_open(path, O_RDONLY, 0);
	struct store_image image;
	int first, second;

	(void)state;
	assert_int_equal(store_image_find(folder, "redis:7", &image, NULL), 0);
	first = store_image_hold(folder, &image, NULL);
	second = store_image_hold(folder, &image, NULL);
	assert_true(first >= 0 && second >= 0);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	fd_close(&first);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	fd_close(&second);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	/* Removed in between: a hold on nothing is no hold. */
	assert_int_equal(sys_unlinkat(AT_FDCWD, path, 0), 0);
	assert_int_equal(store_image_hold(folder, &image, NULL), -ENOENT);
	store_image_finish(&image);
}

static void the_architecture_has_the_specifications_word(void **state)
{
	(void)state;
#if defined(__x86_64__)
	assert_string_equal(store_architecture(), "amd64");
#elif defined(__aarch64__)
	assert_string_equal(store_architecture(), "arm64");
#else
	assert_string_not_equal(store_architecture(), "unknown");
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(an_image_is_found_by_every_form_of_its_name),
		T(layers_are_absolute_and_topmost_first),
		T(an_image_without_a_name_goes_by_its_id),
		T(what_is_not_there_is_enoent),
		T(a_prefix_of_two_ids_is_ambiguous),
		T(a_wrong_reference_is_einval),
		T(no_store_at_all_is_enoent),
		T(damage_is_an_error_that_says_what),
		T(a_document_past_the_limit_is_not_read),
		T(a_held_image_cannot_be_locked_for_removal),
		cmocka_unit_test(the_architecture_has_the_specifications_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
