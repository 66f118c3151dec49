/* Image configurations from anywhere: parsed, printed, and parsed again to the same. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "specs/image_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = json_parse((const char *)data, size, "input", NULL);
	struct arena arena = { 0 };
	struct image_config config;

	if (json && image_config_parse(json, &arena, &config, NULL) == 0) {
		json_t *printed = image_config_print(&config), *again;

		if (image_config_parse(printed, &arena, &config, NULL) < 0) {
			abort();
		}
		again = image_config_print(&config);
		if (!json_equal(printed, again)) {
			abort();
		}
		json_decref(again);
		json_decref(printed);
	}
	arena_finish(&arena);
	json_decref(json);
	return 0;
}
