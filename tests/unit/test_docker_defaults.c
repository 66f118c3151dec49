/* docker's defaults: the figures that containers are known by. */
#include <errno.h>
#include <linux/version.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "specs/docker_defaults.h"

#define NEW_KERNEL KERNEL_VERSION(6, 1, 0)

static void capability_names_go_both_ways(void **state)
{
	(void)state;
	for (int i = 0; i <= CAPABILITY_LAST; i++) {
		assert_int_equal(capability_from_name(capability_name(i)), i);
	}
	assert_null(capability_name(CAPABILITY_LAST + 1));
	assert_null(capability_name(-1));
	assert_int_equal(capability_from_name("net_admin"), 12);
	assert_int_equal(capability_from_name("Cap_Net_Admin"), 12);
	assert_int_equal(capability_from_name("CHECKPOINT_RESTORE"), 40);
	assert_int_equal(capability_from_name("all"), CAPABILITY_ALL);
	assert_int_equal(capability_from_name("CAP_"), -EINVAL);
	assert_int_equal(capability_from_name(""), -EINVAL);
	assert_int_equal(capability_from_name("NET_ADMIN "), -EINVAL);
}

static void the_default_set_is_the_fourteen_of_docker(void **state)
{
	static const char *const names[] = { "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD",
		"NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE",
		"SYS_CHROOT", "KILL", "AUDIT_WRITE" };
	uint64_t mask = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		mask |= UINT64_C(1) << capability_from_name(names[i]);
	}
	assert_int_equal(mask, DOCKER_DEFAULT_CAPS);
}

static void the_defaults_are_a_valid_configuration(void **state)
{
	const char *args[] = { "/bin/true", NULL };
	struct oci_config config, again;
	_cleanup_json_ json_t *json = NULL;
	struct arena arena = { 0 };
	struct error err = ERROR_INIT;

	(void)state;
	oci_config_init(&config);
	config.version = "1.2.0";
	config.process.cwd = "/";
	config.process.args = args;
	config.process.arg_count = 1;
	config.mounts = (struct oci_mount *)docker_mounts;
	config.mount_count = docker_mount_count;
	config.devices = (struct oci_device *)docker_devices;
	config.device_count = docker_device_count;
	config.resources.devices = (struct oci_device_rule *)docker_device_rules;
	config.resources.device_count = docker_device_rule_count;
	json = oci_config_print(&config);
	assert_int_equal(oci_config_parse(json, &arena, &again, &err), 0);
	assert_int_equal(again.mount_count, 7);
	assert_string_equal(again.mounts[6].destination, "/dev/shm");
	assert_string_equal(again.mounts[6].options[4], "size=67108864");
	assert_int_equal(again.device_count, 6);
	assert_int_equal(again.devices[5].major, 5);
	assert_int_equal(again.devices[0].mode, 0666);
	assert_int_equal(again.resources.device_count, 12);
	assert_false(again.resources.devices[0].allow);
	assert_int_equal(again.resources.devices[0].type, 'a');
	assert_int_equal(again.resources.devices[11].major, 136);
	assert_int_equal(again.resources.devices[11].minor, -1);
	oci_config_finish(&again);
	arena_finish(&arena);
}

/* How often @name stands in a rule with @action. */
static size_t mentions(const json_t *policy, const char *name, const char *action)
{
	const json_t *rule, *item;
	size_t found = 0, i, n;

	json_array_foreach(json_object_get(policy, "syscalls"), i, rule)
	{
		json_array_foreach(json_object_get(rule, "names"), n, item)
		{
			found += strcmp(json_string_value(item), name) == 0 &&
				 strcmp(json_text(rule, "action", ""), action) == 0;
		}
	}
	return found;
}

static size_t pairs(const json_t *policy)
{
	const json_t *rule;
	size_t found = 0, i;

	json_array_foreach(json_object_get(policy, "syscalls"), i, rule)
	{
		found += json_array_size(json_object_get(rule, "names"));
	}
	return found;
}

