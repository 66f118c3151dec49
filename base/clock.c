#include "base/clock.h"

#include <errno.h>
#include <time.h>

#include "base/banned.h"

int64_t clock_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000;
}

int64_t clock_wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void clock_rfc3339(int64_t wall_ns, char out[CLOCK_RFC3339_SIZE])
{
	time_t seconds = (time_t)(wall_ns / 1000000000);
	long nanoseconds = (long)(wall_ns % 1000000000);
	struct tm tm;
	size_t used;

	gmtime_r(&seconds, &tm);
	used = strftime(out, CLOCK_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	if (nanoseconds > 0) {
		used += (size_t)snprintf(
			out + used, CLOCK_RFC3339_SIZE - used, ".%09ld", nanoseconds);
		while (out[used - 1] == '0') {
			used--;
		}
	}
	snprintf(out + used, CLOCK_RFC3339_SIZE - used, "Z");
}

int clock_parse_rfc3339(const char *text, int64_t *wall_ns)
{
	struct tm tm = { 0 };
	int64_t nanoseconds = 0, scale = 100000000;
	int offset = 0, used = 0;

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		    &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6) {
		return -EINVAL;
	}
	text += used;
	if (*text == '.') {
		for (text++; *text >= '0' && *text <= '9'; text++, scale /= 10) {
			nanoseconds += (*text - '0') * scale;
		}
	}
	if (*text == '+' || *text == '-') {
		int hours, minutes;

		if (sscanf(text + 1, "%2d:%2d", &hours, &minutes) != 2) {
			return -EINVAL;
		}
		offset = (hours * 60 + minutes) * (*text == '-' ? -60 : 60);
	} else if (*text != '\0' && (*text != 'Z' || text[1] != '\0')) {
		return -EINVAL;
	}
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*wall_ns = ((int64_t)timegm(&tm) - offset) * INT64_C(1000000000) + nanoseconds;
	return 0;
}
