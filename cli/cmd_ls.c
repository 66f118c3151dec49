/* ls: every project with a run folder, asked one by one. */
#include <errno.h>
#include <inttypes.h>

#include "base/json.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "init/client.h"

static struct {
	bool all, quiet;
	const char *format;
	struct strv filters;
} given;

static const struct option options[] = {
	{ 'a', "all", OPTION_FLAG, &given.all, NULL, "Projects that do not run too" },
	{ 0, "filter", OPTION_LIST, &given.filters, "name=TEXT", "Only names that hold TEXT" },
	{ 0, "format", OPTION_TEXT, &given.format, "table|json", "How to print (default table)" },
	{ 'q', "quiet", OPTION_FLAG, &given.quiet, NULL, "Only names" },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

/* States in docker's order, with how many containers are in each: "running(2), exited(1)". */
static void add_status(struct str *out, const json_t *containers, bool *runs)
{
	static const char *const states[] = { "running", "paused", "restarting", "created",
		"removing", "exited", "dead" };

	*runs = false;
	for (size_t k = 0; k < ARRAY_SIZE(states); k++) {
		size_t count = 0, i;
		json_t *c;

		json_array_foreach(containers, i, c)
		{
			count += strcmp(json_text(c, "state", ""), states[k]) == 0;
		}
		if (count > 0) {
			str_addf(out, "%s%s(%zu)", out->size ? ", " : "", states[k], count);
			*runs = *runs || k < 3;
		}
	}
}

static bool name_wanted(const char *name)
{
	for (size_t i = 0; i < given.filters.count; i++) {
		if (!strstr(name, given.filters.items[i] + strlen("name="))) {
			return false;
		}
	}
	return true;
}

static void add_files(json_t *line, const json_t *files)
{
	_cleanup_str_ struct str text = { 0 };
	json_t *file;
	size_t i;

	json_array_foreach(files, i, file)
	{
		const char *path = json_string_value(file);

		str_addf(&text, "%s%s", text.size ? "," : "", path ? path : "");
	}
	json_put_text(line, "ConfigFiles", str_text(&text));
}

/* NULL: not to be shown. */
static json_t *project_line(const char *name)
{
	_cleanup_json_ json_t *containers = NULL, *status = NULL,
			      *request = call_request("status", NULL);
	_cleanup_str_ struct str states = { 0 };
	struct error err = ERROR_INIT;
	bool runs;
	json_t *line;

	if (call_wait(name, request, "supervisor_pid", &status, &err) < 0 ||
		call_containers(name, &containers, &err) < 0) {
		/* A folder without a project (one that is just leaving) is no news. */
		if (err.code != ENOENT) {
			fprintf(stderr, "warning: project %s: %s\n", name, err.message);
		}
		return NULL;
	}
	add_status(&states, containers, &runs);
	if (!runs && !given.all) {
		return NULL;
	}
	line = json_object();
	json_put_text(line, "Name", name);
	json_put_text(line, "Status", str_text(&states));
	add_files(line, json_object_get(status, "config_files"));
	json_put_int(line, "SupervisorPid", json_int(status, "supervisor_pid", 0));
	json_put_int(line, "GuardianPid", json_int(status, "guardian_pid", 0));
	json_put_text(line, "RunDir", json_text(status, "run_dir", ""));
	return line;
}

static void print_table(const json_t *lines)
{
	struct table table = { .columns = 3 };
	json_t *line;
	size_t i;

	table_row(&table, (const char *const[]){ "NAME", "STATUS", "CONFIG FILES" });
	json_array_foreach(lines, i, line)
	{
		table_row(&table, (const char *const[]){ json_text(line, "Name", ""),
					  json_text(line, "Status", ""),
					  json_text(line, "ConfigFiles", "") });
	}
	table_print(&table, stdout);
	table_finish(&table);
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int run(const struct invocation *inv, struct error *err)
{
	const char *format = given.format ? given.format : "table";
	_cleanup_json_ json_t *lines = json_array();
	_cleanup_strv_ struct strv names = { 0 };
	int r;

	(void)inv;
	for (size_t i = 0; i < given.filters.count; i++) {
		if (strncmp(given.filters.items[i], "name=", 5) != 0) {
			return error_say(err, EINVAL, "unknown filter %s: only name=TEXT is known",
				given.filters.items[i]);
		}
	}
	if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0) {
		return error_say(err, EINVAL,
			"format value \"%s\" could not be parsed: table or json", format);
	}
	r = client_projects(&names, err);
	if (r < 0) {
		return r;
	}
	if (names.count > 0) {
		qsort(names.items, names.count, sizeof(char *), compare_texts);
	}
	for (size_t i = 0; i < names.count; i++) {
		json_t *line = name_wanted(names.items[i]) ? project_line(names.items[i]) : NULL;

		if (line) {
			json_array_append_new(lines, line);
			if (given.quiet) {
				puts(names.items[i]);
			}
		}
	}
	if (given.quiet) {
		return 0;
	}
	if (strcmp(format, "json") == 0) {
		_cleanup_free_ char *text = json_print(lines);

		puts(text);
	} else {
		print_table(lines);
	}
	return 0;
}

const struct command command_ls = { .name = "ls",
	.arguments = "[OPTIONS]",
	.summary = "List projects",
	.more = "--format json also gives SupervisorPid, GuardianPid and RunDir.\n",
	.options = options,
	.run = run,
	.most = 0 };
