/* Plans, from the text of a compose file and a store with a few made-up images. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "init/plan.h"
#include "rootfs-tools/store.h"
#include "specs/docker_defaults.h"

#define MINUTE INT64_C(60000000)
#define SECOND INT64_C(1000000)

/* A folder of the test's own, with the store, and what the last build gave. */
struct fixture {
	char folder[64];
	unsigned image_count;
	struct plan *plan;
	struct strv warnings;
	struct diagnostics found;
	struct error err;
	int result;
};

static void write_text(const char *folder, const char *name, const char *text)
{
	_cleanup_free_ char *path = file_join(folder, name);
	char *slash = strrchr(path, '/');

	*slash = '\0';
	assert_int_equal(file_mkdir_p(path, 0755, NULL), 0);
	*slash = '/';
	assert_int_equal(
		file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, false, NULL), 0);
}

/* Adds an image whose digests are made up: the reader of the store does not compute them. */
static void add_image(struct fixture *f, json_t *index, const char *name, const char *architecture,
	const char *config)
{
	unsigned n = ++f->image_count;
	_cleanup_str_ struct str text = { 0 };
	char path[200];
	json_t *descriptor;

	snprintf(path, sizeof(path), "images/layers/sha256/%064x/fs/.keep", n);
	write_text(f->folder, path, "");
	str_addf(&text,
		"{\"architecture\":\"%s\",\"os\":\"linux\",\"config\":%s,\"rootfs\":{\"type\":"
		"\"layers\",\"diff_ids\":[\"sha256:%064x\"]}}",
		architecture, config, n);
	snprintf(path, sizeof(path), "images/blobs/sha256/%064x", 0x100 + n);
	write_text(f->folder, path, str_text(&text));
	text.size = 0;
	str_addf(&text,
		"{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:%064x\",\"size\":1},"
		"\"layers\":[]}",
		0x100 + n);
	snprintf(path, sizeof(path), "images/blobs/sha256/%064x", 0x200 + n);
	write_text(f->folder, path, str_text(&text));
	snprintf(path, sizeof(path), "sha256:%064x", 0x200 + n);
	descriptor = json_pack("{s:s, s:i, s:{s:s}}", "digest", path, "size", 1, "annotations",
		STORE_ANNOTATION_NAME, name);
	json_array_append_new(json_object_get(index, "manifests"), descriptor);
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	_cleanup_json_ json_t *index = json_pack("{s:i, s:[]}", "schemaVersion", 2, "manifests");
	_cleanup_free_ char *text = NULL;

	snprintf(f->folder, sizeof(f->folder), "/tmp/wherry-plan-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	add_image(f, index, "docker.io/library/plain:latest", store_architecture(),
		"{\"Cmd\":[\"/bin/serve\",\"now\"]}");
	add_image(f, index, "docker.io/library/rich:1", store_architecture(),
		"{\"User\":\"app\",\"Env\":[\"PATH=/opt/bin\",\"MODE=image\",\"GONE=x\"],"
		"\"Entrypoint\":[\"/entry\"],\"Cmd\":[\"run\"],\"WorkingDir\":\"/srv\","
		"\"StopSignal\":\"SIGINT\",\"Volumes\":{\"/data\":{},\"/cache\":{}},"
		"\"ExposedPorts\":{\"5432/tcp\":{}},\"Labels\":{\"vendor\":\"us\"},"
		"\"Shell\":[\"/bin/bash\",\"-ec\"],"
		"\"Healthcheck\":{\"Test\":[\"CMD\",\"/check\"],\"Interval\":60000000000,"
		"\"Retries\":7}}");
	add_image(f, index, "docker.io/library/alien:latest", "s390x", "{\"Cmd\":[\"/x\"]}");
	add_image(f, index, "docker.io/library/mute:latest", store_architecture(), "{}");
	text = json_print(index);
	write_text(f->folder, "images/index.json", text);
	write_text(f->folder, "images/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	write_text(f->folder, "images/lock", "");
	*state = f;
	return 0;
}

static void forget(struct fixture *f)
{
	plan_free(f->plan);
	f->plan = NULL;
	strv_finish(&f->warnings);
	diagnostics_finish(&f->found);
	memset(&f->found, 0, sizeof(f->found));
	f->err = (struct error)ERROR_INIT;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	forget(f);
	assert_int_equal(file_remove_tree(AT_FDCWD, f->folder), 0);
	free(f);
	return 0;
}

static void build_with(struct fixture *f, const char *yaml, struct plan_options *options)
{
	_cleanup_free_ char *path = file_join(f->folder, "project/compose.yaml");
	const char *files[] = { path, NULL };
	const char *environment[] = { "PATH=/bin", NULL };
	struct compose_options compose = {
		.files = files, .project_name = "proj", .environment = environment
	};
	struct compose_project *project = NULL;

	forget(f);
	write_text(f->folder, "project/compose.yaml", yaml);
	if (compose_load(&compose, &project, &f->found, &f->err) < 0) {
		diagnostics_print(&f->found, stderr);
		fail_msg("the file does not load: %s", f->err.message);
	}
	options->state_dir = f->folder;
	f->result = plan_build(project, options, &f->plan, &f->warnings, &f->found, &f->err);
	compose_free(project);
}

/* The first container of a project that must build. */
static struct plan_container *build(struct fixture *f, const char *yaml)
{
	build_with(f, yaml, &(struct plan_options){ .no_deps = false });
	if (f->result < 0) {
		diagnostics_print(&f->found, stderr);
		fail_msg("%s", f->err.message);
	}
	assert_true(f->plan->container_count > 0);
	return f->plan->containers[0];
}

/* A project that must not build: the text of its first finding. */
static const char *refused(struct fixture *f, const char *yaml)
{
	build_with(f, yaml, &(struct plan_options){ .no_deps = false });
	assert_true(f->result < 0);
	for (size_t i = 0; i < f->found.count; i++) {
		if (f->found.items[i].severity == SEVERITY_ERROR) {
			assert_true(f->found.items[i].mark.line > 0);
			return f->found.items[i].text;
		}
	}
	return f->err.message;
}

static struct plan_container *find_container(struct fixture *f, const char *name)
{
	for (size_t i = 0; i < f->plan->container_count; i++) {
		if (strcmp(f->plan->containers[i]->name, name) == 0) {
			return f->plan->containers[i];
		}
	}
	fail_msg("no container %s", name);
	return NULL;
}

static void assert_words(const char *const *words, const char *expected)
{
	_cleanup_str_ struct str text = { 0 };

	for (; words && *words; words++) {
		str_addf(&text, "%s%s", text.size ? " " : "", *words);
	}
	assert_string_equal(str_text(&text), expected);
}

static const char *env_of(const struct plan_container *c, const char *key)
{
	for (size_t i = 0; i < c->config.process.env_count; i++) {
		const char *item = c->config.process.env[i];

		if (strncmp(item, key, strlen(key)) == 0 && item[strlen(key)] == '=') {
			return item + strlen(key) + 1;
		}
	}
	return NULL;
}

static const struct oci_mount *mount_of(const struct plan_container *c, const char *target)
{
	for (size_t i = 0; i < c->config.mount_count; i++) {
		if (strcmp(c->config.mounts[i].destination, target) == 0) {
			return &c->config.mounts[i];
		}
	}
	return NULL;
}

static const char *label_of(const struct plan_container *c, const char *key)
{
	for (size_t i = 0; i < c->labels.count; i++) {
		if (strcmp(c->labels.items[i].key, key) == 0) {
			return c->labels.items[i].value;
		}
	}
	return NULL;
}

static bool warned(const struct fixture *f, const char *about)
{
	for (size_t i = 0; i < f->warnings.count; i++) {
		if (strstr(f->warnings.items[i], about)) {
			assert_non_null(strstr(f->warnings.items[i], "compose.yaml:"));
			return true;
		}
	}
	return false;
}

static void a_bare_service_gets_dockers_defaults(void **state)
{
	struct plan_container *c = build(*state, "services: {a: {image: plain}}\n");
	const struct oci_process *process = &c->config.process;

	assert_string_equal(c->name, "proj-a-1");
	assert_words(process->args, "/bin/serve now");
	assert_string_equal(process->cwd, "/");
	assert_string_equal(c->user, "0");
	assert_string_equal(env_of(c, "PATH"), DOCKER_DEFAULT_PATH);
	assert_null(env_of(c, "TERM"));
	assert_int_equal(c->seccomp, PLAN_SECCOMP_DEFAULT);
	assert_int_equal(c->policy.restart, RESTART_NO);
	assert_int_equal(c->policy.stop_signal, SIGTERM);
	assert_int_equal(c->policy.stop_grace_us, 10 * SECOND);
	assert_false(c->policy.health.enabled);
	assert_int_equal(c->log_max_size, 0);
	assert_int_equal(c->log_max_file, 1);
	assert_int_equal(c->config.namespace_count, 6);
	assert_int_equal(c->endpoint_count, 1);
	assert_string_equal(c->endpoints[0].network, "proj_default");
	assert_int_equal(c->lower_count, 1);
	assert_non_null(mount_of(c, "/proc"));
	assert_true(c->config.masked_count >= 12);
	assert_int_equal(c->config.device_count, docker_device_count);
	assert_int_equal(c->config.sysctl_count, 2);
	assert_int_equal(process->capabilities[OCI_CAPS_INHERITABLE], 0);
	assert_int_equal(process->capabilities[OCI_CAPS_BOUNDING] & ~DOCKER_DEFAULT_CAPS, 0);
	assert_string_equal(label_of(c, "com.docker.compose.service"), "a");
	assert_string_equal(label_of(c, "com.docker.compose.config-hash"), c->hash);
}

static void the_image_fills_what_the_file_leaves_open(void **state)
{
	struct plan_container *c = build(*state, "services: {a: {image: \"rich:1\"}}\n");

	assert_words(c->config.process.args, "/entry run");
	assert_string_equal(c->user, "app");
	assert_string_equal(c->config.process.cwd, "/srv");
	assert_string_equal(env_of(c, "PATH"), "/opt/bin");
	assert_int_equal(c->policy.stop_signal, SIGINT);
	assert_words(c->health_test, "/check");
	assert_int_equal(c->policy.health.interval_us, MINUTE);
	assert_int_equal(c->policy.health.timeout_us, 30 * SECOND);
	assert_int_equal(c->policy.health.retries, 7);
	assert_true(c->policy.health.eager);
	assert_int_equal(c->volume_count, 2);
	assert_null(c->volumes[0].volume);
	assert_words(c->expose, "5432/tcp");
	assert_string_equal(label_of(c, "vendor"), "us");
}

static void command_and_entrypoint_combine_as_in_the_engine(void **state)
{
	static const struct {
		const char *keys, *args;
	} rows[] = {
		{ "command: go fast", "/entry go fast" },
		{ "command: []", "/entry run" },
		{ "entrypoint: /other", "/other" },
		{ "entrypoint: /other, command: [x, y]", "/other x y" },
		{ "entrypoint: []", "run" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *yaml =
			xasprintf("services: {a: {image: \"rich:1\", %s}}\n", rows[i].keys);

		assert_words(build(*state, yaml)->config.process.args, rows[i].args);
	}
}

static void environment_overrides_the_images_and_may_remove(void **state)
{
	struct plan_container *c =
		build(*state, "services:\n  a:\n    image: rich:1\n    tty: true\n"
			      "    environment: {MODE: file, GONE: , NEW: \"a=b\"}\n");

	assert_string_equal(env_of(c, "MODE"), "file");
	assert_string_equal(env_of(c, "NEW"), "a=b");
	assert_null(env_of(c, "GONE"));
	assert_string_equal(env_of(c, "TERM"), "xterm");
	assert_true(c->config.process.terminal);
}

static void capabilities_follow_dockers_rules(void **state)
{
	static const struct {
		const char *keys;
		uint64_t caps;
	} rows[] = {
		{ "cap_drop: [ALL]", 0 },
		{ "cap_drop: [ALL], cap_add: [CHOWN]", 1 },
		{ "cap_drop: [CAP_CHOWN]", DOCKER_DEFAULT_CAPS & ~UINT64_C(1) },
		{ "cap_add: [ALL], cap_drop: [CHOWN]", CAPABILITY_MASK_ALL & ~UINT64_C(1) },
		{ "privileged: true", CAPABILITY_MASK_ALL },
	};
	struct fixture *f = *state;
	uint64_t ours = 0;

	for (int i = 0; i <= CAPABILITY_LAST; i++) {
		ours |= prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1 ? UINT64_C(1) << i : 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *yaml =
			xasprintf("services: {a: {image: plain, %s}}\n", rows[i].keys);
		struct plan_container *c = build(*state, yaml);

		assert_int_equal(
			c->config.process.capabilities[OCI_CAPS_BOUNDING], rows[i].caps & ours);
		assert_int_equal(
			c->config.process.capabilities[OCI_CAPS_EFFECTIVE], rows[i].caps & ours);
	}
	assert_non_null(strstr(
		refused(f, "services:\n  a:\n    image: plain\n    cap_add: [FLY]\n"), "FLY"));
	assert_int_equal(f->found.items[0].mark.line, 4);
}

static void security_options_are_honoured_or_named(void **state)
{
	struct fixture *f = *state;
	struct plan_container *c;

	write_text(f->folder, "project/profile.json",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":["
		"{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"},"
		"{\"names\":[\"chown\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":["
		"\"CAP_CHOWN\"]}},"
		"{\"names\":[\"reboot\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":["
		"\"CAP_SYS_BOOT\"]}}]}");
	c = build(f, "services: {a: {image: plain, security_opt: [\"no-new-privileges:true\", "
		     "\"seccomp=./profile.json\", \"apparmor=mine\"]}}\n");
	assert_true(c->config.process.no_new_privileges);
	assert_int_equal(c->seccomp, PLAN_SECCOMP_CUSTOM);
	assert_int_equal(json_array_size(json_object_get(c->config.seccomp, "syscalls")), 2);
	assert_true(warned(f, "apparmor=mine"));
	c = build(f, "services: {a: {image: plain, security_opt: [\"seccomp:unconfined\"]}}\n");
	assert_int_equal(c->seccomp, PLAN_SECCOMP_UNCONFINED);
	assert_non_null(strstr(
		refused(f, "services: {a: {image: plain, security_opt: [seccomp=none.json]}}\n"),
		"none.json"));
}

static void limits_reach_the_configuration(void **state)
{
	struct plan_container *c = build(*state,
		"services:\n  a:\n    image: plain\n    mem_limit: 64m\n    cpus: 0.5\n"
		"    pids_limit: 20\n    shm_size: 1m\n    sysctls: {net.core.somaxconn: 77}\n"
		"    ulimits: {nofile: {soft: 500, hard: 600}}\n");
	const struct oci_resources *r = &c->config.resources;

	assert_int_equal(r->memory_limit, 64 << 20);
	assert_int_equal(r->memory_swap, 128 << 20);
	assert_int_equal(r->cpu_quota, 50000);
	assert_int_equal(r->cpu_period, 100000);
	assert_int_equal(r->pids_limit, 20);
	assert_int_equal(c->config.sysctl_count, 3);
	assert_int_equal(c->config.process.rlimits[0].type, RLIMIT_NOFILE);
	assert_int_equal(c->config.process.rlimits[0].soft, 500);
	assert_int_equal(c->config.process.rlimits[0].hard, 600);
	assert_string_equal(mount_of(c, "/dev/shm")->options[4], "size=1048576");
}

static void a_limit_above_our_own_is_lowered_and_said_and_changes_no_hash(void **state)
{
	static const char yaml[] =
		"services:\n  a:\n    image: plain\n    ulimits: {nofile: 99999999}\n";
	struct fixture *f = *state;
	struct plan_container *c = build(f, yaml);
	char hash[64];
	struct rlimit own, lower;

	assert_true(warned(f, "ulimits.nofile"));
	assert_true(warned(f, ":4:"));
	assert_true(c->config.process.rlimits[0].hard < 99999999);
	snprintf(hash, sizeof(hash), "%s", c->hash);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &own), 0);
	lower = (struct rlimit){ .rlim_cur = 256, .rlim_max = own.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lower), 0);
	c = build(f, yaml);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &own), 0);
	assert_string_equal(c->hash, hash);
}

