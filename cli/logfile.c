#include "cli/logfile.h"

#include <errno.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/sys.h"

#define READ_CHUNK    65536
#define ROTATIONS_MAX 10000

static char *rotated_path(const struct logfile *log, unsigned number)
{
	return number == 0 ? xstrdup(log->path) : xasprintf("%s.%u", log->path, number);
}

static int open_number(const struct logfile *log, unsigned number)
{
	_cleanup_free_ char *path = rotated_path(log, number);
	_cleanup_fd_ int fd = sys_open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat st;

	if (fd < 0) {
		return fd;
	}
	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	return S_ISREG(st.st_mode) ? take_fd(&fd) : -EBADMSG;
}

/* How many rotated files there are beside PATH. */
static unsigned count_rotated(const struct logfile *log)
{
	unsigned n = 0;

	while (n < ROTATIONS_MAX) {
		_cleanup_free_ char *path = rotated_path(log, n + 1);
		struct stat st;

		if (lstat(path, &st) < 0) {
			break;
		}
		n++;
	}
	return n;
}

static void use(struct logfile *log, int fd, off_t at)
{
	fd_close(&log->fd);
	log->fd = fd;
	log->at = at;
	log->buffer.size = 0;
	log->used = 0;
}

/*
 * Looks backwards through @fd for the place where its last *@wanted lines begin. A last line
 * without newline is still being written and does not count. *@wanted is what is still missing.
 */
static off_t find_tail(int fd, int64_t *wanted)
{
	char chunk[READ_CHUNK];
	off_t end = lseek(fd, 0, SEEK_END);
	bool seen = false; /* the newline that ends the last whole line */

	while (end > 0) {
		size_t size = end < READ_CHUNK ? (size_t)end : READ_CHUNK;
		ssize_t n = pread(fd, chunk, size, end - (off_t)size);

		if (n != (ssize_t)size) {
			break; /* cut off meanwhile: what is left is read from its beginning */
		}
		for (size_t i = size; i-- > 0;) {
			if (chunk[i] != '\n') {
				continue;
			}
			if (seen && --*wanted == 0) {
				return end - (off_t)size + (off_t)i + 1;
			}
			seen = true;
		}
		end -= (off_t)size;
	}
	if (seen) {
		--*wanted;
	}
	return 0;
}

static off_t whole_lines_end(int fd)
{
	char chunk[4096];
	off_t end = lseek(fd, 0, SEEK_END);

	while (end > 0) {
		size_t size = end < (off_t)sizeof(chunk) ? (size_t)end : sizeof(chunk);
		ssize_t n = pread(fd, chunk, size, end - (off_t)size);
		const char *newline = n > 0 ? memrchr(chunk, '\n', (size_t)n) : NULL;

		if (n != (ssize_t)size) {
			break;
		}
		if (newline) {
			return end - (off_t)size + (newline - chunk) + 1;
		}
		end -= (off_t)size;
	}
	return 0;
}

int logfile_open(struct logfile *log, const char *path, int64_t tail, struct error *err)
{
	unsigned oldest;

	*log = (struct logfile){ .path = xstrdup(path), .fd = -EBADF };
	oldest = tail == 0 ? 0 : count_rotated(log);
	for (unsigned number = tail < 0 ? oldest : 0; number <= oldest; number++) {
		int fd = open_number(log, number);
		off_t at = 0;

		if (fd == -ENOENT) {
			return 0;
		}
		if (fd < 0) {
			return error_set(err, fd, "open the log %s", path);
		}
		if (tail == 0) {
			at = whole_lines_end(fd);
		} else if (tail > 0) {
			at = find_tail(fd, &tail);
		}
		use(log, fd, at);
		/* Before `tail` runs out the whole file is wanted and its elder is asked too. */
		if (tail <= 0) {
			return 0;
		}
	}
	return 0;
}

/*
 * Moves on to the file that was begun after ours. Returns 1 if there is one, 0 if ours is the
 * newest. A file that has vanished altogether is followed by the oldest one left.
 */
