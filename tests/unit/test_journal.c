/*
 * init/journal: output reaches the log once, whole, in order, whenever the process that moves it
 * is killed. The kills are exact: the mover is traced and ended before and after each of its
 * system calls in turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sys.h"
#include "init/journal.h"

struct fixture {
	char dir_path[64];
	char *log_path, *fifo_path;
	struct table_head *head; /* shared, as the table is */
	struct journal j;
	struct logwriter w;
	struct carry carry;
	int dir, fifo;
};

static int begin(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	snprintf(f->dir_path, sizeof(f->dir_path), "/tmp/wherry-journal-XXXXXX");
	if (!mkdtemp(f->dir_path)) {
		return -1;
	}
	f->log_path = file_join(f->dir_path, "a-json.log");
	f->fifo_path = file_join(f->dir_path, "a.out");
	f->head = mmap(
		NULL, sizeof(*f->head), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mkfifo(f->fifo_path, 0600) < 0) {
		return -1;
	}
	f->fifo = open(f->fifo_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	*state = f;
	if (logwriter_open(&f->w, f->log_path, 0, 1, NULL) < 0) {
		return -1;
	}
	f->dir = open(f->dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	carry_open(&f->carry, f->dir, "a.part");
	return journal_open(&f->j, f->head, false, NULL);
}

static int end(void **state)
{
	struct fixture *f = *state;

	sys_fault_disarm();
	journal_close(&f->j);
	carry_close(&f->carry);
	close(f->dir);
	close(f->j.hold_read);
	close(f->j.hold_write);
	logwriter_close(&f->w);
	close(f->fifo);
	munmap(f->head, sizeof(*f->head));
	file_remove_tree(AT_FDCWD, f->dir_path);
	free(f->log_path);
	free(f->fifo_path);
	free(f);
	return 0;
}

static void put(struct fixture *f, const char *text)
{
	assert_int_equal(write(f->fifo, text, strlen(text)), strlen(text));
}

/* Everything in the log, the texts of its entries joined. The caller's (free). */
static char *logged(const struct fixture *f)
{
	_cleanup_free_ char *text = NULL;
	struct str all = { 0 };
	char *next;

	assert_int_equal(file_read_at(AT_FDCWD, f->log_path, 16u << 20, &text, NULL, NULL), 0);
	for (char *line = text; *line; line = next) {
		json_t *entry;

		next = strchr(line, '\n');
		assert_non_null(next);
		*next++ = '\0';
		entry = json_parse(line, strlen(line), "entry", NULL);
		assert_non_null(entry);
		str_add(&all, json_text(entry, "log", "?"));
		json_decref(entry);
	}
	return str_take(&all);
}

static void assert_logged(const struct fixture *f, const char *expected)
{
	_cleanup_free_ char *text = logged(f);

	assert_string_equal(text, expected);
}

static int move(struct fixture *f, bool final)
{
	return journal_move(&f->j, 3, 0, f->fifo, &f->w, &f->carry, final);
}

static size_t in_fifo(const struct fixture *f)
{
	int size = 0;

	assert_int_equal(ioctl(f->fifo, FIONREAD, &size), 0);
	return (size_t)size;
}

static void whole_lines_are_logged_and_a_beginning_is_kept(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(move(f, false), 0);
	put(f, "one\ntwo\nthr");
	assert_int_equal(move(f, false), 1);
	assert_int_equal(move(f, false), 1);
	assert_int_equal(move(f, false), 0);
	assert_logged(f, "one\ntwo\n");
	put(f, "e");
	while (move(f, false) > 0) {
	}
	put(f, "e\n");
	while (move(f, false) > 0) {
	}
	assert_logged(f, "one\ntwo\nthree\n");
	assert_int_equal(f->j.note->state, JOURNAL_IDLE);
}

static void the_pipe_is_empty_before_anybody_sleeps(void **state)
{
	struct fixture *f = *state;

	/* Else a writer that blocks would not wake us, and wait for ever. */
	put(f, "Password: ");
	while (move(f, false) > 0) {
	}
	assert_int_equal(in_fifo(f), 0);
	assert_logged(f, "");
}

static void at_the_end_a_line_without_an_end_is_logged_too(void **state)
{
	struct fixture *f = *state;

	put(f, "last ");
	while (move(f, false) > 0) {
	}
	put(f, "words");
	assert_int_equal(move(f, true), 1);
	assert_int_equal(move(f, true), 0);
	assert_logged(f, "last words");
	assert_int_equal(f->carry.size, 0);
}

static void a_line_past_16_kib_does_not_wait_for_its_end(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *data = xcalloc(20001, 1);

	memset(data, 'y', 20000);
	put(f, data);
	while (move(f, false) > 0) {
	}
	assert_int_equal(f->carry.size, 20000 - LOG_ENTRY_MAX);
	data[LOG_ENTRY_MAX] = '\0';
	assert_logged(f, data);
}

static void a_beginning_that_cannot_be_kept_becomes_an_entry(void **state)
{
	struct fixture *f = *state;

	put(f, "half");
	sys_fault_arm("openat", 1, ENOSPC);
	assert_int_equal(move(f, false), 1);
	assert_logged(f, "half");
	assert_int_equal(in_fifo(f), 0);
}

static void on_a_full_disk_nothing_is_lost_or_torn(void **state)
{
	struct fixture *f = *state;

	put(f, "one\n");
	assert_int_equal(move(f, false), 1);
	put(f, "two\n");
	sys_fault_arm("write", 1, ENOSPC);
	assert_int_equal(move(f, false), -ENOSPC);
	sys_fault_disarm();
	assert_logged(f, "one\n");
	assert_int_equal(f->j.note->state, JOURNAL_IDLE);
	assert_int_equal(move(f, false), 1);
	assert_logged(f, "one\ntwo\n");
}

/* Runs a mover and kills it at its stop number @which. True when it ended before that. */
static bool run_mover_until(struct fixture *f, int which)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		while (journal_move(&f->j, 3, 0, f->fifo, &f->w, &f->carry, false) > 0) {
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	for (int i = 0; i < which; i++) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			return true;
		}
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return false;
}

static void a_kill_at_any_system_call_loses_tears_and_doubles_nothing(void **state)
{
	struct fixture *f = *state;
	struct str expected = { 0 };
	int round = 0;
	bool ended = false;

	for (; !ended && round < 500; round++) {
		for (int line = 0; line < 40; line++) {
			char text[64];

			snprintf(text, sizeof(text), "round %d line %d\n", round, line);
			put(f, text);
			str_add(&expected, text);
		}
		put(f, round % 2 ? "ha" : "half ");
		ended = run_mover_until(f, round);
		put(f, round % 2 ? "lf a line\n" : "a line\n");
		str_add(&expected, "half a line\n");
		/* What the next supervisor does: only the private pipe is what it was. */
		journal_close(&f->j);
		assert_int_equal(journal_open(&f->j, f->head, true, NULL), 0);
		carry_close(&f->carry);
		carry_open(&f->carry, f->dir, "a.part");
		journal_recover(&f->j, f->fifo, &f->w, &f->carry);
		assert_int_equal(f->j.note->state, JOURNAL_IDLE);
		while (move(f, false) > 0) {
		}
		assert_logged(f, str_text(&expected));
	}
	assert_true(ended);
	assert_true(round > 10); /* it was killed at each of its calls on the way */
	str_finish(&expected);
}

static void bytes_that_are_in_the_private_pipe_are_not_taken_again(void **state)
{
	struct fixture *f = *state;

	/* Killed between two splices: "one\n" was logged, two of its bytes had been moved. */
	put(f, "one\ntwo\n");
	assert_int_equal(logwriter_append(&f->w, "one\n", 4, "stdout"), 0);
	assert_int_equal(sys_splice(f->fifo, f->j.hold_write, 2, 0), 2);
	*f->j.note = (struct table_journal){ .state = JOURNAL_WRITTEN, .slot = 3, .count = 4 };
	journal_recover(&f->j, f->fifo, &f->w, &f->carry);
	while (move(f, false) > 0) {
	}
	assert_logged(f, "one\ntwo\n");
}

static void a_note_without_its_fifo_or_log_does_no_harm(void **state)
{
	struct fixture *f = *state;

	*f->j.note = (struct table_journal){ .state = JOURNAL_WRITTEN, .count = UINT32_MAX };
	journal_recover(&f->j, -1, NULL, NULL);
	assert_int_equal(f->j.note->state, JOURNAL_IDLE);
	*f->j.note = (struct table_journal){ .state = JOURNAL_WRITING, .size = -5 };
	journal_recover(&f->j, -1, NULL, NULL);
	assert_int_equal(f->j.note->state, JOURNAL_IDLE);
	*f->j.note = (struct table_journal){ .state = 77 };
	journal_recover(&f->j, f->fifo, &f->w, &f->carry);
	assert_int_equal(f->j.note->state, JOURNAL_IDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			whole_lines_are_logged_and_a_beginning_is_kept, begin, end),
		cmocka_unit_test_setup_teardown(
			the_pipe_is_empty_before_anybody_sleeps, begin, end),
		cmocka_unit_test_setup_teardown(
			at_the_end_a_line_without_an_end_is_logged_too, begin, end),
		cmocka_unit_test_setup_teardown(
			a_line_past_16_kib_does_not_wait_for_its_end, begin, end),
		cmocka_unit_test_setup_teardown(
			a_beginning_that_cannot_be_kept_becomes_an_entry, begin, end),
		cmocka_unit_test_setup_teardown(on_a_full_disk_nothing_is_lost_or_torn, begin, end),
		cmocka_unit_test_setup_teardown(
			a_kill_at_any_system_call_loses_tears_and_doubles_nothing, begin, end),
		cmocka_unit_test_setup_teardown(
			bytes_that_are_in_the_private_pipe_are_not_taken_again, begin, end),
		cmocka_unit_test_setup_teardown(
			a_note_without_its_fifo_or_log_does_no_harm, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