static void mounts_come_from_the_file_and_replace_defaults(void **state)
{
	struct fixture *f = *state;
	struct plan_container *c =
		build(f, "services:\n  a:\n    image: rich:1\n    read_only: true\n    volumes:\n"
			 "      - ./missing:/in:ro\n      - vol:/data\n      - /anon\n"
			 "      - {type: tmpfs, target: /dev/shm}\n"
			 "    tmpfs: \"/scratch:size=1m,exec\"\nvolumes: {vol: }\n");
	const struct oci_mount *bind = mount_of(c, "/in"), *tmpfs = mount_of(c, "/scratch");

	assert_non_null(bind);
	assert_non_null(strstr(bind->source, "/project/missing"));
	assert_words(bind->options, "rbind rprivate ro");
	assert_int_equal(c->bind_folder_count, 1);
	assert_non_null(tmpfs);
	assert_words(tmpfs->options, "noexec nosuid nodev size=1m exec");
	assert_true(c->config.root_readonly);
	assert_int_equal(c->volume_count, 3); /* vol, /anon and the image's /cache */
	assert_int_equal(f->plan->volume_count, 1);
	assert_string_equal(f->plan->volumes[0].name, "proj_vol");
	assert_words(mount_of(c, "/dev/shm")->options, "noexec nosuid nodev");
	assert_non_null(
		strstr(refused(f, "services:\n  a:\n    image: plain\n    volumes:\n"
				  "      - {type: bind, source: /no/such, target: /x, bind: "
				  "{create_host_path: false}}\n"),
			"/no/such"));
}

