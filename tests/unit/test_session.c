/* Sessions: processes beside the first one of a running container. */
#include "tests/unit/box.h"

struct session {
	struct session_spec spec;
	struct cgroup group;
	struct container_process process;
	struct error err;
	int out;
	char text[4096];
};

/* A container that sleeps, running. */
static struct box *start_box(void (*change)(struct box *))
{
	struct box *b = box_new("echo ready; exec sleep 1000");
	char line[16];

	if (change) {
		change(b);
	}
	assert_int_equal(box_start(b), 0);
	if (box_outcome(b->process.status_fd, &b->err) != 1) {
		fail_msg("%s", b->err.message);
	}
	box_read_line(b->out, line, sizeof(line));
	assert_string_equal(line, "ready");
	return b;
}

static struct session *session_new(struct box *b, const char *const *args)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->out = -EBADF;
	s->spec = (struct session_spec){ .container_pidfd = b->process.pidfd,
		.container_pid = b->process.pid,
		.config = &b->config,
		.args = args,
		.container_user = b->spec.user,
		.stdio = { -EBADF, -EBADF, -EBADF },
		.seccomp = &b->seccomp };
	return s;
}

static int session_begin(struct box *b, struct session *s)
{
	char path[400];
	int pipe[2], r;

	snprintf(path, sizeof(path), "%s/s1", b->group.path);
	r = cgroup_create(&box_layout, path, NULL, &s->group, NULL, &s->err);
	assert_int_equal(r, 0);
	assert_int_equal(sys_pipe2(pipe, 0), 0);
	s->spec.cgroup = &s->group;
	s->spec.stdio[1] = s->spec.stdio[2] = pipe[1];
	s->out = pipe[0];
	r = session_spawn(&s->spec, &s->process, &s->err);
	fd_close(&pipe[1]);
	return r;
}

static void session_finish(struct session *s)
{
	fd_close(&s->process.pidfd);
	fd_close(&s->process.status_fd);
	fd_close(&s->process.console_master);
	fd_close(&s->out);
	box_remove_group(&s->group);
	free(s);
}

static int session_run(struct box *b, struct session *s)
{
	int r = session_begin(b, s), status;

	if (r < 0) {
		return s->err.exit_status;
	}
	r = box_outcome(s->process.status_fd, &s->err);
	box_read(s->out, s->text, sizeof(s->text));
	status = box_wait_exit(s->process.pidfd);
	return r < 0 ? s->err.exit_status : status;
}

static void expect(struct box *b, struct session *s, int status, const char *text)
{
	int found = session_run(b, s);

	if (found != status || strcmp(s->text, text) != 0) {
		print_message("status %d: %s%s\n", found, s->text, s->err.message);
	}
	assert_string_equal(s->text, text);
	assert_int_equal(found, status);
	session_finish(s);
}

#define SHELL(script) ((const char *const[]){ "sh", "-c", script, NULL })

static void it_has_the_containers_view_and_its_own_exit_status(void **state)
{
	struct box *b = start_box(NULL);

	(void)state;
	expect(b, session_new(b, SHELL("hostname; cat /proc/1/comm; echo $COLOUR; pwd; exit 5")), 5,
		"box\nsleep\nred\n/\n");
	box_end(b);
}

static void variables_user_and_folder_can_be_chosen(void **state)
{
	struct box *b = start_box(NULL);
	struct session *s = session_new(b, SHELL("echo $COLOUR $SIZE $HOME; id -u; id -G; pwd"));

	(void)state;
	s->spec.env = (const char *const[]){ "COLOUR=blue", "SIZE=3", NULL };
	s->spec.user = "web";
	s->spec.cwd = "/tmp";
	expect(b, s, 0, "blue 3 /home/web\n33\n34 50\n/tmp\n");
	s = session_new(b, SHELL("pwd"));
	s->spec.cwd = "/no/such/folder";
	assert_int_equal(session_run(b, s), 125);
	assert_string_equal(s->err.message,
		"working folder: change to the working folder /no/such/folder: "
		"No such file or directory");
	session_finish(s);
	box_end(b);
}

static void as_web(struct box *b)
{
	b->spec.user = "web";
}

