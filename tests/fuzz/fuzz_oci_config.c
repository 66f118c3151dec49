/* Any bytes as config.json: no crash, and what parses prints to something that parses the same. */
#include <stdint.h>

#include "base/json.h"
#include "specs/oci_config.h"
#include "specs/seccomp_bpf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct oci_config config, again;
	struct error err = ERROR_INIT;

	if (oci_config_parse_text((const char *)data, size, "fuzz", &arena, &config, &err) == 0) {
		_cleanup_free_ char *text = oci_config_print_text(&config);
		_cleanup_json_ json_t *first = oci_config_print(&config), *second = NULL;
		struct seccomp_bpf program;

		if (oci_config_parse_text(text, strlen(text), "again", &arena, &again, &err) < 0) {
			fprintf(stderr, "%s\n%s\n", err.message, text);
			abort();
		}
		second = oci_config_print(&again);
		if (!json_equal(first, second)) {
			abort();
		}
		if (config.seccomp && seccomp_bpf_compile(config.seccomp, &program, &err) == 0) {
			if (!seccomp_bpf_valid(program.filter, program.length)) {
				abort();
			}
			free(program.filter);
		}
		oci_config_finish(&again);
		oci_config_finish(&config);
	} else if (!*err.message) {
		abort(); /* a failure without a word */
	}
	arena_finish(&arena);
	return 0;
}