static void health_fields_fall_back_one_by_one(void **state)
{
	struct fixture *f = *state;
	struct plan_container *c =
		build(f, "services:\n  a:\n    image: rich:1\n    x-wherry: {eager_health: false}\n"
			 "    healthcheck: {test: curl -f x, timeout: 2s, start_period: 9s}\n");

	assert_words(c->health_test, "/bin/bash -ec curl -f x");
	assert_int_equal(c->policy.health.interval_us, MINUTE); /* the image's */
	assert_int_equal(c->policy.health.timeout_us, 2 * SECOND);
	assert_int_equal(c->policy.health.start_period_us, 9 * SECOND);
	assert_int_equal(c->policy.health.start_interval_us, 5 * SECOND);
	assert_int_equal(c->policy.health.retries, 7);
	assert_false(c->policy.health.eager);
	c = build(f, "services: {a: {image: \"rich:1\", healthcheck: {disable: true}}}\n");
	assert_false(c->policy.health.enabled);
	assert_null(c->health_test);
	c = build(f, "services: {a: {image: plain, healthcheck: {test: [CMD-SHELL, exit 0]}}}\n");
	assert_words(c->health_test, "/bin/sh -c exit 0");
	assert_int_equal(c->policy.health.retries, 3);
}

static void policy_ports_logs_and_hosts_are_taken_over(void **state)
{
	struct plan_container *c = build(*state,
		"services:\n  a:\n    image: plain\n    restart: on-failure:4\n"
		"    stop_signal: SIGQUIT\n    stop_grace_period: 3s\n    init: true\n"
		"    ports: [\"127.0.0.1:8080:80\"]\n    expose: [\"9000\"]\n"
		"    extra_hosts: [\"db=10.0.0.9\"]\n    dns: 10.0.0.1\n"
		"    logging: {options: {max-size: 10k, max-file: \"3\"}}\n");

	assert_int_equal(c->policy.restart, RESTART_ON_FAILURE);
	assert_int_equal(c->policy.restart_max, 4);
	assert_int_equal(c->policy.stop_signal, SIGQUIT);
	assert_int_equal(c->policy.stop_grace_us, 3 * SECOND);
	assert_true(c->init);
	assert_int_equal(c->port_count, 1);
	assert_string_equal(c->ports[0].host_ip, "127.0.0.1");
	assert_int_equal(c->ports[0].published_first, 8080);
	assert_int_equal(c->ports[0].target, 80);
	assert_non_null(strstr(c->ports[0].where, "compose.yaml:8:"));
	assert_words(c->expose, "9000/tcp");
	assert_words(c->extra_hosts, "10.0.0.9\tdb");
	assert_words(c->dns, "10.0.0.1");
	assert_int_equal(c->log_max_size, 10 << 10);
	assert_int_equal(c->log_max_file, 3);
}

