#include "specs/interpolate.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>

static bool name_start(char c)
{
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t name_size(const char *text)
{
	size_t size = 0;

	if (!name_start(*text)) {
		return 0;
	}
	while (name_start(text[size]) || (text[size] >= '0' && text[size] <= '9')) {
		size++;
	}
	return size;
}

/* The "}" that closes the "${" before @text; NULL if there is none. */
static const char *closing_brace(const char *text, const char *end)
{
	unsigned open = 1;

	for (const char *p = text; p < end; p++) {
		if (*p == '}' && --open == 0) {
			return p;
		}
		if (*p == '$' && p + 1 < end && p[1] == '{') {
			open++;
			p++;
		}
	}
	return NULL;
}

static int expand(const struct interpolation *how, const char *text, const char *end,
	unsigned depth, struct str *out, struct error *err);

static int invalid(struct error *err)
{
	return error_say(err, EBADMSG,
		"invalid interpolation format. You may need to escape any $ with another $");
}

/* "${" name operator word "}": @word up to @end is what follows the operator. */
static int apply_operator(const struct interpolation *how, const char *name, char operator,
	bool colon, const char *word, const char *end, unsigned depth, struct str *out,
	struct error *err)
{
	const char *value = how->lookup(how->owner, name);
	bool given = value && (!colon || *value);
	_cleanup_str_ struct str text = { 0 };
	int r;

	if (operator== '+') {
		return given ? expand(how, word, end, depth + 1, out, err) : 0;
	}
	if (given) {
		str_add(out, value);
		return 0;
	}
	if (operator== '-') {
		return expand(how, word, end, depth + 1, out, err);
	}
	r = expand(how, word, end, depth + 1, &text, err);
	if (r < 0) {
		return r;
	}
	return error_say(err, EINVAL, "required variable %s is missing a value%s%s", name,
		text.size ? ": " : "", str_text(&text));
}

static void add_value(const struct interpolation *how, const char *name, struct str *out)
{
	const char *value = how->lookup(how->owner, name);

	if (value) {
		str_add(out, value);
	} else if (how->unset) {
		how->unset(how->owner, name);
	}
}

/* @text stands behind "${"; *@next is set behind its "}". */
static int expand_braced(const struct interpolation *how, const char *text, const char *end,
	unsigned depth, const char **next, struct str *out, struct error *err)
{
	const char *close = closing_brace(text, end);
	size_t size = name_size(text);
	_cleanup_free_ char *name = NULL;
	const char *p = text + size;
	bool colon;

	if (!close || size == 0 || p > close) {
		return invalid(err);
	}
	*next = close + 1;
	name = xstrndup(text, size);
	if (p == close) {
		add_value(how, name, out);
		return 0;
	}
	colon = *p == ':';
	p += colon;
	if (p >= close || !strchr("-+?", *p)) {
		return invalid(err);
	}
	return apply_operator(how, name, *p, colon, p + 1, close, depth, out, err);
}

static int expand(const struct interpolation *how, const char *text, const char *end,
	unsigned depth, struct str *out, struct error *err)
{
	if (depth > INTERPOLATE_MAX_DEPTH) {
		return error_say(err, EINVAL, "variables are nested too deeply");
	}
	while (text < end) {
		const char *dollar = memchr(text, '$', (size_t)(end - text));
		size_t size;

		str_add_mem(out, text, (size_t)((dollar ? dollar : end) - text));
		if (out->size > INTERPOLATE_MAX_BYTES) {
			return error_say(err, EINVAL, "text is too long after substitution");
		}
		if (!dollar) {
			return 0;
		}
		text = dollar + 1;
		size = text < end ? name_size(text) : 0;
		if (text < end && *text == '$') {
			str_add_char(out, '$');
			text++;
		} else if (text < end && *text == '{') {
			int r = expand_braced(how, text + 1, end, depth, &text, out, err);

			if (r < 0) {
				return r;
			}
		} else if (size) {
			_cleanup_free_ char *name = NULL;

			/* A name may run on behind the end of a word: "${A:-$B}" ends at "}". */
			size = size < (size_t)(end - text) ? size : (size_t)(end - text);
			name = xstrndup(text, size);
			add_value(how, name, out);
			text += size;
		} else {
			str_add_char(out, '$');
		}
	}
	return 0;
}

int interpolate(
	const struct interpolation *how, const char *text, struct str *out, struct error *err)
{
	return expand(how, text, text + strlen(text), 0, out, err);
}
