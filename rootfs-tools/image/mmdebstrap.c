#include "rootfs-tools/image/mmdebstrap.h"

#include <errno.h>
#include <sys/prctl.h>

#include "base/fd.h"
#include "base/proc.h"
#include "base/sys.h"
#include "rootfs-tools/image/interrupt.h"

/*
 * Run by mmdebstrap with the root as $1. Package files come from the cache and go back there by hard
 * links (apt checks each against the signed index, so nothing is trusted that lies there); then
 * what belongs to this machine or to the making, not to the image, is taken out.
 */
#define FETCH_HOOK                                                                                 \
	"mkdir -p \"$1/var/cache/apt/archives/partial\"; "                                         \
	"find \"$WHERRY_PACKAGES\" -maxdepth 1 -name '*.deb' "                                     \
	"-exec cp -l -t \"$1/var/cache/apt/archives\" {} + 2>/dev/null || true"
#define KEEP_HOOK                                                                                  \
	"find \"$1/var/cache/apt/archives\" -maxdepth 1 -name '*.deb' "                            \
	"-exec cp -l -n -t \"$WHERRY_PACKAGES\" {} + 2>/dev/null || true"
#define CLEAN_HOOK                                                                                 \
	"rm -f \"$1/etc/apt/apt.conf.d/99mmdebstrap\" \"$1/etc/hostname\" \"$1/etc/resolv.conf\" " \
	"\"$1/usr/sbin/policy-rc.d\"; "                                                            \
	"rm -rf \"$1/usr/share/doc-base\" \"$1/usr/share/lintian\" \"$1/usr/share/bug\""

static const char *const fixed_arguments[] = {
	"--mode=root",
	"--format=tar",
	/* Three times as fast; a root that is cut off is thrown away anyway. It stays in the image, as
	 * in docker's: the same holds for packages that a container installs. */
	"--dpkgopt=force-unsafe-io",
	"--dpkgopt=path-exclude=/usr/share/doc/*",
	"--dpkgopt=path-include=/usr/share/doc/*/copyright",
	"--dpkgopt=path-exclude=/usr/share/man/*",
	"--dpkgopt=path-exclude=/usr/share/info/*",
	"--dpkgopt=path-exclude=/usr/share/locale/*",
	"--aptopt=APT::Install-Recommends \"false\"",
	"--aptopt=APT::Install-Suggests \"false\"",
	"--aptopt=Acquire::Languages \"none\"",
	"--skip=essential/unlink",
};

/* Parts of this machine's apt configuration that decide how and whether a mirror is reached. */
static const char *const passed_keys[] = { "Acquire::http", "Acquire::https", "Acquire::ftp",
	"Acquire::Retries", "Acquire::Check-Valid-Until", "Acquire::Check-Date",
	"Acquire::Max-ValidTime", "Acquire::Min-ValidTime", "Acquire::ForceIPv4",
	"Acquire::ForceIPv6" };

static bool is_passed(const char *line)
{
	for (size_t i = 0; i < ARRAY_SIZE(passed_keys); i++) {
		size_t size = strlen(passed_keys[i]);

		if (strncasecmp(line, passed_keys[i], size) == 0 &&
			(line[size] == ' ' || line[size] == ':')) {
			return true;
		}
	}
	return false;
}

/* --- starting a program --- */

struct child {
	int output, messages; /* ends that become its standard output and error */
	const struct strv *environment; /* added to ours */
	bool own_group;
};

/* Only what is allowed between fork and exec in a process with one thread, as this one still is. */
static void __attribute__((noreturn))
child_run(const struct child *child, char *const *argv, pid_t parent)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	sigaction(SIGPIPE, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
	/* If we are killed it must not go on alone; it cleans up on SIGTERM. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) {
		_exit(1);
	}
	/* mmdebstrap hangs up its whole process group when it is told to stop. */
	if (child->own_group) {
		setpgid(0, 0);
	}
	umask(022);
	dup2(null, STDIN_FILENO);
	dup2(child->output, STDOUT_FILENO);
	dup2(child->messages >= 0 ? child->messages : null, STDERR_FILENO);
	for (size_t i = 0; child->environment && i < child->environment->count; i++) {
		putenv(child->environment->items[i]);
	}
	execvp(argv[0], argv);
	_exit(errno == ENOENT ? 127 : 126);
}

static pid_t child_start(const struct child *child, char *const *argv)
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		child_run(child, argv, parent);
	}
	return pid < 0 ? -errno : pid;
}

static int child_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			return -errno;
		}
	}
	return proc_exit_status(status);
}

/* Adds --aptopt for what `apt-config dump` says. Without apt there is nothing to add. */
static void add_apt_settings(struct strv *argv)
{
	char *const dump[] = { (char[]){ "apt-config" }, (char[]){ "dump" }, NULL };
	struct child child = { .messages = -EBADF };
	int pipe[2];
	pid_t pid;
	FILE *lines;
	char line[4096];

	if (sys_pipe2(pipe, 0) < 0) {
		return;
	}
	child.output = pipe[1];
	pid = child_start(&child, dump);
	fd_close(&pipe[1]);
	lines = fdopen(pipe[0], "r");
	while (lines && fgets(line, sizeof(line), lines)) {
		line[strcspn(line, "\n")] = '\0';
		/* Empty values only open a group. */
		if (is_passed(line) && !strstr(line, " \"\";")) {
			strv_addf(argv, "--aptopt=%s", line);
		}
	}
	if (lines) {
		fclose(lines);
	}
	if (pid > 0) {
		child_wait(pid);
	}
}

/* --- its messages --- */