static void what_is_not_honoured_is_named_once_with_its_line(void **state)
{
	struct fixture *f = *state;

	build(f, "services:\n  a:\n    image: plain\n    scale: 3\n    secrets: [s]\n"
		 "    logging: {driver: syslog}\n    cgroup_parent: x\n"
		 "secrets: {s: {environment: PATH}}\n");
	assert_true(warned(f, "services.a.secrets: s"));
	assert_true(warned(f, "syslog"));
	assert_true(warned(f, "cgroup_parent"));
	assert_int_equal(f->warnings.count, 3);
	assert_non_null(
		strstr(refused(f, "services: {a: {image: plain, pid: host}}\n"), "not supported"));
}

static void every_missing_image_is_named_at_its_line(void **state)
{
	struct fixture *f = *state;

	refused(f, "services:\n  a:\n    image: nowhere\n  b:\n    image: plain\n"
		   "  c:\n    image: neither:2\n");
	assert_int_equal(f->found.errors, 2);
	assert_int_equal(f->found.items[0].mark.line, 3);
	assert_non_null(strstr(f->found.items[0].text, "nowhere"));
	assert_int_equal(f->found.items[1].mark.line, 7);
}

static void an_image_for_another_machine_is_refused(void **state)
{
	const char *text = refused(*state, "services: {a: {image: alien}}\n");

	assert_non_null(strstr(text, "s390x"));
	assert_non_null(strstr(text, store_architecture()));
}

