#include "cli/progress.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/format.h"
#include "cli/tty.h"

/* What an event says, in compose's words. */
static const struct event_words {
	const char *kind, *thing, *text;
	enum progress_status status;
	bool start; /* hidden while attached */
	bool health; /* shown to who waits for health */
} words[] = {
	{ "created", "Container", "Created", PROGRESS_DONE, false, false },
	{ "creating", "Container", "Creating", PROGRESS_WORKING, false, false },
	{ "failed", "Container", "Error", PROGRESS_ERROR, false, false },
	{ "healthy", "Container", "Healthy", PROGRESS_DONE, false, true },
	{ "killed", "Container", "Killed", PROGRESS_DONE, false, false },
	{ "network-created", "Network", "Created", PROGRESS_DONE, false, false },
	{ "network-removed", "Network", "Removed", PROGRESS_DONE, false, false },
	{ "paused", "Container", "Paused", PROGRESS_DONE, false, false },
	{ "recreated", "Container", "Recreated", PROGRESS_DONE, false, false },
	{ "recreating", "Container", "Recreate", PROGRESS_WORKING, false, false },
	{ "removed", "Container", "Removed", PROGRESS_DONE, false, false },
	{ "removing", "Container", "Removing", PROGRESS_WORKING, false, false },
	{ "restarting", "Container", "Restarting", PROGRESS_WORKING, true, false },
	{ "running", "Container", "Running", PROGRESS_DONE, false, false },
	{ "started", "Container", "Started", PROGRESS_DONE, true, false },
	{ "starting", "Container", "Starting", PROGRESS_WORKING, true, false },
	{ "stopped", "Container", "Stopped", PROGRESS_DONE, false, false },
	{ "stopping", "Container", "Stopping", PROGRESS_WORKING, false, false },
	{ "unhealthy", "Container", "Unhealthy", PROGRESS_ERROR, false, true },
	{ "unpaused", "Container", "Unpaused", PROGRESS_DONE, false, false },
	{ "volume-created", "Volume", "Created", PROGRESS_DONE, false, false },
	{ "volume-removed", "Volume", "Removed", PROGRESS_DONE, false, false },
	{ "waiting", "Container", "Waiting", PROGRESS_WORKING, true, false },
};

/* How each status looks: colour and sign. */
static const struct {
	const char *colour, *sign, *name;
} looks[] = {
	[PROGRESS_WORKING] = { "33", NULL, "Working" },
	[PROGRESS_DONE] = { "32", "\u2714", "Done" },
	[PROGRESS_WARNING] = { "33", "!", "Warning" },
	[PROGRESS_ERROR] = { "31", "\u2718", "Error" },
};

static const char *const spinner[] = { "\u280b", "\u2819", "\u2839", "\u2838", "\u283c", "\u2834",
	"\u2826", "\u2827", "\u2807", "\u280f" };

int progress_parse_mode(const char *text, enum progress_mode *mode, struct error *err)
{
	static const char *const names[] = { "auto", "tty", "plain", "json", "quiet" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*mode = (enum progress_mode)i;
			return 0;
		}
	}
	return error_say(err, EINVAL, "unsupported --progress value \"%s\"", text);
}

void progress_begin(struct progress *p, const char *verb, enum progress_mode mode, bool colour)
{
	*p = (struct progress){ .mode = mode, .out = stderr, .verb = verb, .colour = colour };
	if (mode == PROGRESS_AUTO) {
		p->mode = isatty(STDERR_FILENO) ? PROGRESS_TTY : PROGRESS_PLAIN;
	}
}

static struct progress_item *get_item(struct progress *p, const char *thing, const char *name)
{
	_cleanup_free_ char *id = xasprintf("%s %s", thing, name);

	for (size_t i = 0; i < p->count; i++) {
		if (strcmp(p->items[i].id, id) == 0) {
			return &p->items[i];
		}
	}
	p->items = xrealloc(p->items, p->count + 1, sizeof(*p->items));
	p->items[p->count] =
		(struct progress_item){ .id = take_ptr(id), .begin_us = clock_now_us() };
	return &p->items[p->count++];
}

static void print_json(struct progress *p, const struct progress_item *item)
{
	_cleanup_json_ json_t *line = json_object();
	_cleanup_free_ char *text = NULL;

	json_put_text(line, "id", item->id);
	json_put_text(line, "status", looks[item->status].name);
	json_put_text(line, "text", item->text);
	json_put_text(line, "details", item->details);
	text = json_print(line);
	fprintf(p->out, "%s\n", text);
}

static void print_plain(struct progress *p, const struct progress_item *item)
{
	fprintf(p->out, " %s %s%s%s\n", item->id, item->text, item->details ? " " : "",
		item->details ? item->details : "");
}

static int compare_words(const void *key, const void *row)
{
	return strcmp(key, ((const struct event_words *)row)->kind);
}

