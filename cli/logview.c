#include "cli/logview.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/inotify.h>

#include "base/fd.h"
#include "cli/format.h"

/* A line without end is shown in pieces of this size. */
#define PARTIAL_MAX   (1u << 20)
#define PUMP_MAX      20000

#define FILE_EVENTS   (IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF)
#define FOLDER_EVENTS (IN_CREATE | IN_MOVED_TO | IN_ONLYDIR)

/* What one stream of one container has written since its last newline. */
struct partial {
	struct str text;
	char time[64]; /* of its first piece */
};

struct source {
	struct logfile log;
	char *container, *label, *folder;
	unsigned colour;
	int file_watch, folder_watch;
	struct partial out, err;
	struct log_entry head; /* while merging: the next entry */
	bool has_head, has_more;
};

struct logview {
	struct logview_options options;
	int inotify;
	struct source **sources;
	size_t count;
	size_t width; /* of the longest label */
};

/* docker's cycle: cyan, yellow, green, magenta, blue, then the same in bold. */
static const char *const colours[] = { "36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1",
	"34;1" };

struct logview *logview_create(const struct logview_options *options, struct error *err)
{
	struct logview *view;
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0) {
		error_set(err, errno, "create an inotify instance");
		return NULL;
	}
	view = xcalloc(1, sizeof(*view));
	view->options = *options;
	view->inotify = fd;
	return view;
}

static void source_free(struct source *s)
{
	logfile_close(&s->log);
	free(s->container);
	free(s->label);
	free(s->folder);
	str_finish(&s->out.text);
	str_finish(&s->err.text);
	free(s);
}

void logview_destroy(struct logview *view)
{
	if (!view) {
		return;
	}
	for (size_t i = 0; i < view->count; i++) {
		source_free(view->sources[i]);
	}
	free(view->sources);
	fd_close(&view->inotify);
	free(view);
}

int logview_fd(const struct logview *view)
{
	return view->inotify;
}

static struct source *find(const struct logview *view, const char *container)
{
	for (size_t i = 0; i < view->count; i++) {
		if (strcmp(view->sources[i]->container, container) == 0) {
			return view->sources[i];
		}
	}
	return NULL;
}

bool logview_has(const struct logview *view, const char *container)
{
	return find(view, container) != NULL;
}

void logview_widen(struct logview *view, const char *label)
{
	size_t width = format_width(label);

	if (width > view->width) {
		view->width = width;
	}
}

/*
 * inotify gives one watch for an inode however often it is asked; asking again after a rotation
 * moves us to the new file. The folder is watched because after a rename there is a moment
 * without a file to watch.
 */
static void watch(struct logview *view, struct source *s)
{
	s->folder_watch = inotify_add_watch(view->inotify, s->folder, FOLDER_EVENTS);
	s->file_watch = inotify_add_watch(view->inotify, s->log.path, FILE_EVENTS);
}

static void print_prefix(const struct logview *view, const struct source *s, FILE *out)
{
	if (!view->options.prefix) {
		return;
	}
	if (view->options.colour) {
		fprintf(out, "\033[%sm", colours[s->colour]);
	}
	fprintf(out, "%s%*s | ", s->label, (int)(view->width - format_width(s->label) + 1), "");
	if (view->options.colour) {
		fputs("\033[0m", out);
	}
}

static void print_line(const struct logview *view, const struct source *s, bool is_stderr,
	const char *time, const char *text, size_t size)
{
	FILE *out = is_stderr && view->options.split ? stderr : stdout;

	print_prefix(view, s, out);
	if (view->options.timestamps) {
		fprintf(out, "%s ", time);
	}
	fwrite(text, 1, size, out);
	fputc('\n', out);
}

static void flush_partial(
	const struct logview *view, const struct source *s, struct partial *p, bool is_stderr)
{
	if (p->text.size > 0) {
		print_line(view, s, is_stderr, p->time, p->text.data, p->text.size);
		p->text.size = 0;
	}
}

/* An entry may hold a piece of a line, a line, or (from other writers) several. */
static void print_entry(const struct logview *view, struct source *s, const struct log_entry *entry)
{
	struct partial *p = entry->is_stderr ? &s->err : &s->out;
	const char *text = entry->text, *end = text + entry->size;

	if ((view->options.since_ns && entry->wall_ns < view->options.since_ns) ||
		(view->options.until_ns && entry->wall_ns > view->options.until_ns)) {
		return;
	}
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t size = (size_t)((newline ? newline : end) - text);

		if (newline && p->text.size == 0) {
			print_line(view, s, entry->is_stderr, entry->time, text, size);
		} else {
			if (p->text.size == 0) {
				snprintf(p->time, sizeof(p->time), "%s", entry->time);
			}
			str_add_mem(&p->text, text, size);
			if (newline || p->text.size > PARTIAL_MAX) {
				flush_partial(view, s, p, entry->is_stderr);
			}
		}
		text += size + (newline != NULL);
	}
}