static void a_container_without_a_command_is_refused(void **state)
{
	assert_non_null(strstr(refused(*state, "services: {a: {image: mute}}\n"), "no command"));
}

static const char chain[] = "services:\n"
			    "  db: {image: plain, scale: 2}\n"
			    "  api: {image: plain, depends_on: {db: {condition: "
			    "service_started, restart: true}}}\n"
			    "  other: {image: plain}\n";

static void scale_names_and_dependencies(void **state)
{
	struct fixture *f = *state;
	const char *const scale[] = { "db=3", NULL };
	struct plan_container *api;

	build_with(f, chain, &(struct plan_options){ .scale = scale });
	assert_int_equal(f->result, 0);
	assert_int_equal(f->plan->container_count, 5);
	assert_int_equal(find_container(f, "proj-db-3")->number, 3);
	assert_string_equal(
		find_container(f, "proj-db-1")->hash, find_container(f, "proj-db-3")->hash);
	api = find_container(f, "proj-api-1");
	assert_int_equal(api->depends_count, 1);
	assert_true(api->depends_on[0].restart);
	assert_true(api->depends_on[0].required);
	assert_string_equal(
		label_of(api, "com.docker.compose.depends_on"), "db:service_started:true");
	const char *const unknown[] = { "nobody=3", NULL };

	build_with(f, chain, &(struct plan_options){ .scale = unknown });
	assert_true(f->result < 0);
	assert_string_equal(f->err.message, "no such service: nobody");
}

