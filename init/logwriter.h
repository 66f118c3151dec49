/*
 * A container's log as docker's json-file driver writes it: one line per entry,
 * {"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}, rotated to .1, .2 ...
 */
#ifndef WHERRY_INIT_LOGWRITER_H
#define WHERRY_INIT_LOGWRITER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

/* A line longer than this becomes several entries, all but the last without "\n" (docker). */
#define LOG_ENTRY_MAX 16384

struct logwriter {
	int fd; /* append only; -EBADF: closed */
	int64_t max_size; /* bytes; 0: never rotated */
	uint32_t max_file; /* files kept, this one included */
	const char *path; /* not owned */
};

/* Opens (makes) the log at @path, which must stay valid. 0 or a negative errno. */
int logwriter_open(struct logwriter *w, const char *path, int64_t max_size, uint32_t max_file,
	struct error *err);
void logwriter_close(struct logwriter *w);

/* Size of the file now, or a negative errno. */
int64_t logwriter_size(const struct logwriter *w);
/* Cuts the file back to @size. */
int logwriter_truncate(struct logwriter *w, int64_t size);
/* Formats @size bytes of output as entries and appends them. On failure a part may have been
 * written: the caller truncates. */
int logwriter_append(struct logwriter *w, const char *data, size_t size, const char *stream);
/* Moves the file aside when it has reached its size. Files past the number kept are removed. */
int logwriter_rotate(struct logwriter *w);

/* Appends @size bytes as a JSON string's inside, escaped as Go does it; what is not UTF-8 becomes
 * U+FFFD. */
void log_escape(struct str *out, const char *data, size_t size);

#endif
