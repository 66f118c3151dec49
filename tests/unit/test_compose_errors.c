/* Wrong compose files: each mistake has its words and its place, and all are told at once. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "specs/compose.h"
#include "specs/compose_schema.h"

static char path[64];

static int setup(void **state)
{
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/wherry-compose-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static int load(const char *text, struct diagnostics *d)
{
	const char *const files[] = { path, NULL }, *const environment[] = { NULL };
	const struct compose_options options = {
		.files = files,
		.environment = environment,
		.project_name = "p",
	};
	struct compose_project *project = NULL;
	struct error err = ERROR_INIT;
	int r;

	*d = (struct diagnostics){ 0 };
	assert_int_equal(
		file_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, false, NULL), 0);
	r = compose_load(&options, &project, d, &err);
	assert_int_equal(r == 0, project != NULL);
	compose_free(project);
	return r;
}

static const struct diagnostic *find(const struct diagnostics *d, const char *text)
{
	for (size_t i = 0; i < d->count; i++) {
		if (strstr(d->items[i].text, text)) {
			return &d->items[i];
		}
	}
	return NULL;
}

/* One service `a` with an image, and what the row adds to it, on line 2 from column 17 on. */
static void each_mistake_in_a_service_has_docker_s_words(void **state)
{
	static const struct {
		const char *text, *message;
		unsigned column; /* 0: not looked at */
	} rows[] = {
		{ "imagee: x", "services.a additional properties 'imagee' not allowed", 17 },
		{ "ports: 80", "services.a.ports must be a list", 24 },
		{ "user: 80", "services.a.user must be a string", 23 },
		{ "scale: a", "services.a.scale must be a integer", 24 },
		{ "init: a", "services.a.init must be a boolean", 23 },
		{ "init: 1", "services.a.init must be a boolean", 23 },
		{ "environment: 5", "services.a.environment must be a mapping", 30 },
		{ "environment: {A: [b]}", "services.a.environment.A must be", 34 },
		{ "environment: [5]", "services.a.environment[0]: unexpected type", 31 },
		{ "environment: {'A ': b}", "trailing space", 31 },
		{ "command: {a: b}", "services.a.command must be a string or list", 26 },
		{ "command: 'a \"b'", "invalid command line string", 26 },
		{ "stop_grace_period: 5", "services.a.stop_grace_period must be a string", 36 },
		{ "stop_grace_period: 5x", "invalid duration \"5x\"", 36 },
		{ "mem_limit: 5x", "services.a.mem_limit invalid suffix: 'x'", 28 },
		{ "ports: ['99999:80']", "Invalid hostPort: 99999", 25 },
		{ "ports: [abc]", "Invalid containerPort: abc", 25 },
		{ "ports: ['80-81:8000-8002']",
			"Invalid ranges specified for container and host Ports: "
			"8000-8002 and 80-81",
			25 },
		{ "ports: ['1.2.3:1:2']", "Invalid ip address 1.2.3", 25 },
		{ "ports: ['80/foo']", "Invalid proto: foo", 25 },
		{ "ports: [{published: 5}]", "needs a target", 25 },
		{ "ports: ['0-70000']", "Invalid containerPort", 25 },
		{ "volumes: ['a:b:c:d']", "too many colons", 27 },
		{ "volumes: ['/a:/b:foo']", "unknown option 'foo'", 27 },
		{ "volumes: ['/a:b']", "must be an absolute path", 27 },
		{ "volumes: [{type: foo, target: /x}]", "value must be one of", 34 },
		{ "volumes: ['v:/x']", "service \"a\" refers to undefined volume v: invalid", 27 },
		{ "volumes: ['/t:/x'], tmpfs: /x",
			"services.a.volumes[0]: target /x already mounted as services.a.tmpfs[0]",
			27 },
		{ "networks: [n]", "service \"a\" refers to undefined network n: invalid", 28 },
		{ "secrets: [s]", "service \"a\" refers to undefined secret s: invalid", 27 },
		{ "configs: [c]", "service \"a\" refers to undefined config c: invalid", 27 },
		{ "depends_on: [b]", "service \"a\" depends on undefined service \"b\": invalid",
			30 },
		{ "depends_on: {b: {condition: x}}", "condition value must be one of", 45 },
		{ "depends_on: [a]", "dependency cycle detected: a -> a", 30 },
		{ "network_mode: host, networks: [n]", "mutually exclusive `network_mode`", 31 },
		{ "healthcheck: {test: [a]}", "must start either by \"CMD\"", 0 },
		{ "healthcheck: {start_interval: 1s}", "needs a start_period", 0 },
		{ "restart: foo", "invalid restart policy 'foo'", 26 },
		{ "restart: 'on-failure:x'", "invalid number of retries", 26 },
		{ "restart: false", "services.a.restart must be a string", 26 },
		{ "scale: 2, deploy: {replicas: 3}",
			"services.a: can't set distinct values on 'scale' and 'deploy.replicas': "
			"invalid",
			0 },
		{ "mem_limit: 1m, deploy: {resources: {limits: {memory: 2m}}}",
			"distinct values on 'mem_limit'", 0 },
		{ "cpus: 1, deploy: {resources: {limits: {cpus: 2}}}", "distinct values on 'cpus'",
			0 },
		{ "pids_limit: 1, deploy: {resources: {limits: {pids: 2}}}",
			"distinct values on 'pids_limit'", 0 },
		{ "container_name: xx, scale: 2", "container_name and scale", 0 },
		{ "container_name: x", "invalid name 'x'", 0 },
		{ "image: 'a b'", "mapping key \"image\" already defined at line 2", 17 },
		{ "stop_signal: FOO", "unknown signal 'FOO'", 0 },
		{ "ulimits: {nofile: {soft: 5}}", "needs soft and hard", 0 },
		{ "ulimits: {nofile: {soft: 5, hard: 4}}", "above the hard one", 0 },
		{ "env_file: /nope/x.env", "env file /nope/x.env not found", 27 },
		{ "hostname: '${MUST:?need it}'",
			"error while interpolating services.a.hostname: required variable MUST is "
			"missing "
			"a value: need it",
			27 },
		{ "command: ['${']",
			"invalid interpolation format for services.a.command[0]. You may", 27 },
		{ "x-wherry: {foo: 1}", "services.a.x-wherry additional properties 'foo'", 28 },
		{ "extra_hosts: [abc]", "bad host name 'abc'", 31 },
		{ "devices: ['a:b:c:d']", "device mapping", 27 },
		{ "oom_score_adj: 2000", "must be -1000 to 1000", 0 },
		{ "tmpfs: rel", "must be an absolute path", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *text =
			xasprintf("services:\n  a: {image: i, %s}\n", rows[i].text);
		const struct diagnostic *found;
		struct diagnostics d;

		assert_int_equal(load(text, &d), -EINVAL);
		found = find(&d, rows[i].message);
		if (!found) {
			diagnostics_print(&d, stderr);
			fail_msg("no finding: %s", rows[i].message);
		} else {
			assert_int_equal(found->severity, SEVERITY_ERROR);
			assert_true(found->mark.line == 2);
			if (rows[i].column && found->mark.column != rows[i].column) {
				fail_msg("%s: column %u", rows[i].text, found->mark.column);
			}
		}
		diagnostics_finish(&d);
	}
}

static void mistakes_at_the_top_have_their_words(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ "", "empty compose file" },
		{ "# nothing\n", "empty compose file" },
		{ "[a]\n", "top-level object must be a mapping" },
		{ "foo: 1\nservices: {}\n", "additional properties 'foo' not allowed" },
		{ "services: [a]\n", "services must be a mapping" },
		{ "services: {a: }\n", "services.a must be a mapping" },
		{ "services: {'a b': {image: i}}\n", "additional properties 'a b' not allowed" },
		{ "services: {a: {}}\n",
			"service \"a\" has neither an image nor a build context specified: invalid "
			"compose project" },
		{ "services: {a: {image: UP:x:y}}\n", "services.a.image: " },
		{ "services: {a: {image: i, container_name: xx}, b: {image: i, container_name: "
		  "xx}}\n",
			"'xx' is already in use by services.a" },
		{ "services: {a: {image: i, depends_on: [b]}, b: {image: i, depends_on: [a]}}\n",
			"dependency cycle detected: a -> b -> a" },
		{ "volumes: {v: {external: true, driver: x}}\n",
			"volumes.v: conflicting parameters \"external\" and \"driver\" specified" },
		{ "services: {a: {image: i}}\nservices: {}\n", "already defined at line 1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct diagnostics d;

		assert_int_equal(load(rows[i].text, &d), -EINVAL);
		if (!find(&d, rows[i].message)) {
			diagnostics_print(&d, stderr);
			fail_msg("no finding: %s", rows[i].message);
		}
		diagnostics_finish(&d);
	}
}

