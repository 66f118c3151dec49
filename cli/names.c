#include "cli/names.h"

#include <errno.h>
#include <inttypes.h>

#include "base/json.h"

const char *names_label(const char *project, const char *container)
{
	size_t size = strlen(project);

	if (strncmp(container, project, size) == 0 && container[size] == '-' &&
		container[size + 1] != '\0') {
		return container + size + 1;
	}
	return container;
}

static bool is_up(const json_t *container)
{
	const char *state = json_text(container, "state", "");

	return strcmp(state, "running") == 0 || strcmp(state, "paused") == 0;
}

json_t *names_pick(const json_t *containers, const char *service, int64_t index, struct error *err)
{
	json_t *best = NULL, *container;
	size_t i;

	json_array_foreach(containers, i, container)
	{
		int64_t number = json_int(container, "number", 0);
		bool oneoff = json_bool(container, "oneoff", false);

		if (strcmp(json_text(container, "service", ""), service) != 0 ||
			!is_up(container) || (index > 0 && (oneoff || number != index))) {
			continue;
		}
		if (!best || (json_bool(best, "oneoff", false) && !oneoff) ||
			(json_bool(best, "oneoff", false) == oneoff &&
				number < json_int(best, "number", 0))) {
			best = container;
		}
	}
	if (!best && index > 0) {
		error_say(err, ENOENT, "service \"%s\" is not running container #%" PRId64, service,
			index);
	} else if (!best) {
		error_say(err, ENOENT, "service \"%s\" is not running", service);
	}
	return best;
}
