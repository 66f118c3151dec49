/* Files of variables from hostile bytes, in both formats. */
#include <stddef.h>
#include <stdint.h>

#include "specs/dotenv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *lookup(void *owner, const char *name)
{
	(void)owner;
	return name[0] == 'A' ? "value" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int raw = 0; raw < 2; raw++) {
		struct arena arena = { 0 };
		struct compose_pairs pairs = { 0 };
		struct diagnostics d = { 0 };
		const struct dotenv how = {
			.arena = &arena,
			.lookup = lookup,
			.pairs = &pairs,
			.d = &d,
		};

		if (raw) {
			dotenv_parse_raw(&how, "f", (const char *)data, size);
		} else {
			dotenv_parse(&how, "f", (const char *)data, size);
		}
		arena_finish(&arena);
		diagnostics_finish(&d);
	}
	return 0;
}
