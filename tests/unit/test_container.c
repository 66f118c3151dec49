/* Containers, started for real: what the payload sees, what is refused, what is left behind. */
#include "tests/unit/box.h"

#include <sys/sysmacros.h>

extern const unsigned char pid1_blob[];
extern const unsigned long pid1_blob_size;

#define SIGNAL_ROUNDS 200

static void the_payload_has_dockers_capabilities_and_seccomp(void **state)
{
	(void)state;
	box_expect(box_new("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status"), 0,
		"CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
		"CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\n"
		"Seccomp:\t2\n");
}

static void no_new_privileges_is_set_on_request(void **state)
{
	struct box *b = box_new("grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status");

	(void)state;
	b->config.process.no_new_privileges = true;
	box_expect(b, 0, "NoNewPrivs:\t1\nSeccomp:\t2\n");
}

static void another_user_has_no_capabilities_but_the_bounding_set(void **state)
{
	struct box *b = box_new("grep -E '^Cap(Prm|Eff|Bnd)' /proc/self/status; id; echo $HOME");

	(void)state;
	b->spec.user = "web";
	box_expect(b, 0,
		"CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\n"
		"uid=33(web) gid=34(web) groups=34(web),50(logs)\n/home/web\n");
}

static void numbers_are_numbers_whatever_passwd_says(void **state)
{
	struct box *b = box_new("id -u; id -g");

	(void)state;
	b->spec.user = "1000";
	box_expect(b, 0, "1000\n0\n");
	b = box_new("id -u; id -g; id -G");
	b->spec.user = "7:8";
	b->spec.extra_gids = (const gid_t[]){ 90, 8 };
	b->spec.extra_gid_count = 2;
	box_expect(b, 0, "7\n8\n8 90\n");
}

static void an_unknown_user_is_refused_by_name(void **state)
{
	struct box *b = box_new("id");

	(void)state;
	b->spec.user = "nobody-here";
	assert_int_equal(box_run(b), 125);
	assert_string_equal(b->err.message,
		"user: unable to find user nobody-here: no matching entries in passwd file");
	box_end(b);
}

static void only_three_descriptors_reach_the_payload(void **state)
{
	int left_open =
		open("/", O_RDONLY | O_DIRECTORY); /* not close-on-exec, as of a bad caller */

	(void)state;
	/* The fourth is what the shell opens to list the folder. */
	box_expect(box_new("cd /proc/self/fd; echo *"), 0, "0 1 2 3\n");
	close(left_open);
}

static void masked_paths_are_empty_and_others_read_only(void **state)
{
	/* Which of them there are depends on the kernel. */
	struct box *b =
		box_new("for f in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; do"
			"  if test -e $f; then cat $f; fi;"
			"done | grep -v ^masked;"
			"ls -A /sys/firmware;"
			"echo 1 > /proc/sys/kernel/panic;"
			"for f in /proc/bus /proc/fs /proc/irq; do test ! -d $f || grep -q \" $f "
			"ro,\" /proc/self/mountinfo || echo $f; done;"
			"touch /sys/x; touch /sys/fs/cgroup/x; echo end");

	(void)state;
	assert_int_equal(box_run(b), 0);
	assert_memory_equal(
		b->text, "sh: can't create /proc/sys/kernel/panic: Read-only file system\n", 63);
	assert_null(strstr(b->text, "/proc/irq"));
	assert_non_null(strstr(b->text, "touch: /sys/x: Read-only file system\n"
					"touch: /sys/fs/cgroup/x: Read-only file system\nend\n"));
	box_end(b);
}

static void mount_and_unshare_are_forbidden(void **state)
{
	struct box *b = box_new("mount -t tmpfs x /tmp; umount /proc; echo end");

	(void)state;
	assert_int_equal(box_run(b), 0);
	assert_non_null(strstr(b->text, "permitted"));
	assert_non_null(strstr(b->text, "can't unmount /proc"));
	box_end(b);
}

static void it_is_process_one_with_its_own_host_name(void **state)
{
	(void)state;
	box_expect(box_new("echo $$; hostname; echo $COLOUR; pwd; umask"), 0,
		"1\nbox\nred\n/\n0022\n");
}

static void what_it_writes_goes_to_the_upper_folder(void **state)
{
	struct box *b = box_new("echo changed > /etc/plain; echo new > /tmp/new");
	char path[400];
	char *text;

	(void)state;
	assert_int_equal(box_run(b), 0);
	snprintf(path, sizeof(path), "%s/tmp/new", b->upper);
	text = box_file(path);
	assert_string_equal(text, "new\n");
	free(text);
	text = box_file(box_path("lower/etc/plain"));
	assert_string_equal(text, "not a program\n");
	free(text);
	box_end(b);
}

