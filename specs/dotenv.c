#include "specs/dotenv.h"

#include <ctype.h>
#include <errno.h>

#include "specs/interpolate.h"

struct reader {
	const struct dotenv *how;
	const char *file;
	const char *text, *p, *end;
	unsigned line;
	size_t errors;
};

struct compose_pair *pairs_find(const struct compose_pairs *pairs, const char *key)
{
	for (size_t i = 0; i < pairs->count; i++) {
		if (strcmp(pairs->items[i].key, key) == 0) {
			return &pairs->items[i];
		}
	}
	return NULL;
}

void pairs_set(struct arena *arena, struct compose_pairs *pairs, const char *key, const char *value,
	const struct mark *mark)
{
	struct compose_pair *pair = pairs_find(pairs, key);

	if (!pair) {
		/* Grown by doubling: a count that is a power of two means that the room is full. */
		if ((pairs->count & (pairs->count - 1)) == 0) {
			size_t room = pairs->count ? pairs->count * 2 : 1;
			struct compose_pair *items = arena_array(arena, room, sizeof(*items));

			if (pairs->count) {
				memcpy(items, pairs->items, pairs->count * sizeof(*items));
			}
			pairs->items = items;
		}
		pair = &pairs->items[pairs->count++];
		pair->key = arena_strdup(arena, key);
	}
	pair->value = arena_strdup(arena, value);
	pair->mark = mark ? *mark : (struct mark){ 0 };
}

static struct mark place(const struct reader *r, const char *at)
{
	struct mark mark = { .file = r->file, .line = r->line, .column = 1 };

	while (at > r->text && at[-1] != '\n') {
		at--;
		mark.column += ((unsigned char)*at & 0xc0) != 0x80;
	}
	return mark;
}

static void report(struct reader *r, const char *at, const char *text)
{
	struct mark mark = place(r, at);

	diagnostics_add(r->how->d, SEVERITY_ERROR, &mark, NULL, "%s", text);
	r->errors++;
}

static const char *lookup(void *owner, const char *name)
{
	const struct reader *r = owner;
	const char *value = r->how->lookup ? r->how->lookup(r->how->owner, name) : NULL;
	const struct compose_pair *pair;

	if (value) {
		return value;
	}
	pair = pairs_find(r->how->pairs, name);
	return pair ? pair->value : NULL;
}

static void set_value(
	struct reader *r, const char *at, const char *key, const char *value, bool expand)
{
	const struct interpolation how = { .lookup = lookup, .owner = r };
	struct mark mark = place(r, at);
	_cleanup_str_ struct str text = { 0 };
	struct error err = ERROR_INIT;

	if (r->how->pairs->count >= DOTENV_MAX_KEYS) {
		report(r, at, "too many variables in one file");
		r->p = r->end;
		return;
	}
	if (expand && interpolate(&how, value, &text, &err) < 0) {
		report(r, at, err.message);
		return;
	}
	pairs_set(r->how->arena, r->how->pairs, key, expand ? str_text(&text) : value, &mark);
}

/* A key alone takes what the environment has, and is absent without. */
static void inherit(struct reader *r, const char *at, const char *key)
{
	const char *value = r->how->lookup ? r->how->lookup(r->how->owner, key) : NULL;

	if (value) {
		set_value(r, at, key, value, false);
	}
}

static void skip_line(struct reader *r)
{
	while (r->p < r->end && *r->p != '\n') {
		r->p++;
	}
}

static void skip_blank(struct reader *r, bool lines)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\r' || *r->p == '\f' ||
					*r->p == '\v' || (lines && *r->p == '\n'))) {
		r->line += *r->p == '\n';
		r->p++;
	}
}

static void add_escape(struct reader *r, struct str *value)
{
	static const char letters[] = "abfnrtv", meanings[] = "\a\b\f\n\r\t\v";
	char c = *r->p++;
	const char *letter = strchr(letters, c);

	if (c && letter) {
		str_add_char(value, meanings[letter - letters]);
	} else if (c == '$') {
		str_add(value, "$$"); /* survives the interpolation that follows as one */
	} else if (c == '"' || c == '\\') {
		str_add_char(value, c);
	} else if (c == '0' && r->p < r->end && *r->p >= '0' && *r->p <= '7') {
		unsigned code = 0;

		for (int i = 0; i < 3 && r->p < r->end && *r->p >= '0' && *r->p <= '7'; i++) {
			code = code * 8 + (unsigned)(*r->p++ - '0');
		}
		if (code) {
			str_add_char(value, (char)code);
		}
	} else {
		str_add_char(value, '\\');
		str_add_char(value, c);
		r->line += c == '\n';
	}
}

/* r->p stands behind the opening quote. False: there is no closing one. */
static bool read_quoted(struct reader *r, char quote, struct str *value)
{
	while (r->p < r->end && *r->p != quote) {
		if (*r->p == '\\' && r->p + 1 < r->end && quote == '"') {
			r->p++;
			add_escape(r, value);
		} else if (*r->p == '\\' && r->p + 1 < r->end && r->p[1] == '\'') {
			str_add_char(value, '\'');
			r->p += 2;
		} else {
			r->line += *r->p == '\n';
			str_add_char(value, *r->p++);
		}
	}
	if (r->p >= r->end) {
		return false;
	}
	r->p++;
	return true;
}

