#include <errno.h>
#include <inttypes.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/names.h"
#include "cli/project.h"

static const char *protocol = "tcp";
static int64_t index_given;

static const struct option options[] = {
	{ 0, "index", OPTION_INT, &index_given, "N", "Which replica (default: the lowest)" },
	{ 0, "protocol", OPTION_TEXT, &protocol, "tcp|udp", "Protocol (default tcp)" },
	{ 0, NULL, OPTION_FLAG, NULL, NULL, NULL },
};

static int run(const struct invocation *inv, struct error *err)
{
	_cleanup_json_ json_t *containers = NULL;
	_cleanup_free_ char *name = NULL;
	const char *service = inv->words[0], *slash = strchr(inv->words[1], '/');
	char *end;
	long target = strtol(inv->words[1], &end, 10);
	json_t *container, *port;
	size_t i;
	int r;

	if (end == inv->words[1] || (*end != '\0' && *end != '/') || target < 1 || target > 65535) {
		return error_say(err, EINVAL, "invalid port: %s", inv->words[1]);
	}
	if (slash) {
		protocol = slash + 1;
	}
	r = project_containers(&name, &containers, err);
	if (r == 0) {
		r = project_check_services(containers, (const char *const[]){ service, NULL }, err);
	}
	if (r < 0) {
		return r;
	}
	container = names_pick(containers, service, index_given, err);
	if (!container) {
		return -err->code;
	}
	json_array_foreach(json_object_get(container, "ports"), i, port)
	{
		if (json_int(port, "target", 0) == target &&
			strcmp(json_text(port, "protocol", "tcp"), protocol) == 0) {
			const char *ip = json_text(port, "ip", "0.0.0.0");

			printf(strchr(ip, ':') && ip[0] != '[' ? "[%s]:%" PRId64 "\n"
							       : "%s:%" PRId64 "\n",
				ip, json_int(port, "published", 0));
			return 0;
		}
	}
	return error_say(err, ENOENT, "no port %ld/%s for container %s", target, protocol,
		json_text(container, "name", service));
}

const struct command command_port = { .name = "port",
	.arguments = "[OPTIONS] SERVICE PRIVATE_PORT[/PROTOCOL]",
	.summary = "Print the host's address of a published port",
	.options = options,
	.run = run,
	.least = 2,
	.most = 2 };