static void the_default_policy_has_the_rules_of_the_profile(void **state)
{
	_cleanup_json_ json_t *policy = docker_seccomp(DOCKER_DEFAULT_CAPS, NEW_KERNEL);
	const json_t *syscalls = json_object_get(policy, "syscalls");

	(void)state;
	assert_string_equal(json_text(policy, "defaultAction", ""), "SCMP_ACT_ERRNO");
	assert_int_equal(json_int(policy, "defaultErrnoRet", 0), 1);
	assert_int_equal(
		json_array_size(json_object_get(json_array_get(syscalls, 0), "names")), 361);
#ifdef __x86_64__
	/* 361 always, ptrace's three, socket three, personality five, arch_prctl, modify_ldt,
	 * clone, clone3 and chroot. */
	assert_int_equal(pairs(policy), 377);
	assert_int_equal(json_array_size(json_object_get(policy, "architectures")), 3);
#endif
	assert_int_equal(mentions(policy, "socket", "SCMP_ACT_ALLOW"), 3);
	assert_int_equal(mentions(policy, "personality", "SCMP_ACT_ALLOW"), 5);
	assert_int_equal(mentions(policy, "clone3", "SCMP_ACT_ERRNO"), 1);
	assert_int_equal(mentions(policy, "chroot", "SCMP_ACT_ALLOW"), 1);
	assert_int_equal(mentions(policy, "mount", "SCMP_ACT_ALLOW"), 0);
	assert_int_equal(mentions(policy, "keyctl", "SCMP_ACT_ALLOW"), 0);
	assert_int_equal(mentions(policy, "io_uring_setup", "SCMP_ACT_ALLOW"), 0);
}

static void sys_admin_opens_mount_and_clone3(void **state)
{
	_cleanup_json_ json_t *policy =
		docker_seccomp(DOCKER_DEFAULT_CAPS | UINT64_C(1) << 21, NEW_KERNEL);

	(void)state;
	assert_int_equal(mentions(policy, "mount", "SCMP_ACT_ALLOW"), 1);
	assert_int_equal(mentions(policy, "clone3", "SCMP_ACT_ALLOW"), 1);
	assert_int_equal(mentions(policy, "clone3", "SCMP_ACT_ERRNO"), 0);
	assert_int_equal(mentions(policy, "clone", "SCMP_ACT_ALLOW"), 1);
}

static void without_capabilities_chroot_is_closed(void **state)
{
	_cleanup_json_ json_t *policy = docker_seccomp(0, NEW_KERNEL);

	(void)state;
	assert_int_equal(mentions(policy, "chroot", "SCMP_ACT_ALLOW"), 0);
}

static void before_4_8_ptrace_needs_its_capability(void **state)
{
	_cleanup_json_ json_t *old = docker_seccomp(0, KERNEL_VERSION(4, 7, 0));
	_cleanup_json_ json_t *able = docker_seccomp(UINT64_C(1) << 19, KERNEL_VERSION(4, 7, 0));
	_cleanup_json_ json_t *recent = docker_seccomp(0, KERNEL_VERSION(4, 8, 0));

	(void)state;
	assert_int_equal(mentions(old, "ptrace", "SCMP_ACT_ALLOW"), 0);
	assert_int_equal(mentions(able, "ptrace", "SCMP_ACT_ALLOW"), 1);
	assert_int_equal(mentions(recent, "ptrace", "SCMP_ACT_ALLOW"), 1);
}

static void masked_cpu_paths_exist(void **state)
{
	_cleanup_strv_ struct strv paths = { 0 };

	(void)state;
	docker_masked_cpu_paths(&paths);
	for (size_t i = 0; i < paths.count; i++) {
		assert_int_equal(access(paths.items[i], F_OK), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capability_names_go_both_ways),
		cmocka_unit_test(the_default_set_is_the_fourteen_of_docker),
		cmocka_unit_test(the_defaults_are_a_valid_configuration),
		cmocka_unit_test(the_default_policy_has_the_rules_of_the_profile),
		cmocka_unit_test(sys_admin_opens_mount_and_clone3),
		cmocka_unit_test(without_capabilities_chroot_is_closed),
		cmocka_unit_test(before_4_8_ptrace_needs_its_capability),
		cmocka_unit_test(masked_cpu_paths_exist),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