static void read_unquoted(struct reader *r, struct str *value)
{
	while (r->p < r->end && *r->p != '\n') {
		/* " #" starts a comment, "a#b" does not. */
		if (*r->p == '#' && (r->p[-1] == ' ' || r->p[-1] == '\t')) {
			skip_line(r);
			break;
		}
		str_add_char(value, *r->p++);
	}
	while (value->size && isspace((unsigned char)value->data[value->size - 1])) {
		value->data[--value->size] = '\0';
	}
}

static void read_value(struct reader *r, const char *at, const char *key)
{
	_cleanup_str_ struct str value = { 0 };
	const char *start;
	char quote;

	skip_blank(r, false);
	start = r->p;
	quote = r->p < r->end ? *r->p : '\0';
	if (quote == '"' || quote == '\'') {
		unsigned line = r->line;

		r->p++;
		if (!read_quoted(r, quote, &value)) {
			r->line = line;
			report(r, start, "unterminated quoted value");
			r->p = r->end;
			return;
		}
	} else {
		read_unquoted(r, &value);
	}
	set_value(r, at, key, str_text(&value), quote != '\'');
}

static bool key_char(char c)
{
	return isalnum((unsigned char)c) || strchr("_.-[]", c);
}

static void read_statement(struct reader *r)
{
	_cleanup_free_ char *key = NULL;
	const char *start;

	if (r->end - r->p > 7 && strncmp(r->p, "export", 6) == 0 &&
		(r->p[6] == ' ' || r->p[6] == '\t')) {
		r->p += 6;
		skip_blank(r, false);
	}
	start = r->p;
	while (r->p < r->end && *r->p && key_char(*r->p)) {
		r->p++;
	}
	key = xstrndup(start, (size_t)(r->p - start));
	skip_blank(r, false);
	if (r->p < r->end && (*r->p == '=' || *r->p == ':')) {
		r->p++;
		if (!*key) {
			report(r, start, "a variable without a name");
			skip_line(r);
			return;
		}
		read_value(r, start, key);
	} else if (r->p >= r->end || *r->p == '\n' || *r->p == '#') {
		inherit(r, start, key);
		skip_line(r);
	} else {
		bool space = *key && r->p > start && isspace((unsigned char)r->p[-1]);

		report(r, r->p,
			space ? "key cannot contain a space"
			      : "unexpected character in variable name");
		skip_line(r);
	}
}

static int start_reader(struct reader *r)
{
	struct mark mark = { .file = r->file };

	if (r->end - r->text > DOTENV_MAX_BYTES) {
		diagnostics_add(r->how->d, SEVERITY_ERROR, &mark, NULL,
			"file is larger than %d bytes", DOTENV_MAX_BYTES);
		return -EINVAL;
	}
	if (memchr(r->text, '\0', (size_t)(r->end - r->text))) {
		diagnostics_add(
			r->how->d, SEVERITY_ERROR, &mark, NULL, "file holds a NUL character");
		return -EINVAL;
	}
	if (r->end - r->text >= 3 && memcmp(r->text, "\xef\xbb\xbf", 3) == 0) {
		r->p += 3;
	}
	return 0;
}

int dotenv_parse(const struct dotenv *how, const char *file, const char *data, size_t size)
{
	struct reader r = {
		.how = how,
		.file = arena_strdup(how->arena, file),
		.text = data,
		.p = data,
		.end = data + size,
		.line = 1,
	};

	if (start_reader(&r) < 0) {
		return -EINVAL;
	}
	for (;;) {
		skip_blank(&r, true);
		if (r.p >= r.end) {
			return r.errors ? -EINVAL : 0;
		}
		if (*r.p == '#') {
			skip_line(&r);
		} else {
			read_statement(&r);
		}
	}
}

int dotenv_parse_raw(const struct dotenv *how, const char *file, const char *data, size_t size)
{
	struct reader r = {
		.how = how,
		.file = arena_strdup(how->arena, file),
		.text = data,
		.p = data,
		.end = data + size,
		.line = 1,
	};

	if (start_reader(&r) < 0) {
		return -EINVAL;
	}
	for (; r.p < r.end; r.line++) {
		const char *start = r.p, *equals;
		_cleanup_free_ char *key = NULL, *value = NULL;
		size_t length;

		skip_line(&r);
		length = (size_t)(r.p - start);
		r.p += r.p < r.end;
		if (length && start[length - 1] == '\r') {
			length--;
		}
		if (length == 0 || *start == '#') {
			continue;
		}
		equals = memchr(start, '=', length);
		key = xstrndup(start, equals ? (size_t)(equals - start) : length);
		if (!*key || strpbrk(key, " \t")) {
			report(&r, start, "variable name is empty or contains whitespace");
		} else if (equals) {
			value = xstrndup(equals + 1, length - (size_t)(equals + 1 - start));
			set_value(&r, start, key, value, false);
		} else {
			inherit(&r, start, key);
		}
	}
	return r.errors ? -EINVAL : 0;
}
