/* The OCI runtime configuration: every member read, printed back, and refused where it is wrong. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "specs/docker_defaults.h"
#include "specs/oci_config.h"

/* Says everything that is supported, in the form in which it is printed. */
static const char full[] =
	"{\"ociVersion\":\"1.2.0\",\"process\":{\"terminal\":true,"
	"\"consoleSize\":{\"height\":24,\"width\":80},"
	"\"user\":{\"uid\":1000,\"gid\":1001,\"umask\":18,\"additionalGids\":[5,4294967294]},"
	"\"args\":[\"/bin/sh\",\"-c\",\"\"],\"env\":[\"A=1\",\"B=\\u00e9\"],\"cwd\":\"/srv\","
	"\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_CHECKPOINT_RESTORE\"],"
	"\"effective\":[\"CAP_CHOWN\"],\"permitted\":[\"CAP_KILL\"],\"inheritable\":[],"
	"\"ambient\":[\"CAP_BPF\"]},"
	"\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":1024,\"hard\":-1},"
	"{\"type\":\"RLIMIT_CORE\",\"soft\":0,\"hard\":0}],"
	"\"noNewPrivileges\":true,\"oomScoreAdj\":0,\"apparmorProfile\":\"p\",\"selinuxLabel\":"
	"\"l\"},"
	"\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"h\",\"domainname\":\"d\","
	"\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
	"{\"destination\":\"/data\",\"source\":\"/srv/data\",\"options\":[\"rbind\",\"ro\"]}],"
	"\"annotations\":{\"a.b\":\"c\",\"d\":\"\"},"
	"\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}],"
	"\"gidMappings\":[{\"containerID\":0,\"hostID\":200000,\"size\":1}],"
	"\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"},"
	"\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"},"
	"{\"allow\":true,\"type\":\"c\",\"major\":1,\"access\":\"rm\"}],"
	"\"memory\":{\"limit\":67108864,\"reservation\":1024,\"swap\":-1,\"swappiness\":0,"
	"\"disableOOMKiller\":true},\"cpu\":{\"shares\":512,\"quota\":50000,\"period\":100000,"
	"\"cpus\":\"0-1\",\"mems\":\"0\"},\"pids\":{\"limit\":100}},"
	"\"cgroupsPath\":\"a/b\","
	"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\",\"path\":\"/run/netns/x\"}],"
	"\"devices\":[{\"path\":\"/dev/fuse\",\"type\":\"c\",\"major\":10,\"minor\":229,"
	"\"fileMode\":416,\"uid\":1,\"gid\":2}],"
	"\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\"},\"rootfsPropagation\":\"rslave\","
	"\"maskedPaths\":[\"/proc/kcore\"],\"readonlyPaths\":[\"/proc/sys\",\"/proc/bus\"]}}";

struct fixture {
	struct arena arena;
	struct oci_config config;
	struct error err;
};

static int parse(struct fixture *f, const char *text)
{
	*f = (struct fixture){ 0 };
	return oci_config_parse_text(
		text, strlen(text), "config.json", &f->arena, &f->config, &f->err);
}

static void finish(struct fixture *f)
{
	oci_config_finish(&f->config);
	arena_finish(&f->arena);
}

static void every_member_of_the_process_is_read(void **state)
{
	struct fixture f;
	const struct oci_process *p = &f.config.process;

	(void)state;
	assert_int_equal(parse(&f, full), 0);
	assert_string_equal(f.config.version, "1.2.0");
	assert_true(p->terminal);
	assert_int_equal(p->console_rows, 24);
	assert_int_equal(p->console_columns, 80);
	assert_int_equal(p->uid, 1000);
	assert_int_equal(p->gid, 1001);
	assert_int_equal(p->umask, 022);
	assert_int_equal(p->additional_gid_count, 2);
	assert_int_equal(p->additional_gids[1], 4294967294U);
	assert_int_equal(p->arg_count, 3);
	assert_string_equal(p->args[2], "");
	assert_null(p->args[3]);
	assert_string_equal(p->env[1], "B=\xc3\xa9");
	assert_null(p->env[p->env_count]);
	assert_string_equal(p->cwd, "/srv");
	assert_true(p->has_capabilities);
	assert_int_equal(p->capabilities[OCI_CAPS_BOUNDING], 1 | UINT64_C(1) << 40);
	assert_int_equal(p->capabilities[OCI_CAPS_EFFECTIVE], 1);
	assert_int_equal(p->capabilities[OCI_CAPS_PERMITTED], 1 << 5);
	assert_int_equal(p->capabilities[OCI_CAPS_INHERITABLE], 0);
	assert_int_equal(p->capabilities[OCI_CAPS_AMBIENT], UINT64_C(1) << 39);
	assert_int_equal(p->rlimit_count, 2);
	assert_int_equal(p->rlimits[0].type, RLIMIT_NOFILE);
	assert_int_equal(p->rlimits[0].soft, 1024);
	assert_true(p->rlimits[0].hard == RLIM_INFINITY);
	assert_true(p->no_new_privileges);
	assert_true(p->has_oom_score_adj);
	assert_int_equal(p->oom_score_adj, 0);
	assert_string_equal(p->apparmor_profile, "p");
	assert_string_equal(p->selinux_label, "l");
	finish(&f);
}

