/*
 * A container for tests: an image made of busybox, docker's defaults, everything below one folder
 * of its own. In a header, because every test of this folder is linked with each helper beside it
 * and most of them have no use for runtime/.
 *
 * TMPDIR decides where it lies; not on an overlay, which cannot hold an upper folder.
 */
#ifndef WHERRY_TESTS_UNIT_BOX_H
#define WHERRY_TESTS_UNIT_BOX_H

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/container.h"
#include "specs/docker_defaults.h"

#define BOX_DEADLINE_MS 60000 /* an emulated machine is slow */
#define BOX_MOUNTS      16

struct box {
	struct oci_config config;
	struct oci_mount mounts[BOX_MOUNTS];
	struct oci_namespace namespaces[8];
	const char *args[8], *env[8];
	const char *lower[3];
	char upper[300], work[300];
	struct container_overlay overlay;
	struct seccomp_program seccomp;
	struct container_spec spec;
	struct cgroup group;
	struct container_process process;
	struct error err;
	int out; /* what the payload writes to 1 and 2 */
	char text[65536]; /* all of it, from box_run() */
};

static char box_dir[200]; /* everything lies here */
static struct cgroup_layout box_layout;
static int box_serial;

static inline void box_write(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	fd_close(&fd);
}

static inline char *box_path(const char *name)
{
	static char paths[4][400];
	static unsigned next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", box_dir, name);
	return path;
}

static inline void box_image(void)
{
	static const char *const folders[] = { "lower", "lower/bin", "lower/etc", "lower/proc",
		"lower/sys", "lower/dev", "lower/tmp", "lower/home", "root" };
	static const char *const tools[] = { "sh", "cat", "echo", "ls", "id", "sleep", "pwd", "tty",
		"dd", "true", "mount", "touch", "hostname", "yes", "stty", "grep", "test", "mknod",
		"umount" };
	char data[1 << 16];
	int in = open("/bin/busybox", O_RDONLY | O_CLOEXEC), out;
	ssize_t n;

	assert_true(in >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		assert_int_equal(mkdir(box_path(folders[i]), 0755), 0);
	}
	out = open(box_path("lower/bin/busybox"), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_true(out >= 0);
	while ((n = read(in, data, sizeof(data))) > 0) {
		assert_int_equal(fd_write_all(out, data, (size_t)n), 0);
	}
	fd_close(&in);
	fd_close(&out);
	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		char name[64];

		snprintf(name, sizeof(name), "lower/bin/%s", tools[i]);
		assert_int_equal(symlink("busybox", box_path(name)), 0);
	}
	box_write(box_path("lower/etc/passwd"),
		"root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/home/web:/bin/sh\n1000:x:0:0::/:\n",
		0644);
	box_write(box_path("lower/etc/group"), "root:x:0:\nweb:x:34:\nlogs:x:50:root,web\n", 0644);
	box_write(box_path("lower/etc/plain"), "not a program\n", 0644);
}

/* Of the whole group of tests: a mount namespace in which mounts would spread, and the image. */
static inline int box_group_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct error err = ERROR_INIT;

	(void)state;
	umask(022);
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0) {
		fprintf(stderr, "needs root\n");
		return -1;
	}
	/* Shared among themselves, so that a mount that leaks out of a container can be seen. */
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL);
	snprintf(box_dir, sizeof(box_dir), "%s/wherry-box.XXXXXX", tmp && *tmp ? tmp : "/var/tmp");
	if (!mkdtemp(box_dir) || cgroup_layout_read(&box_layout, &err) < 0) {
		return -1;
	}
	box_image();
	return 0;
}

static inline void box_remove_group(struct cgroup *group)
{
	int64_t end = clock_now_us() + BOX_DEADLINE_MS * USEC_PER_MSEC;
	int r;

	while ((r = cgroup_remove(group)) == -EBUSY && clock_now_us() < end) {
		sched_yield();
	}
	assert_int_equal(r, 0);
	cgroup_close(group);
}