static void naming_services_takes_their_dependencies_along(void **state)
{
	struct fixture *f = *state;
	const char *const services[] = { "api", NULL };

	build_with(f, chain, &(struct plan_options){ .services = services });
	assert_int_equal(f->plan->container_count, 3);
	build_with(f, chain, &(struct plan_options){ .services = services, .no_deps = true });
	assert_int_equal(f->plan->container_count, 1);
	assert_int_equal(f->plan->containers[0]->depends_count, 0);
}

static void run_makes_one_container_beside_the_dependencies(void **state)
{
	struct fixture *f = *state;
	const char *const args[] = { "/bin/job", "1", NULL };
	const char *const env[] = { "K=V", NULL };
	struct plan_options options = { .oneoff_service = "api",
		.oneoff_args = args,
		.oneoff_env = env,
		.oneoff_user = "7:8",
		.oneoff_tty = true };
	struct plan_container *c;

	build_with(f,
		"services:\n  db: {image: plain}\n  api:\n    image: plain\n    restart: always\n"
		"    depends_on: [db]\n    ports: [\"80:80\"]\n",
		&options);
	assert_int_equal(f->result, 0);
	assert_int_equal(f->plan->container_count, 2);
	c = f->plan->containers[f->plan->containers[0]->oneoff ? 0 : 1];
	assert_true(c->oneoff);
	assert_memory_equal(c->name, "proj-api-run-", 13);
	assert_int_equal(strlen(c->name), 13 + 12);
	assert_words(c->config.process.args, "/bin/job 1");
	assert_string_equal(env_of(c, "K"), "V");
	assert_string_equal(c->user, "7:8");
	assert_int_equal(c->policy.restart, RESTART_NO);
	assert_int_equal(c->port_count, 0);
	assert_string_equal(label_of(c, "com.docker.compose.oneoff"), "True");
}

