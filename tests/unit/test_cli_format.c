/* Durations, tables, lines of `ps`, moments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/format.h"
#include "cli/names.h"
#include "cli/psview.h"
#include "cli/table.h"

#define SECOND INT64_C(1000000000)
/* 2026-01-02 03:04:05 UTC */
#define NOW (INT64_C(1767323045) * SECOND)

static json_t *parse(const char *text)
{
	struct error err = ERROR_INIT;
	json_t *json = json_parse(text, strlen(text), "fixture", &err);

	if (!json) {
		fail_msg("%s", err.message);
	}
	return json;
}

static void durations_are_dockers(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} rows[] = {
		{ 0, "Less than a second" },
		{ 1, "1 second" },
		{ 2, "2 seconds" },
		{ 59, "59 seconds" },
		{ 60, "About a minute" },
		{ 119, "About a minute" },
		{ 120, "2 minutes" },
		{ 3599, "59 minutes" },
		{ 3600, "About an hour" },
		{ 5399, "About an hour" },
		{ 5400, "2 hours" },
		{ 47 * 3600, "47 hours" },
		{ 48 * 3600, "2 days" },
		{ 13 * 86400, "13 days" },
		{ 14 * 86400, "2 weeks" },
		{ 59 * 86400, "8 weeks" },
		{ 60 * 86400, "2 months" },
		{ 729 * 86400, "24 months" },
		{ 730 * 86400, "2 years" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[FORMAT_DURATION_SIZE];

		format_duration(rows[i].seconds * USEC_PER_SEC, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void statuses_are_dockers(void **state)
{
	static const struct {
		const char *container, *text;
	} rows[] = {
		{ "{\"state\":\"created\"}", "Created" },
		{ "{\"state\":\"running\",\"started_ns\":1767323040000000000}", "Up 5 seconds" },
		{ "{\"state\":\"running\",\"health\":\"starting\",\"started_ns\":"
		  "1767323040000000000}",
			"Up 5 seconds (health: starting)" },
		{ "{\"state\":\"running\",\"health\":\"healthy\",\"started_ns\":"
		  "1767322925000000000}",
			"Up 2 minutes (healthy)" },
		{ "{\"state\":\"paused\",\"health\":\"\",\"started_ns\":1767323040000000000}",
			"Up 5 seconds (Paused)" },
		{ "{\"state\":\"restarting\",\"exit_code\":1,\"finished_ns\":1767323042000000000}",
			"Restarting (1) 3 seconds ago" },
		{ "{\"state\":\"exited\",\"exit_code\":137,\"oom_killed\":true,"
		  "\"finished_ns\":1767323042000000000}",
			"Exited (137) 3 seconds ago (OOMKilled)" },
		/* A clock that was set back does not give a negative age. */
		{ "{\"state\":\"running\",\"started_ns\":1867323040000000000}",
			"Up Less than a second" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ json_t *container = parse(rows[i].container);
		_cleanup_str_ struct str text = { 0 };

		format_status(&text, container, NOW);
		assert_string_equal(str_text(&text), rows[i].text);
	}
}

static void ports_are_sorted_and_joined(void **state)
{
	static const struct {
		const char *container, *text;
	} rows[] = {
		{ "{}", "" },
		{ "{\"expose\":[\"5432/tcp\"]}", "5432/tcp" },
		{ "{\"ports\":[{\"ip\":\"127.0.0.1\",\"published\":8010,\"target\":8000,"
		  "\"protocol\":\"tcp\"}],\"expose\":[\"5432/tcp\",\"8000/tcp\"]}",
			"127.0.0.1:8010->8000/tcp, 5432/tcp" },
		{ "{\"ports\":[{\"ip\":\"0.0.0.0\",\"published\":9001,\"target\":9001,"
		  "\"protocol\":\"udp\"},{\"ip\":\"0.0.0.0\",\"published\":9000,\"target\":9000,"
		  "\"protocol\":\"udp\"},{\"ip\":\"::\",\"published\":9000,\"target\":9000,"
		  "\"protocol\":\"udp\"}]}",
			"0.0.0.0:9000-9001->9000-9001/udp, [::]:9000->9000/udp" },
		{ "{\"expose\":[\"81/tcp\",\"80/tcp\",\"90/udp\",\"junk\"]}", "80-81/tcp, 90/udp" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_json_ json_t *container = parse(rows[i].container);
		_cleanup_str_ struct str text = { 0 };

		format_ports(&text, container);
		assert_string_equal(str_text(&text), rows[i].text);
	}
}

static void commands_are_cut_and_quoted(void **state)
{
	_cleanup_json_ json_t *args =
		parse("[\"/payload\",\"echo\",\"a \\\"b\\\"\",\"\\u001b[2J\"]");
	_cleanup_str_ struct str cut = { 0 }, whole = { 0 };

	(void)state;
	format_command(&cut, args, 20);
	assert_string_equal(str_text(&cut), "\"/payload echo a \\\"b\\\"\u2026\"");
	format_command(&whole, args, 0);
	/* What an image says cannot speak to the terminal. */
	assert_string_equal(str_text(&whole), "\"/payload echo a \\\"b\\\" \\x1b[2J\"");
}

static void ellipsis_keeps_characters_whole(void **state)
{
	_cleanup_str_ struct str a = { 0 }, b = { 0 };

	(void)state;
	format_ellipsis(&a, "\u00e4\u00f6\u00fc", 3);
	assert_string_equal(str_text(&a), "\u00e4\u00f6\u00fc");
	format_ellipsis(&b, "\u00e4\u00f6\u00fc\u00df", 3);
	assert_string_equal(str_text(&b), "\u00e4\u00f6\u2026");
}

static const char *const fixture =
	"[{\"id\":\"abc\",\"name\":\"p-web-1\",\"service\":\"web\",\"number\":1,\"image\":"
	"\"nginx\","
	"\"args\":[\"nginx\",\"-g\",\"daemon off; "
	"x\"],\"state\":\"running\",\"health\":\"healthy\","
	"\"exit_code\":0,\"created_ns\":1767323041000000000,\"started_ns\":1767323042000000000,"
	"\"ports\":[{\"ip\":\"127.0.0.1\",\"published\":80,\"target\":8000,\"protocol\":\"tcp\"}],"
	"\"expose\":[\"9000/tcp\"],\"labels\":{\"a\":\"b\",\"c\":\"d\"},\"pid\":7,"
	"\"networks\":[{\"name\":\"p_default\",\"ip\":\"172.17.0.2\"}],\"restart_count\":2,"
	"\"mounts\":[{\"source\":\"p_data\",\"target\":\"/data\"}]}]";

static void ps_prints_dockers_table(void **state)
{
	_cleanup_json_ json_t *containers = parse(fixture);
	char text[4096] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	(void)state;
	psview_table(containers, NOW, false, out);
	fclose(out);
	assert_string_equal(text,
		"NAME      IMAGE   COMMAND                  SERVICE   CREATED         STATUS       "
		" "
		"  "
		"         PORTS\n"
		"p-web-1   nginx   \"nginx -g daemon off\u2026\"   web       4 seconds ago   Up 3 "
		"seconds (healthy)   127.0.0.1:80->8000/tcp, 9000/tcp\n");
}

static void ps_prints_an_object_on_each_line(void **state)
{
	_cleanup_json_ json_t *containers = parse(fixture), *line = NULL;
	char text[4096] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");
	json_t *publishers;

	(void)state;
	psview_json(containers, "p", NOW, out);
	fclose(out);
	assert_int_equal(text[strlen(text) - 1], '\n');
	text[strlen(text) - 1] = '\0';
	assert_null(strchr(text, '\n'));
	line = parse(text);
	assert_string_equal(json_text(line, "Name", ""), "p-web-1");
	assert_string_equal(json_text(line, "Project", ""), "p");
	assert_string_equal(json_text(line, "State", ""), "running");
	assert_string_equal(json_text(line, "Health", ""), "healthy");
	assert_string_equal(json_text(line, "Status", ""), "Up 3 seconds (healthy)");
	assert_string_equal(json_text(line, "Labels", ""), "a=b,c=d");
	assert_string_equal(json_text(line, "Networks", ""), "p_default");
	assert_string_equal(json_text(line, "Mounts", ""), "p_data");
	assert_string_equal(json_text(line, "RunningFor", ""), "4 seconds ago");
	assert_int_equal(json_int(line, "RestartCount", -1), 2);
	publishers = json_object_get(line, "Publishers");
	assert_int_equal(json_array_size(publishers), 2);
	assert_int_equal(json_int(json_array_get(publishers, 0), "PublishedPort", -1), 80);
	assert_int_equal(json_int(json_array_get(publishers, 1), "TargetPort", -1), 9000);
}

static void tables_pad_by_characters(void **state)
{
	struct table table = { .columns = 2 };
	char text[256] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	(void)state;
	table_row(&table, (const char *const[]){ "\u00e4b", "x" });
	table_row(&table, (const char *const[]){ "abcd", "" });
	table_print(&table, out);
	fclose(out);
	table_finish(&table);
	assert_string_equal(text, "\u00e4b     x\nabcd   \n");
}

static void moments_come_in_many_forms(void **state)
{
	static const struct {
		const char *text;
		int64_t wall_ns;
	} rows[] = {
		{ "2026-01-02T03:04:05Z", NOW },
		{ "2026-01-02T04:04:05.5+01:00", NOW + SECOND / 2 },
		{ "2026-01-02T03:04:05", NOW },
		{ "2026-01-02", NOW - (3 * 3600 + 4 * 60 + 5) * SECOND },
		{ "1767323045", NOW },
		{ "1767323045.25", NOW + SECOND / 4 },
		{ "10m", NOW - 600 * SECOND },
		{ "1h30m", NOW - 5400 * SECOND },
	};
	static const char *const bad[] = { "", "yesterday", "2026-13-01", "12.x", "-" };
	int64_t wall_ns;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(format_parse_moment(rows[i].text, NOW, &wall_ns), 0);
		assert_int_equal(wall_ns, rows[i].wall_ns);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(format_parse_moment(bad[i], NOW, &wall_ns), -EINVAL);
	}
}

static void labels_lose_the_project(void **state)
{
	(void)state;
	assert_string_equal(names_label("p", "p-web-1"), "web-1");
	assert_string_equal(names_label("p", "other"), "other");
	assert_string_equal(names_label("p", "p-"), "p-");
	assert_string_equal(names_label("p", "pp-web-1"), "pp-web-1");
}

static void picks_the_lowest_running_replica(void **state)
{
	_cleanup_json_ json_t *all =
		parse("[{\"name\":\"r\",\"service\":\"w\",\"number\":1,\"state\":\"running\","
		      "\"oneoff\":true},"
		      "{\"name\":\"c\",\"service\":\"w\",\"number\":3,\"state\":\"running\"},"
		      "{\"name\":\"b\",\"service\":\"w\",\"number\":2,\"state\":\"paused\"},"
		      "{\"name\":\"a\",\"service\":\"w\",\"number\":1,\"state\":\"exited\"},"
		      "{\"name\":\"o\",\"service\":\"x\",\"number\":1,\"state\":\"running\","
		      "\"oneoff\":true}]");
	struct error err = ERROR_INIT;

	(void)state;
	assert_string_equal(json_text(names_pick(all, "w", 0, &err), "name", ""), "b");
	assert_string_equal(json_text(names_pick(all, "w", 3, &err), "name", ""), "c");
	assert_string_equal(json_text(names_pick(all, "x", 0, &err), "name", ""), "o");
	assert_null(names_pick(all, "w", 1, &err));
	assert_string_equal(err.message, "service \"w\" is not running container #1");
	assert_null(names_pick(all, "none", 0, &err));
	assert_string_equal(err.message, "service \"none\" is not running");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_are_dockers),
		cmocka_unit_test(statuses_are_dockers),
		cmocka_unit_test(ports_are_sorted_and_joined),
		cmocka_unit_test(commands_are_cut_and_quoted),
		cmocka_unit_test(ellipsis_keeps_characters_whole),
		cmocka_unit_test(ps_prints_dockers_table),
		cmocka_unit_test(ps_prints_an_object_on_each_line),
		cmocka_unit_test(tables_pad_by_characters),
		cmocka_unit_test(moments_come_in_many_forms),
		cmocka_unit_test(labels_lose_the_project),
		cmocka_unit_test(picks_the_lowest_running_replica),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
