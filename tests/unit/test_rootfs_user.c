/* Users of hostile files, and paths that try to leave the root. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/rootfs.h"
#include "runtime/user.h"

static char top[200];
static int root = -EBADF; /* "top/root" */

#define PASSWD                                                                                     \
	"root:x:0:0:root:/root:/bin/sh\n"                                                          \
	"broken line\n"                                                                            \
	":x:9:9::/nameless:\n"                                                                     \
	"web:x:33:34:Web:/home/web:/bin/sh\n"                                                      \
	"huge:x:4294967296:0::/:\n"                                                                \
	"minus:x:-1:0::/:\n"                                                                       \
	"1000:x:0:0::/zero:\n"                                                                     \
	"last:x:70:71"
#define GROUP                                                                                      \
	"root:x:0:\nweb:x:34:\nlogs:x:50:other,web\nmore:x:51:web,\nnear:x:52:webby\nbad:x:x:"     \
	"web\n"

static void names_and_numbers_are_resolved_as_docker_does(void **state)
{
	static const struct {
		const char *spec;
		int result;
		uid_t uid;
		gid_t gid;
		const char *home;
		gid_t groups[4];
		size_t count;
	} rows[] = {
		{ "root", 0, 0, 0, "/root", { 0 }, 1 },
		{ "", 0, 0, 0, "/root", { 0 }, 1 },
		{ "web", 0, 33, 34, "/home/web", { 34, 50, 51 }, 3 },
		{ "33", 0, 33, 34, "/home/web", { 34, 50, 51 }, 3 },
		{ "web:logs", 0, 33, 50, "/home/web", { 50 }, 1 },
		{ "web:7", 0, 33, 7, "/home/web", { 7 }, 1 },
		{ ":logs", 0, 0, 50, "/root", { 50 }, 1 },
		{ "1000", 0, 1000, 0, "/", { 0 }, 1 }, /* never the name "1000" (uid 0) */
		{ "5:6", 0, 5, 6, "/", { 6 }, 1 },
		{ "last", 0, 70, 71, "/", { 71 }, 1 },
		{ "2147483647", 0, 2147483647, 0, "/", { 0 }, 1 },
		{ "2147483648", -ERANGE, 0, 0, "", { 0 }, 0 },
		{ "4294967296", -ERANGE, 0, 0, "", { 0 }, 0 },
		{ "18446744073709551616", -ERANGE, 0, 0, "", { 0 }, 0 },
		{ "0:4294967295", -ERANGE, 0, 0, "", { 0 }, 0 },
		{ "-1", -ENOENT, 0, 0, "", { 0 }, 0 },
		{ "huge", -ENOENT, 0, 0, "", { 0 }, 0 },
		{ "minus", -ENOENT, 0, 0, "", { 0 }, 0 },
		{ "nobody", -ENOENT, 0, 0, "", { 0 }, 0 },
		{ "web:nogroup", -ENOENT, 0, 0, "", { 0 }, 0 },
		{ "web:bad", -ENOENT, 0, 0, "", { 0 }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error err = ERROR_INIT;
		struct user user;
		int r = user_resolve(rows[i].spec, PASSWD, GROUP, &user, &err);

		if (r != rows[i].result) {
			fail_msg("\"%s\" gave %d: %s", rows[i].spec, r, err.message);
		}
		if (r < 0) {
			assert_true(err.message[0] != '\0');
		} else {
			assert_int_equal(user.uid, rows[i].uid);
			assert_int_equal(user.gid, rows[i].gid);
			assert_string_equal(user.home, rows[i].home);
			assert_int_equal(user.group_count, rows[i].count);
			assert_memory_equal(
				user.groups, rows[i].groups, rows[i].count * sizeof(gid_t));
		}
		user_finish(&user);
	}
}

static void without_files_only_numbers_are_known(void **state)
{
	struct error err = ERROR_INIT;
	struct user user;

	(void)state;
	assert_int_equal(user_resolve("5:6", NULL, NULL, &user, &err), 0);
	user_finish(&user);
	assert_int_equal(user_resolve("web", NULL, NULL, &user, &err), -ENOENT);
	assert_string_equal(
		err.message, "unable to find user web: no matching entries in passwd file");
	user_finish(&user);
}

static void group_lists_are_bounded(void **state)
{
	struct str text = { 0 };
	struct error err = ERROR_INIT;
	struct user user;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		str_addf(&text, "g%d:x:%d:web\n", i, 100 + i);
	}
	assert_int_equal(user_resolve("web", PASSWD, text.data, &user, &err), 0);
	assert_int_equal(user.group_count, 1024);
	user_finish(&user);
	str_finish(&text);
}

static void put(const char *name, const char *text)
{
	int fd = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	fd_close(&fd);
}