static void without_a_user_it_is_the_containers(void **state)
{
	struct box *b = start_box(as_web);
	struct session *s = session_new(b, SHELL("id -G"));

	(void)state;
	s->spec.extra_gids = (const gid_t[]){ 90 };
	s->spec.extra_gid_count = 1;
	expect(b, s, 0, "34 50 90\n");
	expect(b, session_new(b, SHELL("id -u; id -g")), 0, "33\n34\n");
	box_end(b);
}

static void it_is_confined_like_the_container(void **state)
{
	struct box *b = start_box(NULL);

	(void)state;
	expect(b,
		session_new(b, SHELL("grep -E '^(CapEff|CapBnd|CapInh|Seccomp):' /proc/self/status;"
				     "cd /proc/self/fd; echo *")),
		0,
		"CapInh:\t0000000000000000\nCapEff:\t00000000a80425fb\n"
		"CapBnd:\t00000000a80425fb\nSeccomp:\t2\n0 1 2 3\n");
	box_end(b);
}

static void a_privileged_one_has_what_the_caller_has_and_no_policy(void **state)
{
	struct box *b = start_box(NULL);
	struct session *s = session_new(b, SHELL("grep -E '^(CapEff|Seccomp):' /proc/self/status"));
	char *own = box_file("/proc/self/status"), *line = strstr(own, "CapEff:"), expected[64];

	(void)state;
	assert_non_null(line);
	snprintf(expected, sizeof(expected), "%.25sSeccomp:\t0\n", line);
	free(own);
	s->spec.privileged = true;
	expect(b, s, 0, expected);
	box_end(b);
}

static void what_cannot_be_executed_is_told_apart(void **state)
{
	struct box *b = start_box(NULL);
	struct session *s = session_new(b, (const char *const[]){ "no-such-program", NULL });

	(void)state;
	assert_int_equal(session_run(b, s), 127);
	session_finish(s);
	s = session_new(b, (const char *const[]){ "/etc/plain", NULL });
	assert_int_equal(session_run(b, s), 126);
	session_finish(s);
	box_end(b);
}

static void a_terminal_is_one_of_the_containers_devpts(void **state)
{
	struct box *b = start_box(NULL);
	struct session *s = session_new(b, SHELL("tty; stty size; echo $TERM"));
	char line[64];

	(void)state;
	s->spec.terminal = true;
	s->spec.rows = 12;
	s->spec.columns = 34;
	assert_int_equal(session_begin(b, s), 0);
	assert_true(s->process.console_master >= 0);
	box_read_line(s->process.console_master, line, sizeof(line));
	assert_string_equal(line, "/dev/pts/0\r");
	box_read_line(s->process.console_master, line, sizeof(line));
	assert_string_equal(line, "12 34\r");
	box_read_line(s->process.console_master, line, sizeof(line));
	assert_string_equal(line, "xterm\r");
	assert_int_equal(box_wait_exit(s->process.pidfd), 0);
	session_finish(s);
	box_end(b);
}

static void it_runs_within_the_containers_limits_in_a_group_of_its_own(void **state)
{
	struct box *b = start_box(NULL);
	struct session *s = session_new(b, SHELL("exec sleep 1000"));
	pid_t pids[8];

	(void)state;
	assert_int_equal(session_begin(b, s), 0);
	assert_int_equal(box_outcome(s->process.status_fd, &s->err), 1);
	assert_int_equal(cgroup_pids(&s->group, pids, 8), 1);
	assert_int_equal(pids[0], s->process.pid);
	assert_int_equal(cgroup_pids(&b->group, pids, 8), 2);
	assert_int_equal(cgroup_kill(&s->group), 0);
	assert_int_equal(box_wait_exit(s->process.pidfd), 137);
	assert_int_equal(cgroup_pids(&b->group, pids, 8), 1);
	session_finish(s);
	box_end(b);
}

static void it_ends_with_its_container(void **state)
{
	struct box *b = start_box(NULL);
	struct session *s = session_new(b, SHELL("exec sleep 1000"));

	(void)state;
	assert_int_equal(session_begin(b, s), 0);
	assert_int_equal(box_outcome(s->process.status_fd, &s->err), 1);
	sys_pidfd_send_signal(b->process.pidfd, SIGKILL);
	assert_int_equal(box_wait_exit(s->process.pidfd), 137);
	session_finish(s);
	box_end(b);
}

