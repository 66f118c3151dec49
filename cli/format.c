#include "cli/format.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "specs/units.h"

#define NS_PER_SEC INT64_C(1000000000)

void format_duration(int64_t us, char out[FORMAT_DURATION_SIZE])
{
	static const struct {
		int64_t below, unit; /* in hours */
		const char *name;
	} spans[] = {
		{ 48, 1, "hours" },
		{ INT64_C(24) * 14, 24, "days" },
		{ INT64_C(24) * 60, INT64_C(24) * 7, "weeks" },
		{ INT64_C(24) * 730, INT64_C(24) * 30, "months" },
		{ INT64_MAX, INT64_C(24) * 365, "years" },
	};
	int64_t seconds = us / USEC_PER_SEC;
	int64_t minutes = seconds / 60;
	/* Rounded, as docker does it: an hour and a half is two. */
	int64_t hours = (seconds + 1800) / 3600;

	if (seconds < 1) {
		snprintf(out, FORMAT_DURATION_SIZE, "Less than a second");
	} else if (seconds == 1) {
		snprintf(out, FORMAT_DURATION_SIZE, "1 second");
	} else if (seconds < 60) {
		snprintf(out, FORMAT_DURATION_SIZE, "%" PRId64 " seconds", seconds);
	} else if (minutes == 1) {
		snprintf(out, FORMAT_DURATION_SIZE, "About a minute");
	} else if (minutes < 60) {
		snprintf(out, FORMAT_DURATION_SIZE, "%" PRId64 " minutes", minutes);
	} else if (hours == 1) {
		snprintf(out, FORMAT_DURATION_SIZE, "About an hour");
	} else {
		size_t i = 0;

		while (hours >= spans[i].below) {
			i++;
		}
		snprintf(out, FORMAT_DURATION_SIZE, "%" PRId64 " %s", hours / spans[i].unit,
			spans[i].name);
	}
}

static bool continues(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

size_t format_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++) {
		width += !continues(*text);
	}
	return width;
}

void format_ellipsis(struct str *out, const char *text, size_t limit)
{
	const char *end = text;

	if (format_width(text) <= limit) {
		str_add(out, text);
		return;
	}
	for (size_t taken = 0; *end; end++) {
		if (!continues(*end) && taken++ == limit - 1) {
			break;
		}
	}
	str_add_mem(out, text, (size_t)(end - text));
	str_add(out, "\u2026");
}

static void add_quoted(struct str *out, const char *text)
{
	str_add_char(out, '"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\') {
			str_addf(out, "\\%c", c);
		} else if (c == '\n') {
			str_add(out, "\\n");
		} else if (c == '\t') {
			str_add(out, "\\t");
		} else if (c == '\r') {
			str_add(out, "\\r");
		} else if (c < ' ' || c == 0x7f) {
			str_addf(out, "\\x%02x", c);
		} else {
			str_add_char(out, (char)c);
		}
	}
	str_add_char(out, '"');
}

void format_command(struct str *out, const json_t *args, size_t limit)
{
	_cleanup_str_ struct str line = { 0 }, cut = { 0 };
	size_t i;
	json_t *word;

	json_array_foreach(args, i, word)
	{
		const char *text = json_string_value(word);

		str_addf(&line, "%s%s", i ? " " : "", text ? text : "");
	}
	format_ellipsis(&cut, str_text(&line), limit ? limit : SIZE_MAX);
	add_quoted(out, str_text(&cut));
}

/* One or several neighbouring ports. */
struct port_run {
	const char *ip, *protocol;
	int64_t published, target, length;
};

static void add_run(struct str *out, const struct port_run *run)
{
	if (run->length == 0) {
		return;
	}
	if (out->size) {
		str_add(out, ", ");
	}
	if (run->published > 0) {
		/* An IPv6 address wears brackets. */
		str_addf(out,
			strchr(run->ip, ':') && run->ip[0] != '[' ? "[%s]:%" PRId64 : "%s:%" PRId64,
			run->ip, run->published);
		if (run->length > 1) {
			str_addf(out, "-%" PRId64, run->published + run->length - 1);
		}
		str_add(out, "->");
	}
	str_addf(out, "%" PRId64, run->target);
	if (run->length > 1) {
		str_addf(out, "-%" PRId64, run->target + run->length - 1);
	}
	str_addf(out, "/%s", run->protocol);
}

static bool extends(const struct port_run *run, const struct port_run *next)
{
	return run->length > 0 && strcmp(run->ip, next->ip) == 0 &&
	       strcmp(run->protocol, next->protocol) == 0 &&
	       next->target == run->target + run->length &&
	       (next->published == 0 ? run->published == 0
				     : next->published == run->published + run->length);
}

static int compare_ports(const void *a, const void *b)
{
	const struct port_run *x = a, *y = b;
	int r = strcmp(x->protocol, y->protocol);

	if (r == 0) {
		r = strcmp(x->ip, y->ip);
	}
	if (r == 0) {
		r = (x->target > y->target) - (x->target < y->target);
	}
	return r ? r : (x->published > y->published) - (x->published < y->published);
}

