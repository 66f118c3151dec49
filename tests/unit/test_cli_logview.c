/* Log files that rotate, tear and grow while they are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/logfile.h"
#include "cli/logview.h"

struct place {
	char folder[64];
	char path[128];
	unsigned written;
};

static int make_place(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	snprintf(p->folder, sizeof(p->folder), "/tmp/wherry-logview-XXXXXX");
	if (!mkdtemp(p->folder)) {
		free(p);
		return -1;
	}
	snprintf(p->path, sizeof(p->path), "%s/a-json.log", p->folder);
	*state = p;
	return 0;
}

static int remove_place(void **state)
{
	struct place *p = *state;

	file_remove_tree(AT_FDCWD, p->folder);
	free(p);
	return 0;
}

static void append(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* Entries "N\n" with a time that grows with N. */
static void write_entries(struct place *p, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		_cleanup_free_ char *line = xasprintf("{\"log\":\"%u\\n\",\"stream\":\"stdout\","
						      "\"time\":\"2026-01-02T03:04:%02uZ\"}\n",
			p->written, p->written % 60);

		append(p->path, line);
		p->written++;
	}
}

/* As the supervisor does it: log.1 becomes log.2, log becomes log.1; the eldest of @keep goes. */
static void rotate(struct place *p, unsigned keep)
{
	for (unsigned n = keep; n < 6; n++) {
		_cleanup_free_ char *old = xasprintf("%s.%u", p->path, n);

		unlink(old);
	}
	for (unsigned n = keep - 1; n >= 1; n--) {
		_cleanup_free_ char *from =
			n == 1 ? xstrdup(p->path) : xasprintf("%s.%u", p->path, n - 1);
		_cleanup_free_ char *to = xasprintf("%s.%u", p->path, n);

		rename(from, to);
	}
	append(p->path, "");
}

/* All entries that are there, as "0 1 2 ". */
static char *read_all(struct logfile *log)
{
	struct str out = { 0 };
	struct log_entry entry;

	while (logfile_next(log, &entry) > 0) {
		str_add_mem(&out, entry.text, entry.size - 1);
		str_add_char(&out, ' ');
	}
	return str_take(&out);
}

static void expect(struct logfile *log, const char *wanted)
{
	_cleanup_free_ char *got = read_all(log);

	assert_string_equal(got, wanted);
}

static void reads_rotated_files_from_the_oldest(void **state)
{
	struct place *p = *state;
	struct error err = ERROR_INIT;
	struct logfile log;

	write_entries(p, 2);
	rotate(p, 3);
	write_entries(p, 2);
	rotate(p, 3);
	write_entries(p, 1);
	assert_int_equal(logfile_open(&log, p->path, LOGFILE_ALL, &err), 0);
	expect(&log, "0 1 2 3 4 ");
	write_entries(p, 1);
	expect(&log, "5 ");
	logfile_close(&log);
}

static void tail_counts_over_rotated_files(void **state)
{
	static const struct {
		int64_t tail;
		const char *wanted;
	} rows[] = { { 0, "" }, { 1, "4 " }, { 2, "3 4 " }, { 3, "2 3 4 " }, { 5, "0 1 2 3 4 " },
		{ 9, "0 1 2 3 4 " }, { LOGFILE_ALL, "0 1 2 3 4 " } };
	struct place *p = *state;
	struct error err = ERROR_INIT;

	write_entries(p, 3);
	rotate(p, 3);
	write_entries(p, 2);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct logfile log;

		assert_int_equal(logfile_open(&log, p->path, rows[i].tail, &err), 0);
		expect(&log, rows[i].wanted);
		logfile_close(&log);
	}
}

static void follows_through_any_number_of_rotations(void **state)
{
	struct place *p = *state;
	struct error err = ERROR_INIT;
	struct logfile log;

	write_entries(p, 1);
	assert_int_equal(logfile_open(&log, p->path, LOGFILE_ALL, &err), 0);
	expect(&log, "0 ");
	write_entries(p, 1);
	rotate(p, 5);
	write_entries(p, 2);
	rotate(p, 5);
	rotate(p, 5);
	write_entries(p, 1);
	expect(&log, "1 2 3 4 ");
	/* Ours is thrown away meanwhile: on with the oldest that is left. */
	for (int i = 0; i < 4; i++) {
		rotate(p, 2);
		write_entries(p, 1);
	}
	expect(&log, "7 8 ");
	logfile_close(&log);
}