static void show_progress(const struct mmdebstrap *run, const char *line)
{
	if (isatty(STDERR_FILENO) && strncmp(line, "I: ", 3) == 0) {
		fprintf(stderr, "\r\033[K%s: %.100s", run->title, line + 3);
		fflush(stderr);
	}
}

static void clear_progress(void)
{
	if (isatty(STDERR_FILENO)) {
		fputs("\r\033[K", stderr);
		fflush(stderr);
	}
}

/* Keeps the last lines; apt's progress bars (carriage returns) are no lines. */
static void *listen_to(void *argument)
{
	struct mmdebstrap *run = argument;
	FILE *stream = fdopen(run->messages, "r");
	char line[1000];

	while (stream && fgets(line, sizeof(line), stream)) {
		char **slot = &run->lines[run->line_count % MMDEBSTRAP_LINES];
		char *start = strrchr(line, '\r');

		line[strcspn(line, "\n")] = '\0';
		start = start && start[1] ? start + 1 : line;
		if (!*start) {
			continue;
		}
		show_progress(run, start);
		free(*slot);
		*slot = xstrdup(start);
		run->line_count++;
	}
	if (stream) {
		fclose(stream);
	}
	return NULL;
}

static void print_messages(const struct mmdebstrap *run)
{
	size_t first = run->line_count > MMDEBSTRAP_LINES ? run->line_count - MMDEBSTRAP_LINES : 0;

	for (size_t i = first; i < run->line_count; i++) {
		fprintf(stderr, "    %s\n", run->lines[i % MMDEBSTRAP_LINES]);
	}
}

/* --- the run --- */

static void add_arguments(
	const struct mmdebstrap_options *options, struct strv *argv, struct strv *environment)
{
	strv_add(argv, "mmdebstrap");
	for (size_t i = 0; i < ARRAY_SIZE(fixed_arguments); i++) {
		strv_add(argv, fixed_arguments[i]);
	}
	strv_addf(argv, "--variant=%s", options->variant);
	if (options->architecture) {
		strv_addf(argv, "--architectures=%s", options->architecture);
	}
	for (size_t i = 0; i < options->packages->count; i++) {
		strv_addf(argv, "--include=%s", options->packages->items[i]);
	}
	strv_add(argv, "--setup-hook=" FETCH_HOOK);
	strv_add(argv, "--customize-hook=" KEEP_HOOK);
	/* The commands travel in the environment: no quoting of ours between them and the shell. */
	for (size_t i = 0; i < options->commands->count; i++) {
		strv_addf(argv, "--customize-hook=chroot \"$1\" sh -ec \"$WHERRY_RUN_%zu\"", i);
		strv_addf(environment, "WHERRY_RUN_%zu=%s", i, options->commands->items[i]);
	}
	strv_add(argv, "--customize-hook=" CLEAN_HOOK);
	add_apt_settings(argv);
	strv_add(argv, options->suite);
	strv_add(argv, "-");
	strv_add(argv, options->sources);
}

int mmdebstrap_start(
	struct mmdebstrap *run, const struct mmdebstrap_options *options, struct error *err)
{
	_cleanup_strv_ struct strv argv = { 0 }, environment = { 0 };
	struct child child = { .environment = &environment, .own_group = true };
	int output[2], messages[2], r;

	memset(run, 0, sizeof(*run));
	run->output = run->messages = -EBADF;
	run->title = options->title;
	add_arguments(options, &argv, &environment);
	strv_addf(&environment, "TMPDIR=%s", options->work);
	strv_addf(&environment, "WHERRY_PACKAGES=%s", options->cache);
	strv_add(&environment, "LC_ALL=C.UTF-8");
	r = sys_pipe2(output, 0);
	if (r < 0) {
		return error_set(err, r, "make a pipe");
	}
	r = sys_pipe2(messages, 0);
	if (r < 0) {
		fd_close(&output[0]);
		fd_close(&output[1]);
		return error_set(err, r, "make a pipe");
	}
	run->output = output[0];
	child.output = output[1];
	child.messages = messages[1];
	/* A mebibyte at a time instead of 64 KiB: tar and unpacker switch less. */
	(void)!fcntl(run->output, F_SETPIPE_SZ, 1 << 20);
	run->pid = child_start(&child, argv.items);
	fd_close(&output[1]);
	fd_close(&messages[1]);
	run->messages = messages[0];
	if (run->pid < 0) {
		r = run->pid;
		fd_close(&run->output);
		fd_close(&run->messages);
		return error_set(err, r, "start mmdebstrap");
	}
	r = pthread_create(&run->listener, NULL, listen_to, run);
	run->listening = r == 0;
	return 0;
}

int mmdebstrap_finish(struct mmdebstrap *run, bool stop, struct error *err)
{
	int status, r = 0;

	fd_close(&run->output);
	if (stop) {
		_cleanup_fd_ int pidfd = sys_pidfd_open(run->pid, 0);

		if (pidfd >= 0) {
			sys_pidfd_send_signal(pidfd, SIGTERM);
		}
	}
	if (!run->listening) {
		fd_close(&run->messages);
	}
	status = child_wait(run->pid);
	if (run->listening) {
		pthread_join(run->listener, NULL);
	}
	clear_progress();
	if (status == 127 && run->line_count == 0) {
		r = error_say(
			err, ENOENT, "mmdebstrap is not installed (apt-get install mmdebstrap)");
	} else if (status != 0 && interrupt_pending()) {
		r = error_say(err, EINTR, "interrupted");
	} else if (status != 0 && !stop) {
		print_messages(run);
		r = error_say(err, EIO, "mmdebstrap failed with exit status %d", status);
	}
	for (size_t i = 0; i < MMDEBSTRAP_LINES; i++) {
		free(run->lines[i]);
	}
	return r;
}
