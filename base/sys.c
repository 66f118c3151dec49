#include "base/sys.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

bool sys_fault_armed;

static struct {
	char name[32];
	unsigned left;
	int error;
} fault;

bool sys_fault_hit(const char *name, int *error)
{
	if (strcmp(fault.name, name) != 0 && strcmp(fault.name, "*") != 0) {
		return false;
	}
	if (--fault.left > 0) {
		return false;
	}
	sys_fault_armed = false;
	*error = fault.error;
	return true;
}

void sys_fault_arm(const char *name, unsigned which, int error)
{
	snprintf(fault.name, sizeof(fault.name), "%s", name);
	fault.left = which ? which : 1;
	fault.error = error;
	sys_fault_armed = true;
}

void sys_fault_disarm(void)
{
	sys_fault_armed = false;
}

void sys_fault_from_environment(void)
{
	const char *text = getenv("WHERRY_FAULT");
	char name[32];
	unsigned which;
	int error;

	if (text && sscanf(text, "%31[^:]:%u:%d", name, &which, &error) == 3) {
		sys_fault_arm(name, which, error);
	}
}

/* The result of a system call in the kernel's own convention. */
static int result(long r)
{
	return r < 0 ? -errno : (int)r;
}

#define RETRY(call)                                                                                \
	({                                                                                         \
		long r_;                                                                           \
		do {                                                                               \
			r_ = (call);                                                               \
		} while (r_ < 0 && errno == EINTR);                                                \
		r_ < 0 ? -errno : r_;                                                              \
	})

int sys_open(const char *path, int flags, mode_t mode)
{
	return sys_openat(AT_FDCWD, path, flags, mode);
}

int sys_openat(int dir, const char *path, int flags, mode_t mode)
{
	SYS_GATE("openat");
	return (int)RETRY(openat(dir, path, flags | O_CLOEXEC, mode));
}

int sys_openat2(int dir, const char *path, const struct open_how *how)
{
	SYS_GATE("openat2");
	/* EAGAIN: a rename elsewhere raced with RESOLVE_IN_ROOT's ".." check (openat2(2)). */
	for (int tries = 0;; tries++) {
		int r = (int)RETRY(syscall(SYS_openat2, dir, path, how, sizeof(*how)));

		if (r != -EAGAIN || tries == 128) {
			return r;
		}
	}
}

int sys_open_in_root(int root, const char *path, int flags, mode_t mode)
{
	struct open_how how = { .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = (flags & (O_CREAT | __O_TMPFILE)) ? mode : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };

	return sys_openat2(root, path, &how);
}

int sys_mkdirat(int dir, const char *path, mode_t mode)
{
	SYS_GATE("mkdirat");
	return result(mkdirat(dir, path, mode));
}

int sys_mknodat(int dir, const char *path, mode_t mode, dev_t dev)
{
	SYS_GATE("mknodat");
	return result(mknodat(dir, path, mode, dev));
}

int sys_symlinkat(const char *target, int dir, const char *path)
{
	SYS_GATE("symlinkat");
	return result(symlinkat(target, dir, path));
}

int sys_unlinkat(int dir, const char *path, int flags)
{
	SYS_GATE("unlinkat");
	return result(unlinkat(dir, path, flags));
}

int sys_renameat2(int old_dir, const char *old, int new_dir, const char *new, unsigned flags)
{
	SYS_GATE("renameat2");
	return result(syscall(SYS_renameat2, old_dir, old, new_dir, new, flags));
}

int sys_fchownat(int dir, const char *path, uid_t uid, gid_t gid, int flags)
{
	SYS_GATE("fchownat");
	return result(fchownat(dir, path, uid, gid, flags));
}

int sys_fstat(int fd, struct stat *st)
{
	SYS_GATE("fstat");
	return result(fstat(fd, st));
}

int sys_fstatat(int dir, const char *path, struct stat *st, int flags)
{
	SYS_GATE("fstatat");
	return result(fstatat(dir, path, st, flags));
}

int sys_fsync(int fd)
{
	SYS_GATE("fsync");
	return (int)RETRY(fsync(fd));
}

int sys_ftruncate(int fd, off_t size)
{
	SYS_GATE("ftruncate");
	return (int)RETRY(ftruncate(fd, size));
}