static void a_torn_line_waits_until_it_is_whole(void **state)
{
	struct place *p = *state;
	struct error err = ERROR_INIT;
	struct logfile log;

	write_entries(p, 1);
	append(p->path, "{\"log\":\"to");
	assert_int_equal(logfile_open(&log, p->path, LOGFILE_ALL, &err), 0);
	expect(&log, "0 ");
	append(p->path, "rn\\n\",\"stream\":\"stderr\",\"time\":\"2026-01-02T03:05:00Z\"}\n");
	expect(&log, "torn ");
	logfile_close(&log);
	/* The end is looked for behind whole lines only. */
	append(p->path, "{\"log\":\"ha");
	assert_int_equal(logfile_open(&log, p->path, 0, &err), 0);
	append(p->path, "lf\\n\",\"stream\":\"stderr\",\"time\":\"2026-01-02T03:05:00Z\"}\n");
	expect(&log, "half ");
	logfile_close(&log);
}

static void a_line_cut_off_and_written_anew_is_read_once(void **state)
{
	struct place *p = *state;
	struct error err = ERROR_INIT;
	struct logfile log;
	struct stat st;

	write_entries(p, 1);
	assert_int_equal(stat(p->path, &st), 0);
	append(p->path, "{\"log\":\"a torn piece that is longer");
	assert_int_equal(logfile_open(&log, p->path, LOGFILE_ALL, &err), 0);
	expect(&log, "0 ");
	assert_int_equal(truncate(p->path, st.st_size), 0);
	write_entries(p, 2);
	expect(&log, "1 2 ");
	logfile_close(&log);
}

static void what_is_no_entry_is_skipped(void **state)
{
	struct place *p = *state;
	struct error err = ERROR_INIT;
	struct logfile log;
	struct str line = { 0 };

	append(p->path, "junk\n{}\n[1]\n\n{\"log\":5,\"time\":\"2026-01-02T03:05:00Z\"}\n"
			"{\"log\":\"x\",\"time\":\"never\"}\n");
	for (unsigned i = 0; i < LOGFILE_LINE_MAX * 2; i++) {
		str_add_char(&line, 'x');
	}
	append(p->path, str_text(&line));
	append(p->path, "\n");
	str_finish(&line);
	write_entries(p, 1);
	assert_int_equal(logfile_open(&log, p->path, LOGFILE_ALL, &err), 0);
	expect(&log, "0 ");
	assert_true(log.skipped >= 7);
	logfile_close(&log);
}

static void a_log_that_does_not_exist_yet_is_read_later(void **state)
{
	struct place *p = *state;
	struct error err = ERROR_INIT;
	struct logfile log;

	assert_int_equal(logfile_open(&log, p->path, 0, &err), 0);
	expect(&log, "");
	write_entries(p, 2);
	expect(&log, "0 1 ");
	logfile_close(&log);
}

/* Runs @work with standard output going to a file, and returns what it printed. */
static char *capture(void (*work)(struct place *p, struct logview *view), struct place *p,
	const struct logview_options *options)
{
	_cleanup_free_ char *path = xasprintf("%s/output", p->folder);
	int saved = dup(STDOUT_FILENO), fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct error err = ERROR_INIT;
	struct logview *view = logview_create(options, &err);
	char *text = NULL;

	assert_non_null(view);
	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	work(p, view);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(fd);
	logview_destroy(view);
	assert_int_equal(file_read_at(AT_FDCWD, path, 1 << 20, &text, NULL, &err), 0);
	return text;
}

static char *second_log(const struct place *p)
{
	return xasprintf("%s/b-json.log", p->folder);
}