static void a_container_that_has_ended_is_named_as_the_reason(void **state)
{
	struct box *b = start_box(NULL);
	struct session *s = session_new(b, SHELL("true"));

	(void)state;
	sys_pidfd_send_signal(b->process.pidfd, SIGKILL);
	assert_int_equal(box_wait_exit(b->process.pidfd), 137);
	assert_int_equal(session_begin(b, s), -ESRCH);
	assert_string_equal(s->err.message, "the container has ended");
	s->process = (struct container_process){ 0, -EBADF, -EBADF, -EBADF };
	session_finish(s);
	fd_close(&b->process.pidfd);
	box_end(b);
}

static void a_paused_container_takes_none(void **state)
{
	struct box *b = start_box(NULL);
	struct session *s = session_new(b, SHELL("true"));

	(void)state;
	assert_int_equal(cgroup_freeze(&b->group, true, &b->err), 0);
	s->spec.terminal = true; /* would be waited for */
	assert_int_equal(session_begin(b, s), -EBUSY);
	assert_string_equal(s->err.message, "the container is paused");
	assert_int_equal(cgroup_freeze(&b->group, false, &b->err), 0);
	s->process = (struct container_process){ 0, -EBADF, -EBADF, -EBADF };
	session_finish(s);
	box_end(b);
}

static void children_namespace(char *text, size_t size)
{
	ssize_t n = readlink("/proc/self/ns/pid_for_children", text, size - 1);

	assert_true(n > 0);
	text[n] = '\0';
}

static void every_failure_is_named_and_leaves_nothing(void **state)
{
	struct box *b = start_box(NULL);
	int fds = box_count_fds(), good = 0, failed = 0;
	char before[64], after[64], path[400];
	int64_t own = getpid();

	(void)state;
	children_namespace(before, sizeof(before));
	snprintf(path, sizeof(path), "%s/f", b->group.path);
	for (unsigned which = 0; good < 12; which++) {
		struct session *s = session_new(b, SHELL("true"));
		int r;

		assert_true(which < 500);
		s->spec.terminal = which % 2;
		assert_int_equal(
			cgroup_create(&box_layout, path, NULL, &s->group, NULL, &s->err), 0);
		s->spec.cgroup = &s->group;
		s->process = (struct container_process){ 0, -EBADF, -EBADF, -EBADF };
		sys_fault_arm("*", which / 2 + 1, EIO);
		r = session_spawn(&s->spec, &s->process, &s->err);
		sys_fault_disarm();
		if (r == 0) {
			r = box_outcome(s->process.status_fd, &s->err);
			box_wait_exit(s->process.pidfd);
		}
		if (r < 0) {
			assert_int_equal(r, -EIO);
			assert_true(s->err.message[0] != '\0');
			failed++;
		}
		good = r < 0 ? 0 : good + 1;
		session_finish(s);
		assert_int_equal(box_count_fds(), fds);
		children_namespace(after, sizeof(after));
		assert_string_equal(before, after);
	}
	assert_true(failed > 20);
	assert_int_equal(getpid(), own);
	box_end(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_has_the_containers_view_and_its_own_exit_status),
		cmocka_unit_test(variables_user_and_folder_can_be_chosen),
		cmocka_unit_test(without_a_user_it_is_the_containers),
		cmocka_unit_test(it_is_confined_like_the_container),
		cmocka_unit_test(a_privileged_one_has_what_the_caller_has_and_no_policy),
		cmocka_unit_test(what_cannot_be_executed_is_told_apart),
		cmocka_unit_test(a_terminal_is_one_of_the_containers_devpts),
		cmocka_unit_test(it_runs_within_the_containers_limits_in_a_group_of_its_own),
		cmocka_unit_test(it_ends_with_its_container),
		cmocka_unit_test(a_container_that_has_ended_is_named_as_the_reason),
		cmocka_unit_test(a_paused_container_takes_none),
		cmocka_unit_test(every_failure_is_named_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, box_group_setup, box_group_teardown);
}
