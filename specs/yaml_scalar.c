/* What a plain scalar means: YAML 1.2's core schema plus 0-octal, 0b, and digits parted by "_". */
#include "specs/yaml_tree.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>

static bool is_one_of(const char *text, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(text, words[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* Integers: [-+] then decimal, 0x, 0o, 0b or a leading 0 (octal). */
static bool read_integer(const char *text, int64_t *value)
{
	bool negative = *text == '-';
	const char *p = text + (*text == '-' || *text == '+');
	unsigned base = 10;
	uint64_t total = 0;

	if (p[0] == '0' && p[1]) {
		char letter = (char)tolower((unsigned char)p[1]);

		base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
		p += isdigit((unsigned char)p[1]) || p[1] == '_' ? 1 : 2;
		if (base == 8 && p[-1] != '0' && letter != 'o') {
			return false;
		}
	}
	if (!*p) {
		return false;
	}
	for (; *p; p++) {
		unsigned digit;

		if (*p == '_') {
			continue;
		}
		digit = isdigit((unsigned char)*p) ? (unsigned)(*p - '0')
			: isxdigit((unsigned char)*p)
				? (unsigned)(tolower((unsigned char)*p) - 'a' + 10)
				: 99;
		if (digit >= base || __builtin_mul_overflow(total, base, &total) ||
			__builtin_add_overflow(total, digit, &total)) {
			return false;
		}
	}
	if (total > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
		return false;
	}
	*value = negative ? (int64_t)(0 - total) : (int64_t)total;
	return true;
}

/* [-+] digits [. digits] [e [-+] digits], at least one digit before the exponent. */
static bool looks_like_float(const char *text)
{
	const char *p = text + (*text == '-' || *text == '+');
	size_t before = strspn(p, "0123456789"), after = 0;

	p += before;
	if (*p == '.') {
		after = strspn(p + 1, "0123456789");
		p += 1 + after;
	}
	if (before + after == 0) {
		return false;
	}
	if (*p == 'e' || *p == 'E') {
		size_t digits;

		p += 1 + (p[1] == '-' || p[1] == '+');
		digits = strspn(p, "0123456789");
		if (digits == 0) {
			return false;
		}
		p += digits;
	}
	return *p == '\0';
}

/* strtod in the "C" locale, whatever the process has set. */
static double read_float(const char *text)
{
	static locale_t c_locale;

	if (!c_locale) {
		c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	}
	return c_locale ? strtod_l(text, NULL, c_locale) : strtod(text, NULL);
}

/* The shortest digits that read back as the same number, in Go's %v form (1e+21 from 21 on). */
static char *print_float(struct arena *arena, double value)
{
	char text[64];

	if (isinf(value)) {
		return arena_strdup(arena, value < 0 ? "-Inf" : "+Inf");
	}
	if (isnan(value)) {
		return arena_strdup(arena, "NaN");
	}
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*e", digits - 1, value);
		if (read_float(text) == value) {
			int exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);

			if (exponent >= -4 && exponent < 21) {
				int decimals = digits - 1 - exponent;

				snprintf(text, sizeof(text), "%.*f", decimals > 0 ? decimals : 0,
					value);
			}
			break;
		}
	}
	return arena_strdup(arena, text);
}

static bool resolve_number(struct yaml_node *node, const char *text, struct arena *arena)
{
	static const char *const infinities[] = { ".inf", ".Inf", ".INF", "+.inf", "+.Inf",
		"+.INF" };
	static const char *const negatives[] = { "-.inf", "-.Inf", "-.INF" };
	static const char *const nans[] = { ".nan", ".NaN", ".NAN" };
	int64_t integer;

	if (!isdigit((unsigned char)text[0]) && !strchr("+-.", text[0])) {
		return false;
	}
	if (read_integer(text, &integer)) {
		node->kind = YAML_INT;
		node->integer = integer;
		node->number = (double)integer;
		node->text = arena_printf(arena, "%lld", (long long)integer);
		return true;
	}
	if (looks_like_float(text)) {
		node->number = read_float(text);
	} else if (is_one_of(text, infinities, ARRAY_SIZE(infinities))) {
		node->number = HUGE_VAL;
	} else if (is_one_of(text, negatives, ARRAY_SIZE(negatives))) {
		node->number = -HUGE_VAL;
	} else if (is_one_of(text, nans, ARRAY_SIZE(nans))) {
		node->number = NAN;
	} else {
		return false;
	}
	node->kind = YAML_FLOAT;
	node->text = print_float(arena, node->number);
	return true;
}

void yaml_resolve_scalar(struct yaml_node *node, const char *text, struct arena *arena)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
	static const char *const truths[] = { "true", "True", "TRUE" };
	static const char *const lies[] = { "false", "False", "FALSE" };

	if (is_one_of(text, nulls, ARRAY_SIZE(nulls))) {
		node->kind = YAML_NULL;
		node->text = "null";
	} else if (is_one_of(text, truths, ARRAY_SIZE(truths))) {
		node->kind = YAML_BOOL;
		node->boolean = true;
		node->text = "true";
	} else if (is_one_of(text, lies, ARRAY_SIZE(lies))) {
		node->kind = YAML_BOOL;
		node->boolean = false;
		node->text = "false";
	} else if (!resolve_number(node, text, arena)) {
		node->kind = YAML_STRING;
		node->text = arena_strdup(arena, text);
	}
}