static void a_read_only_root_stays_so(void **state)
{
	struct box *b = box_new("echo x > /etc/plain; echo ok > /dev/shm/x && cat /dev/shm/x");

	(void)state;
	b->config.root_readonly = true;
	box_expect(b, 0, "sh: can't create /etc/plain: Read-only file system\nok\n");
}

static void an_empty_volume_takes_over_files_and_owners(void **state)
{
	static const char *options[] = { "rbind", "x-wherry.fill", NULL };
	struct box *b = box_new("cat /data/sub/file; echo x > /data/mine");
	char source[400];
	struct stat st;

	(void)state;
	snprintf(source, sizeof(source), "%s", box_path("volume"));
	assert_int_equal(mkdir(box_path("lower/data"), 0750), 0);
	assert_int_equal(mkdir(box_path("lower/data/sub"), 0700), 0);
	box_write(box_path("lower/data/sub/file"), "seed\n", 0640);
	assert_int_equal(chown(box_path("lower/data"), 70, 71), 0);
	assert_int_equal(chown(box_path("lower/data/sub/file"), 1000, 1001), 0);
	assert_int_equal(symlink("/etc/passwd", box_path("lower/data/link")), 0);
	assert_int_equal(mkdir(box_path("volume"), 0755), 0);
	box_mount(b, &(struct oci_mount){ "/data", "bind", source, options, 2 });
	box_expect(b, 0, "seed\n");
	assert_int_equal(stat(source, &st), 0);
	assert_int_equal(st.st_uid, 70);
	assert_int_equal(st.st_gid, 71);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(stat(box_path("volume/sub/file"), &st), 0);
	assert_int_equal(st.st_uid, 1000);
	assert_int_equal(st.st_gid, 1001);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(lstat(box_path("volume/link"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(box_path("volume/mine"), &st), 0);
}

static void a_missing_command_gives_127(void **state)
{
	struct box *b = box_new("");

	(void)state;
	box_args(b, "no-such-program");
	assert_int_equal(box_run(b), 127);
	assert_string_equal(
		b->err.message, "exec: \"no-such-program\": executable file not found in $PATH");
	box_end(b);
}

static void a_file_that_cannot_be_executed_gives_126(void **state)
{
	struct box *b = box_new("");

	(void)state;
	box_args(b, "/etc/plain");
	assert_int_equal(box_run(b), 126);
	assert_string_equal(b->err.message, "exec: \"/etc/plain\": permission denied");
	box_end(b);
}

static void an_error_names_the_step_and_the_object(void **state)
{
	struct box *b = box_new("true");

	(void)state;
	box_mount(b, &(struct oci_mount){ "/x", "no-such-fs", "none", NULL, 0 });
	assert_int_equal(box_run(b), 125);
	assert_string_equal(
		b->err.message, "mounts: mount /x: file system no-such-fs: No such device");
	box_end(b);
	b = box_new("true");
	box_mount(b, &(struct oci_mount){ "/x", "bind", "/no/such/source",
			     (const char *[]){ "rbind", NULL }, 1 });
	assert_int_equal(box_run(b), 125);
	assert_string_equal(
		b->err.message, "mounts: bind /no/such/source on /x: No such file or directory");
	box_end(b);
}

static void nothing_but_procfs_covers_proc(void **state)
{
	static const char *const places[] = { "/proc", "/proc/sys", "/proc/self/attr" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct box *b = box_new("true");

		box_mount(b, &(struct oci_mount){ places[i], "tmpfs", "tmpfs", NULL, 0 });
		assert_int_equal(box_run(b), 125);
		assert_non_null(strstr(b->err.message, "may be mounted"));
		box_end(b);
	}
}

static void the_hosts_mount_table_stays_as_it_is(void **state)
{
	char *before = box_file("/proc/self/mountinfo"), *after;

	(void)state;
	box_expect(box_new("echo hello"), 0, "hello\n");
	after = box_file("/proc/self/mountinfo");
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void a_dev_that_links_outside_writes_nothing_there(void **state)
{
	struct box *b = box_new("true");
	char target[300];
	struct dirent *entry;
	DIR *dir;

	(void)state;
	assert_int_equal(mkdir(box_path("outside"), 0755), 0);
	assert_int_equal(mkdir(box_path("evil"), 0755), 0);
	snprintf(target, sizeof(target), "../../../../../../../..%s", box_path("outside"));
	assert_int_equal(symlink(target, box_path("evil/dev")), 0);
	assert_int_equal(symlink(target, box_path("evil/data")), 0);
	b->lower[1] = b->lower[0];
	b->lower[0] = xstrdup(box_path("evil"));
	/* Without any mount that would cover it. */
	b->config.mount_count = 1;
	box_mount(b, &(struct oci_mount){ "/data/made", "tmpfs", "tmpfs", NULL, 0 });
	box_run(b);
	dir = opendir(box_path("outside"));
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		assert_true(entry->d_name[0] == '.');
	}
	closedir(dir);
	free((char *)(uintptr_t)b->lower[1]);
	b->lower[1] = NULL;
	box_end(b);
}

static void a_working_folder_outside_is_refused(void **state)
{
	int host = open("/", O_RDONLY | O_DIRECTORY); /* inheritable */

	(void)state;
	for (int n = 3; n < 24; n++) {
		struct box *b = box_new("pwd; ls");
		char path[32];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", n);
		b->config.process.cwd = path;
		assert_int_equal(box_run(b), 125);
		assert_memory_equal(b->err.message, "working folder: ", 16);
		assert_string_equal(b->text, "");
		box_end(b);
	}
	close(host);
}

static void a_missing_working_folder_is_made(void **state)
{
	struct box *b = box_new("pwd");

	(void)state;
	b->config.process.cwd = "/srv/app";
	box_expect(b, 0, "/srv/app\n");
}

static void a_terminal_is_a_pty_of_the_container(void **state)
{
	struct box *b = box_new("test -t 0 && test -t 2 && stty size && tty");
	char line[64];

	(void)state;
	b->config.process.terminal = true;
	b->config.process.console_rows = 12;
	b->config.process.console_columns = 34;
	assert_int_equal(box_start(b), 0);
	if (box_outcome(b->process.status_fd, &b->err) != 1) {
		fail_msg("%s", b->err.message);
	}
	assert_true(b->process.console_master >= 0);
	box_read_line(b->process.console_master, line, sizeof(line));
	assert_string_equal(line, "12 34\r");
	box_read_line(b->process.console_master, line, sizeof(line));
	assert_memory_equal(line, "/dev/", 5);
	assert_int_equal(box_wait_exit(b->process.pidfd), 0);
	fd_close(&b->process.pidfd);
	box_end(b);
}

static int open_pid1(void)
{
	int fd = sys_memfd_create("wherry-init", 0);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, pid1_blob, pid1_blob_size), 0);
	return fd;
}

