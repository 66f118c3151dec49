/* Quantities of the Compose Specification. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "specs/units.h"

static void bytes_are_counted_in_powers_of_1024(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes;
	} rows[] = {
		{ "0", 0 },
		{ "512", 512 },
		{ "512b", 512 },
		{ "1k", 1024 },
		{ "1kb", 1024 },
		{ "1KiB", 1024 },
		{ "64m", 67108864 },
		{ "64 MB", 67108864 },
		{ "1.5gb", 1610612736 },
		{ "1GiB", 1073741824 },
		{ ".5k", 512 },
		{ "2t", INT64_C(2) << 40 },
		{ "1p", INT64_C(1) << 50 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t bytes = -1;

		assert_int_equal(units_parse_bytes(rows[i].text, &bytes), 0);
		assert_int_equal(bytes, rows[i].bytes);
	}
}

static void bytes_that_make_no_sense_are_refused(void **state)
{
	static const char *const rows[] = { "", "x", "5x", "-1", "1e3", "0x10", "5 m b", "5mm", "k",
		"5kk", "1..5", "5ib", "inf", "nan" };
	int64_t bytes;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(units_parse_bytes(rows[i], &bytes), -EINVAL);
	}
	assert_int_equal(units_parse_bytes("9000p", &bytes), -ERANGE);
	assert_int_equal(units_parse_bytes("99999999999999999999", &bytes), -ERANGE);
}

static void durations_add_up_their_parts(void **state)
{
	static const struct {
		const char *text;
		int64_t microseconds;
	} rows[] = {
		{ "0", 0 },
		{ "0s", 0 },
		{ "90s", 90000000 },
		{ "1h30m", INT64_C(5400000000) },
		{ "1m30.5s", 90500000 },
		{ "500ms", 500000 },
		{ "10us", 10 },
		{ "10\xc2\xb5s", 10 },
		{ "1500ns", 2 },
		{ "0.1s", 100000 },
		{ "2d", INT64_C(172800000000) },
		{ "1w", INT64_C(604800000000) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t value = -1;

		assert_int_equal(units_parse_duration(rows[i].text, &value), 0);
		assert_int_equal(value, rows[i].microseconds);
	}
}

static void durations_need_a_unit(void **state)
{
	static const char *const rows[] = { "", "5", "s", "5x", "-5s", "5s ", "1m30", "5 s",
		"1e3s" };
	int64_t value;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(units_parse_duration(rows[i], &value), -EINVAL);
	}
	assert_int_equal(units_parse_duration("99999999999999999h", &value), -ERANGE);
}

static void durations_are_printed_as_go_prints_them(void **state)
{
	static const struct {
		int64_t microseconds;
		const char *text;
	} rows[] = {
		{ 0, "0s" },
		{ 7, "7\xc2\xb5s" },
		{ 500000, "500ms" },
		{ 1500, "1.5ms" },
		{ 1000000, "1s" },
		{ 90000000, "1m30s" },
		{ 60000000, "1m0s" },
		{ INT64_C(5400000000), "1h30m0s" },
		{ 90500000, "1m30.5s" },
		{ -1000000, "-1s" },
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		units_print_duration(rows[i].microseconds, text, sizeof(text));
		assert_string_equal(text, rows[i].text);
	}
}

static void a_printed_duration_reads_back_as_itself(void **state)
{
	(void)state;
	for (int64_t value = 1; value < INT64_C(40000000000); value = value * 3 + 7) {
		char text[64];
		int64_t again = -1;

		units_print_duration(value, text, sizeof(text));
		assert_int_equal(units_parse_duration(text, &again), 0);
		assert_int_equal(again, value);
	}
}

static void signals_have_names_and_numbers(void **state)
{
	static const struct {
		const char *text;
		int number;
	} rows[] = {
		{ "SIGTERM", SIGTERM },
		{ "term", SIGTERM },
		{ "15", SIGTERM },
		{ "SIGKILL", SIGKILL },
		{ "SigQuit", SIGQUIT },
		{ "WINCH", SIGWINCH },
		{ "SIGCLD", SIGCHLD },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(units_parse_signal(rows[i].text), rows[i].number);
	}
	assert_int_equal(units_parse_signal("RTMIN+3"), SIGRTMIN + 3);
	assert_int_equal(units_parse_signal("SIGRTMAX-1"), SIGRTMAX - 1);
	assert_string_equal(units_signal_name(SIGINT), "SIGINT");
	assert_null(units_signal_name(0));
	assert_null(units_signal_name(4000));
}

static void what_is_no_signal_is_refused(void **state)
{
	static const char *const rows[] = { "", "0", "-1", "65", "SIG", "FOO", "RTMIN+99", "RTMINx",
		"RTMAX+1", "99999999999", "TERM " };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(units_parse_signal(rows[i]), -EINVAL);
	}
}

static void sizes_are_shown_in_powers_of_1000(void **state)
{
	static const struct {
		int64_t bytes;
		const char *text;
	} rows[] = {
		{ 0, "0B" },
		{ 999, "999B" },
		{ 1000, "1kB" },
		{ 1234567, "1.23MB" },
		{ 178000000, "178MB" },
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		units_print_size(rows[i].bytes, text, sizeof(text));
		assert_string_equal(text, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_counted_in_powers_of_1024),
		cmocka_unit_test(bytes_that_make_no_sense_are_refused),
		cmocka_unit_test(durations_add_up_their_parts),
		cmocka_unit_test(durations_need_a_unit),
		cmocka_unit_test(durations_are_printed_as_go_prints_them),
		cmocka_unit_test(a_printed_duration_reads_back_as_itself),
		cmocka_unit_test(signals_have_names_and_numbers),
		cmocka_unit_test(what_is_no_signal_is_refused),
		cmocka_unit_test(sizes_are_shown_in_powers_of_1000),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
