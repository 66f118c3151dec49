#include "net/dns.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "base/banned.h"
#include "net/net.h"

#define HEADER_SIZE   12
#define LABEL_MAX     63
#define WIRE_NAME_MAX 255
#define TYPE_OPT      41
#define CLASS_IN      1
#define RECORDS_MAX   64 /* behind the question of a query; more is nobody's honest question */
#define OUR_UDP_SIZE                                                                               \
	1232 /* fits an IPv6 packet of minimum size: what DNS flag day 2020 settled on */

#define FLAG_RESPONSE  0x8000
#define FLAG_TRUNCATED 0x0200
#define FLAG_RECURSION 0x0100
#define FLAG_AVAILABLE 0x0080
#define OPCODE_MASK    0x7800

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static void put32(uint8_t *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value & 0xffff);
}

/*
 * Reads the name of the question. Nothing stands before it that a pointer could point to, so
 * compression has no place in it. Returns the offset behind it or -EINVAL.
 */
static int read_name(const uint8_t *message, size_t size, size_t at, char name[DNS_NAME_SIZE])
{
	size_t start = at, used = 0;

	for (;;) {
		unsigned length;

		if (at >= size) {
			return -EINVAL;
		}
		length = message[at++];
		if (length == 0) {
			break;
		}
		if (length > LABEL_MAX || length > size - at ||
			at + length - start + 1 > WIRE_NAME_MAX) {
			return -EINVAL;
		}
		if (used > 0) {
			name[used++] = '.';
		}
		for (unsigned i = 0; i < length; i++) {
			uint8_t c = message[at + i];

			/* A dot inside a label must not look like two labels. */
			name[used++] = (char)(c <= ' ' || c == '.' || c == 0x7f ? '?' : c);
		}
		at += length;
	}
	name[used] = '\0';
	return (int)at;
}

/* Steps over a name that may end in a pointer, without following it. */
static int skip_name(const uint8_t *message, size_t size, size_t at)
{
	while (at < size) {
		unsigned length = message[at];

		if (length >= 0xc0) {
			return at + 2 <= size ? (int)at + 2 : -EINVAL;
		}
		at += 1 + length;
		if (length == 0) {
			return (int)at;
		}
		if (length > LABEL_MAX) {
			return -EINVAL;
		}
	}
	return -EINVAL;
}

/* Walks the records behind the question for the OPT record. */
static int read_edns(const uint8_t *message, size_t size, struct dns_question *q)
{
	unsigned before = get16(message + 6) + get16(message + 8);
	unsigned records = before + get16(message + 10);
	size_t at = q->question_size;

	if (records > RECORDS_MAX) {
		return -EINVAL;
	}
	for (unsigned i = 0; i < records; i++) {
		int r = skip_name(message, size, at);
		size_t length;

		if (r < 0 || size - (size_t)r < 10) {
			return -EINVAL;
		}
		length = get16(message + r + 8);
		if (length > size - (size_t)r - 10) {
			return -EINVAL;
		}
		if (i >= before && get16(message + r) == TYPE_OPT) {
			if (q->edns || (size_t)r != at + 1) { /* one only, of the root */
				return -EINVAL;
			}
			q->edns = true;
			q->udp_size = get16(message + r + 2);
		}
		at = (size_t)r + 10 + length;
	}
	if (q->udp_size < DNS_UDP_SIZE) {
		q->udp_size = DNS_UDP_SIZE;
	}
	return 0;
}

int dns_parse_query(const uint8_t *message, size_t size, struct dns_question *q)
{
	int r;

	q->name[0] = '\0';
	q->type = q->class = 0;
	q->question_size = HEADER_SIZE;
	q->udp_size = DNS_UDP_SIZE;
	q->edns = false;
	if (size < HEADER_SIZE) {
		return -EBADMSG;
	}
	q->id = get16(message);
	q->flags = get16(message + 2);
	if (q->flags & FLAG_RESPONSE) { /* answering answers is how loops are made */
		return -EBADMSG;
	}
	if (get16(message + 4) != 1) {
		return -EINVAL;
	}
	r = read_name(message, size, HEADER_SIZE, q->name);
	if (r < 0 || size - (size_t)r < 4) {
		return -EINVAL;
	}
	q->type = get16(message + r);
	q->class = get16(message + r + 2);
	q->question_size = (size_t)r + 4;
	return read_edns(message, size, q);
}

bool dns_is_standard(const struct dns_question *q)
{
	return (q->flags & OPCODE_MASK) == 0 && q->class == CLASS_IN;
}

/* Header and question of an answer. The caller has room for them and the OPT record. */
static size_t answer_start(
	const uint8_t *query, const struct dns_question *q, int rcode, uint8_t *out)
{
	unsigned flags = FLAG_RESPONSE | FLAG_AVAILABLE |
			 (q->flags & (FLAG_RECURSION | OPCODE_MASK)) | (unsigned)rcode;

	memcpy(out, query, q->question_size);
	put16(out, q->id);
	put16(out + 2, flags);
	put16(out + 4, q->question_size > HEADER_SIZE);
	memset(out + 6, 0, 6);
	return q->question_size;
}

#define OPT_SIZE 11

