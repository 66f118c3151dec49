#include "specs/diagnostics.h"

#include <fcntl.h>
#include <stdarg.h>

#include "base/file.h"

enum {
	/* A file with more findings than this has one cause; the rest only hides it. */
	DIAGNOSTICS_MAX = 200,
	SHOWN_FILE_LIMIT = 4 << 20,
	SHOWN_LINE_MAX = 400,
};

void diagnostics_add(struct diagnostics *d, enum severity severity, const struct mark *mark,
	const char *path, const char *format, ...)
{
	struct diagnostic *item;
	struct str text = { 0 };
	va_list ap;

	/* Counted even where it is no longer kept: errors decide the outcome. */
	d->errors += severity == SEVERITY_ERROR;
	if (d->count >= DIAGNOSTICS_MAX && !(severity == SEVERITY_ERROR && d->errors == 1)) {
		return;
	}
	if (d->count == d->room) {
		d->room = d->room ? d->room * 2 : 8;
		d->items = xrealloc(d->items, d->room, sizeof(*d->items));
	}
	va_start(ap, format);
	str_addv(&text, format, ap);
	va_end(ap);
	item = &d->items[d->count++];
	*item = (struct diagnostic){
		.severity = severity,
		.path = arena_strdup(&d->arena, path),
		.text = arena_strdup(&d->arena, str_text(&text)),
	};
	if (mark) {
		item->mark = *mark;
		item->mark.file = arena_strdup(&d->arena, mark->file);
	}
	str_finish(&text);
}

/* Errors and warnings by file, line, column; findings without a place come last. */
static int compare(const void *left, const void *right)
{
	const struct diagnostic *a = *(const struct diagnostic *const *)left;
	const struct diagnostic *b = *(const struct diagnostic *const *)right;
	int order;

	if (!a->mark.line != !b->mark.line) {
		return a->mark.line ? -1 : 1;
	}
	if (!a->mark.file != !b->mark.file) {
		return a->mark.file ? -1 : 1;
	}
	order = a->mark.file ? strcmp(a->mark.file, b->mark.file) : 0;
	if (order == 0 && a->mark.line != b->mark.line) {
		order = a->mark.line < b->mark.line ? -1 : 1;
	}
	if (order == 0 && a->mark.column != b->mark.column) {
		order = a->mark.column < b->mark.column ? -1 : 1;
	}
	if (order == 0) {
		order = a < b ? -1 : 1; /* as found */
	}
	return order;
}

/* The files that findings point into, read again at most once each in a row. */
struct source {
	const char *file;
	char *text;
	size_t size;
};

static void source_open(struct source *source, const char *file)
{
	if (source->file && strcmp(source->file, file) == 0) {
		return;
	}
	free(source->text);
	*source = (struct source){ .file = file };
	if (file_read_at(AT_FDCWD, file, SHOWN_FILE_LIMIT, &source->text, &source->size, NULL) <
		0) {
		source->text = NULL;
	}
}

static void print_source_line(const struct source *source, const struct mark *mark, FILE *out)
{
	const char *line = source->text, *end = line ? line + source->size : NULL;
	size_t length;

	for (unsigned n = 1; line && n < mark->line; n++) {
		line = memchr(line, '\n', (size_t)(end - line));
		line = line ? line + 1 : NULL;
	}
	if (!line || line >= end) {
		return;
	}
	length = strcspn(line, "\r\n");
	length = length < SHOWN_LINE_MAX ? length : SHOWN_LINE_MAX;
	fputs("    ", out);
	for (size_t i = 0; i < length; i++) {
		/* A file may hold terminal escapes; they are shown, not obeyed. */
		fputc((unsigned char)line[i] < 0x20 && line[i] != '\t' ? '?' : line[i], out);
	}
	fputs("\n    ", out);
	/* Columns count characters: continuation bytes of UTF-8 take no place of their own. */
	for (size_t i = 0, column = 1; column < mark->column && i < length; i++) {
		if (((unsigned char)line[i] & 0xc0) != 0x80) {
			fputc(line[i] == '\t' ? '\t' : ' ', out);
		}
		column += ((unsigned char)line[i + 1] & 0xc0) != 0x80;
	}
	fputs("^\n", out);
}

/* What follows the first line is a hint; it stands below the line and its caret. */
static void print_hint(const char *text, FILE *out)
{
	for (const char *p = strchr(text, '\n'); p; p = strchr(p, '\n')) {
		p++;
		fprintf(out, "    %.*s\n", (int)strcspn(p, "\n"), p);
	}
}

void diagnostics_print(const struct diagnostics *d, FILE *out)
{
	const struct diagnostic **sorted = xcalloc(d->count, sizeof(*sorted));
	struct source source = { 0 };

	for (size_t i = 0; i < d->count; i++) {
		sorted[i] = &d->items[i];
	}
	qsort(sorted, d->count, sizeof(*sorted), compare);
	for (size_t i = 0; i < d->count; i++) {
		const struct mark *mark = &sorted[i]->mark;

		if (mark->file && mark->line) {
			fprintf(out, "%s:%u:%u: ", mark->file, mark->line, mark->column);
		} else if (mark->file) {
			fprintf(out, "%s: ", mark->file);
		}
		fputs(sorted[i]->severity == SEVERITY_ERROR ? "error: " : "warning: ", out);
		fprintf(out, "%.*s\n", (int)strcspn(sorted[i]->text, "\n"), sorted[i]->text);
		if (mark->file && mark->line) {
			source_open(&source, mark->file);
			print_source_line(&source, mark, out);
		}
		print_hint(sorted[i]->text, out);
	}
	if (d->errors > 0 && d->count >= DIAGNOSTICS_MAX) {
		fprintf(out, "more findings are not shown\n");
	}
	free(source.text);
	free(sorted);
}

void diagnostics_finish(struct diagnostics *d)
{
	free(d->items);
	arena_finish(&d->arena);
	*d = (struct diagnostics){ 0 };
}