static void a_signal_right_after_the_start_is_not_lost(void **state)
{
	int init = open_pid1();

	(void)state;
	for (int i = 0; i < SIGNAL_ROUNDS; i++) {
		struct box *b = box_new("");

		b->args[0] = "sleep";
		b->args[1] = "1000";
		b->config.process.arg_count = 2;
		b->args[2] = NULL;
		b->spec.init_fd = init;
		assert_int_equal(box_start(b), 0);
		if (i % 2) { /* before and after exec */
			assert_int_equal(box_outcome(b->process.status_fd, &b->err), 1);
		}
		assert_int_equal(sys_pidfd_send_signal(b->process.pidfd, SIGTERM), 0);
		assert_int_equal(box_wait_exit(b->process.pidfd), 128 + SIGTERM);
		fd_close(&b->process.pidfd);
		box_end(b);
	}
	close(init);
}

static void with_an_init_the_payload_is_its_child_and_keeps_its_name(void **state)
{
	struct box *b = box_new("echo $0 $$; exit 3");

	(void)state;
	b->spec.init_fd = open_pid1();
	assert_int_equal(box_run(b), 3);
	assert_string_equal(b->text, "sh 2\n");
	close(b->spec.init_fd);
	box_end(b);
	b = box_new("");
	b->spec.init_fd = open_pid1();
	box_args(b, "no-such-program");
	assert_int_equal(box_run(b), 127);
	close(b->spec.init_fd);
	box_end(b);
}

static void a_process_over_its_memory_limit_is_killed_and_counted(void **state)
{
	struct box *b = box_new("dd if=/dev/zero of=/dev/null bs=64M count=1; echo $?");

	(void)state;
	b->config.resources.memory_limit = 16 << 20;
	b->config.resources.memory_swap = 16 << 20;
	assert_int_equal(box_run(b), 0);
	assert_non_null(strstr(b->text, "137"));
	assert_int_equal(cgroup_oom_kills(&b->group), 1);
	box_end(b);
}