static void only_regular_files_within_the_root_are_read(void **state)
{
	struct error err = ERROR_INIT;
	struct user user;

	(void)state;
	unlinkat(root, "etc/passwd", 0);
	assert_int_equal(mkfifoat(root, "etc/passwd", 0644), 0); /* would block for ever */
	assert_int_equal(user_lookup(root, "web", &user, &err), -ENOENT);
	user_finish(&user);
	unlinkat(root, "etc/passwd", 0);
	assert_int_equal(symlinkat("/dev/zero", root, "etc/passwd"), 0);
	assert_int_equal(user_lookup(root, "web", &user, &err), -ENOENT);
	user_finish(&user);
	unlinkat(root, "etc/passwd", 0);
	/* The host's own, which knows "daemon". */
	assert_int_equal(symlinkat("../../../../../../../etc/passwd", root, "etc/passwd"), 0);
	assert_int_equal(user_lookup(root, "daemon", &user, &err), -ENOENT);
	user_finish(&user);
	unlinkat(root, "etc/passwd", 0);
	put("etc/real", PASSWD);
	assert_int_equal(symlinkat("/etc/real", root, "etc/passwd"), 0);
	assert_int_equal(user_lookup(root, "web", &user, &err), 0);
	assert_int_equal(user.uid, 33);
	user_finish(&user);
}

static void a_huge_file_is_read_up_to_a_limit(void **state)
{
	struct error err = ERROR_INIT;
	struct user user;
	int fd;

	(void)state;
	unlinkat(root, "etc/passwd", 0);
	put("etc/passwd", PASSWD "\n");
	fd = openat(root, "etc/passwd", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
	fd_close(&fd);
	assert_int_equal(user_lookup(root, "web", &user, &err), 0);
	user_finish(&user);
	assert_int_equal(user_lookup(root, "nobody", &user, &err), -ENOENT);
	user_finish(&user);
	unlinkat(root, "etc/passwd", 0);
}

static bool outside_is_empty(void)
{
	int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool empty =
		unlinkat(fd, "outside", AT_REMOVEDIR) == 0 && mkdirat(fd, "outside", 0755) == 0;

	fd_close(&fd);
	return empty;
}

static void what_is_missing_is_made_within_the_root(void **state)
{
	static const struct {
		const char *path;
		bool folder;
		const char *found; /* below the root */
	} rows[] = {
		{ "/a/b/c", true, "a/b/c" },
		{ "/a/b/file", false, "a/b/file" },
		{ "a//b/./c/../d", true, "a/b/d" },
		{ "/../../../up", true, "up" },
		{ "/absolute/x", true, "target/x" }, /* absolute -> /target, missing */
		{ "/relative/y", false, "target/y" },
		{ "/escape/outside/z", true, "outside/z" },
		{ "/dangling", false, "nowhere" },
	};
	struct stat by_path, by_fd;

	(void)state;
	assert_int_equal(symlinkat("/target", root, "absolute"), 0);
	assert_int_equal(symlinkat("./target", root, "relative"), 0);
	assert_int_equal(symlinkat("../../../..", root, "escape"), 0);
	assert_int_equal(symlinkat("nowhere", root, "dangling"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error err = ERROR_INIT;
		int fd = rootfs_target(root, rows[i].path, rows[i].folder, &err);

		if (fd < 0) {
			fail_msg("%s: %s", rows[i].path, err.message);
		}
		assert_int_equal(fstat(fd, &by_fd), 0);
		if (fstatat(root, rows[i].found, &by_path, AT_SYMLINK_NOFOLLOW) < 0) {
			fail_msg("%s did not make %s", rows[i].path, rows[i].found);
		}
		assert_int_equal(by_fd.st_ino, by_path.st_ino);
		assert_int_equal(S_ISDIR(by_fd.st_mode), rows[i].folder);
		fd_close(&fd);
	}
	assert_true(outside_is_empty());
}

static void loops_and_files_in_the_way_are_errors(void **state)
{
	struct error err = ERROR_INIT;
	char path[5000];

	(void)state;
	assert_int_equal(symlinkat("loop2", root, "loop1"), 0);
	assert_int_equal(symlinkat("loop1", root, "loop2"), 0);
	assert_int_equal(rootfs_target(root, "/loop1/x", true, &err), -ELOOP);
	put("plain", "");
	assert_int_equal(rootfs_target(root, "/plain/x", true, &err), -ENOTDIR);
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(rootfs_target(root, path, true, &err), -ENAMETOOLONG);
	path[300] = '\0';
	assert_int_equal(rootfs_target(root, path, true, &err), -ENAMETOOLONG);
	assert_true(err.message[0] != '\0');
}

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	int fd;

	(void)state;
	snprintf(top, sizeof(top), "%s/wherry-rootfs.XXXXXX", tmp && *tmp ? tmp : "/var/tmp");
	if (!mkdtemp(top)) {
		return -1;
	}
	fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(fd, "root", 0755) < 0 || mkdirat(fd, "outside", 0755) < 0 ||
		mkdirat(fd, "root/etc", 0755) < 0) {
		return -1;
	}
	root = openat(fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd_close(&fd);
	put("etc/group", GROUP);
	return root < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	fd_close(&root);
	return file_remove_tree(AT_FDCWD, top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_numbers_are_resolved_as_docker_does),
		cmocka_unit_test(without_files_only_numbers_are_known),
		cmocka_unit_test(group_lists_are_bounded),
		cmocka_unit_test(only_regular_files_within_the_root_are_read),
		cmocka_unit_test(a_huge_file_is_read_up_to_a_limit),
		cmocka_unit_test(what_is_missing_is_made_within_the_root),
		cmocka_unit_test(loops_and_files_in_the_way_are_errors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