static inline int box_group_teardown(void **state)
{
	struct cgroup left;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "wherry-box-%d", (int)getpid());
	if (cgroup_open(&box_layout, path, &left) == 0) { /* more than that only of a failed test */
		cgroup_kill(&left);
		box_remove_group(&left);
	}
	cgroup_layout_finish(&box_layout);
	return file_remove_tree(AT_FDCWD, box_dir);
}

static inline void box_namespaces(struct box *b)
{
	static const int kinds[] = { CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS, CLONE_NEWIPC,
		CLONE_NEWNET, CLONE_NEWCGROUP };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		b->namespaces[i] = (struct oci_namespace){ kinds[i], NULL };
	}
	b->config.namespaces = b->namespaces;
	b->config.namespace_count = ARRAY_SIZE(kinds);
}

static inline void box_defaults(struct box *b)
{
	struct oci_config *config = &b->config;

	oci_config_init(config);
	config->hostname = "box";
	config->process.cwd = "/";
	config->process.has_capabilities = true;
	for (int set = OCI_CAPS_BOUNDING; set <= OCI_CAPS_PERMITTED; set++) {
		config->process.capabilities[set] = DOCKER_DEFAULT_CAPS;
	}
	memcpy(b->mounts, docker_mounts, docker_mount_count * sizeof(b->mounts[0]));
	config->mounts = b->mounts;
	config->mount_count = docker_mount_count;
	config->masked_paths = (const char **)(uintptr_t)docker_masked_paths;
	config->readonly_paths = (const char **)(uintptr_t)docker_readonly_paths;
	while (config->masked_paths[config->masked_count]) {
		config->masked_count++;
	}
	while (config->readonly_paths[config->readonly_count]) {
		config->readonly_count++;
	}
	config->devices = (struct oci_device *)(uintptr_t)docker_devices;
	config->device_count = docker_device_count;
	config->resources.devices = (struct oci_device_rule *)(uintptr_t)docker_device_rules;
	config->resources.device_count = docker_device_rule_count;
	box_namespaces(b);
}

/* A container that would run "sh -c @script"; the test changes what it wants to. */
static inline struct box *box_new(const char *script)
{
	struct box *b = xcalloc(1, sizeof(*b));

	b->out = -EBADF;
	b->process = (struct container_process){
		.pidfd = -EBADF, .status_fd = -EBADF, .console_master = -EBADF
	};
	for (int i = 0; i < CGROUP_HIERARCHIES; i++) {
		b->group.fds[i] = -EBADF;
	}
	box_serial++;
	snprintf(b->upper, sizeof(b->upper), "%s/upper%d", box_dir, box_serial);
	snprintf(b->work, sizeof(b->work), "%s/work%d", box_dir, box_serial);
	assert_int_equal(mkdir(b->upper, 0755), 0);
	assert_int_equal(mkdir(b->work, 0755), 0);
	b->lower[0] = xstrdup(box_path("lower"));
	b->overlay =
		(struct container_overlay){ .lower = b->lower, .upper = b->upper, .work = b->work };
	box_defaults(b);
	b->args[0] = "sh";
	b->args[1] = "-c";
	b->args[2] = script;
	b->config.process.args = b->args;
	b->config.process.arg_count = 3;
	b->env[0] = "PATH=" DOCKER_DEFAULT_PATH;
	b->env[1] = "COLOUR=red";
	b->config.process.env = b->env;
	b->config.process.env_count = 2;
	assert_int_equal(seccomp_default(DOCKER_DEFAULT_CAPS, NULL, &b->seccomp, &b->err), 0);
	b->spec = (struct container_spec){ .config = &b->config,
		.overlay = &b->overlay,
		.mount_point = xstrdup(box_path("root")),
		.netns_fd = -EBADF,
		.init_fd = -EBADF,
		.stdio = { -EBADF, -EBADF, -EBADF },
		.seccomp = &b->seccomp };
	return b;
}

static inline void box_args(struct box *b, const char *name)
{
	b->args[0] = name;
	b->args[1] = NULL;
	b->config.process.arg_count = 1;
}

static inline void box_mount(struct box *b, const struct oci_mount *m)
{
	assert_true(b->config.mount_count < BOX_MOUNTS);
	b->mounts[b->config.mount_count++] = *m;
}

