#include "specs/json_fields.h"

#include <errno.h>

#include "base/json.h"

/* Writes the path of @place to @out; returns its length so far. Depth is that of our tables. */
static size_t place_print(const struct field_place *place, char *out, size_t size)
{
	size_t n = place->up ? place_print(place->up, out, size) : 0;
	int added;

	if (n >= size) {
		return n;
	}
	if (place->name) {
		added = snprintf(out + n, size - n, "%s%s", n ? "." : "", place->name);
	} else {
		added = snprintf(out + n, size - n, "[%zu]", place->index);
	}
	return n + (size_t)added;
}

int field_error(
	const struct field_reader *reader, const struct field_place *place, const char *format, ...)
{
	char where[256] = "", what[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	if (place) {
		place_print(place, where, sizeof(where));
	}
	return error_say(reader->err, EINVAL, "%s%s%s", where, *where ? ": " : "", what);
}

static const char *type_name(const json_t *value)
{
	static const char *const names[] = { [JSON_OBJECT] = "an object",
		[JSON_ARRAY] = "a list",
		[JSON_STRING] = "a text",
		[JSON_INTEGER] = "an integer",
		[JSON_REAL] = "a fraction",
		[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",
		[JSON_NULL] = "null" };

	return names[json_typeof(value)];
}

static int wrong_type(const struct field_reader *reader, const struct field_place *place,
	const char *expected, const json_t *value)
{
	return field_error(reader, place, "%s expected, not %s", expected, type_name(value));
}

static void *member(const void *base, size_t offset)
{
	return (char *)base + offset;
}

static size_t member_count(const struct field *f, const void *base)
{
	return *(const size_t *)member(base, f->count_offset);
}

static void integer_store(const struct field *f, void *base, int64_t value)
{
	uint16_t half = (uint16_t)value;
	uint32_t single = (uint32_t)value;

	memcpy(member(base, f->offset),
		f->size == 2   ? (void *)&half
		: f->size == 4 ? (void *)&single
			       : (void *)&value,
		f->size);
}

static int64_t integer_load(const struct field *f, const void *base)
{
	const void *at = member(base, f->offset);

	switch (f->size) {
	case 2: return f->is_signed ? *(const int16_t *)at : *(const uint16_t *)at;
	case 4:
		if (f->is_signed) {
			return *(const int32_t *)at;
		}
		return *(const uint32_t *)at;
	default: return *(const int64_t *)at;
	}
}

void fields_init(const struct field *fields, void *base)
{
	for (const struct field *f = fields; f->name; f++) {
		if (f->kind == FIELD_INT) {
			integer_store(f, base, f->unset);
		} else if (f->kind == FIELD_LETTER) {
			*(char *)member(base, f->offset) = (char)f->unset;
		} else if (f->kind == FIELD_OBJECT) {
			fields_init(f->fields, member(base, f->offset));
		}
	}
}

static int read_text(const struct field_reader *reader, const struct field_place *place,
	const json_t *value, const char **out)
{
	if (!json_is_string(value)) {
		return wrong_type(reader, place, "a text", value);
	}
	*out = arena_strndup(reader->arena, json_string_value(value), json_string_length(value));
	return 0;
}

static int read_integer(const struct field_reader *reader, const struct field_place *place,
	const json_t *value, int64_t min, int64_t max, int64_t *out)
{
	if (!json_is_integer(value)) {
		return wrong_type(reader, place, "an integer", value);
	}
	*out = json_integer_value(value);
	if (*out < min || *out > max) {
		return field_error(reader, place, "%lld is out of range",
			(long long)json_integer_value(value));
	}
	return 0;
}

static int read_word(const struct field *f, const struct field_reader *reader,
	const struct field_place *place, const json_t *value, void *base)
{
	const char *text = json_string_value(value);

	if (!text) {
		return wrong_type(reader, place, "a text", value);
	}
	for (const struct field_word *word = f->words; word->name; word++) {
		if (strcmp(text, word->name) == 0) {
			*(int *)member(base, f->offset) = word->value;
			return 0;
		}
	}
	return field_error(reader, place, "\"%.80s\" is not known", text);
}

static int read_letter(const struct field *f, const struct field_reader *reader,
	const struct field_place *place, const json_t *value, void *base)
{
	const char *text = json_string_value(value);

	if (!text) {
		return wrong_type(reader, place, "a text", value);
	}
	if (text[0] == '\0' || text[1] != '\0' || !strchr(f->letters, text[0])) {
		return field_error(
			reader, place, "\"%.80s\" is not one letter of \"%s\"", text, f->letters);
	}
	*(char *)member(base, f->offset) = text[0];
	return 0;
}

static int read_strings(const struct field *f, const struct field_reader *reader,
	const struct field_place *place, const json_t *value, void *base)
{
	size_t count = json_array_size(value);
	const char **items;

	if (!json_is_array(value)) {
		return wrong_type(reader, place, "a list", value);
	}
	items = arena_array(reader->arena, count + 1, sizeof(*items));
	for (size_t i = 0; i < count; i++) {
		struct field_place at = { .up = place, .index = i };
		int r = read_text(reader, &at, json_array_get(value, i), &items[i]);

		if (r < 0) {
			return r;
		}
	}
	*(const char ***)member(base, f->offset) = items;
	*(size_t *)member(base, f->count_offset) = count;
	return 0;
}

static int read_ids(const struct field *f, const struct field_reader *reader,
	const struct field_place *place, const json_t *value, void *base)
{
	size_t count = json_array_size(value);
	uint32_t *items;

	if (!json_is_array(value)) {
		return wrong_type(reader, place, "a list", value);
	}
	items = arena_array(reader->arena, count + 1, sizeof(*items));
	for (size_t i = 0; i < count; i++) {
		struct field_place at = { .up = place, .index = i };
		int64_t id = 0;
		int r = read_integer(reader, &at, json_array_get(value, i), f->min, f->max, &id);

		if (r < 0) {
			return r;
		}
		items[i] = (uint32_t)id;
	}
	*(const uint32_t **)member(base, f->offset) = items;
	*(size_t *)member(base, f->count_offset) = count;
	return 0;
}

static int read_pairs(const struct field *f, const struct field_reader *reader,
	const struct field_place *place, const json_t *value, void *base)
{
	struct field_pair *items;
	const char *key;
	json_t *text;
	size_t count = 0;

	if (!json_is_object(value)) {
		return wrong_type(reader, place, "an object", value);
	}
	items = arena_array(reader->arena, json_object_size(value) + 1, sizeof(*items));
	json_object_foreach((json_t *)value, key, text)
	{
		struct field_place at = { .up = place, .name = key };
		int r = *key ? read_text(reader, &at, text, &items[count].value)
			     : field_error(reader, place, "a name is empty");

		if (r < 0) {
			return r;
		}
		items[count++].key = arena_strdup(reader->arena, key);
	}
	*(struct field_pair **)member(base, f->offset) = items;
	*(size_t *)member(base, f->count_offset) = count;
	return 0;
}

static int read_list(const struct field *f, const struct field_reader *reader,
	const struct field_place *place, const json_t *value, void *base)
{
	size_t count = json_array_size(value);
	char *items;

	if (!json_is_array(value)) {
		return wrong_type(reader, place, "a list", value);
	}
	items = arena_array(reader->arena, count + 1, f->size);
	for (size_t i = 0; i < count; i++) {
		struct field_place at = { .up = place, .index = i };
		void *item = items + i * f->size;
		int r;

		fields_init(f->fields, item);
		r = fields_read(reader, &at, json_array_get(value, i), f->fields, item);
		if (r == 0 && f->check) {
			r = f->check(reader, &at, item);
		}
		if (r < 0) {
			return r;
		}
	}
	*(void **)member(base, f->offset) = items;
	*(size_t *)member(base, f->count_offset) = count;
	return 0;
}

/* Whether a member that we do not support asks for nothing: empty all the way down. */
static bool says_nothing(const json_t *value, int depth)
{
	const char *key;
	json_t *item;

	switch (json_typeof(value)) {
	case JSON_OBJECT:
		json_object_foreach((json_t *)value, key, item)
		{
			if (depth == 0 || !says_nothing(item, depth - 1)) {
				return false;
			}
		}
		return true;
	case JSON_ARRAY: return json_array_size(value) == 0;
	case JSON_STRING: return json_string_length(value) == 0;
	case JSON_INTEGER: return json_integer_value(value) == 0;
	case JSON_FALSE:
	case JSON_NULL: return true;
	default: return false;
	}
}

static int read_member(const struct field *f, const struct field_reader *reader,
	const struct field_place *place, const json_t *value, void *base)
{
	int64_t number = 0;
	int r;

	switch (f->kind) {
	case FIELD_TEXT: return read_text(reader, place, value, member(base, f->offset));
	case FIELD_FLAG:
		if (!json_is_boolean(value)) {
			return wrong_type(reader, place, "true or false", value);
		}
		*(bool *)member(base, f->offset) = json_is_true(value);
		return 0;
	case FIELD_INT:
		r = read_integer(reader, place, value, f->min, f->max, &number);
		if (r == 0) {
			integer_store(f, base, number);
		}
		return r;
	case FIELD_WORD: return read_word(f, reader, place, value, base);
	case FIELD_LETTER: return read_letter(f, reader, place, value, base);
	case FIELD_STRINGS: return read_strings(f, reader, place, value, base);
	case FIELD_IDS: return read_ids(f, reader, place, value, base);
	case FIELD_PAIRS: return read_pairs(f, reader, place, value, base);
	case FIELD_OBJECT:
		r = fields_read(reader, place, value, f->fields, member(base, f->offset));
		return r == 0 && f->check ? f->check(reader, place, member(base, f->offset)) : r;
	case FIELD_LIST: return read_list(f, reader, place, value, base);
	case FIELD_CUSTOM: return f->read(reader, place, value, base);
	case FIELD_REFUSED: break;
	}
	return says_nothing(value, 2) ? 0 : field_error(reader, place, "not supported");
}

int fields_read(const struct field_reader *reader, const struct field_place *place,
	const json_t *object, const struct field *fields, void *base)
{
	if (!json_is_object(object)) {
		return object ? wrong_type(reader, place, "an object", object)
			      : field_error(reader, place, "missing");
	}
	for (const struct field *f = fields; f->name; f++) {
		const json_t *value = json_object_get(object, f->name);
		struct field_place at = { .up = place, .name = f->name };
		int r;

		if (!value || json_is_null(value)) {
			r = f->required ? field_error(reader, &at, "missing") : 0;
		} else {
			r = read_member(f, reader, &at, value, base);
		}
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static json_t *text_print(const char *text)
{
	json_t *value = text ? json_string(text) : NULL;

	/* Not UTF-8: cannot stand in JSON. Only a builder can have put it there. */
	return value || !text ? value : json_string("\xef\xbf\xbd");
}

static json_t *strings_print(const char *const *items, size_t count)
{
	json_t *list = count ? json_array() : NULL;

	for (size_t i = 0; i < count; i++) {
		json_array_append_new(list, text_print(items[i]));
	}
	return list;
}

static json_t *ids_print(const uint32_t *items, size_t count)
{
	json_t *list = count ? json_array() : NULL;

	for (size_t i = 0; i < count; i++) {
		json_array_append_new(list, json_integer(items[i]));
	}
	return list;
}

static json_t *pairs_print(const struct field_pair *items, size_t count)
{
	json_t *object = count ? json_object() : NULL;

	for (size_t i = 0; i < count; i++) {
		json_object_set_new(object, items[i].key, text_print(items[i].value));
	}
	return object;
}

static json_t *list_print(const struct field *f, const char *items, size_t count)
{
	json_t *list = count || f->required ? json_array() : NULL;

	for (size_t i = 0; i < count; i++) {
		json_array_append_new(list, fields_print(f->fields, items + i * f->size));
	}
	return list;
}

static json_t *word_print(const struct field *f, int value)
{
	for (const struct field_word *word = f->words; word->name; word++) {
		if (word->value == value) {
			return json_string(word->name);
		}
	}
	return NULL;
}

/* A new reference, or NULL when the member says nothing. */
static json_t *member_print(const struct field *f, const void *base)
{
	const void *at = member(base, f->offset);
	int64_t number;
	json_t *object;

	switch (f->kind) {
	case FIELD_TEXT: return text_print(*(const char *const *)at);
	case FIELD_FLAG:
		return *(const bool *)at || f->required ? json_boolean(*(const bool *)at) : NULL;
	case FIELD_INT:
		number = integer_load(f, base);
		return number != f->unset || f->required ? json_integer(number) : NULL;
	case FIELD_WORD: return word_print(f, *(const int *)at);
	case FIELD_LETTER:
		return *(const char *)at != (char)f->unset || f->required ? json_stringn(at, 1)
									  : NULL;
	case FIELD_STRINGS:
		return strings_print(*(const char *const *const *)at, member_count(f, base));
	case FIELD_IDS: return ids_print(*(const uint32_t *const *)at, member_count(f, base));
	case FIELD_PAIRS:
		return pairs_print(*(const struct field_pair *const *)at, member_count(f, base));
	case FIELD_OBJECT:
		object = fields_print(f->fields, at);
		if (json_object_size(object) == 0 && !f->required) {
			json_decref(object);
			object = NULL;
		}
		return object;
	case FIELD_LIST: return list_print(f, *(char *const *)at, member_count(f, base));
	case FIELD_CUSTOM: return f->print(base);
	case FIELD_REFUSED: break;
	}
	return NULL;
}

json_t *fields_print(const struct field *fields, const void *base)
{
	json_t *object = json_object();

	for (const struct field *f = fields; f->name; f++) {
		json_t *value = member_print(f, base);

		if (value) {
			json_put(object, f->name, value);
		}
	}
	return object;
}
