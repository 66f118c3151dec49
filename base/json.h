/* jansson, with the habits of this tree: typed getters with defaults, bounded reads. */
#ifndef WHERRY_BASE_JSON_H
#define WHERRY_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define _cleanup_json_ __attribute__((cleanup(json_cleanup)))

static inline void json_cleanup(json_t **value)
{
	json_decref(*value);
}

/* Parses @size bytes; duplicates of keys are refused. NULL with @err filled ("@what:line:col"). */
json_t *json_parse(const char *text, size_t size, const char *what, struct error *err);
/* Reads and parses a file of at most @limit bytes. */
json_t *json_read_at(int dir, const char *path, size_t limit, struct error *err);

/* The member if it is there and of that type, else the default. @object may be NULL. */
const char *json_text(const json_t *object, const char *key, const char *fallback);
int64_t json_int(const json_t *object, const char *key, int64_t fallback);
double json_number(const json_t *object, const char *key, double fallback);
bool json_bool(const json_t *object, const char *key, bool fallback);

/* Adds a string member; a NULL text adds nothing. */
void json_put_text(json_t *object, const char *key, const char *text);
void json_put_int(json_t *object, const char *key, int64_t value);
void json_put_bool(json_t *object, const char *key, bool value);
/* Adds @value and takes its reference. */
void json_put(json_t *object, const char *key, json_t *value);
/* An array of strings from a NULL-terminated vector; NULL gives null. */
json_t *json_from_strings(const char *const *strings);

/* Compact text, keys in insertion order. The result is the caller's (free). Never NULL. */
char *json_print(const json_t *value);

#endif
