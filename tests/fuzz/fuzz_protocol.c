/* Frames from a hostile client: the buffer they collect in, and every request's plan. */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "init/plan.h"
#include "init/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct protocol_buffer b = { 0 };
	struct error err = ERROR_INIT;

	str_add_mem(&b.in, data, size);
	for (;;) {
		json_t *frame = NULL;
		struct plan *plan = NULL;
		int r = protocol_take(&b, &frame, &err);

		if (r <= 0) {
			if (frame) {
				abort();
			}
			break;
		}
		if (!json_is_object(frame)) {
			abort();
		}
		protocol_check_hello(frame, &err);
		if (plan_parse(json_object_get(frame, "plan"), &plan, &err) == 0) {
			/* What was taken can be given again. */
			json_decref(plan_print(plan));
			plan_free(plan);
		}
		json_decref(frame);
	}
	protocol_buffer_finish(&b);
	return 0;
}
