/* DNS messages from anywhere: the parser, the answers made from what it read, upstream answers. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/dns.h"

static void expect(bool holds)
{
	if (!holds) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t addresses[40];
	struct dns_question q;
	uint8_t out[4096];
	uint32_t address;
	int r = dns_parse_query(data, size, &q);

	if (r == 0) {
		size_t limit = size > 3 ? (size_t)(data[0] << 4 | data[1]) % sizeof(out) : 512;
		size_t n = dns_answer_a(data, &q, DNS_NOERROR, addresses, 40, 600, out, limit);

		expect(strlen(q.name) < DNS_NAME_SIZE && q.question_size <= size);
		expect(n <= limit && (n == 0 || n >= q.question_size));
		n = dns_answer_ptr(data, &q, q.name, 600, out, limit);
		expect(n <= limit);
		dns_reverse_name(q.name, &address);
		/* The input once more, as what an upstream says to itself. */
		if (size <= sizeof(out)) {
			memcpy(out, data, size);
			out[2] |= 0x80;
			expect(dns_answers(data, q.question_size, out, size));
			expect(dns_truncate(out, size, q.question_size, 512) <=
				(size > 512 ? q.question_size : 512));
		}
	} else if (size >= 12) {
		dns_answers(data, 12, data, size);
	}
	return 0;
}
