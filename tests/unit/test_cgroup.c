/* Control groups on whatever layout this machine has: v1, hybrid or v2. */
#include "tests/unit/box.h"

static void group_path(char path[64], const char *name)
{
	snprintf(path, 64, "wherry-box-%d/%s", (int)getpid(), name);
}

static struct cgroup make(const char *name, const struct oci_resources *resources)
{
	struct error err = ERROR_INIT;
	struct cgroup group;
	char path[64];

	group_path(path, name);
	if (cgroup_create(&box_layout, path, resources, &group, NULL, &err) < 0) {
		fail_msg("%s", err.message);
	}
	return group;
}

static struct oci_resources no_limits(void)
{
	struct oci_config config;

	oci_config_init(&config);
	return config.resources;
}

/* Whether the folder is there in any hierarchy. */
static bool exists(const char *path)
{
	struct cgroup group;

	if (cgroup_open(&box_layout, path, &group) < 0) {
		return false;
	}
	cgroup_close(&group);
	return true;
}

/* A child of ours in @group that counts to a pipe until it is killed. */
struct worker {
	pid_t pid;
	int pidfd, out;
};

static struct worker start_worker(const struct cgroup *group)
{
	struct clone_args args = { .flags = CLONE_PIDFD, .exit_signal = SIGCHLD };
	int pipe[2], into = cgroup_clone_fd(group);
	struct worker w = { .pidfd = -EBADF };

	assert_int_equal(sys_pipe2(pipe, 0), 0);
	args.pidfd = (uintptr_t)&w.pidfd;
	if (into >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)into;
	}
	w.pid = sys_clone3(&args);
	if (w.pid == 0) {
		if (into < 0 && cgroup_enter(group, 0) < 0) {
			_exit(1);
		}
		while (write(pipe[1], "x", 1) == 1) {
		}
		_exit(0);
	}
	assert_true(w.pid > 0);
	fd_close(&pipe[1]);
	w.out = pipe[0];
	fd_nonblock(w.out, true);
	assert_true(box_wait_readable(w.out, BOX_DEADLINE_MS)); /* it is in the group */
	return w;
}

static void end_worker(struct worker *w)
{
	assert_int_equal(box_wait_exit(w->pidfd), 137);
	fd_close(&w->pidfd);
	fd_close(&w->out);
}

static void drain(int fd)
{
	char text[4096];

	while (read(fd, text, sizeof(text)) > 0) {
	}
}

static void remove_group(struct cgroup *group)
{
	char path[sizeof(group->path)];

	memcpy(path, group->path, sizeof(path));
	box_remove_group(group);
	assert_false(exists(path));
}

static void a_group_comes_and_goes_in_every_hierarchy(void **state)
{
	struct cgroup group = make("plain", NULL);

	(void)state;
	for (int i = 0; i < box_layout.count; i++) {
		assert_true(group.fds[i] >= 0);
	}
	assert_true(box_layout.count > 0);
	assert_false(cgroup_populated(&group));
	assert_int_equal(cgroup_pids(&group, NULL, 0), 0);
	remove_group(&group);
}

static void odd_paths_are_refused(void **state)
{
	static const char *const odd[] = { "", "/a", "a/", "a//b", "..", "a/../b", ".", "a/./b" };
	struct error err = ERROR_INIT;
	struct cgroup group;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		assert_int_equal(
			cgroup_create(&box_layout, odd[i], NULL, &group, NULL, &err), -EINVAL);
		assert_int_equal(cgroup_open(&box_layout, odd[i], &group), -EINVAL);
	}
	assert_int_equal(cgroup_open(&box_layout, "wherry-box-none/x", &group), -ENOENT);
}

static void a_second_group_of_the_same_name_is_refused(void **state)
{
	struct cgroup group = make("twice", NULL), second;
	struct error err = ERROR_INIT;
	char path[64];

	(void)state;
	group_path(path, "twice");
	assert_int_equal(cgroup_create(&box_layout, path, NULL, &second, NULL, &err), -EEXIST);
	assert_true(exists(path)); /* the first one's */
	remove_group(&group);
}

static void a_group_holds_processes_and_counts_them(void **state)
{
	struct cgroup group = make("count", NULL), opened;
	struct worker w = start_worker(&group);
	pid_t pids[4];

	(void)state;
	assert_true(cgroup_populated(&group));
	assert_int_equal(cgroup_pids(&group, pids, 4), 1);
	assert_int_equal(pids[0], w.pid);
	assert_int_equal(cgroup_open(&box_layout, group.path, &opened), 0);
	assert_int_equal(cgroup_remove(&opened), -EBUSY);
	assert_int_equal(cgroup_kill(&opened), 0);
	cgroup_close(&opened);
	end_worker(&w);
	remove_group(&group);
}