static bool is_published(const json_t *ports, int64_t target, const char *protocol)
{
	size_t i;
	json_t *port;

	json_array_foreach(ports, i, port)
	{
		if (json_int(port, "target", 0) == target &&
			strcmp(json_text(port, "protocol", "tcp"), protocol) == 0) {
			return true;
		}
	}
	return false;
}

void format_ports(struct str *out, const json_t *container)
{
	const json_t *ports = json_object_get(container, "ports");
	const json_t *expose = json_object_get(container, "expose");
	size_t room = json_array_size(ports) + json_array_size(expose), count = 0, i;
	_cleanup_free_ struct port_run *all = xcalloc(room + 1, sizeof(*all));
	struct port_run run = { .length = 0 };
	size_t first_exposed;
	json_t *item;

	json_array_foreach(ports, i, item)
	{
		all[count++] = (struct port_run){ .ip = json_text(item, "ip", "0.0.0.0"),
			.protocol = json_text(item, "protocol", "tcp"),
			.published = json_int(item, "published", 0),
			.target = json_int(item, "target", 0),
			.length = 1 };
	}
	first_exposed = count;
	json_array_foreach(expose, i, item)
	{
		const char *text = json_string_value(item);
		char *end;
		int64_t target = text ? strtoll(text, &end, 10) : 0;
		const char *protocol = target > 0 && *end == '/' ? end + 1 : "tcp";

		if (target > 0 && !is_published(ports, target, protocol)) {
			all[count++] = (struct port_run){
				.ip = "", .protocol = protocol, .target = target, .length = 1
			};
		}
	}
	qsort(all, first_exposed, sizeof(*all), compare_ports);
	qsort(all + first_exposed, count - first_exposed, sizeof(*all), compare_ports);
	for (i = 0; i < count; i++) {
		if (extends(&run, &all[i])) {
			run.length++;
		} else {
			add_run(out, &run);
			run = all[i];
		}
	}
	add_run(out, &run);
}

static void add_since(struct str *out, const json_t *container, const char *key, int64_t now)
{
	char text[FORMAT_DURATION_SIZE];
	int64_t then = json_int(container, key, now);

	format_duration(then < now ? (now - then) / 1000 : 0, text);
	str_add(out, text);
}

void format_status(struct str *out, const json_t *container, int64_t now)
{
	const char *state = json_text(container, "state", "created");
	const char *health = json_text(container, "health", "");
	int64_t exit_code = json_int(container, "exit_code", 0);

	if (strcmp(state, "running") == 0 || strcmp(state, "paused") == 0) {
		str_add(out, "Up ");
		add_since(out, container, "started_ns", now);
		if (strcmp(state, "paused") == 0) {
			str_add(out, " (Paused)");
		} else if (strcmp(health, "starting") == 0) {
			str_add(out, " (health: starting)");
		} else if (*health && strcmp(health, "none") != 0) {
			str_addf(out, " (%s)", health);
		}
	} else if (strcmp(state, "restarting") == 0 || strcmp(state, "exited") == 0) {
		str_addf(out, "%s (%" PRId64 ") ", *state == 'r' ? "Restarting" : "Exited",
			exit_code);
		add_since(out, container, "finished_ns", now);
		str_add(out, " ago");
	} else if (strcmp(state, "removing") == 0) {
		str_add(out, "Removal In Progress");
	} else {
		str_addf(out, "%c%s", *state >= 'a' && *state <= 'z' ? *state - 32 : *state,
			*state ? state + 1 : "");
	}
	/* docker keeps this to `inspect`; who looks at a dead service wants to know at once. */
	if (json_bool(container, "oom_killed", false)) {
		str_add(out, " (OOMKilled)");
	}
}

void format_created_at(struct str *out, int64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / NS_PER_SEC);
	struct tm tm;
	char text[64];

	if (localtime_r(&seconds, &tm) && strftime(text, sizeof(text), "%F %T %z %Z", &tm) > 0) {
		str_add(out, text);
	}
}

static int parse_local(const char *text, int64_t *wall_ns)
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d" };

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(text, forms[i], &tm);

		if (end && *end == '\0') {
			*wall_ns = (int64_t)mktime(&tm) * NS_PER_SEC;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_epoch(const char *text, int64_t *wall_ns)
{
	char *end;
	int64_t fraction = 0, unit = NS_PER_SEC;
	long long seconds;

	errno = 0;
	seconds = strtoll(text, &end, 10);
	if (end == text || errno != 0 || seconds < 0 || seconds > INT64_MAX / NS_PER_SEC - 1) {
		return -EINVAL;
	}
	if (*end == '.') {
		for (end++; *end >= '0' && *end <= '9'; end++) {
			unit /= 10;
			fraction += (*end - '0') * unit;
		}
	}
	if (*end != '\0') {
		return -EINVAL;
	}
	*wall_ns = seconds * NS_PER_SEC + fraction;
	return 0;
}

int format_parse_moment(const char *text, int64_t now_ns, int64_t *wall_ns)
{
	int64_t ago_us;

	if (clock_parse_rfc3339(text, wall_ns) == 0 || parse_local(text, wall_ns) == 0 ||
		parse_epoch(text, wall_ns) == 0) {
		return 0;
	}
	if (units_parse_duration(text, &ago_us) == 0) {
		*wall_ns = now_ns - ago_us * 1000;
		return 0;
	}
	return -EINVAL;
}
