/* Package sources as a machine's apt has them, in both forms. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "rootfs-tools/image/apt_sources.h"

static char folder[64];

static int set_up(void **state)
{
	_cleanup_free_ char *path = NULL;

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/wherry-apt-XXXXXX");
	assert_non_null(mkdtemp(folder));
	path = xasprintf("%s/sources.list.d", folder);
	return file_mkdir_p(path, 0755, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	return file_remove_tree(AT_FDCWD, folder);
}

static void put(const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", folder, name);

	assert_int_equal(
		file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, false, NULL), 0);
}

static void check(const char *suite, const char *host, int result, const char *wanted)
{
	_cleanup_fd_ int apt = sys_open(folder, O_RDONLY | O_DIRECTORY, 0);
	_cleanup_str_ struct str text = { 0 };

	assert_int_equal(apt_sources_collect(apt, host, suite, &text, NULL), result);
	if (result == 0) {
		assert_string_equal(str_text(&text), wanted);
	}
}

static void one_line_sources_are_read(void **state)
{
	(void)state;
	put("sources.list",
		"# a comment\n\n"
		"deb http://mirror.example/debian bookworm main contrib # why\n"
		"deb-src http://mirror.example/debian bookworm main\n"
		"deb [signed-by=/k.gpg arch=amd64] http://sec.example/s bookworm-security  main \n"
		"deb http://mirror.example/debian bookworm-backports main\n"
		"deb http://third.example/party bookworm stable\n"
		"deb cdrom:[x]/ bookworm main\n"
		"deb\n"
		"deb [open http://x bookworm main\n"
		"deb http://mirror.example/debian bullseye main\n"
		"\tdeb\thttp://mirror.example/debian\tbookworm-updates\tmain\r\n");
	check("bookworm", NULL, 0,
		"deb http://mirror.example/debian bookworm main contrib\n"
		"deb [signed-by=/k.gpg arch=amd64] http://sec.example/s bookworm-security main\n"
		"deb http://mirror.example/debian bookworm-updates main\n");
}

static void deb822_sources_are_read(void **state)
{
	(void)state;
	put("sources.list.d/debian.sources",
		"Types: deb deb-src\n"
		"# a comment in between\n"
		"URIs: http://one.example/debian\n http://two.example/debian\n"
		"Suites: bookworm bookworm-updates bookworm-backports\n"
		"components: main\n"
		"Signed-By: /usr/share/keyrings/a.gpg\n"
		"Architectures: amd64 arm64\n"
		"\n\n"
		"Types: deb\nURIs: http://off.example\nSuites: bookworm\nComponents: main\n"
		"Enabled: no\n"
		" \n"
		"Types: deb\nURIs: http://key.example\nSuites: bookworm\nComponents: main\n"
		"Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ\n"
		"\n"
		"Types: deb\nURIs: http://sec.example\nSuites: bookworm-security\n"
		"Components: main\nUnknown: field\n more of it\n");
	put("sources.list.d/ignored.save", "deb http://ignored.example bookworm main\n");
#define OPTIONS "[signed-by=/usr/share/keyrings/a.gpg arch=amd64,arm64] "
	check("bookworm", NULL, 0,
		"deb " OPTIONS "http://one.example/debian bookworm main\n"
		"deb " OPTIONS "http://two.example/debian bookworm main\n"
		"deb " OPTIONS "http://one.example/debian bookworm-updates main\n"
		"deb " OPTIONS "http://two.example/debian bookworm-updates main\n"
		"deb http://sec.example bookworm-security main\n");
}

static void another_release_comes_from_the_same_mirrors(void **state)
{
	(void)state;
	put("sources.list", "deb http://m.example/debian bookworm main non-free-firmware\n"
			    "deb http://m.example/s bookworm-security main\n");
	check("trixie", "bookworm", 0,
		"deb http://m.example/debian trixie main\n"
		"deb http://m.example/s trixie-security main\n");
	check("trixie", NULL, -ENOENT, NULL);
	check("trixie", "bullseye", -ENOENT, NULL);
}

static void a_machine_without_sources_is_enoent(void **state)
{
	_cleanup_free_ char *path = xasprintf("%s/sources.list.d", folder);

	(void)state;
	check("bookworm", "bookworm", -ENOENT, NULL);
	assert_int_equal(file_remove_tree(AT_FDCWD, path), 0);
	check("bookworm", "bookworm", -ENOENT, NULL);
	/* Security updates alone are no release. */
	put("sources.list", "deb http://m.example/s bookworm-security main\n");
	check("bookworm", NULL, -ENOENT, NULL);
}

static void the_hosts_suite_is_that_of_os_release(void **state)
{
	static const struct {
		const char *text, *suite;
	} rows[] = { { "NAME=x\nVERSION_CODENAME=bookworm\nID=debian\n", "bookworm" },
		{ "VERSION_CODENAME=\"noble\"\n", "noble" }, { "OTHER_VERSION_CODENAME=x\n", NULL },
		{ "", NULL } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_fd_ int etc = sys_open(folder, O_RDONLY | O_DIRECTORY, 0);
		_cleanup_free_ char *suite = NULL;

		put("os-release", rows[i].text);
		suite = apt_sources_host_suite(etc);
		assert_true(suite ? rows[i].suite && strcmp(suite, rows[i].suite) == 0
				  : !rows[i].suite);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(one_line_sources_are_read),
		T(deb822_sources_are_read),
		T(another_release_comes_from_the_same_mirrors),
		T(a_machine_without_sources_is_enoent),
		T(the_hosts_suite_is_that_of_os_release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
