/*
 * down: works from the project's name alone, so that a project can be taken away when its files
 * are gone or broken. The files, where they can be read, only add which volumes it would have.
 */
#include <errno.h>
#include <poll.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/project.h"
#include "cli/session.h"

#define KEEPERS_PATIENCE_MS 5000

static struct {
	bool volumes, remove_orphans;
	int64_t timeout_s;
	const char *rmi;
} given = { .timeout_s = INT64_MIN };

static const struct option options[] = {
	{ 0, "remove-orphans", OPTION_FLAG, &given.remove_orphans, NULL,
		"Accepted: everything of the project is removed in any case" },
	{ 0, "rmi", OPTION_TEXT, &given.rmi, NULL, NULL },
	{ 't', "timeout", OPTION_INT, &given.timeout_s, "SECONDS",
		"Grace before SIGKILL (default: each service's own)" },
	{ 'v', "volumes", OPTION_FLAG, &given.volumes, NULL,
		"Remove the project's named volumes and anonymous ones" },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

static json_t *down_request(const char *const *services)
{
	/* With services it takes away only these; the project stays. */
	json_t *request = call_request(services ? "remove" : "down", services);

	json_put_bool(request, "stop", true);
	json_put_bool(request, "volumes", given.volumes);
	json_put_bool(request, "remove_orphans", given.remove_orphans);
	if (given.timeout_s != INT64_MIN) {
		json_put_int(request, "timeout_us",
			given.timeout_s < 0 ? -1 : given.timeout_s * 1000000);
	}
	return request;
}

/* Names of the volumes that the files declare; NULL when they cannot be read. */
static json_t *declared_volumes(void)
{
	struct compose_options options_all = {
		.files = (const char *const *)cli_globals.files.items,
		.env_files = (const char *const *)cli_globals.env_files.items,
		.profiles = (const char *const[]){ "*", NULL },
		.project_name = cli_globals.project_name,
		.project_directory = cli_globals.project_directory,
		.environment = (const char *const *)environ,
	};
	struct compose_project *project = NULL;
	struct diagnostics d = { 0 };
	struct error ignored = ERROR_INIT;
	json_t *names = NULL;

	if (compose_load(&options_all, &project, &d, &ignored) == 0) {
		names = json_array();
		for (size_t i = 0; i < project->volume_count; i++) {
			if (!project->volumes[i].external) {
				json_array_append_new(names, json_string(project->volumes[i].name));
			}
		}
		compose_free(project);
	}
	diagnostics_finish(&d);
	return names;
}

/* The project's guardian and supervisor, as pidfds; -EBADF where there is none. */
struct keepers {
	int fds[2];
};

static void find_keepers(const char *project, struct keepers *keepers)
{
	static const char *const members[] = { "guardian_pid", "supervisor_pid" };
	_cleanup_json_ json_t *request = call_request("status", NULL), *status = NULL;
	struct error ignored = ERROR_INIT;

	call_wait(project, request, "supervisor_pid", &status, &ignored);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		pid_t pid = (pid_t)json_int(status, members[i], 0);

		keepers->fds[i] = pid > 0 ? sys_pidfd_open(pid, 0) : -EBADF;
	}
}

/* They say that they are done, and end: who takes a project down wants to find nothing after it. */
static void wait_for_keepers(struct keepers *keepers, bool wait)
{
	for (size_t i = 0; i < ARRAY_SIZE(keepers->fds); i++) {
		struct pollfd gone = { .fd = keepers->fds[i], .events = POLLIN };

		if (wait && gone.fd >= 0) {
			poll(&gone, 1, KEEPERS_PATIENCE_MS);
		}
		fd_close(&keepers->fds[i]);
	}
}

static int run(const struct invocation *inv, struct error *err)
{
	const char *const *services = cli_services(inv);
	_cleanup_json_ json_t *request = down_request(services);
	_cleanup_free_ char *name = NULL;
	json_t *volumes = NULL;
	struct keepers keepers;
	bool start = false;
	int r = project_name(&name, err);

	if (r < 0) {
		return r;
	}
	if (given.rmi) {
		return error_say(
			err, ENOTSUP, "down --rmi is not available; see `wherry image rm`");
	}
	if (given.volumes && !services) {
		volumes = declared_volumes();
	}
	if (volumes) {
		/* Volumes outlive a `down` without -v, so there may be some without a project. */
		start = json_array_size(volumes) > 0;
		json_put(request, "volume_names", volumes);
	}
	find_keepers(name, &keepers);
	r = session_operate(name, start, request, "Running", false, err);
	wait_for_keepers(&keepers, r == 0 && !services);
	if (r == -ENOENT) {
		*err = (struct error)ERROR_INIT;
		fprintf(stderr, "warning: No resource found to remove for project \"%s\".\n", name);
		r = 0;
	}
	return r;
}

const struct command command_down = { .name = "down",
	.arguments = "[OPTIONS] [SERVICE...]",
	.summary = "Stop and remove everything the project has",
	.more = "Works without a compose file when -p names the project. Named volumes stay "
		"unless\n"
		"-v is given.\n",
	.options = options,
	.run = run,
	.most = -1 };
