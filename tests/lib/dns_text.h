/* DNS messages for tests, built and read apart from the product's own code. */
#ifndef WHERRY_TESTS_LIB_DNS_TEXT_H
#define WHERRY_TESTS_LIB_DNS_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A query with recursion wanted; @edns: UDP size to announce, 0 for none. Returns its size. */
static inline size_t dns_query(
	uint8_t *out, uint16_t id, const char *name, uint16_t type, uint16_t edns)
{
	size_t at = 12;

	memset(out, 0, 12);
	out[0] = (uint8_t)(id >> 8);
	out[1] = (uint8_t)id;
	out[2] = 1;
	out[5] = 1;
	out[11] = edns != 0;
	while (*name) {
		size_t size = strcspn(name, ".");

		out[at++] = (uint8_t)size;
		memcpy(out + at, name, size);
		at += size;
		name += size + (name[size] == '.');
	}
	out[at++] = 0;
	out[at++] = (uint8_t)(type >> 8);
	out[at++] = (uint8_t)type;
	out[at++] = 0;
	out[at++] = 1;
	if (edns) {
		const uint8_t opt[] = { 0, 0, 41, (uint8_t)(edns >> 8), (uint8_t)edns, 0, 0, 0, 0,
			0, 0 };

		memcpy(out + at, opt, sizeof(opt));
		at += sizeof(opt);
	}
	return at;
}

static inline unsigned dns_id(const uint8_t *m)
{
	return m[0] << 8 | m[1];
}
static inline unsigned dns_answer_count(const uint8_t *m)
{
	return m[6] << 8 | m[7];
}
static inline unsigned dns_code(const uint8_t *m)
{
	return m[3] & 15;
}
static inline int dns_truncated(const uint8_t *m)
{
	return (m[2] & 2) != 0;
}

#endif
