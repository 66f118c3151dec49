/*
 * DNS messages (RFC 1035, EDNS RFC 6891): reading a question, writing answers. Pure functions on
 * bytes; every input may be hostile.
 */
#ifndef WHERRY_NET_DNS_H
#define WHERRY_NET_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_NAME_SIZE 256
#define DNS_UDP_SIZE  512

enum {
	DNS_TYPE_A = 1,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_MX = 15,
	DNS_TYPE_TXT = 16,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_SRV = 33,
	DNS_TYPE_ANY = 255
};
enum {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5
};

struct dns_question {
	uint16_t id, flags, type, class;
	/* As asked (case kept), dots between labels, no dot at the end. Dots, blanks and control
	 * characters inside a label read '?', which no name of ours has. */
	char name[DNS_NAME_SIZE];
	size_t question_size; /* bytes of header plus question section */
	uint16_t udp_size; /* what the client takes over UDP: 512 or its EDNS size */
	bool edns;
};

/* Reads a query. 0, or -EBADMSG for what deserves no answer, or -EINVAL for FORMERR (id is set). */
int dns_parse_query(const uint8_t *message, size_t size, struct dns_question *q);

/* Whether it is a plain query of the Internet class (else answer DNS_NOTIMP). */
bool dns_is_standard(const struct dns_question *q);

/*
 * Writes an answer to @query (the original message) with @rcode and @count IPv4 addresses (host
 * byte order) as A records, TTL in seconds. Truncates (TC) past @limit. Returns the size;
 * 0 if not even the question fits.
 */
size_t dns_answer_a(const uint8_t *query, const struct dns_question *q, int rcode,
	const uint32_t *addresses, size_t count, uint32_t ttl, uint8_t *out, size_t limit);
/* The same with one PTR record that points at @target. */
size_t dns_answer_ptr(const uint8_t *query, const struct dns_question *q, const char *target,
	uint32_t ttl, uint8_t *out, size_t limit);

/* Whether @answer is an answer to @query: same id, same question (letter case aside). */
bool dns_answers(const uint8_t *query, size_t question_size, const uint8_t *answer, size_t size);
/* The response code of a message of at least 12 bytes; the id of one. */
int dns_rcode(const uint8_t *message);
void dns_set_id(uint8_t *message, uint16_t id);
/* Cuts an answer that is larger than @limit down to its question with TC set. Returns its size. */
size_t dns_truncate(uint8_t *answer, size_t size, size_t question_size, size_t limit);

/* "2.0.17.172.in-addr.arpa" to 172.17.0.2. 0 or -EINVAL. */
int dns_reverse_name(const char *name, uint32_t *address);

#endif
