/* Images in the store: names, removal, holds, crashes at every moment, several writers at once. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "rootfs-tools/image/build.h"
#include "rootfs-tools/store.h"
#include "tests/unit/tar.h"

#define NAME    "docker.io/library/test:1"
#define WRITERS 4

static char folder[64];
static struct str told; /* what repository_remove and _prune said */

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/var/tmp/wherry-repo-XXXXXX");
	assert_non_null(mkdtemp(folder));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	str_finish(&told);
	return file_remove_tree(AT_FDCWD, folder);
}

static void tell(const char *line)
{
	str_addf(&told, "%s\n", line);
}

/* Makes an image whose only file says @text. */
static int import(const char *name, const char *text, const struct config_options *given,
	char id[DIGEST_SIZE], struct error *err)
{
	_cleanup_repository_ struct repository repository = REPOSITORY_INIT;
	_cleanup_str_ struct str tar = { 0 };
	struct config_options options = { 0 };
	_cleanup_fd_ int input = -EBADF;
	struct error ignored = ERROR_INIT;
	int r;

	err = err ? err : &ignored;
	tar_add(&tar, &(struct tar_entry){ "etc", '5', .mode = 0711, .uid = 3 });
	tar_add(&tar, &(struct tar_entry){ "etc/text", '0', .data = text });
	tar_add(&tar, &(struct tar_entry){ "lib", '2', .link = "usr/lib" });
	tar_add(&tar, &(struct tar_entry){ .name = "usr/lib", .type = '5' });
	tar_end(&tar);
	input = tar_open(tar.data, tar.size);
	r = repository_open(&repository, folder, err);
	if (r == 0) {
		r = repository_work(&repository, err);
	}
	if (r == 0) {
		r = build_image(
			&repository, input, name, given ? given : &options, NULL, NULL, id, err);
	}
	return r;
}

static int removal(const char *reference, bool force, struct error *err)
{
	_cleanup_repository_ struct repository repository = REPOSITORY_INIT;
	struct error ignored = ERROR_INIT;
	int r;

	err = err ? err : &ignored;
	r = repository_open(&repository, folder, err);
	str_finish(&told);
	if (r == 0) {
		r = repository_work(&repository, err);
	}
	if (r == 0 && reference) {
		r = repository_remove(&repository, reference, force, tell, err);
	} else if (r == 0) {
		r = repository_prune(&repository, tell, err);
	}
	return r;
}

/* Entries of a folder of the store; a tree that is not there has none. */
static size_t count(const char *path)
{
	_cleanup_free_ char *full = xasprintf("%s/images/%s", folder, path);
	DIR *stream = opendir(full);
	struct dirent *entry;
	size_t n = 0;

	while (stream && (entry = readdir(stream))) {
		n += entry->d_name[0] != '.';
	}
	if (stream) {
		closedir(stream);
	}
	return n;
}

static void check_counts(size_t layers, size_t blobs)
{
	assert_int_equal(count("layers/sha256"), layers);
	assert_int_equal(count("blobs/sha256"), blobs);
	assert_int_equal(count("tmp"), 0);
}

static char *image_file(const char *reference, const char *path)
{
	struct store_image image;
	_cleanup_free_ char *full = NULL;
	char *text = NULL;

	if (store_image_find(folder, reference, &image, NULL) == 0) {
		full = file_join(image.layers[0], path);
		assert_int_equal(file_read_at(AT_FDCWD, full, 1000, &text, NULL, NULL), 0);
		store_image_finish(&image);
	}
	return text;
}

