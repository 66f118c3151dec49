/* Time. Monotonic microseconds for every timeout; wall time only for what people read. */
#ifndef WHERRY_BASE_CLOCK_H
#define WHERRY_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define USEC_PER_MSEC INT64_C(1000)
#define USEC_PER_SEC  INT64_C(1000000)
#define USEC_NEVER    INT64_MAX

/* CLOCK_MONOTONIC in microseconds. */
int64_t clock_now_us(void);

/* CLOCK_REALTIME in nanoseconds since the epoch. */
int64_t clock_wall_ns(void);

#define CLOCK_RFC3339_SIZE 40
/* "2026-01-02T03:04:05.123456789Z" (nanoseconds without trailing zeros, as Go's RFC3339Nano). */
void clock_rfc3339(int64_t wall_ns, char out[CLOCK_RFC3339_SIZE]);

/* Parses RFC 3339 (any offset, optional fraction). Returns 0 or -EINVAL. */
int clock_parse_rfc3339(const char *text, int64_t *wall_ns);

#endif