/* A container that writes without pause must not keep others, and Ctrl-C, waiting: after
 * PUMP_MAX entries the rest is left for the next turn. */
static void pump(struct logview *view, struct source *s, unsigned limit)
{
	struct log_entry entry;
	unsigned entries = 0;

	s->has_more = false;
	while (logfile_next(&s->log, &entry) > 0) {
		print_entry(view, s, &entry);
		if (++entries == limit) {
			s->has_more = true;
			break;
		}
	}
}

static int open_path(struct source *s, const char *path, int64_t tail, struct error *err)
{
	const char *slash = strrchr(path, '/');

	free(s->folder);
	s->folder = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
	return logfile_open(&s->log, path, tail, err);
}

static int follow_path(struct logview *view, struct source *s, const char *path, struct error *err)
{
	int r;

	pump(view, s, 0);
	flush_partial(view, s, &s->out, false);
	flush_partial(view, s, &s->err, true);
	logfile_close(&s->log);
	r = open_path(s, path, LOGFILE_ALL, err);
	if (r == 0) {
		watch(view, s);
	}
	return r;
}

int logview_add(struct logview *view, const char *container, const char *label, const char *path,
	int64_t tail, struct error *err)
{
	struct source *s = find(view, container);
	int r;

	if (s && strcmp(s->log.path, path) != 0) {
		return follow_path(view, s, path, err);
	}
	if (s) {
		if (s->file_watch < 0) { /* there was nothing to watch yet */
			watch(view, s);
		}
		return 0;
	}
	s = xcalloc(1, sizeof(*s));
	r = open_path(s, path, tail, err);
	s->container = xstrdup(container);
	s->label = xstrdup(label);
	if (r < 0) {
		source_free(s);
		return r;
	}
	s->colour = (unsigned)(view->count % ARRAY_SIZE(colours));
	watch(view, s);
	logview_widen(view, label);
	view->sources = xrealloc(view->sources, view->count + 1, sizeof(struct source *));
	view->sources[view->count++] = s;
	return 0;
}

static void merge_step(struct source *s)
{
	s->has_head = logfile_next(&s->log, &s->head) > 0;
}

void logview_merge(struct logview *view)
{
	for (size_t i = 0; i < view->count; i++) {
		merge_step(view->sources[i]);
	}
	for (;;) {
		struct source *first = NULL;

		for (size_t i = 0; i < view->count; i++) {
			struct source *s = view->sources[i];

			if (s->has_head && (!first || s->head.wall_ns < first->head.wall_ns)) {
				first = s;
			}
		}
		if (!first) {
			break;
		}
		print_entry(view, first, &first->head);
		merge_step(first);
	}
	fflush(stdout);
}

static void pump_watched(struct logview *view, const struct inotify_event *event)
{
	for (size_t i = 0; i < view->count; i++) {
		struct source *s = view->sources[i];
		bool all = event->mask & IN_Q_OVERFLOW;

		if (all || event->wd == s->file_watch || event->wd == s->folder_watch) {
			if (all || !(event->mask & IN_MODIFY)) {
				watch(view, s);
			}
			pump(view, s, PUMP_MAX);
		}
	}
}

bool logview_ready(struct logview *view)
{
	bool more = false;
	_Alignas(struct inotify_event) char events[8192];
	ssize_t n = read(view->inotify, events, sizeof(events));

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *event = (const void *)(events + at);

		pump_watched(view, event);
		at += (ssize_t)sizeof(*event) + event->len;
	}
	for (size_t i = 0; i < view->count; i++) {
		if (view->sources[i]->has_more) {
			pump(view, view->sources[i], PUMP_MAX);
			more = more || view->sources[i]->has_more;
		}
	}
	fflush(stdout);
	fflush(stderr);
	return more;
}

void logview_finish(struct logview *view, const char *container)
{
	struct source *s = find(view, container);

	if (!s) {
		return;
	}
	pump(view, s, 0);
	flush_partial(view, s, &s->out, false);
	flush_partial(view, s, &s->err, true);
	fflush(stdout);
	fflush(stderr);
}

void logview_flush(struct logview *view)
{
	for (size_t i = 0; i < view->count; i++) {
		struct source *s = view->sources[i];

		flush_partial(view, s, &s->out, false);
		flush_partial(view, s, &s->err, true);
	}
	fflush(stdout);
	fflush(stderr);
}

void logview_status(struct logview *view, const char *container, const char *text)
{
	const struct source *s = find(view, container);

	if (s && view->options.colour) {
		printf("\033[%sm%s %s\033[0m\n", colours[s->colour], s->label, text);
	} else {
		printf("%s %s\n", s ? s->label : container, text);
	}
	fflush(stdout);
}