static size_t answer_finish(
	const struct dns_question *q, unsigned answers, bool truncated, uint8_t *out, size_t at)
{
	put16(out + 6, answers);
	if (truncated) {
		put16(out + 2, get16(out + 2) | FLAG_TRUNCATED);
	}
	if (q->edns) {
		memset(out + at, 0, OPT_SIZE);
		put16(out + at + 1, TYPE_OPT);
		put16(out + at + 3, OUR_UDP_SIZE);
		put16(out + 10, 1);
		at += OPT_SIZE;
	}
	return at;
}

/* The fixed part of a record about the question's name, which a pointer repeats. */
static void put_record(uint8_t *p, uint16_t type, uint32_t ttl, size_t data_size)
{
	put16(p, 0xc000 | HEADER_SIZE);
	put16(p + 2, type);
	put16(p + 4, CLASS_IN);
	put32(p + 6, ttl);
	put16(p + 10, (unsigned)data_size);
}

#define RECORD_SIZE 12

size_t dns_answer_a(const uint8_t *query, const struct dns_question *q, int rcode,
	const uint32_t *addresses, size_t count, uint32_t ttl, uint8_t *out, size_t limit)
{
	size_t reserved = q->edns ? OPT_SIZE : 0, at, n;

	if (q->question_size + reserved > limit) {
		return 0;
	}
	at = answer_start(query, q, rcode, out);
	for (n = 0; n < count && at + RECORD_SIZE + 4 + reserved <= limit; n++) {
		put_record(out + at, DNS_TYPE_A, ttl, 4);
		put32(out + at + RECORD_SIZE, addresses[n]);
		at += RECORD_SIZE + 4;
	}
	return answer_finish(q, (unsigned)n, n < count, out, at);
}

/* @name with dots as labels. Returns the size or 0 if it is no name. */
static size_t wire_name(const char *name, uint8_t wire[WIRE_NAME_MAX])
{
	size_t at = 0;

	while (*name) {
		size_t length = strcspn(name, ".");

		if (length == 0 || length > LABEL_MAX || at + 1 + length + 1 > WIRE_NAME_MAX) {
			return 0;
		}
		wire[at++] = (uint8_t)length;
		memcpy(wire + at, name, length);
		at += length;
		name += length;
		name += *name == '.';
	}
	wire[at++] = 0;
	return at;
}

size_t dns_answer_ptr(const uint8_t *query, const struct dns_question *q, const char *target,
	uint32_t ttl, uint8_t *out, size_t limit)
{
	size_t reserved = q->edns ? OPT_SIZE : 0, at, size;
	uint8_t wire[WIRE_NAME_MAX];
	bool fits;

	if (q->question_size + reserved > limit) {
		return 0;
	}
	size = wire_name(target, wire);
	at = answer_start(query, q, size ? DNS_NOERROR : DNS_SERVFAIL, out);
	fits = at + RECORD_SIZE + size + reserved <= limit;
	if (size > 0 && fits) {
		put_record(out + at, DNS_TYPE_PTR, ttl, size);
		memcpy(out + at + RECORD_SIZE, wire, size);
		at += RECORD_SIZE + size;
	}
	return answer_finish(q, size > 0 && fits, size > 0 && !fits, out, at);
}

static int lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

bool dns_answers(const uint8_t *query, size_t question_size, const uint8_t *answer, size_t size)
{
	if (size < HEADER_SIZE || !(get16(answer + 2) & FLAG_RESPONSE) ||
		memcmp(query, answer, 2) != 0) {
		return false;
	}
	if (get16(answer + 4) == 0) { /* some refuse without repeating what was asked */
		return dns_rcode(answer) != DNS_NOERROR;
	}
	if (get16(answer + 4) != 1 || size < question_size) {
		return false;
	}
	for (size_t i = HEADER_SIZE; i < question_size; i++) {
		if (lower(query[i]) != lower(answer[i])) {
			return false;
		}
	}
	return true;
}

int dns_rcode(const uint8_t *message)
{
	return message[3] & 0x0f;
}

void dns_set_id(uint8_t *message, uint16_t id)
{
	put16(message, id);
}

size_t dns_truncate(uint8_t *answer, size_t size, size_t question_size, size_t limit)
{
	if (size <= limit) {
		return size;
	}
	put16(answer + 2, get16(answer + 2) | FLAG_TRUNCATED);
	memset(answer + 6, 0, 6);
	if (get16(answer + 4) != 1) {
		put16(answer + 4, 0);
		return HEADER_SIZE;
	}
	return question_size;
}

int dns_reverse_name(const char *name, uint32_t *address)
{
	static const char suffix[] = ".in-addr.arpa";
	size_t size = strlen(name);
	struct net_ipv4 ip;
	char text[16];

	if (size < sizeof(suffix) || size - (sizeof(suffix) - 1) >= sizeof(text) ||
		strcasecmp(name + size - (sizeof(suffix) - 1), suffix) != 0) {
		return -EINVAL;
	}
	snprintf(text, sizeof(text), "%.*s", (int)(size - (sizeof(suffix) - 1)), name);
	if (strchr(text, '/') || net_ipv4_parse(text, &ip) < 0) {
		return -EINVAL;
	}
	*address = __builtin_bswap32(ip.address);
	return 0;
}