static void every_member_outside_the_process_is_read(void **state)
{
	struct fixture f;
	const struct oci_config *c = &f.config;

	(void)state;
	assert_int_equal(parse(&f, full), 0);
	assert_string_equal(c->root_path, "rootfs");
	assert_true(c->root_readonly);
	assert_string_equal(c->hostname, "h");
	assert_string_equal(c->domainname, "d");
	assert_int_equal(c->mount_count, 2);
	assert_string_equal(c->mounts[0].type, "proc");
	assert_int_equal(c->mounts[0].option_count, 0);
	assert_null(c->mounts[1].type);
	assert_string_equal(c->mounts[1].destination, "/data");
	assert_string_equal(c->mounts[1].source, "/srv/data");
	assert_string_equal(c->mounts[1].options[1], "ro");
	assert_null(c->mounts[1].options[2]);
	assert_int_equal(c->annotation_count, 2);
	assert_string_equal(c->annotations[0].key, "a.b");
	assert_string_equal(c->annotations[0].value, "c");
	assert_int_equal(c->uid_map_count, 1);
	assert_int_equal(c->uid_maps[0].host_id, 100000);
	assert_int_equal(c->uid_maps[0].size, 65536);
	assert_int_equal(c->gid_maps[0].host_id, 200000);
	assert_string_equal(c->sysctls[0].key, "net.ipv4.ip_forward");
	assert_string_equal(c->sysctls[0].value, "1");
	assert_string_equal(c->cgroups_path, "a/b");
	assert_int_equal(c->namespace_count, 2);
	assert_int_equal(c->namespaces[0].type, CLONE_NEWPID);
	assert_null(c->namespaces[0].path);
	assert_int_equal(c->namespaces[1].type, CLONE_NEWNET);
	assert_string_equal(c->namespaces[1].path, "/run/netns/x");
	assert_int_equal(c->device_count, 1);
	assert_int_equal(c->devices[0].minor, 229);
	assert_int_equal(c->devices[0].mode, 0640);
	assert_int_equal(c->devices[0].gid, 2);
	assert_string_equal(json_text(c->seccomp, "defaultAction", ""), "SCMP_ACT_ALLOW");
	assert_string_equal(c->rootfs_propagation, "rslave");
	assert_string_equal(c->masked_paths[0], "/proc/kcore");
	assert_int_equal(c->readonly_count, 2);
	assert_null(c->readonly_paths[2]);
	finish(&f);
}

static void every_limit_is_read(void **state)
{
	struct fixture f;
	const struct oci_resources *r = &f.config.resources;

	(void)state;
	assert_int_equal(parse(&f, full), 0);
	assert_int_equal(r->device_count, 2);
	assert_false(r->devices[0].allow);
	assert_int_equal(r->devices[0].type, 'a');
	assert_int_equal(r->devices[0].major, -1);
	assert_true(r->devices[1].allow && r->devices[1].read && r->devices[1].mknod);
	assert_false(r->devices[1].write);
	assert_int_equal(r->devices[1].major, 1);
	assert_int_equal(r->devices[1].minor, -1);
	assert_int_equal(r->memory_limit, 64 << 20);
	assert_int_equal(r->memory_reservation, 1024);
	assert_int_equal(r->memory_swap, -1);
	assert_int_equal(r->memory_swappiness, 0);
	assert_true(r->memory_disable_oom_killer);
	assert_int_equal(r->cpu_shares, 512);
	assert_int_equal(r->cpu_quota, 50000);
	assert_int_equal(r->cpu_period, 100000);
	assert_string_equal(r->cpuset_cpus, "0-1");
	assert_string_equal(r->cpuset_mems, "0");
	assert_int_equal(r->pids_limit, 100);
	finish(&f);
}