static void merge_two(struct place *p, struct logview *view)
{
	_cleanup_free_ char *second = second_log(p);

	write_entries(p, 3);
	append(second,
		"{\"log\":\"mid\",\"stream\":\"stderr\",\"time\":\"2026-01-02T03:04:00.5Z\"}\n"
		"{\"log\":\"dle\\n\",\"stream\":\"stderr\",\"time\":\"2026-01-02T03:04:01.5Z\"}\n"
		"{\"log\":\"open\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:09Z\"}\n");
	assert_int_equal(logview_add(view, "p-web-1", "web-1", p->path, LOGFILE_ALL, NULL), 0);
	assert_int_equal(logview_add(view, "p-db-10", "db-10", second, LOGFILE_ALL, NULL), 0);
	logview_widen(view, "worker");
	logview_merge(view);
	logview_flush(view);
	logview_status(view, "p-web-1", "exited with code 1");
}

static void merges_by_time_with_padded_names(void **state)
{
	struct logview_options options = { .prefix = true };
	_cleanup_free_ char *text = capture(merge_two, *state, &options);

	assert_string_equal(text, "web-1   | 0\nweb-1   | 1\ndb-10   | middle\nweb-1   | 2\n"
				  "db-10   | open\nweb-1 exited with code 1\n");
}

static void colours_bounds_and_times_are_options(void **state)
{
	struct place *p = *state;
	struct logview_options options = { .prefix = true,
		.colour = true,
		.timestamps = true,
		.since_ns = INT64_C(1767323041000000000) };
	_cleanup_free_ char *text = NULL;

	options.until_ns = options.since_ns + INT64_C(500000000);
	text = capture(merge_two, p, &options);
	assert_string_equal(text, "\033[36mweb-1   | \033[0m2026-01-02T03:04:01Z 1\n"
				  "\033[33mdb-10   | \033[0m2026-01-02T03:04:01.5Z dle\n"
				  "\033[36mweb-1 exited with code 1\033[0m\n");
}

static void wait_ready(struct logview *view)
{
	struct pollfd ready = { .fd = logview_fd(view), .events = POLLIN };

	assert_int_equal(poll(&ready, 1, 5000), 1);
	while (logview_ready(view)) {
	}
}

static void follow_rotation(struct place *p, struct logview *view)
{
	assert_int_equal(logview_add(view, "p-web-1", "web-1", p->path, 0, NULL), 0);
	logview_merge(view);
	write_entries(p, 1); /* the file comes into being */
	wait_ready(view);
	write_entries(p, 1);
	wait_ready(view);
	rotate(p, 3);
	write_entries(p, 1);
	wait_ready(view);
	write_entries(p, 1);
	wait_ready(view);
}

static void inotify_tells_of_growth_and_rotation(void **state)
{
	struct logview_options options = { .prefix = false };
	_cleanup_free_ char *text = capture(follow_rotation, *state, &options);

	assert_string_equal(text, "0\n1\n2\n3\n");
}

static void switch_path(struct place *p, struct logview *view)
{
	_cleanup_free_ char *second = second_log(p);

	write_entries(p, 1);
	assert_int_equal(logview_add(view, "p-web-1", "web-1", p->path, LOGFILE_ALL, NULL), 0);
	write_entries(p, 1);
	append(second,
		"{\"log\":\"new\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:05:00Z\"}\n");
	assert_int_equal(logview_add(view, "p-web-1", "web-1", second, 0, NULL), 0);
	logview_merge(view);
}

static void a_recreated_container_goes_on_in_its_new_log(void **state)
{
	struct logview_options options = { .prefix = true };
	_cleanup_free_ char *text = capture(switch_path, *state, &options);

	assert_string_equal(text, "web-1  | 0\nweb-1  | 1\nweb-1  | new\n");
}

#define test(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(reads_rotated_files_from_the_oldest),
		test(tail_counts_over_rotated_files),
		test(follows_through_any_number_of_rotations),
		test(a_torn_line_waits_until_it_is_whole),
		test(a_line_cut_off_and_written_anew_is_read_once),
		test(what_is_no_entry_is_skipped),
		test(a_log_that_does_not_exist_yet_is_read_later),
		test(merges_by_time_with_padded_names),
		test(colours_bounds_and_times_are_options),
		test(inotify_tells_of_growth_and_rotation),
		test(a_recreated_container_goes_on_in_its_new_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
