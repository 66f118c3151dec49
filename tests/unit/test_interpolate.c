/* ${VARIABLE} in all its forms. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "specs/interpolate.h"

static unsigned unset_count;

static const char *lookup(void *owner, const char *name)
{
	(void)owner;
	if (strcmp(name, "SET") == 0) {
		return "value";
	}
	if (strcmp(name, "EMPTY") == 0) {
		return "";
	}
	return strcmp(name, "DOLLAR") == 0 ? "$SET" : NULL;
}

static void count_unset(void *owner, const char *name)
{
	(void)owner;
	(void)name;
	unset_count++;
}

static int run(const char *text, struct str *out, struct error *err)
{
	const struct interpolation how = { .lookup = lookup, .unset = count_unset };

	unset_count = 0;
	return interpolate(&how, text, out, err);
}

static void every_form_gives_what_the_specification_says(void **state)
{
	static const struct {
		const char *text, *result;
		unsigned unset;
	} rows[] = {
		{ "plain", "plain", 0 },
		{ "$SET ${SET}", "value value", 0 },
		{ "$SETx", "", 1 },
		{ "${NO}", "", 1 },
		{ "${set}", "", 1 },
		{ "$$SET $$$SET", "$SET $value", 0 },
		{ "${NO:-d} ${EMPTY:-d} ${SET:-d}", "d d value", 0 },
		{ "${NO-d} ${EMPTY-d} ${SET-d}", "d  value", 0 },
		{ "${NO:+d}|${EMPTY:+d}|${SET:+d}", "||d", 0 },
		{ "${NO+d}|${EMPTY+d}|${SET+d}", "|d|d", 0 },
		{ "${SET:?m} ${EMPTY?m}", "value ", 0 },
		{ "${NO:-${EMPTY:-$SET}}", "value", 0 },
		{ "${NO:-${SET}/x}y", "value/xy", 0 },
		{ "${NO:-a}b}", "ab}", 0 },
		{ "${NO:-a:-b}", "a:-b", 0 },
		{ "${NO:-}", "", 0 },
		{ "${NO:-a?b}", "a?b", 0 },
		{ "${NO-:?x}", ":?x", 0 },
		{ "$1 $ $(date) a$", "$1 $ $(date) a$", 0 },
		{ "$DOLLAR", "$SET", 0 },
		{ "${SET:-$NO}", "value", 0 },
		{ "${NO:-$NO2}", "", 1 },
		{ "${SET+${NO}}", "", 1 },
		{ "${NO:-{\"a\":1}}", "{\"a\":1}", 0 },
		{ "${NO:-a$$b}", "a$b", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_str_ struct str out = { 0 };
		struct error err = ERROR_INIT;

		assert_int_equal(run(rows[i].text, &out, &err), 0);
		assert_string_equal(str_text(&out), rows[i].result);
		assert_int_equal(unset_count, rows[i].unset);
	}
}

static void a_required_variable_shows_its_message(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ "${NO:?need it}", "required variable NO is missing a value: need it" },
		{ "${NO?}", "required variable NO is missing a value" },
		{ "${EMPTY:?for $SET}", "required variable EMPTY is missing a value: for value" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_str_ struct str out = { 0 };
		struct error err = ERROR_INIT;

		assert_int_equal(run(rows[i].text, &out, &err), -EINVAL);
		assert_string_equal(err.message, rows[i].message);
	}
}

static void broken_forms_are_told_apart_from_missing_values(void **state)
{
	static const char *const rows[] = { "${", "${}", "${ V }", "${V/a/b}", "${V", "${V:-x",
		"${V:x}", "${1}", "${NO:-${}", "a ${V:} b" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_str_ struct str out = { 0 };
		struct error err = ERROR_INIT;

		assert_int_equal(run(rows[i], &out, &err), -EBADMSG);
	}
}

static void nesting_has_an_end(void **state)
{
	_cleanup_str_ struct str text = { 0 }, out = { 0 };
	struct error err = ERROR_INIT;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		str_add(&text, "${NO:-");
	}
	for (int i = 0; i < 1000; i++) {
		str_add(&text, "}");
	}
	assert_int_equal(run(str_text(&text), &out, &err), -EINVAL);
	assert_non_null(strstr(err.message, "deep"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_gives_what_the_specification_says),
		cmocka_unit_test(a_required_variable_shows_its_message),
		cmocka_unit_test(broken_forms_are_told_apart_from_missing_values),
		cmocka_unit_test(nesting_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
