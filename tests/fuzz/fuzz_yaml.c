/* A whole compose file from hostile bytes: parse, load, print. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "specs/compose.h"
#include "specs/yaml_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The loader takes its file from here, so that it runs as it does in the product. */
static int buffer = -1;
static char path[64];

static void load(void)
{
	const char *const files[] = { path, NULL };
	const char *const environment[] = { "A=1", "B=", "HOME=/h", NULL };
	const struct compose_options options = {
		.files = files,
		.environment = environment,
		.project_name = "p",
		.project_directory = "/nonexistent",
	};
	struct compose_project *project = NULL;
	struct diagnostics d = { 0 };
	struct error err = ERROR_INIT;

	if (compose_load(&options, &project, &d, &err) == 0) {
		char *yaml = compose_print(project, "yaml"), *json = compose_print(project, "json");

		free(yaml);
		free(json);
		compose_free(project);
	}
	diagnostics_finish(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (buffer < 0) {
		buffer = memfd_create("compose", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", buffer);
	}
	if (buffer < 0 || ftruncate(buffer, 0) < 0 ||
		pwrite(buffer, data, size, 0) != (ssize_t)size) {
		abort();
	}
	load();
	return 0;
}