static void a_near_miss_is_suggested(void **state)
{
	struct diagnostics d;

	(void)state;
	assert_int_equal(load("services: {a: {image: i, enviroment: {}}}\n", &d), -EINVAL);
	assert_non_null(find(&d, "did you mean 'environment'?"));
	diagnostics_finish(&d);
}

static void known_keys_without_effect_are_named(void **state)
{
	struct diagnostics d;

	(void)state;
	assert_int_equal(load("services:\n  a: {image: i, cpu_count: 1, x-mine: 1}\n", &d), 0);
	assert_int_equal(d.count, 1);
	assert_int_equal(d.items[0].severity, SEVERITY_WARNING);
	assert_int_equal(d.items[0].mark.line, 2);
	assert_non_null(find(&d, "services.a.cpu_count is not supported yet and has no effect"));
	diagnostics_finish(&d);
}

static void unset_variables_and_old_keys_are_warnings(void **state)
{
	struct diagnostics d;

	(void)state;
	assert_int_equal(
		load("version: '3'\nservices: {a: {image: i, command: '${NO} ${OK:-x}'}}\n", &d),
		0);
	assert_int_equal(d.count, 2);
	assert_int_equal(d.errors, 0);
	assert_non_null(find(&d, "The \"NO\" variable is not set. Defaulting to a blank string."));
	assert_non_null(find(&d, "`version` is obsolete"));
	diagnostics_finish(&d);
}

