/* base/: strings, arenas, files, clock, hash, JSON, descriptors, faults, processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/dirs.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/sys.h"

static char folder[] = "/tmp/wherry-base-XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return file_remove_tree(AT_FDCWD, folder);
}

static char *inside(const char *name)
{
	return file_join(folder, name);
}

static void an_error_holds_text_and_errno(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(error_set(&err, ENOENT, "open %s", "/x"), -ENOENT);
	assert_string_equal(err.message, "open /x: No such file or directory");
	assert_int_equal(error_prefix(&err, "service %s", "web"), -ENOENT);
	assert_string_equal(err.message, "service web: open /x: No such file or directory");
	assert_int_equal(error_say(&err, -EINVAL, "no"), -EINVAL);
	assert_string_equal(err.message, "no");
	assert_int_equal(error_exit_status(&err, 126), -EINVAL);
	assert_int_equal(err.exit_status, 126);
	assert_int_equal(error_set(NULL, EIO, "x"), -EIO);
}

static void an_error_longer_than_its_buffer_is_cut_not_overrun(void **state)
{
	struct error err = ERROR_INIT;
	char big[4000];

	(void)state;
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	error_set(&err, EIO, "%s", big);
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
	error_prefix(&err, "%s", big);
	assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
}

static void strings_grow(void **state)
{
	struct str s = { 0 };
	char *taken;

	(void)state;
	assert_string_equal(str_text(&s), "");
	for (int i = 0; i < 1000; i++) {
		str_addf(&s, "%d,", i);
	}
	assert_int_equal(s.size, 10 * 2 + 90 * 3 + 900 * 4);
	str_add_mem(&s, "\0b", 2);
	assert_int_equal(s.data[s.size], 0);
	taken = str_take(&s);
	assert_null(s.data);
	free(taken);
	str_finish(&s);
}

static void a_vector_owns_copies(void **state)
{
	struct strv v = { 0 };
	char text[] = "one";

	(void)state;
	strv_add(&v, text);
	text[0] = 'x';
	strv_addf(&v, "%d", 2);
	assert_string_equal(v.items[0], "one");
	assert_int_equal(strv_find(&v, "2"), 1);
	assert_int_equal(strv_find(&v, "3"), -1);
	assert_null(v.items[2]);
	strv_finish(&v);
}

static void an_arena_gives_zeroed_aligned_objects(void **state)
{
	struct arena arena = { 0 };

	(void)state;
	for (size_t size = 1; size < 20000; size += 777) {
		char *p = arena_alloc(&arena, size);

		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i++) {
			assert_int_equal(p[i], 0);
			p[i] = 1;
		}
	}
	assert_string_equal(arena_printf(&arena, "%s-%d", "a", 7), "a-7");
	assert_null(arena_strdup(&arena, NULL));
	arena_finish(&arena);
	assert_int_equal(arena.total, 0);
}

static void a_file_is_replaced_whole(void **state)
{
	_cleanup_free_ char *path = inside("whole"), *text = NULL;
	struct error err = ERROR_INIT;
	size_t size;

	(void)state;
	assert_int_equal(file_write_atomic(AT_FDCWD, path, "one", 3, 0600, true, &err), 0);
	assert_int_equal(file_write_atomic(AT_FDCWD, path, "second", 6, 0600, false, &err), 0);
	assert_int_equal(file_read_at(AT_FDCWD, path, 100, &text, &size, &err), 0);
	assert_string_equal(text, "second");
	assert_int_equal(size, 6);
	free(take_ptr(text));
	assert_int_equal(file_read_at(AT_FDCWD, path, 5, &text, &size, &err), -EFBIG);
}

static void a_failed_write_leaves_the_old_file_and_no_temporary(void **state)
{
	static const char *const calls[] = { "openat", "renameat2" };
	_cleanup_free_ char *path = inside("kept"), *text = NULL;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(file_write_atomic(AT_FDCWD, path, "old", 3, 0600, false, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		_cleanup_free_ char *temporary = xasprintf("%s.%d.tmp", path, (int)getpid());

		sys_fault_arm(calls[i], 1, EIO);
		assert_int_equal(
			file_write_atomic(AT_FDCWD, path, "new", 3, 0600, false, &err), -EIO);
		sys_fault_disarm();
		assert_int_equal(access(temporary, F_OK), -1);
	}
	assert_int_equal(file_read_at(AT_FDCWD, path, 100, &text, NULL, &err), 0);
	assert_string_equal(text, "old");
}

static void a_fifo_is_no_regular_file_and_does_not_hang(void **state)
{
	_cleanup_free_ char *path = inside("fifo"), *text = NULL;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(file_read_at(AT_FDCWD, path, 100, &text, NULL, &err), -EINVAL);
}

static void a_tree_is_removed_without_following_links(void **state)
{
	_cleanup_free_ char *tree = inside("tree"), *deep = inside("tree/a/b/c");
	_cleanup_free_ char *outside = inside("outside"), *kept = inside("outside/kept");
	_cleanup_free_ char *link_path = inside("tree/a/link");
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(file_mkdir_p(deep, 0700, &err), 0);
	assert_int_equal(file_mkdir_p(outside, 0700, &err), 0);
	assert_int_equal(file_write_atomic(AT_FDCWD, kept, "x", 1, 0600, false, &err), 0);
	assert_int_equal(symlink(outside, link_path), 0);
	assert_int_equal(file_remove_tree(AT_FDCWD, tree), 0);
	assert_int_equal(access(tree, F_OK), -1);
	assert_int_equal(access(kept, F_OK), 0);
	assert_int_equal(file_remove_tree(AT_FDCWD, tree), 0);
}

static void paths_are_joined_with_one_slash(void **state)
{
	_cleanup_free_ char *a = file_join("/a/", "/b"), *root = file_join("/", "b");

	(void)state;
	assert_string_equal(a, "/a/b");
	assert_string_equal(root, "/b");
}

static void times_print_and_parse_as_rfc3339(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00Z" },
		{ INT64_C(1700000000120000000), "2023-11-14T22:13:20.12Z" },
		{ INT64_C(1700000000000000001), "2023-11-14T22:13:20.000000001Z" },
	};
	char text[CLOCK_RFC3339_SIZE];
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		clock_rfc3339(rows[i].ns, text);
		assert_string_equal(text, rows[i].text);
		assert_int_equal(clock_parse_rfc3339(text, &ns), 0);
		assert_int_equal(ns, rows[i].ns);
	}
	assert_int_equal(clock_parse_rfc3339("2023-11-14T23:13:20+01:00", &ns), 0);
	assert_int_equal(ns, INT64_C(1700000000000000000));
	assert_int_equal(clock_parse_rfc3339("yesterday", &ns), -EINVAL);
}

static void the_hash_is_fnv1a_of_128_bits(void **state)
{
	struct hash hash;
	char hex[HASH_HEX_SIZE];

	(void)state;
	hash_init(&hash);
	hash_hex(&hash, hex);
	assert_string_equal(hex, "6c62272e07bb014262b821756295c58d");
	hash_add(&hash, "a", 1);
	hash_hex(&hash, hex);
	assert_string_equal(hex, "d228cb696f1a8caf78912b704e4a8964");
}

static void json_refuses_duplicates_and_says_where(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	assert_null(json_parse("{\"a\":1,\n\"a\":2}", 14, "x.json", &err));
	assert_non_null(strstr(err.message, "x.json:2:"));
}

static void json_members_have_defaults(void **state)
{
	_cleanup_json_ json_t *object = json_object();
	_cleanup_free_ char *text = NULL;

	(void)state;
	json_put_text(object, "t", "v");
	json_put_text(object, "none", NULL);
	json_put_int(object, "i", 5);
	json_put_bool(object, "b", true);
	assert_string_equal(json_text(object, "t", "d"), "v");
	assert_string_equal(json_text(object, "i", "d"), "d");
	assert_int_equal(json_int(object, "i", 0), 5);
	assert_true(json_bool(object, "b", false));
	assert_int_equal(json_int(NULL, "i", 9), 9);
	text = json_print(object);
	assert_string_equal(text, "{\"t\":\"v\",\"i\":5,\"b\":true}");
}

static void bytes_that_are_not_utf8_do_not_break_json(void **state)
{
	_cleanup_json_ json_t *object = json_object();

	(void)state;
	json_put_text(object, "t", "a\xff");
	assert_string_equal(json_text(object, "t", ""), "a\xef\xbf\xbd");
}

static void descriptors_cross_a_socket_and_surplus_ones_are_closed(void **state)
{
	int pair[2], sent[3] = { 0, 1, 2 }, got[2];
	char data[8];
	size_t count;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(fd_send(pair[0], "hello", 5, sent, 3), 5);
	assert_int_equal(fd_receive(pair[1], data, sizeof(data), got, 2, &count), 5);
	assert_int_equal(count, 2);
	assert_true(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
	close(got[0]);
	close(got[1]);
	close(pair[0]);
	assert_int_equal(fd_receive(pair[1], data, sizeof(data), got, 2, &count), 0);
	close(pair[1]);
}

static void a_fault_hits_the_nth_call_once(void **state)
{
	(void)state;
	sys_fault_arm("openat", 2, EMFILE);
	fd_cleanup(&(int){ sys_open("/dev/null", O_RDONLY, 0) });
	assert_int_equal(sys_open("/dev/null", O_RDONLY, 0), -EMFILE);
	fd_cleanup(&(int){ sys_open("/dev/null", O_RDONLY, 0) });
	assert_false(sys_fault_armed);
}

static void a_process_is_known_by_its_start_time(void **state)
{
	pid_t child = fork();
	int64_t start;
	siginfo_t info;
	int fd;

	(void)state;
	if (child == 0) {
		pause();
		_exit(0);
	}
	start = proc_start_time(child);
	assert_true(start > 0);
	assert_int_equal(proc_open(child, start + 1), -ESRCH);
	fd = proc_open(child, start);
	assert_true(fd >= 0);
	assert_int_equal(sys_pidfd_send_signal(fd, SIGKILL), 0);
	assert_int_equal(sys_waitid_pidfd(fd, &info, WEXITED), 0);
	assert_int_equal(info.si_status, SIGKILL);
	close(fd);
	assert_int_equal(proc_start_time(child), -ESRCH);
}

static void only_plain_kinds_of_descriptor_are_passable(void **state)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC),
	    zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_true(proc_fd_passable(null));
	assert_true(proc_fd_passable(ends[0]));
	assert_false(proc_fd_passable(zero));
	assert_false(proc_fd_passable(root));
	close(null);
	close(zero);
	close(root);
	close(ends[0]);
	close(ends[1]);
}

static void a_path_in_a_root_never_leaves_it(void **state)
{
	_cleanup_free_ char *root = inside("root"), *evil = inside("root/evil");
	struct error err = ERROR_INIT;
	int dir, fd;

	(void)state;
	assert_int_equal(file_mkdir_p(root, 0700, &err), 0);
	assert_int_equal(symlink("/etc", evil), 0);
	dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = sys_open_in_root(dir, "evil/passwd", O_RDONLY, 0);
	assert_int_equal(fd, -ENOENT);
	fd = sys_open_in_root(dir, "../../../../etc/passwd", O_RDONLY, 0);
	assert_int_equal(fd, -ENOENT);
	close(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_holds_text_and_errno),
		cmocka_unit_test(an_error_longer_than_its_buffer_is_cut_not_overrun),
		cmocka_unit_test(strings_grow),
		cmocka_unit_test(a_vector_owns_copies),
		cmocka_unit_test(an_arena_gives_zeroed_aligned_objects),
		cmocka_unit_test(a_file_is_replaced_whole),
		cmocka_unit_test(a_failed_write_leaves_the_old_file_and_no_temporary),
		cmocka_unit_test(a_fifo_is_no_regular_file_and_does_not_hang),
		cmocka_unit_test(a_tree_is_removed_without_following_links),
		cmocka_unit_test(paths_are_joined_with_one_slash),
		cmocka_unit_test(times_print_and_parse_as_rfc3339),
		cmocka_unit_test(the_hash_is_fnv1a_of_128_bits),
		cmocka_unit_test(json_refuses_duplicates_and_says_where),
		cmocka_unit_test(json_members_have_defaults),
		cmocka_unit_test(bytes_that_are_not_utf8_do_not_break_json),
		cmocka_unit_test(descriptors_cross_a_socket_and_surplus_ones_are_closed),
		cmocka_unit_test(a_fault_hits_the_nth_call_once),
		cmocka_unit_test(a_process_is_known_by_its_start_time),
		cmocka_unit_test(only_plain_kinds_of_descriptor_are_passable),
		cmocka_unit_test(a_path_in_a_root_never_leaves_it),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
