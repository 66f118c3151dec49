/* init/table: what is committed is there after any kill; what is damaged is never believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "init/table.h"

struct fixture {
	char path[64];
	int dir;
	struct table t;
};

static int begin(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	snprintf(f->path, sizeof(f->path), "/tmp/wherry-table-XXXXXX");
	if (!mkdtemp(f->path)) {
		return -1;
	}
	f->dir = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = f;
	return table_open(&f->t, f->dir, NULL);
}

static int end(void **state)
{
	struct fixture *f = *state;

	table_close(&f->t);
	close(f->dir);
	file_remove_tree(AT_FDCWD, f->path);
	free(f);
	return 0;
}

static struct slot sample(int n)
{
	struct slot slot;

	slot_init(&slot);
	slot.used = 1;
	slot.pid = n;
	slot.state.phase = UNIT_RUNNING;
	slot.state.life = (uint32_t)n;
	snprintf(slot.id, sizeof(slot.id), "id-%d", n);
	return slot;
}

/* Closes and opens again: what a supervisor does that finds a table. */
static int reopen(struct fixture *f)
{
	table_close(&f->t);
	return table_open(&f->t, f->dir, NULL);
}

static void what_is_committed_is_found_again(void **state)
{
	struct fixture *f = *state;
	struct slot slot;

	assert_int_equal(table_slots(&f->t), 0);
	assert_int_equal(table_grow(&f->t, NULL), 0);
	assert_int_equal(table_grow(&f->t, NULL), 0);
	for (int i = 0; i < 2 * TABLE_CHUNK_SLOTS; i += 3) {
		slot = sample(i);
		table_commit(&f->t, (uint32_t)i, &slot);
	}
	assert_int_equal(reopen(f), 1);
	assert_int_equal(table_slots(&f->t), 2 * TABLE_CHUNK_SLOTS);
	for (int i = 0; i < 2 * TABLE_CHUNK_SLOTS; i++) {
		struct slot expected = sample(i);
		bool found = table_read(&f->t, (uint32_t)i, &slot, NULL);

		assert_int_equal(found, i % 3 == 0);
		if (found) {
			assert_memory_equal(&slot, &expected, sizeof(slot));
		}
	}
	assert_false(table_read(&f->t, 2 * TABLE_CHUNK_SLOTS, &slot, NULL));
}

static void a_commit_cut_short_leaves_the_one_before(void **state)
{
	struct fixture *f = *state;
	struct slot one = sample(1), two = sample(2), got;
	char *chunk;
	off_t size;
	struct stat st;

	assert_int_equal(table_grow(&f->t, NULL), 0);
	table_commit(&f->t, 5, &one);
	table_commit(&f->t, 5, &two);
	/* Wherever the second copy is torn: byte by byte over the whole chunk. */
	assert_int_equal(fstat(f->t.fd, &st), 0);
	size = st.st_size;
	chunk = f->t.chunks[0];
	for (size_t i = 0; i < 16384 && (off_t)i < size; i += 7) {
		bool torn;

		chunk[i] ^= 0x55;
		if (table_read(&f->t, 5, &got, &torn)) {
			struct slot expected = sample(got.pid);

			assert_in_range(got.pid, 1, 2);
			assert_memory_equal(&got, &expected, sizeof(got));
		} else {
			fail_msg("a single damaged byte at %zu lost both copies", i);
		}
		chunk[i] ^= 0x55;
	}
	assert_true(table_read(&f->t, 5, &got, NULL));
	assert_int_equal(got.pid, 2);
}

