#include "cli/psview.h"

#include "base/json.h"
#include "cli/format.h"
#include "cli/table.h"

#define COMMAND_WIDTH 20

/* "4 seconds ago" since @then. */
static void add_ago(struct str *out, int64_t then_ns, int64_t now_ns)
{
	char text[FORMAT_DURATION_SIZE];

	format_duration(then_ns < now_ns ? (now_ns - then_ns) / 1000 : 0, text);
	str_addf(out, "%s ago", text);
}

void psview_table(const json_t *containers, int64_t now_wall_ns, bool whole_commands, FILE *out)
{
	struct table table = { .columns = 7 };
	json_t *c;
	size_t i;

	table_row(&table, (const char *const[]){ "NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED",
				  "STATUS", "PORTS" });
	json_array_foreach(containers, i, c)
	{
		_cleanup_str_ struct str command = { 0 }, created = { 0 }, status = { 0 },
					 ports = { 0 };

		format_command(
			&command, json_object_get(c, "args"), whole_commands ? 0 : COMMAND_WIDTH);
		add_ago(&created, json_int(c, "created_ns", now_wall_ns), now_wall_ns);
		format_status(&status, c, now_wall_ns);
		format_ports(&ports, c);
		table_row(&table,
			(const char *const[]){ json_text(c, "name", ""), json_text(c, "image", ""),
				str_text(&command), json_text(c, "service", ""), str_text(&created),
				str_text(&status), str_text(&ports) });
	}
	table_print(&table, out);
	table_finish(&table);
}

static json_t *publishers(const json_t *c)
{
	json_t *result = json_array(), *port;
	size_t i;

	json_array_foreach(json_object_get(c, "ports"), i, port)
	{
		json_t *p = json_object();

		json_put_text(p, "URL", json_text(port, "ip", ""));
		json_put_int(p, "TargetPort", json_int(port, "target", 0));
		json_put_int(p, "PublishedPort", json_int(port, "published", 0));
		json_put_text(p, "Protocol", json_text(port, "protocol", "tcp"));
		json_array_append_new(result, p);
	}
	json_array_foreach(json_object_get(c, "expose"), i, port)
	{
		const char *text = json_string_value(port),
			   *slash = text ? strchr(text, '/') : NULL;
		json_t *p;

		if (!text) {
			continue;
		}
		p = json_object();
		json_put_text(p, "URL", "");
		json_put_int(p, "TargetPort", strtol(text, NULL, 10));
		json_put_int(p, "PublishedPort", 0);
		json_put_text(p, "Protocol", slash ? slash + 1 : "tcp");
		json_array_append_new(result, p);
	}
	return result;
}

static void put_labels(json_t *line, const json_t *labels)
{
	_cleanup_str_ struct str text = { 0 };
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)labels, key, value)
	{
		str_addf(&text, "%s%s=%s", text.size ? "," : "", key,
			json_is_string(value) ? json_string_value(value) : "");
	}
	json_put_text(line, "Labels", str_text(&text));
}

/* Names joined by commas: of `networks` their "name", of `mounts` whatever says where from. */
static void put_joined(json_t *line, const char *member, const json_t *items, const char *key)
{
	_cleanup_str_ struct str text = { 0 };
	json_t *item;
	size_t i;

	json_array_foreach(items, i, item)
	{
		const char *name =
			json_is_string(item) ? json_string_value(item) : json_text(item, key, NULL);

		if (name) {
			str_addf(&text, "%s%s", text.size ? "," : "", name);
		}
	}
	json_put_text(line, member, str_text(&text));
}

static json_t *container_line(const json_t *c, const char *project, int64_t now)
{
	json_t *line = json_object();
	int64_t exit_code = json_int(c, "exit_code", 0);
	_cleanup_str_ struct str command = { 0 }, created = { 0 }, ago = { 0 }, status = { 0 };

	format_command(&command, json_object_get(c, "args"), COMMAND_WIDTH);
	format_created_at(&created, json_int(c, "created_ns", 0));
	add_ago(&ago, json_int(c, "created_ns", now), now);
	format_status(&status, c, now);
	json_put_text(line, "ID", json_text(c, "id", ""));
	json_put_text(line, "Name", json_text(c, "name", ""));
	json_put_text(line, "Names", json_text(c, "name", ""));
	json_put_text(line, "Project", project);
	json_put_text(line, "Service", json_text(c, "service", ""));
	json_put_text(line, "Image", json_text(c, "image", ""));
	json_put_text(line, "Command", str_text(&command));
	json_put_text(line, "State", json_text(c, "state", ""));
	json_put_text(line, "Status", str_text(&status));
	json_put_text(line, "Health", json_text(c, "health", ""));
	/* -1: it has not ended yet. */
	json_put_int(line, "ExitCode", exit_code < 0 ? 0 : exit_code);
	json_put(line, "Publishers", publishers(c));
	json_put_text(line, "CreatedAt", str_text(&created));
	json_put_text(line, "RunningFor", str_text(&ago));
	put_labels(line, json_object_get(c, "labels"));
	put_joined(line, "Mounts", json_object_get(c, "mounts"), "source");
	put_joined(line, "Networks", json_object_get(c, "networks"), "name");
	json_put_text(line, "LocalVolumes", "0");
	json_put_text(line, "Size", "0B");
	json_put_int(line, "Pid", json_int(c, "pid", 0));
	json_put_bool(line, "OOMKilled", json_bool(c, "oom_killed", false));
	json_put_int(line, "RestartCount", json_int(c, "restart_count", 0));
	json_put_text(line, "Error", json_text(c, "error", NULL));
	return line;
}

void psview_json(const json_t *containers, const char *project, int64_t now_wall_ns, FILE *out)
{
	json_t *c;
	size_t i;

	json_array_foreach(containers, i, c)
	{
		_cleanup_json_ json_t *line = container_line(c, project, now_wall_ns);
		_cleanup_free_ char *text = json_print(line);

		fprintf(out, "%s\n", text);
	}
}