static void the_hash_changes_with_what_matters_alone(void **state)
{
	static const struct {
		const char *keys;
		bool differs;
	} rows[] = {
		{ "", false },
		{ "depends_on: [b]", false },
		{ "scale: 1", false },
		{ "environment: {A: b}", true },
		{ "labels: {x: y}", true },
		{ "restart: always", true },
		{ "ports: [\"80\"]", true },
		{ "volumes: [\"/v\"]", true },
		{ "stop_grace_period: 1s", true },
		{ "healthcheck: {test: x}", true },
	};
	struct fixture *f = *state;
	char hash[64];

	snprintf(hash, sizeof(hash), "%s",
		build(f, "services: {a: {image: plain}, b: {image: plain}}\n")->hash);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *yaml = xasprintf(
			"# moved down\nservices: {a: {image: plain, %s}, b: {image: plain}}\n",
			rows[i].keys);

		build(f, yaml);
		if ((strcmp(find_container(f, "proj-a-1")->hash, hash) != 0) != rows[i].differs) {
			fail_msg("%s", rows[i].keys);
		}
	}
}

static void a_plan_survives_json(void **state)
{
	struct fixture *f = *state;
	struct plan *again = NULL;
	struct error err = ERROR_INIT;

	build(f, "services:\n  a:\n    image: rich:1\n    scale: 2\n    restart: on-failure:2\n"
		 "    networks: {n: {aliases: [x, y]}}\n    volumes: [\"v:/data:ro\", \"./b:/b\"]\n"
		 "    ports: [\"8000-8002:80/udp\"]\n    mem_limit: 1g\n    group_add: [\"5\"]\n"
		 "    extra_hosts: [\"h=host-gateway\"]\n    depends_on: {c: {condition: "
		 "service_completed_successfully, required: false}}\n"
		 "    security_opt: [seccomp=unconfined]\n    ulimits: {core: 0}\n"
		 "  c: {image: plain, network_mode: host, cap_drop: [ALL]}\n"
		 "networks: {n: {internal: true, ipam: {config: [{subnet: 10.9.0.0/24}]}}}\n"
		 "volumes: {v: {labels: {a: b}}}\n");
	_cleanup_json_ json_t *json = plan_print(f->plan);
	_cleanup_free_ char *text = json_print(json);
	_cleanup_json_ json_t *back = json_parse(text, strlen(text), "plan", &err);
	assert_non_null(back);
	if (plan_parse(back, &again, &err) < 0) {
		fail_msg("%s", err.message);
	}
	_cleanup_json_ json_t *second = plan_print(again);
	assert_true(json_equal(json, second));
	assert_int_equal(again->container_count, 3);
	assert_true(again->networks[0].internal);
	assert_string_equal(again->networks[0].subnet, "10.9.0.0/24");
	assert_int_equal(again->containers[0]->depends_on[0].condition, DEPEND_COMPLETED);
	assert_false(again->containers[0]->depends_on[0].required);
	plan_free(again);
}

