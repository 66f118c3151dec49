/*
 * Prints an OCI config.json as docker would make it, for the runtimes that `make bench` compares:
 *
 *     bundle [--no-seccomp] ROOTFS PROGRAM
 *
 * docker's mounts, masks, capabilities and seccomp policy; a new network namespace; memory, cpu and
 * pids limits.
 */
#include <linux/version.h>
#include <sched.h>

#include "base/json.h"
#include "base/mem.h"
#include "specs/docker_defaults.h"
#include "specs/oci_config.h"

static size_t vector_length(const char *const *items)
{
	size_t n = 0;

	while (items[n]) {
		n++;
	}
	return n;
}

int main(int argc, char **argv)
{
	int at = argc > 1 && strcmp(argv[1], "--no-seccomp") == 0 ? 2 : 1;
	struct oci_namespace namespaces[] = { { CLONE_NEWNS, NULL }, { CLONE_NEWPID, NULL },
		{ CLONE_NEWUTS, NULL }, { CLONE_NEWIPC, NULL }, { CLONE_NEWNET, NULL },
		{ CLONE_NEWCGROUP, NULL } };
	const char *args[] = { NULL, NULL }, *env[] = { "PATH=" DOCKER_DEFAULT_PATH, NULL };
	struct oci_config config;
	_cleanup_json_ json_t *json = NULL;
	_cleanup_free_ char *text = NULL;

	if (argc - at != 2) {
		fprintf(stderr, "usage: bundle [--no-seccomp] ROOTFS PROGRAM\n");
		return 2;
	}
	oci_config_init(&config);
	args[0] = argv[at + 1];
	config.version = "1.0.2";
	config.root_path = argv[at];
	config.hostname = "bench";
	config.process.args = args;
	config.process.arg_count = 1;
	config.process.env = env;
	config.process.env_count = 1;
	config.process.cwd = "/";
	config.process.has_capabilities = true;
	for (int set = OCI_CAPS_BOUNDING; set <= OCI_CAPS_PERMITTED; set++) {
		config.process.capabilities[set] = DOCKER_DEFAULT_CAPS;
	}
	config.namespaces = namespaces;
	config.namespace_count = ARRAY_SIZE(namespaces);
	/* The printer only reads; the defaults are const tables. */
	config.mounts = (struct oci_mount *)(uintptr_t)docker_mounts;
	config.mount_count = docker_mount_count;
	config.masked_paths = (const char **)(uintptr_t)docker_masked_paths;
	config.masked_count = vector_length(docker_masked_paths);
	config.readonly_paths = (const char **)(uintptr_t)docker_readonly_paths;
	config.readonly_count = vector_length(docker_readonly_paths);
	config.resources.devices = (struct oci_device_rule *)(uintptr_t)docker_device_rules;
	config.resources.device_count = docker_device_rule_count;
	config.resources.memory_limit = 256 << 20;
	config.resources.cpu_quota = 100000;
	config.resources.cpu_period = 100000;
	config.resources.pids_limit = 100;
	if (at == 1) {
		config.seccomp = docker_seccomp(DOCKER_DEFAULT_CAPS, KERNEL_VERSION(4, 8, 0));
	}
	json = oci_config_print(&config);
	text = json_print(json);
	puts(text);
	oci_config_finish(&config);
	return 0;
}
