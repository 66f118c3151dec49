/* Quantities as the Compose Specification writes them. Each parser takes the whole text or fails
 * with -EINVAL (-ERANGE past the type); each printer gives the canonical form. */
#ifndef WHERRY_SPECS_UNITS_H
#define WHERRY_SPECS_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* "512", "64m", "1.5gb", "1GiB": 1024-based, case-insensitive. Bytes. */
int units_parse_bytes(const char *text, int64_t *bytes);
/* "1h30m", "90s", "1m30.5s", "500ms", "10us", "2d", "1w". Microseconds. */
int units_parse_duration(const char *text, int64_t *microseconds);
/* Go's form: "1m30s", "500ms", "0s". */
void units_print_duration(int64_t microseconds, char *out, size_t size);
/* "SIGTERM", "term", "15" to a signal number; -EINVAL if unknown. Real-time: "RTMIN+3". */
int units_parse_signal(const char *text);
/* "SIGTERM"; NULL for a number that has no name. */
const char *units_signal_name(int signal);
/* Human form as docker prints sizes (1000-based): "178MB". */
void units_print_size(int64_t bytes, char *out, size_t size);

#endif
