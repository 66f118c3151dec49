/* Files of variables. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "specs/dotenv.h"

struct fixture {
	struct arena arena;
	struct compose_pairs pairs;
	struct diagnostics d;
};

static const char *lookup(void *owner, const char *name)
{
	(void)owner;
	return strcmp(name, "OUTSIDE") == 0 ? "world" : NULL;
}

static int parse(struct fixture *f, const char *text, bool raw)
{
	const struct dotenv how = {
		.arena = &f->arena,
		.lookup = lookup,
		.pairs = &f->pairs,
		.d = &f->d,
	};

	*f = (struct fixture){ 0 };
	return raw ? dotenv_parse_raw(&how, "e.env", text, strlen(text))
		   : dotenv_parse(&how, "e.env", text, strlen(text));
}

static void finish(struct fixture *f)
{
	arena_finish(&f->arena);
	diagnostics_finish(&f->d);
}

static void every_notation_gives_its_value(void **state)
{
	static const struct {
		const char *text, *key, *value; /* value NULL: the key is absent */
	} rows[] = {
		{ "A=1", "A", "1" },
		{ "\xef\xbb\xbf"
		  "A=1\n",
			"A", "1" },
		{ "# c\n\n  A = 1  \n", "A", "1" },
		{ "export A=1", "A", "1" },
		{ "A: yaml", "A", "yaml" },
		{ "A.b-c[0]=1", "A.b-c[0]", "1" },
		{ "A=", "A", "" },
		{ "A", "A", NULL },
		{ "OUTSIDE", "OUTSIDE", "world" },
		{ "A=a#b", "A", "a#b" },
		{ "A=a #b", "A", "a" },
		{ "A=a\r\nB=2\r\n", "A", "a" },
		{ "A='$X \\n' # c", "A", "$X \\n" },
		{ "A='it\\'s'", "A", "it's" },
		{ "A=\"x\\ny\\t\\\"q\\\" \\\\ \\$X\"", "A", "x\ny\t\"q\" \\ $X" },
		{ "A=\"two\nlines\"", "A", "two\nlines" },
		{ "A='two\nlines'", "A", "two\nlines" },
		{ "A=\"\\0101\"", "A", "A" },
		{ "A=1\nB=${A}2", "B", "12" },
		{ "B=\"${A:-d}\"", "B", "d" },
		{ "B=hello ${OUTSIDE}", "B", "hello world" },
		{ "OUTSIDE=inside\nB=$OUTSIDE", "B", "world" },
		{ "A=1\nA=2", "A", "2" },
		{ "A=\"x\"junk\nB=1", "A", "x" },
		{ "A= # only a comment", "A", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct compose_pair *pair;
		struct fixture f;

		assert_int_equal(parse(&f, rows[i].text, false), 0);
		pair = pairs_find(&f.pairs, rows[i].key);
		assert_int_equal(pair != NULL, rows[i].value != NULL);
		if (pair) {
			assert_string_equal(pair->value, rows[i].value);
		}
		finish(&f);
	}
}

static void mistakes_have_a_place(void **state)
{
	static const struct {
		const char *text, *message;
		unsigned line;
	} rows[] = {
		{ "A=1\nB=2\nX Y=1\n", "key cannot contain a space", 3 },
		{ "A=1\nB=\"open\nC=2\n", "unterminated quoted value", 2 },
		{ "B='open", "unterminated quoted value", 1 },
		{ "\n=x\n", "without a name", 2 },
		{ "A=${\n", "interpolation", 1 },
		{ "A=${B:?gone}\n", "required variable B", 1 },
		{ "A%=1\n", "unexpected character", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fixture f;

		assert_int_equal(parse(&f, rows[i].text, false), -EINVAL);
		assert_int_equal(f.d.errors, 1);
		assert_non_null(strstr(f.d.items[0].text, rows[i].message));
		assert_int_equal(f.d.items[0].mark.line, rows[i].line);
		assert_string_equal(f.d.items[0].mark.file, "e.env");
		finish(&f);
	}
}

static void the_raw_format_takes_lines_as_they_are(void **state)
{
	struct fixture f;

	(void)state;
	assert_int_equal(parse(&f, "# c\nA=\"q\" $X # y\n\nOUTSIDE\nNONE\r\nB=x=y", true), 0);
	assert_int_equal(f.pairs.count, 3);
	assert_string_equal(pairs_find(&f.pairs, "A")->value, "\"q\" $X # y");
	assert_string_equal(pairs_find(&f.pairs, "OUTSIDE")->value, "world");
	assert_string_equal(pairs_find(&f.pairs, "B")->value, "x=y");
	finish(&f);
	assert_int_equal(parse(&f, "A B=1", true), -EINVAL);
	finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_notation_gives_its_value),
		cmocka_unit_test(mistakes_have_a_place),
		cmocka_unit_test(the_raw_format_takes_lines_as_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