static void a_kill_while_committing_leaves_a_whole_slot(void **state)
{
	struct fixture *f = *state;
	struct slot got, expected;

	assert_int_equal(table_grow(&f->t, NULL), 0);
	expected = sample(0);
	table_commit(&f->t, 0, &expected);
	for (int round = 0; round < 50; round++) {
		struct timespec wait = { .tv_nsec = 100000 + round * 20011 };
		pid_t pid = fork();

		if (pid == 0) {
			for (int i = 0;; i = (i + 1) % 1000000) {
				expected = sample(i);
				table_commit(&f->t, 0, &expected);
			}
		}
		nanosleep(&wait, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		assert_int_equal(reopen(f), 1);
		assert_true(table_read(&f->t, 0, &got, NULL));
		expected = sample(got.pid);
		assert_memory_equal(&got, &expected, sizeof(got));
		/* And it goes on from there. */
		expected = sample(7);
		table_commit(&f->t, 0, &expected);
		assert_true(table_read(&f->t, 0, &got, NULL));
		assert_int_equal(got.pid, 7);
	}
}

static void overwrite(struct fixture *f, off_t at, const void *bytes, size_t size)
{
	_cleanup_fd_ int fd = openat(f->dir, "table", O_RDWR | O_CLOEXEC);

	assert_int_equal(pwrite(fd, bytes, size, at), size);
}

static int cut_table(struct fixture *f, off_t size)
{
	_cleanup_fd_ int fd = openat(f->dir, "table", O_RDWR | O_CLOEXEC);

	return ftruncate(fd, size);
}

static void what_cannot_be_used_is_moved_aside(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	for (int i = 0; i < 6; i++) {
		uint32_t future = TABLE_VERSION + 1, many = TABLE_CHUNKS;

		table_close(&f->t);
		switch (i) {
		case 0: overwrite(f, 0, "garbage!", 8); break;
		case 1:
			overwrite(f, offsetof(struct table_head, version), &future, sizeof(future));
			break;
		case 2: overwrite(f, offsetof(struct table_head, boot_id), "x", 1); break;
		case 3: assert_int_equal(cut_table(f, 100), 0); break;
		case 4: assert_int_equal(cut_table(f, 0), 0); break;
		default:
			overwrite(f, offsetof(struct table_head, chunks), &many, sizeof(many));
			break;
		}
		assert_int_equal(table_open(&f->t, f->dir, NULL), TABLE_REPLACED);
		assert_int_equal(table_slots(&f->t), 0);
		assert_int_equal(fstatat(f->dir, "table.bad", &st, 0), 0);
	}
}

static void a_link_in_its_place_is_not_followed(void **state)
{
	struct fixture *f = *state;
	int r;

	table_close(&f->t);
	assert_int_equal(unlinkat(f->dir, "table", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", f->dir, "table"), 0);
	r = table_open(&f->t, f->dir, NULL);
	assert_true(r == TABLE_REPLACED || r == -ELOOP);
}

static void a_table_of_another_boot_is_told_apart(void **state)
{
	struct fixture *f = *state;
	size_t size = sizeof(struct table_head) + 65536;
	_cleanup_free_ char *bytes = xcalloc(size, 1);

	memcpy(bytes, f->t.head, sizeof(*f->t.head));
	assert_int_equal(table_check(bytes, size, f->t.head->boot_id, NULL), 0);
	assert_int_equal(table_check(bytes, size, "another", NULL), 1);
}

static void sessions_are_taken_and_given_back(void **state)
{
	struct fixture *f = *state;
	struct table_session *all[TABLE_SESSIONS];

	for (int i = 0; i < TABLE_SESSIONS; i++) {
		all[i] = table_session_take(&f->t);
		assert_non_null(all[i]);
		assert_true(i == 0 || all[i]->serial > all[i - 1]->serial);
		all[i]->kind = SESSION_EXEC;
	}
	assert_null(table_session_take(&f->t));
	table_session_free(all[17]);
	assert_ptr_equal(table_session_take(&f->t), all[17]);
}

static void it_grows_to_its_limit_and_says_so(void **state)
{
	struct fixture *f = *state;
	struct error err = ERROR_INIT;

	for (int i = 0; i < TABLE_CHUNKS; i++) {
		assert_int_equal(table_grow(&f->t, NULL), 0);
	}
	assert_int_equal(table_grow(&f->t, &err), -EMFILE);
	assert_non_null(strstr(err.message, "4096"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_committed_is_found_again, begin, end),
		cmocka_unit_test_setup_teardown(
			a_commit_cut_short_leaves_the_one_before, begin, end),
		cmocka_unit_test_setup_teardown(
			a_kill_while_committing_leaves_a_whole_slot, begin, end),
		cmocka_unit_test_setup_teardown(what_cannot_be_used_is_moved_aside, begin, end),
		cmocka_unit_test_setup_teardown(a_link_in_its_place_is_not_followed, begin, end),
		cmocka_unit_test_setup_teardown(a_table_of_another_boot_is_told_apart, begin, end),
		cmocka_unit_test_setup_teardown(sessions_are_taken_and_given_back, begin, end),
		cmocka_unit_test_setup_teardown(it_grows_to_its_limit_and_says_so, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