ssize_t sys_read(int fd, void *data, size_t size)
{
	SYS_GATE("read");
	return RETRY(read(fd, data, size));
}

ssize_t sys_write(int fd, const void *data, size_t size)
{
	SYS_GATE("write");
	return RETRY(write(fd, data, size));
}

ssize_t sys_tee(int in, int out, size_t size, unsigned flags)
{
	SYS_GATE("tee");
	return RETRY(tee(in, out, size, flags));
}

ssize_t sys_splice(int in, int out, size_t size, unsigned flags)
{
	SYS_GATE("splice");
	return RETRY(splice(in, NULL, out, NULL, size, flags));
}

int sys_mount(const char *source, const char *target, const char *type, unsigned long flags,
	const void *data)
{
	SYS_GATE("mount");
	return result(mount(source, target, type, flags, data));
}

int sys_umount2(const char *target, int flags)
{
	SYS_GATE("umount2");
	return result(umount2(target, flags));
}

int sys_pivot_root(const char *new_root, const char *put_old)
{
	SYS_GATE("pivot_root");
	return result(syscall(SYS_pivot_root, new_root, put_old));
}

int sys_fsopen(const char *type, unsigned flags)
{
	SYS_GATE("fsopen");
	return result(syscall(SYS_fsopen, type, flags));
}

int sys_fsconfig(int fd, unsigned command, const char *key, const void *value, int aux)
{
	SYS_GATE("fsconfig");
	return result(syscall(SYS_fsconfig, fd, command, key, value, aux));
}

int sys_fsmount(int fd, unsigned flags, unsigned attributes)
{
	SYS_GATE("fsmount");
	return result(syscall(SYS_fsmount, fd, flags, attributes));
}

int sys_move_mount(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	SYS_GATE("move_mount");
	return result(syscall(SYS_move_mount, from_dir, from, to_dir, to, flags));
}

int sys_open_tree(int dir, const char *path, unsigned flags)
{
	SYS_GATE("open_tree");
	return result(syscall(SYS_open_tree, dir, path, flags));
}

int sys_mount_setattr(int dir, const char *path, unsigned flags, uint64_t set, uint64_t clear,
	uint64_t propagation)
{
	struct mount_attr attr = { .attr_set = set, .attr_clr = clear, .propagation = propagation };

	SYS_GATE("mount_setattr");
	return result(syscall(SYS_mount_setattr, dir, path, flags, &attr, sizeof(attr)));
}

pid_t sys_clone3(struct clone_args *args)
{
	SYS_GATE("clone3");
	return (pid_t)result(syscall(SYS_clone3, args, sizeof(*args)));
}

int sys_setns(int fd, int type)
{
	SYS_GATE("setns");
	return result(setns(fd, type));
}

int sys_unshare(int flags)
{
	SYS_GATE("unshare");
	return result(unshare(flags));
}

int sys_pidfd_open(pid_t pid, unsigned flags)
{
	SYS_GATE("pidfd_open");
	return result(syscall(SYS_pidfd_open, pid, flags));
}

int sys_pidfd_send_signal(int pidfd, int signal)
{
	SYS_GATE("pidfd_send_signal");
	return result(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

int sys_waitid_pidfd(int pidfd, siginfo_t *info, int options)
{
	SYS_GATE("waitid");
	memset(info, 0, sizeof(*info));
	return (int)RETRY(waitid(P_PIDFD, (id_t)pidfd, info, options));
}

int sys_close_range(unsigned first, unsigned last, unsigned flags)
{
	SYS_GATE("close_range");
	return result(syscall(SYS_close_range, first, last, flags));
}

int sys_memfd_create(const char *name, unsigned flags)
{
	SYS_GATE("memfd_create");
	return result(memfd_create(name, flags | MFD_CLOEXEC));
}

int sys_socket(int domain, int type, int protocol)
{
	SYS_GATE("socket");
	return result(socket(domain, type | SOCK_CLOEXEC, protocol));
}

int sys_pipe2(int fds[2], int flags)
{
	SYS_GATE("pipe2");
	return result(pipe2(fds, flags | O_CLOEXEC));
}