static int next_file(struct logfile *log)
{
	unsigned rotated, mine;
	struct stat ours, st;
	int fd;

	if (log->fd < 0) {
		rotated = count_rotated(log);
		fd = open_number(log, rotated);
		if (fd < 0) {
			return 0;
		}
		use(log, fd, 0);
		return 1;
	}
	if (fstat(log->fd, &ours) < 0) {
		return -errno;
	}
	if (stat(log->path, &st) == 0 && st.st_ino == ours.st_ino && st.st_dev == ours.st_dev) {
		return 0;
	}
	rotated = count_rotated(log);
	for (mine = 1; mine <= rotated; mine++) {
		_cleanup_free_ char *path = rotated_path(log, mine);

		if (stat(path, &st) == 0 && st.st_ino == ours.st_ino && st.st_dev == ours.st_dev) {
			break;
		}
	}
	fd = open_number(log, mine - 1);
	if (fd < 0) {
		return 0; /* renamed, and the new one is not there yet */
	}
	/* Between our look and the open the files may have moved on by one: then this is ours
	 * again, and the next call finds its place. */
	if (fstat(fd, &st) == 0 && st.st_ino == ours.st_ino && st.st_dev == ours.st_dev) {
		fd_close(&fd);
		return 0;
	}
	use(log, fd, 0);
	return 1;
}

/* Reads more behind what the buffer holds. Returns bytes read, 0 at the end, or -errno. */
static ssize_t read_more(struct logfile *log)
{
	size_t left = log->buffer.size - log->used;
	char chunk[READ_CHUNK];
	ssize_t n;

	if (log->fd < 0) {
		return 0;
	}
	if (log->used > 0) {
		memmove(log->buffer.data, log->buffer.data + log->used, left);
		log->buffer.size = left;
		log->used = 0;
	}
	n = pread(log->fd, chunk, sizeof(chunk), log->at + (off_t)left);
	if (n > 0) {
		str_add_mem(&log->buffer, chunk, (size_t)n);
	}
	return n < 0 ? -errno : n;
}

/* Takes one whole line out of the buffer. */
static bool take_line(struct logfile *log, const char **line, size_t *size)
{
	const char *start = str_text(&log->buffer) + log->used;
	size_t left = log->buffer.size - log->used;
	const char *newline = left ? memchr(start, '\n', left) : NULL;

	if (!newline) {
		return false;
	}
	*line = start;
	*size = (size_t)(newline - start);
	log->used += *size + 1;
	log->at += (off_t)(*size + 1);
	return true;
}

static bool parse_entry(struct logfile *log, const char *line, size_t size, struct log_entry *entry)
{
	const json_t *text;

	json_decref(log->current);
	log->current = json_parse(line, size, "log", NULL);
	text = json_object_get(log->current, "log");
	entry->time = json_text(log->current, "time", NULL);
	if (!json_is_string(text) || !entry->time ||
		clock_parse_rfc3339(entry->time, &entry->wall_ns) < 0) {
		return false;
	}
	entry->text = json_string_value(text);
	entry->size = json_string_length(text);
	entry->is_stderr = strcmp(json_text(log->current, "stream", "stdout"), "stderr") == 0;
	return true;
}

/* A partial line read ahead may be cut off and written anew, so it is not kept between visits. */
static void forget_partial(struct logfile *log)
{
	log->buffer.size = 0;
	log->used = 0;
}

/* After the writer has cut its file we may stand behind its end. */
static void step_back(struct logfile *log)
{
	struct stat st;

	if (log->fd >= 0 && fstat(log->fd, &st) == 0 && st.st_size < log->at) {
		log->at = st.st_size;
	}
}

int logfile_next(struct logfile *log, struct log_entry *entry)
{
	for (;;) {
		const char *line;
		size_t size;
		ssize_t n;

		if (take_line(log, &line, &size)) {
			if (parse_entry(log, line, size, entry)) {
				return 1;
			}
			log->skipped++;
			continue;
		}
		if (log->buffer.size - log->used > LOGFILE_LINE_MAX) {
			log->at += (off_t)(log->buffer.size - log->used);
			forget_partial(log);
			log->skipped++;
		}
		n = read_more(log);
		if (n < 0) {
			return (int)n;
		}
		if (n > 0) {
			continue;
		}
		forget_partial(log);
		step_back(log);
		n = next_file(log);
		if (n <= 0) {
			return (int)n;
		}
	}
}

void logfile_close(struct logfile *log)
{
	fd_close(&log->fd);
	free(log->path);
	str_finish(&log->buffer);
	json_decref(log->current);
	*log = (struct logfile){ .fd = -EBADF };
}
