/*
 * Who needs the host to forward packets, and what it did before.
 *
 * The file run_dir/ip_forward holds a line "wherry-forward 1 <boot id> <value before>", then one
 * project per line. It is read and replaced under a lock on the run folder itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/dirs.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sys.h"
#include "net/net.h"

#define SWITCH     "/proc/sys/net/ipv4/ip_forward"
#define RECORD     "ip_forward"
#define SIZE_LIMIT (1 << 20)

struct record {
	char before; /* '0' or '1' */
	struct strv projects;
};

static int lock_folder(const char *run_dir, struct error *err)
{
	_cleanup_fd_ int fd = sys_open(run_dir, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0) {
		return error_set(err, fd, "open %s", run_dir);
	}
	while (flock(fd, LOCK_EX) < 0) {
		if (errno != EINTR) {
			return error_set(err, errno, "lock %s", run_dir);
		}
	}
	return take_fd(&fd);
}

/* Leaves the record empty if there is none, or one of an earlier boot, or a torn one. */
static void read_record(int dir, struct record *record)
{
	_cleanup_free_ char *text = NULL;
	char boot[BOOT_ID_SIZE] = "", written[BOOT_ID_SIZE], before;
	char *line, *rest;

	memset(record, 0, sizeof(*record));
	if (file_read_at(dir, RECORD, SIZE_LIMIT, &text, NULL, NULL) < 0 ||
		dirs_boot_id(boot) < 0 ||
		sscanf(text, "wherry-forward 1 %36s %c\n", written, &before) != 2 ||
		strcmp(boot, written) != 0 || (before != '0' && before != '1')) {
		return;
	}
	record->before = before;
	rest = text;
	strsep(&rest, "\n");
	while ((line = strsep(&rest, "\n"))) {
		if (line[0]) {
			strv_add(&record->projects, line);
		}
	}
}

static int write_record(int dir, const struct record *record, struct error *err)
{
	_cleanup_str_ struct str text = { 0 };
	char boot[BOOT_ID_SIZE];
	int r = dirs_boot_id(boot);

	if (r < 0) {
		return error_set(err, r, "read the boot id");
	}
	str_addf(&text, "wherry-forward 1 %s %c\n", boot, record->before);
	for (size_t i = 0; i < record->projects.count; i++) {
		str_addf(&text, "%s\n", record->projects.items[i]);
	}
	return file_write_atomic(dir, RECORD, text.data, text.size, 0600, false, err);
}

static int read_switch(char *value, struct error *err)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read_at(AT_FDCWD, SWITCH, 16, &text, NULL, err);

	*value = r == 0 && text[0] == '0' ? '0' : '1';
	return r;
}

int net_forwarding_acquire(const char *run_dir, const char *project, struct error *err)
{
	_cleanup_fd_ int dir = lock_folder(run_dir, err);
	struct record record;
	char now;
	int r = dir < 0 ? dir : read_switch(&now, err);

	if (r < 0) {
		return r;
	}
	read_record(dir, &record);
	if (record.before == 0) {
		record.before = now;
	}
	if (strv_find(&record.projects, project) < 0) {
		strv_add(&record.projects, project);
	}
	/* First the note, then the deed: a crash between the two is put right by the release. */
	r = write_record(dir, &record, err);
	if (r == 0 && now == '0') {
		r = file_put_at(AT_FDCWD, SWITCH, "1");
		if (r < 0) {
			error_set(err, r, "turn on forwarding (net.ipv4.ip_forward)");
		}
	}
	strv_finish(&record.projects);
	return r;
}

int net_forwarding_release(const char *run_dir, const char *project)
{
	_cleanup_fd_ int dir = lock_folder(run_dir, NULL);
	struct record record, left = { 0 };
	int r = 0;

	if (dir < 0) {
		return dir == -ENOENT ? 0 : dir;
	}
	read_record(dir, &record);
	left.before = record.before;
	for (size_t i = 0; i < record.projects.count; i++) {
		if (strcmp(record.projects.items[i], project) != 0) {
			strv_add(&left.projects, record.projects.items[i]);
		}
	}
	if (left.projects.count > 0) {
		r = write_record(dir, &left, NULL);
	} else if (record.projects.count > 0) {
		if (record.before == '0') {
			r = file_put_at(AT_FDCWD, SWITCH, "0");
		}
		sys_unlinkat(dir, RECORD, 0);
	}
	strv_finish(&record.projects);
	strv_finish(&left.projects);
	return r;
}