static void a_pids_limit_holds(void **state)
{
	struct box *b = box_new("for i in 1 2 3 4 5; do sleep 1000 & done");

	(void)state;
	b->config.resources.pids_limit = 3;
	assert_int_equal(box_run(b), 2);
	assert_non_null(strstr(b->text, "can't fork"));
	box_end(b);
}

static void devices_beyond_the_default_cannot_be_opened(void **state)
{
	struct box *b = box_new("mknod /tmp/mem c 1 1 && dd if=/tmp/mem bs=1 count=1;"
				"dd if=/dev/zero bs=1 count=1 2>/dev/null | grep -c ''");

	(void)state;
	assert_int_equal(box_run(b), 0);
	assert_non_null(strstr(b->text, "Operation not permitted\n1\n"));
	box_end(b);
}

/* Everything that container_spawn() and its child ask the kernel for fails once. */
static void every_failure_is_named_and_leaves_nothing(void **state)
{
	char path[64];
	int good = 0, failed = 0, fds = box_count_fds();
	char *before = box_file("/proc/self/mountinfo"), *after;

	(void)state;
	snprintf(path, sizeof(path), "wherry-box-%d/fault", (int)getpid());
	for (unsigned which = 1; good < 12; which++) {
		struct box *b = box_new("true");
		int r;

		assert_true(which < 1000);
		b->config.process.terminal = which % 2; /* another way through the parent */
		assert_int_equal(cgroup_create(&box_layout, path, &b->config.resources, &b->group,
					 NULL, &b->err),
			0);
		b->spec.cgroup = &b->group;
		sys_fault_arm("*", which / 2 + 1, EIO);
		r = container_spawn(&b->spec, &b->process, &b->err);
		sys_fault_disarm();
		if (r == 0) {
			r = box_outcome(b->process.status_fd, &b->err);
		}
		if (r < 0) {
			if (r != -EIO) {
				print_message("%u: %s\n", which, b->err.message);
			}
			assert_int_equal(r, -EIO);
			assert_true(b->err.message[0] != '\0');
			failed++;
		}
		good = r < 0 ? 0 : good + 1;
		box_end(b);
		assert_int_equal(box_count_fds(), fds);
	}
	assert_true(failed > 100);
	after = box_file("/proc/self/mountinfo");
	assert_string_equal(before, after);
	free(before);
	free(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_payload_has_dockers_capabilities_and_seccomp),
		cmocka_unit_test(no_new_privileges_is_set_on_request),
		cmocka_unit_test(another_user_has_no_capabilities_but_the_bounding_set),
		cmocka_unit_test(numbers_are_numbers_whatever_passwd_says),
		cmocka_unit_test(an_unknown_user_is_refused_by_name),
		cmocka_unit_test(only_three_descriptors_reach_the_payload),
		cmocka_unit_test(masked_paths_are_empty_and_others_read_only),
		cmocka_unit_test(mount_and_unshare_are_forbidden),
		cmocka_unit_test(it_is_process_one_with_its_own_host_name),
		cmocka_unit_test(what_it_writes_goes_to_the_upper_folder),
		cmocka_unit_test(a_read_only_root_stays_so),
		cmocka_unit_test(an_empty_volume_takes_over_files_and_owners),
		cmocka_unit_test(a_missing_command_gives_127),
		cmocka_unit_test(a_file_that_cannot_be_executed_gives_126),
		cmocka_unit_test(an_error_names_the_step_and_the_object),
		cmocka_unit_test(nothing_but_procfs_covers_proc),
		cmocka_unit_test(the_hosts_mount_table_stays_as_it_is),
		cmocka_unit_test(a_dev_that_links_outside_writes_nothing_there),
		cmocka_unit_test(a_working_folder_outside_is_refused),
		cmocka_unit_test(a_missing_working_folder_is_made),
		cmocka_unit_test(a_terminal_is_a_pty_of_the_container),
		cmocka_unit_test(a_signal_right_after_the_start_is_not_lost),
		cmocka_unit_test(with_an_init_the_payload_is_its_child_and_keeps_its_name),
		cmocka_unit_test(a_process_over_its_memory_limit_is_killed_and_counted),
		cmocka_unit_test(a_pids_limit_holds),
		cmocka_unit_test(devices_beyond_the_default_cannot_be_opened),
		cmocka_unit_test(every_failure_is_named_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, box_group_setup, box_group_teardown);
}
