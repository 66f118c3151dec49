/* Image references, normalised as docker does. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "specs/image_name.h"

#define SHA "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void names_are_completed_and_shortened(void **state)
{
	static const struct {
		const char *text, *canonical, *familiar;
	} rows[] = {
		{ "redis", "docker.io/library/redis:latest", "redis:latest" },
		{ "redis:7", "docker.io/library/redis:7", "redis:7" },
		{ "library/redis:7", "docker.io/library/redis:7", "redis:7" },
		{ "docker.io/redis:7", "docker.io/library/redis:7", "redis:7" },
		{ "index.docker.io/library/redis:7", "docker.io/library/redis:7", "redis:7" },
		{ "me/app", "docker.io/me/app:latest", "me/app:latest" },
		{ "localhost/app:1", "localhost/app:1", "localhost/app:1" },
		{ "localhost:5000/a/b:1", "localhost:5000/a/b:1", "localhost:5000/a/b:1" },
		{ "ghcr.io/a/b-c__d.e:v1", "ghcr.io/a/b-c__d.e:v1", "ghcr.io/a/b-c__d.e:v1" },
		{ "[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest" },
		{ "redis@" SHA, "docker.io/library/redis@" SHA, "redis@" SHA },
		{ "redis:7@" SHA, "docker.io/library/redis:7@" SHA, "redis:7@" SHA },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error err = ERROR_INIT;
		_cleanup_free_ char *canonical = NULL, *familiar = NULL;
		struct image_name name, again;

		assert_int_equal(image_name_parse(rows[i].text, &name, &err), 0);
		canonical = image_name_canonical(&name);
		familiar = image_name_familiar(&name);
		assert_string_equal(canonical, rows[i].canonical);
		assert_string_equal(familiar, rows[i].familiar);
		assert_int_equal(image_name_parse(familiar, &again, &err), 0);
		assert_string_equal(again.domain, name.domain);
		assert_string_equal(again.repository, name.repository);
		assert_string_equal(again.tag, name.tag);
	}
}

static void a_wrong_name_says_which_part(void **state)
{
	static const struct {
		const char *text, *part;
	} rows[] = {
		{ "", "empty" },
		{ "Redis", "lowercase" },
		{ "re dis", "repository" },
		{ "redis:", "tag" },
		{ "redis:-x", "tag" },
		{ "a//b", "repository" },
		{ "a/b/", "repository" },
		{ "-a.b/c", "registry" },
		{ "a.b:999999/c", "registry" },
		{ "redis@sha256:abc", "digest" },
		{ "redis@nothing", "digest" },
		{ "a___b", "repository" },
		{ "a..b/x/y:1/z", "registry" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error err = ERROR_INIT;
		struct image_name name;

		assert_int_equal(image_name_parse(rows[i].text, &name, &err), -EINVAL);
		assert_non_null(strstr(err.message, rows[i].part));
	}
}

static void endless_names_are_refused(void **state)
{
	struct error err = ERROR_INIT;
	struct image_name name;
	char text[1000];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(image_name_parse(text, &name, &err), -EINVAL);
	memcpy(text, "a:", 2);
	assert_int_equal(image_name_parse(text, &name, &err), -EINVAL);
	memcpy(text, "a@", 2);
	assert_int_equal(image_name_parse(text, &name, &err), -EINVAL);
	text[500] = '/';
	memcpy(text, "a.", 2);
	assert_int_equal(image_name_parse(text, &name, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_completed_and_shortened),
		cmocka_unit_test(a_wrong_name_says_which_part),
		cmocka_unit_test(endless_names_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