static inline bool box_wait_readable(int fd, int timeout_ms)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	return poll(&wait, 1, timeout_ms) == 1;
}

/* Group and process; the outcome is not waited for. */
static inline int box_start(struct box *b)
{
	char path[64];
	int pipe[2], r;

	snprintf(path, sizeof(path), "wherry-box-%d/%d", (int)getpid(), box_serial);
	r = cgroup_create(&box_layout, path, &b->config.resources, &b->group, NULL, &b->err);
	if (r < 0) {
		return r;
	}
	assert_int_equal(sys_pipe2(pipe, 0), 0);
	b->spec.cgroup = &b->group;
	b->spec.stdio[1] = b->spec.stdio[2] = pipe[1];
	b->out = pipe[0];
	r = container_spawn(&b->spec, &b->process, &b->err);
	fd_close(&pipe[1]);
	return r;
}

/* 1 when the payload runs, or a negative errno with @b->err filled. */
static inline int box_outcome(int status_fd, struct error *err)
{
	assert_true(box_wait_readable(status_fd, BOX_DEADLINE_MS));
	return container_spawn_status(status_fd, err);
}

/* The exit status; fails the test when it takes too long. */
static inline int box_wait_exit(int pidfd)
{
	siginfo_t info;

	assert_true(box_wait_readable(pidfd, BOX_DEADLINE_MS));
	assert_int_equal(sys_waitid_pidfd(pidfd, &info, WEXITED), 0);
	return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

static inline void box_read(int fd, char *text, size_t size)
{
	size_t used = 0;
	ssize_t n = 1;

	while (n > 0 && used < size - 1 && box_wait_readable(fd, BOX_DEADLINE_MS)) {
		n = read(fd, text + used, size - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	}
	text[used] = '\0';
}

/* Reads until a whole line is there. */
static inline void box_read_line(int fd, char *text, size_t size)
{
	size_t used = 0;

	while (used < size - 1 && box_wait_readable(fd, BOX_DEADLINE_MS) &&
		read(fd, text + used, 1) == 1 && text[used] != '\n') {
		used++;
	}
	text[used] = '\0';
}

/* Kills what is left and releases everything. */
static inline void box_end(struct box *b)
{
	if (b->process.pidfd >= 0) {
		cgroup_kill(&b->group);
		box_wait_exit(b->process.pidfd);
	}
	fd_close(&b->process.pidfd);
	fd_close(&b->process.status_fd);
	fd_close(&b->process.console_master);
	fd_close(&b->out);
	if (b->group.layout) {
		box_remove_group(&b->group);
	}
	seccomp_program_finish(&b->seccomp);
	free((char *)(uintptr_t)b->lower[0]);
	free((char *)(uintptr_t)b->spec.mount_point);
	free(b);
}

/* From start to end: its exit status, its output in @b->text. What cannot be started gives the
 * exit status of the error, its message in @b->err. */
static inline int box_run(struct box *b)
{
	int r = box_start(b), status;

	if (r == 0) {
		r = box_outcome(b->process.status_fd, &b->err);
	}
	if (b->process.pidfd < 0) {
		return b->err.exit_status;
	}
	box_read(b->out, b->text, sizeof(b->text));
	status = box_wait_exit(b->process.pidfd);
	fd_close(&b->process.pidfd);
	return r < 0 ? b->err.exit_status : status;
}

/* As above for a test that needs nothing but the output. */
static inline void box_expect(struct box *b, int status, const char *text)
{
	int found = box_run(b);

	if (found != status || strcmp(b->text, text) != 0) {
		print_message("status %d: %s%s\n", found, b->text, b->err.message);
	}
	assert_string_equal(b->text, text);
	assert_int_equal(found, status);
	box_end(b);
}

static inline int box_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir)) {
		count++;
	}
	closedir(dir);
	return count;
}

static __attribute__((noinline, unused)) char *box_file(const char *path)
{
	char *text = NULL;

	assert_int_equal(file_read_at(AT_FDCWD, path, 4 << 20, &text, NULL, NULL), 0);
	return text;
}

#endif
