/* init/logwriter: docker's json-file lines, byte for byte, and their rotation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sys.h"
#include "init/logwriter.h"

struct fixture {
	char dir[64];
	char *path;
	struct logwriter w;
};

static int begin(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/wherry-logfile-XXXXXX");
	if (!mkdtemp(f->dir)) {
		return -1;
	}
	f->path = file_join(f->dir, "a-json.log");
	*state = f;
	return logwriter_open(&f->w, f->path, 0, 1, NULL);
}

static int end(void **state)
{
	struct fixture *f = *state;

	sys_fault_disarm();
	logwriter_close(&f->w);
	file_remove_tree(AT_FDCWD, f->dir);
	free(f->path);
	free(f);
	return 0;
}

/* The entries of a log, as objects (new reference). */
static json_t *entries(const char *path)
{
	_cleanup_free_ char *text = NULL;
	json_t *all = json_array();
	char *line, *next;

	assert_int_equal(file_read_at(AT_FDCWD, path, 16u << 20, &text, NULL, NULL), 0);
	for (line = text; *line; line = next) {
		json_t *entry;

		next = strchr(line, '\n');
		assert_non_null(next); /* no line is torn */
		*next++ = '\0';
		entry = json_parse(line, strlen(line), "entry", NULL);
		assert_non_null(entry);
		json_array_append_new(all, entry);
	}
	return all;
}

static const char *entry_log(const json_t *all, size_t i)
{
	return json_text(json_array_get(all, i), "log", "?");
}

static void lines_become_entries_with_stream_and_time(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *all = NULL;
	int64_t ns;

	assert_int_equal(logwriter_append(&f->w, "one\ntwo\n", 8, "stderr"), 0);
	all = entries(f->path);
	assert_int_equal(json_array_size(all), 2);
	assert_string_equal(entry_log(all, 0), "one\n");
	assert_string_equal(entry_log(all, 1), "two\n");
	assert_string_equal(json_text(json_array_get(all, 0), "stream", ""), "stderr");
	assert_int_equal(
		clock_parse_rfc3339(json_text(json_array_get(all, 0), "time", ""), &ns), 0);
	assert_true(ns > INT64_C(1500000000) * 1000000000);
}

static void the_last_line_without_an_end_has_no_newline(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *all = NULL;

	assert_int_equal(logwriter_append(&f->w, "a\nrest", 6, "stdout"), 0);
	all = entries(f->path);
	assert_string_equal(entry_log(all, 1), "rest");
}

static void bytes_are_escaped_as_go_does_it(void **state)
{
	static const struct {
		const char *in;
		size_t size;
		const char *out;
	} cases[] = {
		{ "plain", 5, "plain" }, { "\"\\\n\r\t", 5, "\\\"\\\\\\n\\r\\u0009" },
		{ "<&>", 3, "\\u003c\\u0026\\u003e" }, { "\0\x1f\x7f", 3, "\\u0000\\u001f\x7f" },
		{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9,
			"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "\xe2\x80\xa8\xe2\x80\xa9", 6, "\\u2028\\u2029" },
		{ "\xff\xc3", 2, "\\ufffd\\ufffd" },
		{ "\xc0\x80", 2, "\\ufffd\\ufffd" }, /* overlong */
		{ "\xed\xa0\x80", 3, "\\ufffd\\ufffd\\ufffd" }, /* a surrogate */
		{ "\xf4\x90\x80\x80", 4, "\\ufffd\\ufffd\\ufffd\\ufffd" }, /* past U+10FFFF */
		{ "\xe2\x82", 2, "\\ufffd\\ufffd" }, /* cut short */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_str_ struct str out = { 0 };

		log_escape(&out, cases[i].in, cases[i].size);
		assert_string_equal(str_text(&out), cases[i].out);
	}
}

static void a_long_line_becomes_entries_of_16_kib_that_tear_no_character(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *all = NULL;
	_cleanup_free_ char *data = xcalloc(LOG_ENTRY_MAX * 2 + 10, 1);
	size_t size = LOG_ENTRY_MAX * 2, total = 0;

	memset(data, 'x', size);
	memcpy(data + LOG_ENTRY_MAX - 1, "\xe2\x82\xac", 3); /* across the border */
	data[size++] = '\n';
	assert_int_equal(logwriter_append(&f->w, data, size, "stdout"), 0);
	all = entries(f->path);
	assert_int_equal(json_array_size(all), 3);
	for (size_t i = 0; i < 3; i++) {
		const char *log = entry_log(all, i);

		assert_memory_equal(log, data + total, strlen(log));
		assert_true(strlen(log) <= LOG_ENTRY_MAX);
		total += strlen(log);
	}
	assert_int_equal(total, size);
}

static void a_full_file_is_rotated_and_the_oldest_goes(void **state)
{
	struct fixture *f = *state;
	char name[100];
	struct stat st;

	f->w.max_size = 100;
	f->w.max_file = 3;
	for (int i = 0; i < 6; i++) {
		char line[64];
		int n = snprintf(line, sizeof(line), "%050d\n", i);

		assert_int_equal(logwriter_append(&f->w, line, (size_t)n, "stdout"), 0);
		assert_int_equal(logwriter_rotate(&f->w), 0);
	}
	assert_int_equal(logwriter_size(&f->w), 0);
	for (int i = 1; i <= 2; i++) {
		_cleanup_json_ json_t *all = NULL;
		char expected[64];

		snprintf(name, sizeof(name), "%s.%d", f->path, i);
		snprintf(expected, sizeof(expected), "%050d\n", 6 - i);
		all = entries(name);
		assert_int_equal(json_array_size(all), 1);
		assert_string_equal(entry_log(all, 0), expected);
	}
	snprintf(name, sizeof(name), "%s.3", f->path);
	assert_int_equal(stat(name, &st), -1);
}

static void a_single_file_starts_again_when_it_is_full(void **state)
{
	struct fixture *f = *state;

	f->w.max_size = 10;
	assert_int_equal(logwriter_append(&f->w, "x\n", 2, "stdout"), 0);
	assert_int_equal(logwriter_rotate(&f->w), 0);
	assert_int_equal(logwriter_size(&f->w), 0);
}

static void a_write_that_fails_is_reported(void **state)
{
	struct fixture *f = *state;

	sys_fault_arm("write", 1, ENOSPC);
	assert_int_equal(logwriter_append(&f->w, "x\n", 2, "stdout"), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			lines_become_entries_with_stream_and_time, begin, end),
		cmocka_unit_test_setup_teardown(
			the_last_line_without_an_end_has_no_newline, begin, end),
		cmocka_unit_test(bytes_are_escaped_as_go_does_it),
		cmocka_unit_test_setup_teardown(
			a_long_line_becomes_entries_of_16_kib_that_tear_no_character, begin, end),
		cmocka_unit_test_setup_teardown(
			a_full_file_is_rotated_and_the_oldest_goes, begin, end),
		cmocka_unit_test_setup_teardown(
			a_single_file_starts_again_when_it_is_full, begin, end),
		cmocka_unit_test_setup_teardown(a_write_that_fails_is_reported, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
