#include "specs/units.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* Longest unit first, so that a prefix never hides a longer name. */
struct unit {
	const char *name;
	double factor;
};

/*
 * Reads the decimal number at *@text ("12", "1.5", ".5"; no sign, no exponent, no hexadecimal) and
 * moves *@text behind it. Written by hand because strtod follows the locale.
 */
static int read_decimal(const char **text, double *number)
{
	const char *p = *text;
	double value = 0, scale = 1;
	bool digits = false;

	for (; isdigit((unsigned char)*p); p++, digits = true) {
		value = value * 10 + (*p - '0');
	}
	if (*p == '.') {
		for (p++; isdigit((unsigned char)*p); p++, digits = true) {
			scale /= 10;
			value += (*p - '0') * scale;
		}
	}
	if (!digits) {
		return -EINVAL;
	}
	*text = p;
	*number = value;
	return 0;
}

static int to_int64(double value, int64_t *out)
{
	/* 2^63 is exact in a double; INT64_MAX is not. */
	if (!(value < 9223372036854775808.0)) {
		return -ERANGE;
	}
	*out = (int64_t)value;
	return 0;
}

int units_parse_bytes(const char *text, int64_t *bytes)
{
	static const char prefixes[] = "kmgtp";
	double number, factor = 1;
	const char *p = text, *prefix;

	if (read_decimal(&p, &number) < 0) {
		return -EINVAL;
	}
	while (*p == ' ') {
		p++;
	}
	prefix = *p ? strchr(prefixes, tolower((unsigned char)*p)) : NULL;
	if (prefix) {
		factor = (double)(INT64_C(1) << (10 * (prefix - prefixes + 1)));
		p++;
		if (tolower((unsigned char)*p) == 'i' && tolower((unsigned char)p[1]) == 'b') {
			p++;
		}
	}
	if (tolower((unsigned char)*p) == 'b') {
		p++;
	}
	return *p ? -EINVAL : to_int64(number * factor, bytes);
}

int units_parse_duration(const char *text, int64_t *microseconds)
{
	static const struct unit units[] = {
		{ "ns", 1e-3 },
		{ "us", 1 },
		{ "\xc2\xb5s", 1 }, /* micro sign */
		{ "\xce\xbcs", 1 }, /* Greek mu */
		{ "ms", 1e3 },
		{ "s", 1e6 },
		{ "m", 60e6 },
		{ "h", 3600e6 },
		{ "d", 86400e6 },
		{ "w", 604800e6 },
	};
	const char *p = text;
	double total = 0;

	if (strcmp(text, "0") == 0) {
		*microseconds = 0;
		return 0;
	}
	if (!*p) {
		return -EINVAL;
	}
	while (*p) {
		const struct unit *unit = NULL;
		double number;

		if (read_decimal(&p, &number) < 0) {
			return -EINVAL;
		}
		for (size_t i = 0; i < ARRAY_SIZE(units) && !unit; i++) {
			if (strncmp(p, units[i].name, strlen(units[i].name)) == 0) {
				unit = &units[i];
			}
		}
		if (!unit) {
			return -EINVAL;
		}
		total += number * unit->factor;
		p += strlen(unit->name);
	}
	/* Halves appear in doubles ("0.1s" is 99999.99...): round to the nearest microsecond. */
	return to_int64(total + 0.5, microseconds);
}

/* @value / @unit with as many decimals as it needs, without trailing zeros. */
static void print_fraction(uint64_t value, uint64_t unit, char *out, size_t size)
{
	char decimals[32];
	uint64_t rest = value % unit;
	int length = 0;

	for (; rest; rest %= unit) {
		rest *= 10;
		decimals[length++] = (char)('0' + rest / unit);
	}
	decimals[length] = '\0';
	snprintf(out, size, "%llu%s%s", (unsigned long long)(value / unit), length ? "." : "",
		decimals);
}

void units_print_duration(int64_t microseconds, char *out, size_t size)
{
	uint64_t value = microseconds < 0 ? -(uint64_t)microseconds : (uint64_t)microseconds;
	const char *sign = microseconds < 0 ? "-" : "";
	uint64_t hours = value / UINT64_C(3600000000);
	uint64_t minutes = value / UINT64_C(60000000) % 60;
	char number[64];

	if (value == 0) {
		snprintf(out, size, "0s");
	} else if (value < 1000) {
		snprintf(out, size, "%s%llu\xc2\xb5s", sign, (unsigned long long)value);
	} else if (value < 1000000) {
		print_fraction(value, 1000, number, sizeof(number));
		snprintf(out, size, "%s%sms", sign, number);
	} else {
		print_fraction(value % UINT64_C(60000000), 1000000, number, sizeof(number));
		if (hours) {
			snprintf(out, size, "%s%lluh%llum%ss", sign, (unsigned long long)hours,
				(unsigned long long)minutes, number);
		} else if (minutes) {
			snprintf(
				out, size, "%s%llum%ss", sign, (unsigned long long)minutes, number);
		} else {
			snprintf(out, size, "%s%ss", sign, number);
		}
	}
}

/* Decimal without sign; -EINVAL for anything else or above @max. */
static int parse_small(const char *text, int max)
{
	int value = 0;

	if (!*text) {
		return -EINVAL;
	}
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text)) {
			return -EINVAL;
		}
		value = value * 10 + (*text - '0');
		if (value > max) {
			return -EINVAL;
		}
	}
	return value;
}

int units_parse_signal(const char *text)
{
	int number = parse_small(text, SIGRTMAX);

	if (number >= 0) {
		return number > 0 ? number : -EINVAL;
	}
	if (strncasecmp(text, "SIG", 3) == 0) {
		text += 3;
	}
	if (strncasecmp(text, "RTMIN", 5) == 0) {
		int offset = text[5] == '+' ? parse_small(text + 6, SIGRTMAX - SIGRTMIN) : 0;

		return offset < 0 || (text[5] && text[5] != '+') ? -EINVAL : SIGRTMIN + offset;
	}
	if (strncasecmp(text, "RTMAX", 5) == 0) {
		int offset = text[5] == '-' ? parse_small(text + 6, SIGRTMAX - SIGRTMIN) : 0;

		return offset < 0 || (text[5] && text[5] != '-') ? -EINVAL : SIGRTMAX - offset;
	}
	for (int signal = 1; signal < NSIG; signal++) {
		const char *name = sigabbrev_np(signal);

		if (name && strcasecmp(name, text) == 0) {
			return signal;
		}
	}
	if (strcasecmp(text, "CLD") == 0) {
		return SIGCHLD;
	}
	return strcasecmp(text, "IOT") == 0 ? SIGABRT : -EINVAL;
}

const char *units_signal_name(int signal)
{
	static char names[NSIG][16];
	const char *name;

	if (signal <= 0 || signal >= NSIG || !(name = sigabbrev_np(signal))) {
		return NULL;
	}
	/* The same bytes on every call, so that callers may keep the pointer. */
	snprintf(names[signal], sizeof(names[signal]), "SIG%s", name);
	return names[signal];
}

void units_print_size(int64_t bytes, char *out, size_t size)
{
	static const char *const names[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1000 && unit + 1 < ARRAY_SIZE(names)) {
		value /= 1000;
		unit++;
	}
	/* docker shows three significant digits at most four ("1.23MB", "178MB"). */
	snprintf(out, size, "%.3g%s", value >= 999.5 ? floor(value) : value, names[unit]);
}