static void what_was_parsed_prints_as_it_was(void **state)
{
	_cleanup_json_ json_t *expected = json_loads(full, 0, NULL), *printed = NULL;
	struct fixture f;

	(void)state;
	assert_int_equal(parse(&f, full), 0);
	printed = oci_config_print(&f.config);
	assert_true(json_equal(printed, expected));
	finish(&f);
}

static void text_for_other_runtimes_has_unsigned_limits(void **state)
{
	struct fixture f, again;
	char *text;

	(void)state;
	assert_int_equal(parse(&f, full), 0);
	text = oci_config_print_text(&f.config);
	assert_non_null(strstr(text, "\"hard\":18446744073709551615}"));
	assert_null(strstr(text, "\"hard\":-"));
	assert_int_equal(parse(&again, text), 0);
	assert_true(again.config.process.rlimits[0].hard == RLIM_INFINITY);
	free(text);
	finish(&again);
	finish(&f);
}

#define MINIMAL(process, rest)                                                                     \
	"{\"ociVersion\":\"1.0.2\",\"process\":{\"cwd\":\"/\",\"args\":[\"a\"]" process "}" rest "}"

static void what_is_not_asked_for_has_its_unset_value(void **state)
{
	struct fixture f;

	(void)state;
	assert_int_equal(parse(&f, MINIMAL("", "")), 0);
	assert_int_equal(f.config.process.umask, -1);
	assert_int_equal(f.config.resources.memory_swappiness, -1);
	assert_int_equal(f.config.resources.memory_limit, 0);
	assert_int_equal(f.config.resources.pids_limit, 0);
	assert_false(f.config.process.has_oom_score_adj);
	assert_false(f.config.process.has_capabilities);
	assert_null(f.config.root_path);
	assert_null(f.config.seccomp);
	assert_int_equal(f.config.mount_count, 0);
	finish(&f);
}

static void numbers_of_64_unsigned_bits_are_taken(void **state)
{
	struct fixture f;

	(void)state;
	assert_int_equal(
		parse(&f,
			MINIMAL(",\"env\":[\"N=18446744073709551615\",\"\\\"9223372036854775808\"],"
				"\"rlimits\":[{\"type\":\"RLIMIT_AS\",\"soft\":9223372036854775808,"
				"\"hard\":18446744073709551615}]",
				"")),
		0);
	assert_true(f.config.process.rlimits[0].soft == UINT64_C(1) << 63);
	assert_true(f.config.process.rlimits[0].hard == UINT64_MAX);
	assert_string_equal(f.config.process.env[0], "N=18446744073709551615");
	assert_string_equal(f.config.process.env[1], "\"9223372036854775808");
	finish(&f);
}

static void unknown_members_are_ignored(void **state)
{
	struct fixture f;

	(void)state;
	assert_int_equal(parse(&f, MINIMAL(",\"x-new\":[1,2],\"env\":null",
					   ",\"future\":{\"a\":1},\"linux\":{\"x\":true},"
					   "\"hooks\":{\"prestart\":[],\"poststop\":null}")),
		0);
	finish(&f);
}

static void old_file_types_in_a_device_mode_are_dropped(void **state)
{
	struct fixture f;

	(void)state;
	assert_int_equal(
		parse(&f,
			MINIMAL("", ",\"linux\":{\"devices\":[{\"path\":\"/dev/x\",\"type\":\"u\","
				    "\"major\":1,\"minor\":3,\"fileMode\":8630}]}")),
		0);
	assert_int_equal(f.config.devices[0].type, 'c');
	assert_int_equal(f.config.devices[0].mode, 0666);
	finish(&f);
}