static void an_imported_image_is_found_with_its_configuration(void **state)
{
	struct config_options options = { .entrypoint = "[\"/bin/sh\", \"-c\"]",
		.cmd = "echo 'two words'",
		.user = "app",
		.workdir = "/w",
		.stop_signal = "INT",
		.health_cmd = "true",
		.health_interval = "1m30s" };
	struct store_image image;
	char id[DIGEST_SIZE];
	_cleanup_free_ char *text = NULL;

	(void)state;
	strv_add(&options.env, "A=b=c");
	strv_add(&options.labels, "k=v");
	strv_add(&options.volumes, "/data");
	strv_add(&options.expose, "53/udp");
	assert_int_equal(import(NAME, "hello", &options, id, NULL), 0);
	assert_int_equal(store_image_find(folder, "test:1", &image, NULL), 0);
	assert_string_equal(image.name, NAME);
	assert_string_equal(image.id, id);
	assert_string_equal(image.config.architecture, store_architecture());
	assert_string_equal(image.config.entrypoint[1], "-c");
	assert_string_equal(image.config.cmd[1], "two words");
	assert_string_equal(image.config.user, "app");
	assert_string_equal(image.config.env[1], "A=b=c");
	assert_string_equal(image.config.volumes[0], "/data");
	assert_string_equal(image.config.exposed_ports[0], "53/udp");
	assert_string_equal(image.config.label_values[0], "v");
	assert_string_equal(image.config.health.test[0], "CMD-SHELL");
	assert_int_equal(image.config.health.interval_us, 90000000);
	store_image_finish(&image);
	config_options_finish(&options);
	text = image_file("test:1", "etc/text");
	assert_string_equal(text, "hello");
	check_counts(1, 3);
}

static void the_same_tar_and_time_give_the_same_image(void **state)
{
	char first[DIGEST_SIZE], second[DIGEST_SIZE];

	(void)state;
	setenv("SOURCE_DATE_EPOCH", "1000000000", 1);
	assert_int_equal(import(NAME, "same", NULL, first, NULL), 0);
	assert_int_equal(import("docker.io/library/other:1", "same", NULL, second, NULL), 0);
	unsetenv("SOURCE_DATE_EPOCH");
	assert_string_equal(first, second);
	check_counts(1, 3);
	/* Two names, one image: it stays until the last is gone. */
	assert_int_equal(removal("test:1", false, NULL), 0);
	assert_string_equal(told.data, "Untagged: test:1\n");
	check_counts(1, 3);
	assert_int_equal(removal("other:1", false, NULL), 0);
	assert_non_null(strstr(told.data, "Deleted: sha256:"));
	check_counts(0, 0);
}

static void a_name_given_anew_leaves_the_old_image_without_one(void **state)
{
	char first[DIGEST_SIZE], second[DIGEST_SIZE];
	_cleanup_free_ char *text = NULL, *old = NULL;

	(void)state;
	assert_int_equal(import(NAME, "old", NULL, first, NULL), 0);
	assert_int_equal(import(NAME, "new", NULL, second, NULL), 0);
	text = image_file("test:1", "etc/text");
	old = image_file(first, "etc/text");
	assert_string_equal(text, "new");
	assert_string_equal(old, "old");
	check_counts(2, 6);
	assert_int_equal(removal(NULL, false, NULL), 0);
	check_counts(1, 3);
	assert_int_equal(removal(second, false, NULL), 0);
	check_counts(0, 0);
	assert_int_equal(removal("test:1", false, NULL), -ENOENT);
}

static void an_image_in_use_stays(void **state)
{
	struct error err = ERROR_INIT;
	struct store_image image;
	char id[DIGEST_SIZE], other[DIGEST_SIZE];
	int hold;

	(void)state;
	assert_int_equal(import(NAME, "held", NULL, id, NULL), 0);
	assert_int_equal(store_image_find(folder, "test:1", &image, NULL), 0);
	hold = store_image_hold(folder, &image, NULL);
	assert_true(hold >= 0);
	store_image_finish(&image);
	assert_int_equal(removal("test:1", false, &err), -EBUSY);
	assert_non_null(strstr(err.message, "in use"));
	assert_int_equal(removal("test:1", true, NULL), 0);
	assert_int_equal(removal(NULL, false, NULL), 0);
	assert_int_equal(store_image_find(folder, "test:1", &image, NULL), -ENOENT);
	check_counts(1, 3);
	assert_int_equal(import(NAME, "next", NULL, other, NULL), 0);
	check_counts(2, 6);
	fd_close(&hold);
	assert_int_equal(removal(NULL, false, NULL), 0);
	check_counts(1, 3);
}

