/* The image configuration: what is read, what is refused, and that printing gives it again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "specs/image_config.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID  "sha256:" HEX

static int parse(
	const char *text, struct arena *arena, struct image_config *config, struct error *err)
{
	_cleanup_json_ json_t *json = json_parse(text, strlen(text), "test", err);

	assert_non_null(json);
	return image_config_parse(json, arena, config, err);
}

static const char whole[] =
	"{\"created\":\"2026-01-02T03:04:05Z\",\"architecture\":\"arm\",\"variant\":\"v7\","
	"\"os\":\"linux\",\"config\":{\"User\":\"app:1\",\"ExposedPorts\":{\"80/tcp\":{}},"
	"\"Env\":[\"A=b\",\"C=\"],\"Entrypoint\":[\"/e\"],\"Cmd\":[\"x\",\"\"],"
	"\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"],\"Interval\":1500000000,"
	"\"Timeout\":2000000000,\"StartPeriod\":3000000000,\"StartInterval\":4000000000,"
	"\"Retries\":7},"
	"\"Volumes\":{\"/data\":{}},\"WorkingDir\":\"/w\",\"Labels\":{\"k\":\"v\",\"empty\":\"\"},"
	"\"StopSignal\":\"SIGQUIT\",\"Shell\":[\"/bin/bash\",\"-c\"]},"
	"\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" ID "\"]}}";

static void every_member_is_read(void **state)
{
	struct arena arena = { 0 };
	struct image_config c;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(parse(whole, &arena, &c, &err), 0);
	assert_string_equal(c.architecture, "arm");
	assert_string_equal(c.variant, "v7");
	assert_string_equal(c.os, "linux");
	assert_string_equal(c.created, "2026-01-02T03:04:05Z");
	assert_string_equal(c.user, "app:1");
	assert_string_equal(c.working_dir, "/w");
	assert_string_equal(c.stop_signal, "SIGQUIT");
	assert_string_equal(c.env[1], "C=");
	assert_null(c.env[2]);
	assert_string_equal(c.entrypoint[0], "/e");
	assert_string_equal(c.cmd[1], "");
	assert_string_equal(c.shell[1], "-c");
	assert_string_equal(c.volumes[0], "/data");
	assert_string_equal(c.exposed_ports[0], "80/tcp");
	assert_string_equal(c.label_keys[1], "empty");
	assert_string_equal(c.label_values[1], "");
	assert_null(c.label_keys[2]);
	assert_string_equal(c.health.test[1], "true");
	assert_int_equal(c.health.interval_us, 1500000);
	assert_int_equal(c.health.timeout_us, 2000000);
	assert_int_equal(c.health.start_period_us, 3000000);
	assert_int_equal(c.health.start_interval_us, 4000000);
	assert_int_equal(c.health.retries, 7);
	assert_string_equal(c.diff_ids[0], ID);
	assert_null(c.diff_ids[1]);
	arena_finish(&arena);
}

static void printing_gives_the_same_document(void **state)
{
	_cleanup_json_ json_t *first = json_parse(whole, strlen(whole), "test", NULL);
	_cleanup_json_ json_t *second = NULL;
	struct arena arena = { 0 };
	struct image_config config;

	(void)state;
	assert_int_equal(image_config_parse(first, &arena, &config, NULL), 0);
	second = image_config_print(&config);
	assert_true(json_equal(first, second));
	arena_finish(&arena);
}

static void null_and_missing_are_not_set(void **state)
{
	static const char *const texts[] = {
		"{\"rootfs\":{\"diff_ids\":[]}}",
		"{\"config\":null,\"rootfs\":{\"diff_ids\":[]}}",
		"{\"config\":{},\"rootfs\":{\"diff_ids\":[]}}",
		"{\"architecture\":\"\",\"config\":{\"User\":\"\",\"Env\":null,\"Entrypoint\":null,"
		"\"Cmd\":null,\"Volumes\":null,\"ExposedPorts\":null,\"Labels\":null,"
		"\"Healthcheck\":null,\"WorkingDir\":\"\",\"Shell\":null,\"OnBuild\":null},"
		"\"rootfs\":{\"diff_ids\":[]},\"history\":[]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct arena arena = { 0 };
		struct image_config c, empty;

		assert_int_equal(parse(texts[i], &arena, &c, NULL), 0);
		assert_non_null(c.diff_ids);
		assert_null(c.diff_ids[0]);
		c.diff_ids = NULL;
		memset(&empty, 0, sizeof(empty));
		assert_memory_equal(&c, &empty, sizeof(c));
		arena_finish(&arena);
	}
}

static void a_wrong_type_names_the_member(void **state)
{
#define ROOTFS ",\"rootfs\":{\"diff_ids\":[]}}"
	static const struct {
		const char *text, *member;
	} rows[] = {
		{ "[]", "image configuration" },
		{ "{}", "rootfs" },
		{ "{\"rootfs\":7}", "rootfs" },
		{ "{\"rootfs\":{}}", "rootfs.diff_ids" },
		{ "{\"rootfs\":{\"diff_ids\":[\"sha256:../../../etc\"]}}", "rootfs.diff_ids" },
		{ "{\"rootfs\":{\"diff_ids\":[7]}}", "rootfs.diff_ids" },
		{ "{\"architecture\":7" ROOTFS, "architecture" },
		{ "{\"config\":[]" ROOTFS, "config" },
		{ "{\"config\":{\"User\":7}" ROOTFS, "config.User" },
		{ "{\"config\":{\"Env\":\"A=b\"}" ROOTFS, "config.Env" },
		{ "{\"config\":{\"Env\":[1]}" ROOTFS, "config.Env" },
		{ "{\"config\":{\"Cmd\":{}}" ROOTFS, "config.Cmd" },
		{ "{\"config\":{\"Volumes\":[]}" ROOTFS, "config.Volumes" },
		{ "{\"config\":{\"Labels\":{\"a\":1}}" ROOTFS, "config.Labels" },
		{ "{\"config\":{\"Healthcheck\":[]}" ROOTFS, "config.Healthcheck" },
		{ "{\"config\":{\"Healthcheck\":{\"Interval\":\"1s\"}}" ROOTFS,
			"config.Healthcheck.Interval" },
		{ "{\"config\":{\"Healthcheck\":{\"Retries\":-1}}" ROOTFS,
			"config.Healthcheck.Retries" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct arena arena = { 0 };
		struct image_config config;
		struct error err = ERROR_INIT;

		assert_int_equal(parse(rows[i].text, &arena, &config, &err), -EBADMSG);
		assert_non_null(strstr(err.message, rows[i].member));
		arena_finish(&arena);
	}
}

static void more_layers_than_can_be_mounted_are_refused(void **state)
{
	(void)state;
	for (int count = IMAGE_LAYERS_MAX; count <= IMAGE_LAYERS_MAX + 1; count++) {
		_cleanup_str_ struct str text = { 0 };
		struct arena arena = { 0 };
		struct image_config config;

		str_add(&text, "{\"rootfs\":{\"diff_ids\":[");
		for (int i = 0; i < count; i++) {
			str_addf(&text, "%s\"" ID "\"", i ? "," : "");
		}
		str_add(&text, "]}}");
		assert_int_equal(parse(text.data, &arena, &config, NULL),
			count > IMAGE_LAYERS_MAX ? -EBADMSG : 0);
		arena_finish(&arena);
	}
}

static void only_a_whole_lower_case_digest_is_valid(void **state)
{
	static const char *const bad[] = { "", "sha256:", HEX, "sha256:" HEX "0", "sha512:" HEX,
		"sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
		"sha256:../../../../../../../../../../../../../../../../../../../../etc/pa" };

	(void)state;
	assert_true(image_digest_valid(ID));
	assert_false(image_digest_valid(NULL));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_false(image_digest_valid(bad[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_member_is_read),
		cmocka_unit_test(printing_gives_the_same_document),
		cmocka_unit_test(null_and_missing_are_not_set),
		cmocka_unit_test(a_wrong_type_names_the_member),
		cmocka_unit_test(more_layers_than_can_be_mounted_are_refused),
		cmocka_unit_test(only_a_whole_lower_case_digest_is_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
