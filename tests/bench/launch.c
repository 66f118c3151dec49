/*
 * What the supervisor does between "start" and the reap, in this process, many times: a fresh
 * control group with limits, container_spawn() into a held network namespace with overlay root and
 * docker's default seccomp program, the outcome, the exit, the group's removal. Compare with
 * `floor -N held`.
 *
 *     launch [-n LAUNCHES] LOWER UPPERDIR PROGRAM
 */
#include <linux/version.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "net/net.h"
#include "runtime/container.h"
#include "specs/docker_defaults.h"

static int64_t cpu_us(void)
{
	int64_t total = 0;

	for (int who = RUSAGE_CHILDREN; who <= RUSAGE_SELF; who++) {
		struct rusage u;

		getrusage(who, &u);
		total += (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * USEC_PER_SEC +
			 u.ru_utime.tv_usec + u.ru_stime.tv_usec;
	}
	return total;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void configure(struct oci_config *config, const char **args, const char **env)
{
	static struct oci_namespace namespaces[] = { { CLONE_NEWNS, NULL }, { CLONE_NEWPID, NULL },
		{ CLONE_NEWUTS, NULL }, { CLONE_NEWIPC, NULL }, { CLONE_NEWCGROUP, NULL } };

	oci_config_init(config);
	config->hostname = "bench";
	config->process.args = args;
	config->process.arg_count = 1;
	config->process.env = env;
	config->process.env_count = 1;
	config->process.cwd = "/";
	config->process.has_capabilities = true;
	for (int set = OCI_CAPS_BOUNDING; set <= OCI_CAPS_PERMITTED; set++) {
		config->process.capabilities[set] = DOCKER_DEFAULT_CAPS;
	}
	config->namespaces = namespaces;
	config->namespace_count = ARRAY_SIZE(namespaces);
	config->mounts = (struct oci_mount *)(uintptr_t)docker_mounts;
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
	config->resources.memory_limit = 256 << 20;
	config->resources.cpu_quota = 100000;
	config->resources.cpu_period = 100000;
	config->resources.pids_limit = 100;
}

static int launch(const struct cgroup_layout *layout, struct container_spec *spec, int serial,
	struct error *err)
{
	static struct cgroup group;
	char path[64];
	struct container_process process;
	struct pollfd wait = { .events = POLLIN };
	siginfo_t info;
	int r;

	snprintf(path, sizeof(path), "wherry-bench/%d-%d", (int)getpid(), serial);
	r = cgroup_create(layout, path, &spec->config->resources, &group, NULL, err);
	if (r < 0) {
		return r;
	}
	spec->cgroup = &group;
	r = container_spawn(spec, &process, err);
	if (r < 0) {
		return r;
	}
	wait.fd = process.status_fd;
	while (poll(&wait, 1, -1) < 0) {
	}
	r = container_spawn_status(process.status_fd, err);
	if (r < 0) {
		return r;
	}
	r = sys_waitid_pidfd(process.pidfd, &info, WEXITED);
	fd_close(&process.status_fd);
	fd_close(&process.pidfd);
	while (cgroup_remove(&group) == -EBUSY) {
		sched_yield();
	}
	return r < 0 ? error_set(err, r, "wait") : info.si_status;
}

int main(int argc, char **argv)
{
	int launches = 100, option, r = 0;
	const char *args[] = { NULL, NULL }, *env[] = { "PATH=" DOCKER_DEFAULT_PATH, NULL };
	const char *lower[] = { NULL, NULL };
	struct error err = ERROR_INIT;
	struct cgroup_layout layout;
	struct oci_config config;
	struct seccomp_program seccomp = { 0 };
	struct container_overlay overlay = { .lower = lower };
	struct container_spec spec = { .config = &config,
		.overlay = &overlay,
		.netns_fd = -EBADF,
		.init_fd = -EBADF,
		.stdio = { -EBADF, STDOUT_FILENO, STDERR_FILENO },
		.seccomp = &seccomp };
	int64_t *wall, cpu;

	while ((option = getopt(argc, argv, "n:")) != -1) {
		launches = option == 'n' ? (int)strtol(optarg, NULL, 10) : 0;
	}
	if (argc - optind != 3 || launches < 1) {
		fprintf(stderr, "usage: launch [-n LAUNCHES] LOWER UPPERDIR PROGRAM\n");
		return 2;
	}
	lower[0] = argv[optind];
	overlay.upper = xasprintf("%s/upper", argv[optind + 1]);
	overlay.work = xasprintf("%s/work", argv[optind + 1]);
	spec.mount_point = argv[optind + 1];
	args[0] = argv[optind + 2];
	configure(&config, args, env);
	if (cgroup_layout_read(&layout, &err) < 0 ||
		seccomp_default(DOCKER_DEFAULT_CAPS, NULL, &seccomp, &err) < 0 ||
		net_ns_create(false, &spec.netns_fd, &err) < 0) {
		fprintf(stderr, "launch: %s\n", err.message);
		return 1;
	}
	wall = xcalloc((size_t)launches, sizeof(*wall));
	cpu = cpu_us();
	for (int i = 0; i < launches && r == 0; i++) {
		int64_t start = clock_now_us();

		r = launch(&layout, &spec, i, &err);
		wall[i] = clock_now_us() - start;
	}
	cpu = cpu_us() - cpu;
	cgroup_remove_parents(&layout, "wherry-bench");
	if (r != 0) {
		fprintf(stderr, "launch: %s (%d)\n", err.message, r);
		return 1;
	}
	qsort(wall, (size_t)launches, sizeof(*wall), by_size);
	printf("{\"median_us\":%lld,\"p10_us\":%lld,\"p90_us\":%lld,\"cpu_us\":%lld,\"launches\":%"
	       "d}\n",
		(long long)wall[launches / 2], (long long)wall[launches / 10],
		(long long)wall[launches * 9 / 10], (long long)(cpu / launches), launches);
	free(wall);
	return 0;
}
