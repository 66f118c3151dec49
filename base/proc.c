#include "base/proc.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sys.h"

int64_t proc_start_time(pid_t pid)
{
	char path[64], text[1024], *p;
	_cleanup_fd_ int fd = -EBADF;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = sys_open(path, O_RDONLY, 0);
	if (fd < 0) {
		return fd == -ENOENT ? -ESRCH : fd;
	}
	n = sys_read(fd, text, sizeof(text) - 1);
	if (n < 0) {
		return n;
	}
	text[n] = '\0';
	/* The name stands in parentheses and may hold anything, so count from the last one. */
	p = strrchr(text, ')');
	for (int field = 2; p && field < 22; field++) {
		p = strchr(p + 1, ' ');
	}
	return p ? (int64_t)strtoll(p + 1, NULL, 10) : -EBADMSG;
}

int proc_open(pid_t pid, int64_t start_time)
{
	_cleanup_fd_ int fd = sys_pidfd_open(pid, 0);

	if (fd < 0) {
		return fd;
	}
	/* Looked at after the open: the pidfd now pins whatever we compare. */
	if (proc_start_time(pid) != start_time) {
		return -ESRCH;
	}
	return take_fd(&fd);
}

int proc_catches(pid_t pid, int signal)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	const char *line;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	r = file_read_at(AT_FDCWD, path, 65536, &text, NULL, NULL);
	if (r < 0) {
		return r;
	}
	line = strstr(text, "\nSigCgt:");
	if (!line) {
		return -EBADMSG;
	}
	return (int)(strtoull(line + 8, NULL, 16) >> (signal - 1) & 1);
}

bool proc_fd_passable(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		return false;
	}
	if (S_ISCHR(st.st_mode)) {
		return st.st_rdev == makedev(1, 3); /* /dev/null */
	}
	return S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || S_ISREG(st.st_mode);
}

int proc_exit_status(int wait_status)
{
	if (WIFSIGNALED(wait_status)) {
		return 128 + WTERMSIG(wait_status);
	}
	return WEXITSTATUS(wait_status);
}
