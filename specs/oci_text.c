/*
 * The OCI configuration as bytes. JSON knows no size of numbers, but jansson's integers have 64
 * signed bits, and RLIM_INFINITY needs 64 unsigned ones: larger numbers are rewritten to the
 * negative number of the same bits on the way in, and back on the way out.
 */
#include <errno.h>

#include "base/file.h"
#include "base/json.h"
#include "specs/oci_config.h"

#define DIGITS "0123456789"
/* INT64_MAX has 19 digits, UINT64_MAX 20. */
#define MIN_DIGITS 19
#define MAX_DIGITS 20

/* Whether the digits are all of a positive integer above INT64_MAX that 64 bits still hold. */
static bool large_number(const char *digits, size_t length, uint64_t *value)
{
	if (length < MIN_DIGITS || length > MAX_DIGITS) {
		return false;
	}
	*value = 0;
	for (size_t i = 0; i < length; i++) {
		unsigned digit = (unsigned)(digits[i] - '0');

		if (*value > (UINT64_MAX - digit) / 10) {
			return false;
		}
		*value = *value * 10 + digit;
	}
	return *value > INT64_MAX;
}

/* Copies @text to @out with large numbers rewritten. Strings are passed over untouched. Returns
 * whether there were any: only then is the copy worth its cost. */
static bool rewrite_numbers(const char *text, size_t size, struct str *out)
{
	size_t done = 0;
	bool in_string = false;

	for (size_t i = 0; i < size; i++) {
		size_t length = 0;
		uint64_t value;

		if (in_string) {
			if (text[i] == '\\') {
				i++;
			} else if (text[i] == '"') {
				in_string = false;
			}
			continue;
		}
		if (text[i] == '"') {
			in_string = true;
			continue;
		}
		while (i + length < size && text[i + length] >= '0' && text[i + length] <= '9') {
			length++;
		}
		if (length == 0) {
			continue;
		}
		if ((i == 0 || !strchr("-.eE+", text[i - 1])) &&
			(i + length == size || !strchr(".eE", text[i + length])) &&
			large_number(text + i, length, &value)) {
			str_add_mem(out, text + done, i - done);
			str_addf(out, "%lld", (long long)value);
			done = i + length;
		}
		i += length - 1;
	}
	if (done > 0) {
		str_add_mem(out, text + done, size - done);
	}
	return done > 0;
}

int oci_config_parse_text(const char *text, size_t size, const char *what, struct arena *arena,
	struct oci_config *config, struct error *err)
{
	_cleanup_str_ struct str rewritten = { 0 };
	_cleanup_json_ json_t *json = NULL;

	oci_config_init(config);
	if (rewrite_numbers(text, size, &rewritten)) {
		text = str_text(&rewritten);
		size = rewritten.size;
	}
	json = json_parse(text, size, what, err);
	if (!json) {
		return -EBADMSG;
	}
	return oci_config_parse(json, arena, config, err);
}

int oci_config_load(int dir, const char *path, struct arena *arena, struct oci_config *config,
	struct error *err)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = file_read_at(dir, path, OCI_CONFIG_LIMIT, &text, &size, err);

	oci_config_init(config);
	return r < 0 ? r : oci_config_parse_text(text, size, path, arena, config, err);
}

char *oci_config_print_text(const struct oci_config *config)
{
	/* A quote inside a JSON string is always escaped, so these can only be members. */
	static const char *const members[] = { "\"soft\":-", "\"hard\":-" };
	_cleanup_json_ json_t *json = oci_config_print(config);
	_cleanup_free_ char *text = json_print(json);
	struct str out = { 0 };
	const char *p = text;

	while (*p) {
		size_t length = strlen(members[0]);

		if (strncmp(p, members[0], length) == 0 || strncmp(p, members[1], length) == 0) {
			char *end;
			long long value = strtoll(p + length - 1, &end, 10);

			str_add_mem(&out, p, length - 1);
			str_addf(&out, "%llu", (unsigned long long)value);
			p = end;
		} else {
			str_add_char(&out, *p++);
		}
	}
	return str_take(&out);
}