static void a_plan_of_another_version_or_form_is_refused(void **state)
{
	struct fixture *f = *state;
	struct plan *plan = NULL;
	struct error err = ERROR_INIT;

	build(f, "services: {a: {image: plain}}\n");
	_cleanup_json_ json_t *json = plan_print(f->plan);
	json_t *container = json_array_get(json_object_get(json, "containers"), 0);

	json_object_set_new(json, "version", json_integer(99));
	assert_true(plan_parse(json, &plan, &err) < 0);
	assert_non_null(strstr(err.message, "version 99"));
	json_object_set_new(json, "version", json_integer(PLAN_VERSION));
	json_object_set_new(container, "name", json_string("../up"));
	assert_true(plan_parse(json, &plan, &err) < 0);
	json_object_set_new(container, "name", json_integer(4));
	assert_true(plan_parse(json, &plan, &err) < 0);
	assert_non_null(strstr(err.message, "name"));
	json_object_del(json, "containers");
	assert_true(plan_parse(json, &plan, &err) < 0);
	assert_null(plan);
}

static void settling_adds_identity_files_and_volumes_in_order(void **state)
{
	struct plan_container *c = build(*state,
		"services:\n  a:\n    image: plain\n    volumes: [\"v:/a/b/c\", \"./x:/a\", "
		"\"n:/n:ro\"]\nvolumes: {v: , n: }\n");
	static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	const char *paths[] = { "/vols/v", "/vols/n" };
	const bool fill[] = { true, false };
	size_t parent = 0, child = 0;

	assert_int_equal(c->volume_count, 2);
	plan_container_settle(c, &(struct plan_settlement){ .id = id,
					 .created_wall_ns = 5,
					 .files_dir = "/run/files",
					 .volume_paths = paths,
					 .volume_fill = fill });
	assert_string_equal(c->id, id);
	assert_string_equal(c->config.hostname, "0123456789ab");
	assert_string_equal(env_of(c, "HOSTNAME"), "0123456789ab");
	assert_string_equal(mount_of(c, "/etc/hosts")->source, "/run/files/hosts");
	assert_words(mount_of(c, "/a/b/c")->options, "rbind rprivate rw x-wherry.fill");
	assert_words(mount_of(c, "/n")->options, "rbind rprivate ro");
	for (size_t i = 0; i < c->config.mount_count; i++) {
		parent = strcmp(c->config.mounts[i].destination, "/a") == 0 ? i : parent;
		child = strcmp(c->config.mounts[i].destination, "/a/b/c") == 0 ? i : child;
	}
	assert_true(parent < child);
}

int main(void)
{
#define TEST(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
		TEST(a_bare_service_gets_dockers_defaults),
		TEST(the_image_fills_what_the_file_leaves_open),
		TEST(command_and_entrypoint_combine_as_in_the_engine),
		TEST(environment_overrides_the_images_and_may_remove),
		TEST(capabilities_follow_dockers_rules),
		TEST(security_options_are_honoured_or_named),
		TEST(limits_reach_the_configuration),
		TEST(a_limit_above_our_own_is_lowered_and_said_and_changes_no_hash),
		TEST(mounts_come_from_the_file_and_replace_defaults),
		TEST(health_fields_fall_back_one_by_one),
		TEST(policy_ports_logs_and_hosts_are_taken_over),
		TEST(what_is_not_honoured_is_named_once_with_its_line),
		TEST(every_missing_image_is_named_at_its_line),
		TEST(an_image_for_another_machine_is_refused),
		TEST(a_container_without_a_command_is_refused),
		TEST(scale_names_and_dependencies),
		TEST(naming_services_takes_their_dependencies_along),
		TEST(run_makes_one_container_beside_the_dependencies),
		TEST(the_hash_changes_with_what_matters_alone),
		TEST(a_plan_survives_json),
		TEST(a_plan_of_another_version_or_form_is_refused),
		TEST(settling_adds_identity_files_and_volumes_in_order),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