/* Each document is wrong in one place, and the message says which. */
static const struct {
	const char *text, *message;
} refusals[] = {
	{ "[]", "an object expected, not a list" },
	{ "{}", "ociVersion: missing" },
	{ "{\"ociVersion\":\"1.0.2\"}", "process: missing" },
	{ "{\"ociVersion\":\"2.0\",\"process\":{\"cwd\":\"/\",\"args\":[\"a\"]}}",
		"ociVersion: \"2.0\" is not a version that begins with 1." },
	{ "{\"ociVersion\":1}", "ociVersion: a text expected, not an integer" },
	{ "{\"ociVersion\":\"1.0\",\"process\":{\"args\":[\"a\"]}}", "process.cwd: missing" },
	{ "{\"ociVersion\":\"1.0\",\"process\":{\"cwd\":\"x\",\"args\":[\"a\"]}}",
		"process.cwd: \"x\" is not an absolute path" },
	{ "{\"ociVersion\":\"1.0\",\"process\":{\"cwd\":\"/\",\"args\":[]}}",
		"process.args: empty" },
	{ MINIMAL(",\"env\":[\"A=1\",2]", ""), "process.env[1]: a text expected, not an integer" },
	{ MINIMAL(",\"terminal\":1", ""),
		"process.terminal: true or false expected, not an integer" },
	{ MINIMAL(",\"user\":{\"uid\":-1}", ""), "process.user.uid: -1 is out of range" },
	{ MINIMAL(",\"user\":{\"uid\":4294967295}", ""),
		"process.user.uid: 4294967295 is out of range" },
	{ MINIMAL(",\"user\":{\"gid\":1.5}", ""),
		"process.user.gid: an integer expected, not a fraction" },
	{ MINIMAL(",\"user\":{\"umask\":512}", ""), "process.user.umask: 512 is out of range" },
	{ MINIMAL(",\"user\":{\"additionalGids\":[0,\"x\"]}", ""),
		"process.user.additionalGids[1]: an integer expected, not a text" },
	{ MINIMAL(",\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1},"
		  "{\"type\":\"RLIMIT_AS\",\"soft\":1,\"hard\":1},{\"type\":\"nofile\"}]",
		  ""),
		"process.rlimits[2].type: \"nofile\" is not known" },
	{ MINIMAL(",\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":1}]", ""),
		"process.rlimits[0].hard: missing" },
	{ MINIMAL(",\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":2,\"hard\":1}]", ""),
		"process.rlimits[0]: the soft limit is above the hard one" },
	{ MINIMAL(",\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1},"
		  "{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1}]",
		  ""),
		"process.rlimits[1].type: given twice" },
	{ MINIMAL(",\"capabilities\":{\"bounding\":[\"CAP_KILL\",\"CAP_FLY\"]}", ""),
		"process.capabilities.bounding[1]: \"CAP_FLY\" is not a capability" },
	{ MINIMAL(",\"capabilities\":{\"effective\":[\"ALL\"]}", ""),
		"process.capabilities.effective[0]: \"ALL\" is not a capability" },
	{ MINIMAL(",\"oomScoreAdj\":1001", ""),
		"process.oomScoreAdj: an integer from -1000 to 1000 expected" },
	{ MINIMAL(",\"scheduler\":{\"policy\":\"SCHED_BATCH\"}", ""),
		"process.scheduler: not supported" },
	{ MINIMAL(",\"ioPriority\":{\"class\":\"x\"}", ""), "process.ioPriority: not supported" },
	{ MINIMAL("", ",\"hooks\":{\"prestart\":[{\"path\":\"/bin/x\"}]}"),
		"hooks: not supported" },
	{ MINIMAL("", ",\"mounts\":[{\"destination\":\"/a\"},{\"destination\":\"b\"}]"),
		"mounts[1].destination: \"b\" is not an absolute path" },
	{ MINIMAL("", ",\"mounts\":[{\"destination\":\"/a\",\"uidMappings\":[{}]}]"),
		"mounts[0].uidMappings: not supported" },
	{ MINIMAL("", ",\"annotations\":{\"a\":1}"),
		"annotations.a: a text expected, not an integer" },
	{ MINIMAL("", ",\"annotations\":{\"\":\"1\"}"), "annotations: a name is empty" },
	{ MINIMAL("", ",\"linux\":{\"intelRdt\":{\"closID\":\"x\"}}"),
		"linux.intelRdt: not supported" },
	{ MINIMAL("", ",\"linux\":{\"personality\":{\"domain\":\"LINUX32\"}}"),
		"linux.personality: not supported" },
	{ MINIMAL("", ",\"linux\":{\"resources\":{\"blockIO\":{\"weight\":10}}}"),
		"linux.resources.blockIO: not supported" },
	{ MINIMAL("", ",\"linux\":{\"resources\":{\"unified\":{\"a\":\"b\"}}}"),
		"linux.resources.unified: not supported" },
	{ MINIMAL("", ",\"linux\":{\"resources\":{\"cpu\":{\"realtimeRuntime\":5}}}"),
		"linux.resources.cpu.realtimeRuntime: not supported" },
	{ MINIMAL("", ",\"linux\":{\"resources\":{\"memory\":{\"limit\":-2}}}"),
		"linux.resources.memory.limit: -2 is out of range" },
	{ MINIMAL("", ",\"linux\":{\"resources\":{\"devices\":[{\"access\":\"rwm\"}]}}"),
		"linux.resources.devices[0].allow: missing" },
	{ MINIMAL("",
		  ",\"linux\":{\"resources\":{\"devices\":[{\"allow\":true,\"access\":\"rx\"}]}}"),
		"linux.resources.devices[0].access: a text of the letters r, w, m expected" },
	{ MINIMAL("",
		  ",\"linux\":{\"resources\":{\"devices\":[{\"allow\":true,\"type\":\"cc\"}]}}"),
		"linux.resources.devices[0].type: \"cc\" is not one letter of \"acb\"" },
	{ MINIMAL("", ",\"linux\":{\"namespaces\":[{\"type\":\"net\"}]}"),
		"linux.namespaces[0].type: \"net\" is not known" },
	{ MINIMAL("", ",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}"),
		"linux.namespaces[1]: a second namespace of that type" },
	{ MINIMAL("", ",\"linux\":{\"namespaces\":[{\"type\":\"pid\",\"path\":\"x\"}]}"),
		"linux.namespaces[0].path: \"x\" is not an absolute path" },
	{ MINIMAL("",
		  ",\"linux\":{\"devices\":[{\"path\":\"/dev/x\",\"type\":\"c\",\"major\":1}]}"),
		"linux.devices[0]: major or minor is missing" },
	{ MINIMAL("", ",\"linux\":{\"rootfsPropagation\":\"open\"}"),
		"linux.rootfsPropagation: \"open\" is not known" },
	{ MINIMAL("", ",\"linux\":{\"seccomp\":[]}"), "linux.seccomp: an object expected" },
	{ MINIMAL("", ",\"linux\":{\"sysctl\":[]}"),
		"linux.sysctl: an object expected, not a list" },
	{ MINIMAL("", ",\"windows\":{\"a\":1}"), "windows: not supported" },
};