static void findings_are_printed_with_line_and_caret(void **state)
{
	char *text = NULL;
	struct diagnostics d;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_non_null(out);
	assert_int_equal(load("services:\n  b: {cpu_count: 1, imag: x}\n", &d), -EINVAL);
	diagnostics_print(&d, out);
	fclose(out);
	diagnostics_finish(&d);
	assert_non_null(strstr(text, ":2:7: warning: services.b.cpu_count is not supported yet"));
	assert_non_null(strstr(text, "      b: {cpu_count: 1, imag: x}\n          ^\n"));
	assert_non_null(strstr(text, ":2:21: error: services.b additional properties 'imag'"));
	assert_non_null(strstr(text, "\n                        ^\n    did you mean 'image'?\n"));
	free(text);
}

static void walk(const struct schema_object *object, unsigned depth, size_t *rows)
{
	assert_true(depth < 10);
	for (size_t i = 0; i < object->count; i++) {
		const struct schema_key *key = &object->keys[i];

		(*rows)++;
		if (i) {
			assert_true(strcmp(object->keys[i - 1].name, key->name) < 0);
		}
		assert_ptr_equal(schema_key_find(object, key->name), key);
		if (key->kind >= KIND_OBJECT) {
			assert_non_null(key->object);
			walk(key->object, depth + 1, rows);
		} else {
			assert_null(key->object);
		}
	}
}

static void every_row_of_the_schema_is_sound(void **state)
{
	size_t rows = 0;

	(void)state;
	walk(&compose_schema_root, 0, &rows);
	assert_true(rows > 250);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_mistake_in_a_service_has_docker_s_words),
		T(mistakes_at_the_top_have_their_words),
		T(a_near_miss_is_suggested),
		T(known_keys_without_effect_are_named),
		T(unset_variables_and_old_keys_are_warnings),
		T(findings_are_printed_with_line_and_caret),
		T(every_row_of_the_schema_is_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
