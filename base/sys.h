/*
 * System calls that can fail in interesting ways, behind one thin layer: each returns a
 * non-negative result or a negative errno, retries EINTR where that is always right, and can be
 * made to fail by a test.
 *
 * A test arms a fault with sys_fault_arm("openat2", 3, EIO): the third openat2 from now fails with
 * EIO. The environment variable WHERRY_FAULT=openat2:3:5 (name, which call, errno) does the same
 * for a whole process; sys_fault_from_environment() reads it, programs call it first in main.
 * A name "*" counts every gated call.
 */
#ifndef WHERRY_BASE_SYS_H
#define WHERRY_BASE_SYS_H

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "base/banned.h"

/* Linux 6.8+ calls and newer constants that Debian 12's headers lack. */
#ifndef FSCONFIG_CMD_CREATE_EXCL
#define FSCONFIG_CMD_CREATE_EXCL 8
#endif

extern bool sys_fault_armed;
/* Counts a call of @name; true if this one has to fail, with *@error set to its errno. */
bool sys_fault_hit(const char *name, int *error);
void sys_fault_arm(const char *name, unsigned which, int error);
void sys_fault_disarm(void);
void sys_fault_from_environment(void);

/* Leaves the calling function with -errno if a test asked for it. */
#define SYS_GATE(name)                                                                             \
	do {                                                                                       \
		int fault_errno_;                                                                  \
		if (__builtin_expect(sys_fault_armed, 0) && sys_fault_hit(name, &fault_errno_))    \
			return -fault_errno_;                                                      \
	} while (0)

int sys_open(const char *path, int flags, mode_t mode);
int sys_openat(int dir, const char *path, int flags, mode_t mode);
int sys_openat2(int dir, const char *path, const struct open_how *how);
/* openat2 with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: never leaves @root, whatever links say. */
int sys_open_in_root(int root, const char *path, int flags, mode_t mode);
int sys_mkdirat(int dir, const char *path, mode_t mode);
int sys_mknodat(int dir, const char *path, mode_t mode, dev_t dev);
int sys_symlinkat(const char *target, int dir, const char *path);
int sys_unlinkat(int dir, const char *path, int flags);
int sys_renameat2(int old_dir, const char *old, int new_dir, const char *new, unsigned flags);
int sys_fchownat(int dir, const char *path, uid_t uid, gid_t gid, int flags);
int sys_fstat(int fd, struct stat *st);
int sys_fstatat(int dir, const char *path, struct stat *st, int flags);
int sys_fsync(int fd);
int sys_ftruncate(int fd, off_t size);
ssize_t sys_read(int fd, void *data, size_t size);
ssize_t sys_write(int fd, const void *data, size_t size);
ssize_t sys_tee(int in, int out, size_t size, unsigned flags);
ssize_t sys_splice(int in, int out, size_t size, unsigned flags);

int sys_mount(const char *source, const char *target, const char *type, unsigned long flags,
	const void *data);
int sys_umount2(const char *target, int flags);
int sys_pivot_root(const char *new_root, const char *put_old);
int sys_fsopen(const char *type, unsigned flags);
int sys_fsconfig(int fd, unsigned command, const char *key, const void *value, int aux);
int sys_fsmount(int fd, unsigned flags, unsigned attributes);
int sys_move_mount(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int sys_open_tree(int dir, const char *path, unsigned flags);
int sys_mount_setattr(int dir, const char *path, unsigned flags, uint64_t set, uint64_t clear,
	uint64_t propagation);

/* clone3(2). Returns the pid (0 in the child) or a negative errno. */
pid_t sys_clone3(struct clone_args *args);
int sys_setns(int fd, int type);
int sys_unshare(int flags);
int sys_pidfd_open(pid_t pid, unsigned flags);
int sys_pidfd_send_signal(int pidfd, int signal);
int sys_waitid_pidfd(int pidfd, siginfo_t *info, int options);
int sys_close_range(unsigned first, unsigned last, unsigned flags);
int sys_memfd_create(const char *name, unsigned flags);
int sys_socket(int domain, int type, int protocol);
int sys_pipe2(int fds[2], int flags);

#endif