static void each_wrong_member_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct fixture f;

		assert_true(parse(&f, refusals[i].text) < 0);
		assert_string_equal(f.err.message, refusals[i].message);
		assert_null(f.config.seccomp);
		finish(&f);
	}
}

static void broken_json_is_named_with_its_place(void **state)
{
	struct fixture f;

	(void)state;
	assert_int_equal(parse(&f, "{\n \"a\": }"), -EBADMSG);
	assert_non_null(strstr(f.err.message, "config.json:2:"));
	finish(&f);
	assert_int_equal(parse(&f, "{\"a\":184467440737095516160}"), -EBADMSG);
	finish(&f);
	assert_int_equal(parse(&f, "{\"a\":1,\"a\":2}"), -EBADMSG);
	finish(&f);
	assert_int_equal(parse(&f, "\"\\"), -EBADMSG);
	finish(&f);
}

static void deep_nesting_is_refused_not_followed(void **state)
{
	enum { DEPTH = 200000 };
	struct fixture f;
	char *text = xcalloc(DEPTH + 1, 1);

	(void)state;
	memset(text, '[', DEPTH);
	assert_int_equal(parse(&f, text), -EBADMSG);
	finish(&f);
	free(text);
}

static void a_file_is_loaded_within_its_limit(void **state)
{
	char path[] = "/tmp/oci-config-XXXXXX";
	int fd = mkstemp(path);
	struct fixture f = { 0 };

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, full, sizeof(full) - 1), sizeof(full) - 1);
	assert_int_equal(oci_config_load(-1, path, &f.arena, &f.config, &f.err), 0);
	assert_string_equal(f.config.hostname, "h");
	finish(&f);
	assert_int_equal(ftruncate(fd, (off_t)OCI_CONFIG_LIMIT + 1), 0);
	assert_int_equal(oci_config_load(-1, path, &f.arena, &f.config, &f.err), -EFBIG);
	close(fd);
	unlink(path);
	assert_int_equal(oci_config_load(-1, path, &f.arena, &f.config, &f.err), -ENOENT);
	assert_int_equal(oci_config_load(-1, "/dev/zero", &f.arena, &f.config, &f.err), -EINVAL);
	finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_member_of_the_process_is_read),
		cmocka_unit_test(every_member_outside_the_process_is_read),
		cmocka_unit_test(every_limit_is_read),
		cmocka_unit_test(what_was_parsed_prints_as_it_was),
		cmocka_unit_test(text_for_other_runtimes_has_unsigned_limits),
		cmocka_unit_test(what_is_not_asked_for_has_its_unset_value),
		cmocka_unit_test(numbers_of_64_unsigned_bits_are_taken),
		cmocka_unit_test(unknown_members_are_ignored),
		cmocka_unit_test(old_file_types_in_a_device_mode_are_dropped),
		cmocka_unit_test(each_wrong_member_is_named),
		cmocka_unit_test(broken_json_is_named_with_its_place),
		cmocka_unit_test(deep_nesting_is_refused_not_followed),
		cmocka_unit_test(a_file_is_loaded_within_its_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