static void a_group_below_another_takes_processes_too(void **state)
{
	struct oci_resources limits = no_limits();
	struct cgroup group, below;
	struct worker w, second;

	(void)state;
	limits.memory_limit = 64 << 20;
	limits.pids_limit = 10;
	group = make("outer", &limits);
	w = start_worker(&group);
	below = make("outer/s1", NULL);
	second = start_worker(&below);
	assert_int_equal(cgroup_pids(&group, NULL, 0), 2);
	assert_int_equal(cgroup_pids(&below, NULL, 0), 1);
	assert_int_equal(cgroup_kill(&below), 0);
	end_worker(&second);
	assert_int_equal(cgroup_pids(&group, NULL, 0), 1);
	assert_int_equal(cgroup_kill(&group), 0);
	end_worker(&w);
	cgroup_close(&below); /* goes with the outer one */
	remove_group(&group);
}

static void limits_are_in_force_and_can_be_changed(void **state)
{
	struct oci_resources limits = no_limits();
	struct error err = ERROR_INIT;
	struct cgroup_stats stats;
	struct cgroup group;

	(void)state;
	limits.memory_limit = 32 << 20;
	limits.memory_swap = 32 << 20;
	limits.memory_reservation = 16 << 20;
	limits.cpu_quota = 50000;
	limits.cpu_period = 100000;
	limits.cpu_shares = 512;
	limits.pids_limit = 20;
	group = make("limits", &limits);
	cgroup_stats_read(&group, &stats);
	assert_int_equal(stats.memory_limit_bytes, 32 << 20);
	limits.memory_limit = limits.memory_swap = 64 << 20; /* up: the total has to go first */
	assert_int_equal(cgroup_update(&group, &limits, NULL, &err), 0);
	cgroup_stats_read(&group, &stats);
	assert_int_equal(stats.memory_limit_bytes, 64 << 20);
	limits.memory_limit = limits.memory_swap = 16 << 20; /* and down: last */
	assert_int_equal(cgroup_update(&group, &limits, NULL, &err), 0);
	cgroup_stats_read(&group, &stats);
	assert_int_equal(stats.memory_limit_bytes, 16 << 20);
	remove_group(&group);
}

static void a_frozen_group_stands_still_until_it_is_thawed(void **state)
{
	struct cgroup group = make("freeze", NULL);
	struct worker w = start_worker(&group);
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(cgroup_freeze(&group, true, &err), 0);
	drain(w.out);
	assert_false(box_wait_readable(w.out, 50));
	assert_int_equal(cgroup_freeze(&group, false, &err), 0);
	assert_true(box_wait_readable(w.out, BOX_DEADLINE_MS));
	assert_int_equal(cgroup_kill(&group), 0);
	end_worker(&w);
	remove_group(&group);
}

static void a_frozen_group_can_be_killed(void **state)
{
	struct cgroup group = make("frozen", NULL);
	struct worker w = start_worker(&group);
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(cgroup_freeze(&group, true, &err), 0);
	assert_int_equal(cgroup_kill(&group), 0);
	end_worker(&w);
	remove_group(&group);
}

static void the_number_of_oom_kills_starts_at_none(void **state)
{
	struct cgroup group = make("oom", NULL);

	(void)state;
	assert_int_equal(cgroup_oom_kills(&group), 0);
	remove_group(&group);
}

static void every_failure_of_making_one_leaves_nothing(void **state)
{
	struct oci_resources limits = no_limits();
	int good = 0, failed = 0, fds = box_count_fds();
	char path[64];

	(void)state;
	limits.memory_limit = 32 << 20;
	limits.cpu_quota = 50000;
	limits.cpu_period = 100000;
	limits.pids_limit = 20;
	limits.devices = (struct oci_device_rule *)(uintptr_t)docker_device_rules;
	limits.device_count = docker_device_rule_count;
	group_path(path, "fault/it");
	for (unsigned which = 1; good < 6; which++) {
		struct error err = ERROR_INIT;
		struct cgroup group;
		int r;

		assert_true(which < 1000);
		sys_fault_arm("*", which, EIO);
		r = cgroup_create(&box_layout, path, &limits, &group, NULL, &err);
		sys_fault_disarm();
		if (r < 0) {
			assert_int_equal(r, -EIO);
			assert_true(err.message[0] != '\0');
			assert_false(exists(path));
			failed++;
		} else {
			box_remove_group(&group);
		}
		good = r < 0 ? 0 : good + 1;
		group_path(path, "fault");
		cgroup_remove_parents(&box_layout, path);
		assert_false(exists(path));
		group_path(path, "fault/it");
		assert_int_equal(box_count_fds(), fds);
	}
	assert_true(failed > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_comes_and_goes_in_every_hierarchy),
		cmocka_unit_test(odd_paths_are_refused),
		cmocka_unit_test(a_second_group_of_the_same_name_is_refused),
		cmocka_unit_test(a_group_holds_processes_and_counts_them),
		cmocka_unit_test(a_group_below_another_takes_processes_too),
		cmocka_unit_test(limits_are_in_force_and_can_be_changed),
		cmocka_unit_test(a_frozen_group_stands_still_until_it_is_thawed),
		cmocka_unit_test(a_frozen_group_can_be_killed),
		cmocka_unit_test(the_number_of_oom_kills_starts_at_none),
		cmocka_unit_test(every_failure_of_making_one_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, box_group_setup, box_group_teardown);
}
