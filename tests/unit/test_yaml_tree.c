/* YAML with places: types of plain scalars, anchors, merge keys, limits. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "specs/yaml_tree.h"

struct fixture {
	struct arena arena;
	struct diagnostics d;
	struct yaml_documents documents;
};

static int parse(struct fixture *f, const char *text)
{
	*f = (struct fixture){ 0 };
	return yaml_parse(text, strlen(text), "f.yaml", &f->arena, &f->documents, &f->d);
}

static void finish(struct fixture *f)
{
	arena_finish(&f->arena);
	diagnostics_finish(&f->d);
}

static void plain_scalars_have_the_types_of_yaml_1_2(void **state)
{
	static const struct {
		const char *text;
		enum yaml_kind kind;
		const char *canonical;
	} rows[] = {
		{ "", YAML_NULL, "null" },
		{ "~", YAML_NULL, "null" },
		{ "true", YAML_BOOL, "true" },
		{ "False", YAML_BOOL, "false" },
		{ "yes", YAML_STRING, "yes" },
		{ "off", YAML_STRING, "off" },
		{ "22:22", YAML_STRING, "22:22" },
		{ "12", YAML_INT, "12" },
		{ "-7", YAML_INT, "-7" },
		{ "010", YAML_INT, "8" },
		{ "0o10", YAML_INT, "8" },
		{ "0x1F", YAML_INT, "31" },
		{ "0b101", YAML_INT, "5" },
		{ "1_000", YAML_INT, "1000" },
		{ "089", YAML_FLOAT, "89" },
		{ "1.50", YAML_FLOAT, "1.5" },
		{ "1e3", YAML_FLOAT, "1000" },
		{ ".5", YAML_FLOAT, "0.5" },
		{ ".inf", YAML_FLOAT, "+Inf" },
		{ "1.2.3", YAML_STRING, "1.2.3" },
		{ "9223372036854775807", YAML_INT, "9223372036854775807" },
		{ "-", YAML_STRING, "-" },
		{ "0.1", YAML_FLOAT, "0.1" },
		{ "2024-01-02", YAML_STRING, "2024-01-02" },
	};
	struct arena arena = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct yaml_node node = { 0 };

		yaml_resolve_scalar(&node, rows[i].text, &arena);
		assert_int_equal(node.kind, rows[i].kind);
		assert_string_equal(node.text, rows[i].canonical);
	}
	arena_finish(&arena);
}

static void every_node_knows_its_place(void **state)
{
	const struct yaml_node *root, *list;
	struct fixture f;

	(void)state;
	assert_int_equal(parse(&f, "a:\n  b: [x, 'y',\n      \"z\"]\n"), 0);
	assert_int_equal(f.documents.count, 1);
	root = f.documents.items[0];
	assert_int_equal(yaml_find(root, "a")->key_mark.line, 1);
	list = yaml_get(yaml_get(root, "a"), "b");
	assert_int_equal(list->count, 3);
	assert_int_equal(list->mark.column, 6);
	assert_int_equal(list->entries[2].value->mark.line, 3);
	assert_int_equal(list->entries[2].value->mark.column, 7);
	assert_string_equal(list->mark.file, "f.yaml");
	finish(&f);
}

static void merge_keys_add_what_is_not_said(void **state)
{
	const struct yaml_node *root;
	struct fixture f;

	(void)state;
	assert_int_equal(parse(&f, "one: &one {a: 1, b: 2}\n"
				   "two: &two {b: 3, c: 4}\n"
				   "x: {c: 9, <<: [*one, *two]}\n"
				   "y:\n  <<: *two\n  b: 7\n"),
		0);
	root = f.documents.items[0];
	assert_string_equal(yaml_get_text(yaml_get(root, "x"), "a"), "1");
	assert_string_equal(yaml_get_text(yaml_get(root, "x"), "b"), "2");
	assert_string_equal(yaml_get_text(yaml_get(root, "x"), "c"), "9");
	assert_string_equal(yaml_get_text(yaml_get(root, "y"), "b"), "7");
	assert_string_equal(yaml_get_text(yaml_get(root, "y"), "c"), "4");
	finish(&f);
}

static void documents_and_tags_are_kept(void **state)
{
	struct fixture f;

	(void)state;
	assert_int_equal(
		parse(&f, "a: !reset null\nb: !override [1]\nc: !!str 12\n---\nd: 1\n"), 0);
	assert_int_equal(f.documents.count, 2);
	assert_int_equal(yaml_get(f.documents.items[0], "a")->tag, YAML_TAG_RESET);
	assert_int_equal(yaml_get(f.documents.items[0], "b")->tag, YAML_TAG_OVERRIDE);
	assert_int_equal(yaml_get(f.documents.items[0], "c")->kind, YAML_STRING);
	finish(&f);
}

static void mistakes_are_found_where_they_are(void **state)
{
	static const struct {
		const char *text, *message;
		unsigned line;
	} rows[] = {
		{ "a: 1\nb: 2\na: 3\n", "mapping key \"a\" already defined at line 1", 3 },
		{ "a: [1,\n", "yaml: ", 2 },
		{ "a:\n\tb: 1\n", "yaml: ", 2 },
		{ "a: *nope\n", "unknown anchor 'nope'", 1 },
		{ "a: &x [*x]\n", "contains itself", 1 },
		{ "1: a\n", "non-string key: 1", 1 },
		{ "? [a]\n: b\n", "key must be a plain value", 1 },
		{ "a: {<<: 5}\n", "map merge requires", 1 },
		{ "a: \"x\\0y\"\n", "NUL", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fixture f;

		assert_int_equal(parse(&f, rows[i].text), -EINVAL);
		assert_true(f.d.errors >= 1);
		assert_non_null(strstr(f.d.items[0].text, rows[i].message));
		assert_int_equal(f.d.items[0].mark.line, rows[i].line);
		finish(&f);
	}
}

static void expect_refused_quickly(const char *text)
{
	int64_t start = clock_now_us();
	struct fixture f;

	assert_int_equal(parse(&f, text), -EINVAL);
	finish(&f);
	/* Generous: sanitizers and a busy machine; without the limits it would be minutes. */
	assert_true(clock_now_us() - start < 5 * USEC_PER_SEC);
}