void progress_event(struct progress *p, const json_t *event)
{
	const char *kind = json_text(event, "event", "");
	const char *name = json_text(event, "container", json_text(event, "name", NULL));
	const struct event_words *w =
		bsearch(kind, words, ARRAY_SIZE(words), sizeof(*words), compare_words);
	struct progress_item *item;
	bool changed;

	if (strcmp(kind, "warning") == 0) {
		progress_warn(p, json_text(event, "text", ""));
		return;
	}
	if (!w || !name || (w->start && p->hide_starts) || (w->health && !p->wants_health)) {
		return;
	}
	item = get_item(p, w->thing, name);
	changed = item->text != w->text;
	item->text = w->text;
	item->status = w->status;
	item->end_us = w->status == PROGRESS_WORKING ? 0 : clock_now_us();
	free(item->details);
	item->details =
		json_text(event, "error", NULL) ? xstrdup(json_text(event, "error", "")) : NULL;
	if (!changed) {
		return;
	}
	if (p->mode == PROGRESS_PLAIN) {
		print_plain(p, item);
	} else if (p->mode == PROGRESS_JSON) {
		print_json(p, item);
	}
}

void progress_warn(struct progress *p, const char *text)
{
	if (p->mode == PROGRESS_QUIET) {
		return;
	}
	if (p->mode == PROGRESS_JSON) {
		_cleanup_json_ json_t *line = json_object();
		_cleanup_free_ char *printed = NULL;

		json_put_text(line, "status", "Warning");
		json_put_text(line, "text", text);
		printed = json_print(line);
		fprintf(p->out, "%s\n", printed);
		return;
	}
	if (p->drawn) {
		fprintf(p->out, "\033[%uA\033[J", p->drawn);
		p->drawn = 0;
	}
	fprintf(p->out, "warning: %s\n", text);
}

static void set_colour(const struct progress *p, const char *colour)
{
	if (p->colour) {
		fprintf(p->out, "\033[%sm", colour);
	}
}

/* One line: sign, name, word at a common column, and the time at the right edge. */
static void draw_item(struct progress *p, const struct progress_item *item, size_t id_width)
{
	int64_t end = item->end_us ? item->end_us : clock_now_us();
	_cleanup_str_ struct str line = { 0 }, cut = { 0 };
	char seconds[32];
	size_t room, width;

	snprintf(seconds, sizeof(seconds), "%.1fs", (double)(end - item->begin_us) / 1e6);
	str_addf(&line, "%s%*s  %s", item->id, (int)(id_width - format_width(item->id)), "",
		item->text);
	if (item->details) {
		str_addf(&line, " %s", item->details);
	}
	room = p->columns > strlen(seconds) + 6 ? p->columns - strlen(seconds) - 5 : 1;
	format_ellipsis(&cut, str_text(&line), room);
	width = format_width(str_text(&cut));
	set_colour(p, looks[item->status].colour);
	fprintf(p->out, " %s ",
		looks[item->status].sign ? looks[item->status].sign
					 : spinner[p->ticks % ARRAY_SIZE(spinner)]);
	set_colour(p, "0");
	fputs(str_text(&cut), p->out);
	set_colour(p, "34");
	fprintf(p->out, "%*s %s", (int)(room - width), "", seconds);
	set_colour(p, "0");
	fputs("\033[K\n", p->out);
}

static void draw(struct progress *p)
{
	size_t id_width = 0, done = 0, from = 0;

	if (p->count == 0) {
		return;
	}
	tty_size(fileno(p->out), &p->rows, &p->columns);
	for (size_t i = 0; i < p->count; i++) {
		size_t width = format_width(p->items[i].id);

		id_width = width > id_width ? width : id_width;
		done += p->items[i].status != PROGRESS_WORKING;
	}
	if (p->drawn) {
		fprintf(p->out, "\033[%uA\r", p->drawn);
	}
	/* What does not fit on the screen could not be redrawn: the latest stay visible. */
	if (p->rows > 3 && p->count > p->rows - 2) {
		from = p->count - (p->rows - 2);
	}
	fprintf(p->out, "[+] %s %zu/%zu\033[K\n", p->verb, done, p->count);
	for (size_t i = from; i < p->count; i++) {
		draw_item(p, &p->items[i], id_width);
	}
	fputs("\033[J", p->out);
	p->drawn = (unsigned)(p->count - from) + 1;
	fflush(p->out);
}

void progress_tick(struct progress *p)
{
	if (p->mode == PROGRESS_TTY) {
		p->ticks++;
		draw(p);
	}
}

void progress_end(struct progress *p)
{
	if (p->mode == PROGRESS_TTY) {
		draw(p);
	}
	for (size_t i = 0; i < p->count; i++) {
		free(p->items[i].id);
		free(p->items[i].details);
	}
	free(p->items);
	p->items = NULL;
	p->count = 0;
	p->drawn = 0;
	fflush(p->out);
}