static void files_are_added_as_a_layer_over_the_roots_folders(void **state)
{
	struct config_options options = { 0 };
	struct store_image image;
	char id[DIGEST_SIZE];
	_cleanup_free_ char *source = xasprintf("%s/source", folder), *text = NULL;
	_cleanup_fd_ int top = -EBADF, folder_fd = -EBADF;
	struct stat st;

	(void)state;
	assert_int_equal(file_mkdir_p(source, 0755, NULL), 0);
	folder_fd = sys_open(source, O_RDONLY | O_DIRECTORY, 0);
	assert_int_equal(sys_symlinkat("a", folder_fd, "link"), 0);
	assert_int_equal(file_write_atomic(folder_fd, "a", "aa", 2, 0755, false, NULL), 0);
	assert_int_equal(sys_fchownat(folder_fd, "a", 1000, 1000, 0), 0);
	strv_addf(&options.files, "%s:/app", source);
	strv_addf(&options.files, "%s/a:/etc/", source);
	strv_addf(&options.files, "%s/a:/etc", source);
	strv_addf(&options.files, "%s/a:/lib/deep/name", source);
	assert_int_equal(import(NAME, "x", &options, id, NULL), 0);
	config_options_finish(&options);
	assert_int_equal(store_image_find(folder, "test:1", &image, NULL), 0);
	assert_non_null(image.layers[1]);
	top = sys_open(image.layers[0], O_RDONLY | O_DIRECTORY, 0);
	assert_int_equal(fstatat(top, "app/a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(fstatat(top, "app/link", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(fstatat(top, "etc/a", &st, 0), 0);
	/* A folder of the upper layer would override the lower one's owner and mode. */
	assert_int_equal(fstatat(top, "etc", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(st.st_uid, 3);
	/* Through the root's own link, which must not be shadowed. */
	assert_int_equal(fstatat(top, "usr/lib/deep/name", &st, 0), 0);
	assert_int_equal(fstatat(top, "lib", &st, AT_SYMLINK_NOFOLLOW), -1);
	store_image_finish(&image);
}

static void wrong_options_are_refused_before_anything_is_made(void **state)
{
	static const struct config_options rows[] = {
		{ .entrypoint = "[1]" },
		{ .entrypoint = "[\"a\"" },
		{ .cmd = "a 'b" },
		{ .cmd = "a && b" },
		{ .workdir = "relative" },
		{ .stop_signal = "SIGNOTHING" },
		{ .health_interval = "soon" },
		{ .health_retries = "0" },
	};
	static const struct {
		size_t list;
		const char *text;
	} lists[] = {
		{ offsetof(struct config_options, env), "A" },
		{ offsetof(struct config_options, env), "=b" },
		{ offsetof(struct config_options, labels), "k" },
		{ offsetof(struct config_options, volumes), "data" },
		{ offsetof(struct config_options, expose), "http" },
		{ offsetof(struct config_options, expose), "70000" },
		{ offsetof(struct config_options, expose), "53/icmp" },
		{ offsetof(struct config_options, files), "/etc/passwd" },
		{ offsetof(struct config_options, files), "/etc/passwd:relative" },
		{ offsetof(struct config_options, files), "/etc/passwd:/../x" },
	};
	char id[DIGEST_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(import(NAME, "x", &rows[i], id, &err), -EINVAL);
		assert_non_null(strstr(err.message, "--"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct config_options options = { 0 };
		struct error err = ERROR_INIT;

		strv_add((struct strv *)((char *)&options + lists[i].list), lists[i].text);
		assert_int_equal(import(NAME, "x", &options, id, &err), -EINVAL);
		assert_non_null(strstr(err.message, lists[i].text));
		config_options_finish(&options);
	}
	check_counts(0, 0);
}

/* Whether the store is whole: `old` or `new` under the name, and an import still works. */
static void check_whole(bool may_be_missing)
{
	_cleanup_free_ char *text = image_file("test:1", "etc/text"), *last = NULL;
	char id[DIGEST_SIZE];

	if (!text) {
		assert_true(may_be_missing);
	} else {
		assert_true(strcmp(text, "old") == 0 || strcmp(text, "new") == 0);
	}
	assert_int_equal(import(NAME, "last", NULL, id, NULL), 0);
	last = image_file("test:1", "etc/text");
	assert_string_equal(last, "last");
	assert_int_equal(removal(NULL, false, NULL), 0);
	check_counts(1, 3);
}

static void a_failing_call_anywhere_leaves_the_old_image_or_the_new(void **state)
{
	static const char *const calls[] = { "openat", "mkdirat", "renameat2", "fsync", "write",
		"read", "fstatat", "unlinkat" };

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		for (unsigned n = 1;; n++) {
			char id[DIGEST_SIZE];
			bool reached;
			int r;

			assert_true(n < 200);
			assert_int_equal(import(NAME, "old", NULL, id, NULL), 0);
			sys_fault_arm(calls[i], n, ENOSPC);
			r = import(NAME, "new", NULL, id, NULL);
			reached = !sys_fault_armed;
			sys_fault_disarm();
			(void)r;
			check_whole(false);
			if (!reached) {
				break;
			}
		}
		tear_down(state);
		set_up(state);
	}
}

static void a_writer_killed_at_any_moment_leaves_nothing_for_long(void **state)
{
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 60; round++) {
		char id[DIGEST_SIZE];
		struct timespec wait = { .tv_nsec = rand_r(&seed) % 8000000 };
		pid_t pid = fork();

		if (pid == 0) {
			import(NAME, "new", NULL, id, NULL);
			_exit(0);
		}
		nanosleep(&wait, NULL); /* the moment is what is random, nothing is waited for */
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		check_whole(true);
		assert_int_equal(removal("test:1", false, NULL), 0);
		check_counts(0, 0);
	}
}

static void writers_at_once_do_not_disturb_each_other(void **state)
{
	pid_t pids[WRITERS];

	(void)state;
	for (int i = 0; i < WRITERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			_cleanup_free_ char *name = xasprintf("docker.io/library/writer:%d", i);
			char id[DIGEST_SIZE];
			int r = 0;

			for (int round = 0; round < 10 && r == 0; round++) {
				_cleanup_free_ char *text = xasprintf("%d %d", i, round);

				r = import(name, text, NULL, id, NULL);
				if (r == 0) {
					r = removal(NULL, false, NULL);
				}
			}
			_exit(r == 0 ? 0 : 1);
		}
	}
	for (int i = 0; i < WRITERS; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	for (int i = 0; i < WRITERS; i++) {
		_cleanup_free_ char *name = xasprintf("writer:%d", i);
		_cleanup_free_ char *wanted = xasprintf("%d 9", i);
		_cleanup_free_ char *text = image_file(name, "etc/text");

		assert_string_equal(text, wanted);
	}
	assert_int_equal(removal(NULL, false, NULL), 0);
	check_counts(WRITERS, 3 * WRITERS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(an_imported_image_is_found_with_its_configuration),
		T(the_same_tar_and_time_give_the_same_image),
		T(a_name_given_anew_leaves_the_old_image_without_one),
		T(an_image_in_use_stays),
		T(files_are_added_as_a_layer_over_the_roots_folders),
		T(wrong_options_are_refused_before_anything_is_made),
		T(a_failing_call_anywhere_leaves_the_old_image_or_the_new),
		T(a_writer_killed_at_any_moment_leaves_nothing_for_long),
		T(writers_at_once_do_not_disturb_each_other),
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