static void hostile_files_cost_next_to_nothing(void **state)
{
	struct str bomb = { 0 }, deep = { 0 }, wide = { 0 };

	(void)state;
	str_add(&bomb, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 12; i++) {
		str_addf(&bomb, "a%d: &a%d [", i, i);
		for (int j = 0; j < 10; j++) {
			str_addf(&bomb, "%s*a%d", j ? ", " : "", i - 1);
		}
		str_add(&bomb, "]\n");
	}
	expect_refused_quickly(str_text(&bomb));
	for (int i = 0; i < 100000; i++) {
		str_add_char(&deep, '[');
	}
	expect_refused_quickly(str_text(&deep));
	str_add(&wide, "a: [");
	for (int i = 0; i < 200000; i++) {
		str_add(&wide, "x,");
	}
	str_add(&wide, "x]");
	expect_refused_quickly(str_text(&wide));
	str_finish(&bomb);
	str_finish(&deep);
	str_finish(&wide);
}

static void limits_hold_at_their_very_edge(void **state)
{
	for (int extra = 0; extra < 2; extra++) {
		_cleanup_str_ struct str deep = { 0 }, wide = { 0 };
		struct fixture f;

		for (int i = 0; i < YAML_MAX_DEPTH + extra; i++) {
			str_add_char(&deep, '[');
		}
		for (int i = 0; i < YAML_MAX_DEPTH + extra; i++) {
			str_add_char(&deep, ']');
		}
		assert_int_equal(parse(&f, str_text(&deep)), extra ? -EINVAL : 0);
		finish(&f);
		for (int i = 0; i < YAML_MAX_ENTRIES + extra; i++) {
			str_addf(&wide, "k%d: x\n", i);
		}
		assert_int_equal(parse(&f, str_text(&wide)), extra ? -EINVAL : 0);
		finish(&f);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_scalars_have_the_types_of_yaml_1_2),
		cmocka_unit_test(every_node_knows_its_place),
		cmocka_unit_test(merge_keys_add_what_is_not_said),
		cmocka_unit_test(documents_and_tags_are_kept),
		cmocka_unit_test(mistakes_are_found_where_they_are),
		cmocka_unit_test(hostile_files_cost_next_to_nothing),
		cmocka_unit_test(limits_hold_at_their_very_edge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
