#include "base/json.h"

#include <errno.h>

#include "base/file.h"
#include "base/mem.h"

json_t *json_parse(const char *text, size_t size, const char *what, struct error *err)
{
	json_error_t e;
	json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);

	if (!value) {
		error_say(err, EBADMSG, "%s:%d:%d: %s", what, e.line, e.column, e.text);
	}
	return value;
}

json_t *json_read_at(int dir, const char *path, size_t limit, struct error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	if (file_read_at(dir, path, limit, &text, &size, err) < 0) {
		return NULL;
	}
	return json_parse(text, size, path, err);
}

const char *json_text(const json_t *object, const char *key, const char *fallback)
{
	const json_t *value = json_object_get(object, key);

	return json_is_string(value) ? json_string_value(value) : fallback;
}

int64_t json_int(const json_t *object, const char *key, int64_t fallback)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? (int64_t)json_integer_value(value) : fallback;
}

double json_number(const json_t *object, const char *key, double fallback)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : fallback;
}

bool json_bool(const json_t *object, const char *key, bool fallback)
{
	const json_t *value = json_object_get(object, key);

	return json_is_boolean(value) ? json_is_true(value) : fallback;
}

void json_put(json_t *object, const char *key, json_t *value)
{
	if (!value || json_object_set_new(object, key, value) < 0) {
		fputs("wherry: out of memory\n", stderr);
		abort();
	}
}

void json_put_text(json_t *object, const char *key, const char *text)
{
	if (text) {
		json_t *value = json_string(text);

		/* Bytes that are not UTF-8 (a file name, say) cannot stand in JSON: show them as such. */
		if (!value) {
			struct str s = { 0 };

			for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
				if (*p < 0x80) {
					str_add_char(&s, (char)*p);
				} else {
					str_add(&s, "\xef\xbf\xbd");
				}
			}
			value = json_string(str_text(&s));
			str_finish(&s);
		}
		json_put(object, key, value);
	}
}

void json_put_int(json_t *object, const char *key, int64_t value)
{
	json_put(object, key, json_integer(value));
}

void json_put_bool(json_t *object, const char *key, bool value)
{
	json_put(object, key, json_boolean(value));
}

json_t *json_from_strings(const char *const *strings)
{
	json_t *array;

	if (!strings) {
		return json_null();
	}
	array = json_array();
	for (; *strings; strings++) {
		json_array_append_new(array, json_string(*strings));
	}
	return array;
}

char *json_print(const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	if (!text) {
		fputs("wherry: out of memory\n", stderr);
		abort();
	}
	return text;
}
