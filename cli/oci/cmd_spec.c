/* A configuration to begin with: docker's posture in one file. */
#include <errno.h>
#include <sched.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/oci/oci.h"
#include "cli/options.h"
#include "specs/docker_defaults.h"
#include "specs/oci_config.h"

static size_t count(const char *const *items)
{
	size_t n = 0;

	while (items[n]) {
		n++;
	}
	return n;
}

/* The defaults are constant, and nothing writes through a configuration that is only printed. */
static void fill(struct oci_config *config)
{
	static const char *args[] = { "sh", NULL };
	static const char *env[] = { "PATH=" DOCKER_DEFAULT_PATH, "TERM=xterm", NULL };
	static struct oci_namespace namespaces[] = { { CLONE_NEWPID, NULL }, { CLONE_NEWNET, NULL },
		{ CLONE_NEWIPC, NULL }, { CLONE_NEWUTS, NULL }, { CLONE_NEWNS, NULL },
		{ CLONE_NEWCGROUP, NULL } };
	static const int sets[] = { OCI_CAPS_BOUNDING, OCI_CAPS_EFFECTIVE, OCI_CAPS_PERMITTED };

	oci_config_init(config);
	config->version = "1.0.2"; /* nothing in it is newer, and old runtimes take no other */
	config->process.args = args;
	config->process.arg_count = count(args);
	config->process.env = env;
	config->process.env_count = count(env);
	config->process.cwd = "/";
	config->process.has_capabilities = true;
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		config->process.capabilities[sets[i]] = DOCKER_DEFAULT_CAPS;
	}
	config->root_path = "rootfs";
	config->hostname = "wherry";
	config->mounts = (struct oci_mount *)docker_mounts;
	config->mount_count = docker_mount_count;
	config->namespaces = namespaces;
	config->namespace_count = ARRAY_SIZE(namespaces);
	config->resources.devices = (struct oci_device_rule *)docker_device_rules;
	config->resources.device_count = docker_device_rule_count;
	config->masked_paths = (const char **)docker_masked_paths;
	config->masked_count = count(docker_masked_paths);
	config->readonly_paths = (const char **)docker_readonly_paths;
	config->readonly_count = count(docker_readonly_paths);
	config->seccomp = docker_seccomp(DOCKER_DEFAULT_CAPS, docker_seccomp_kernel());
}

static int command_spec(const struct oci_root *root, int argc, char **argv, struct error *err)
{
	const char *bundle = ".";
	const struct option options[] = {
		{ 'b', "bundle", OPTION_TEXT, &bundle, "DIR", "where to write (default .)" },
		{ .name = NULL },
	};
	_cleanup_fd_ int dir = -EBADF, fd = -EBADF;
	_cleanup_json_ json_t *json = NULL;
	struct oci_config config;
	int words, r = options_parse(options, NULL, false, argc, argv, &words, err);

	(void)root;
	if (r < 0) {
		return r;
	}
	if (words != 0) {
		return error_say(err, EINVAL, "usage: wherry-oci %s", oci_command_spec.usage);
	}
	dir = sys_open(bundle, O_PATH | O_DIRECTORY, 0);
	fd = dir < 0 ? dir : sys_openat(dir, "config.json", O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd < 0) {
		return error_set(err, fd, "create config.json in %s", bundle);
	}
	fill(&config);
	json = oci_config_print(&config);
	oci_config_finish(&config);
	return json_dumpfd(json, fd, JSON_INDENT(2)) < 0
		       ? error_say(err, EIO, "config.json cannot be written")
		       : 0;
}

const struct oci_command oci_command_spec = {
	.name = "spec",
	.usage = "spec [--bundle DIR]",
	.summary = "write a config.json with docker's defaults",
	.run = command_spec,
};
