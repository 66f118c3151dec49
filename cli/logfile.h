/*
 * Reading one container's log: docker's json-file lines, in a file and its rotated elders.
 *
 * The newest lines are in PATH, older ones in PATH.1, PATH.2 and so on. The writer renames PATH
 * to PATH.1 when it is full; a reader keeps its descriptor, and when that file is spent it looks
 * for its own inode among the names to learn which file comes next. So no line is lost or read
 * twice, however many rotations happened meanwhile.
 *
 * The writer may cut off a torn last line and write it again (after a crash of the supervisor),
 * so nothing of a line is kept until it is whole: the cursor stands at the end of the last whole line.
 */
#ifndef WHERRY_CLI_LOGFILE_H
#define WHERRY_CLI_LOGFILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/mem.h"

/* Longer lines than this are no log entries of ours; they are skipped. */
#define LOGFILE_LINE_MAX (1u << 20)

struct logfile {
	char *path;
	int fd; /* -EBADF: nothing open yet */
	off_t at; /* in fd, behind the last whole line taken */
	/* What was read ahead: bytes [at - start of buffer ...) */
	struct str buffer;
	size_t used; /* bytes of the buffer already taken */
	json_t *current; /* the entry that logfile_next gave out */
	uint64_t skipped; /* lines that were no entries */
};

struct log_entry {
	const char *text; /* with its newline, if it has one; may hold any byte */
	size_t size;
	const char *time; /* as written, RFC 3339 */
	int64_t wall_ns;
	bool is_stderr;
};

#define LOGFILE_ALL (-1)

/*
 * Prepares reading @path from the @tail-th entry before its end on (LOGFILE_ALL: from the oldest
 * file's beginning; 0: from its end). A file that does not exist yet is read once it does.
 * Returns 0 or a negative errno.
 */
int logfile_open(struct logfile *log, const char *path, int64_t tail, struct error *err);

/* The next entry: 1, with @entry valid until the next call; 0: nothing more for now; or -errno. */
int logfile_next(struct logfile *log, struct log_entry *entry);

void logfile_close(struct logfile *log);

#endif
