#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/dns.h"
#include "tests/lib/dns_text.h"

static void a_question_is_read_with_its_case(void **state)
{
	uint8_t m[512] = { 0 };
	struct dns_question q;
	size_t size = dns_query(m, 0xbeef, "Db.Example", DNS_TYPE_A, 0);

	(void)state;
	assert_int_equal(dns_parse_query(m, size, &q), 0);
	assert_int_equal(q.id, 0xbeef);
	assert_string_equal(q.name, "Db.Example");
	assert_int_equal(q.type, DNS_TYPE_A);
	assert_int_equal(q.class, 1);
	assert_int_equal(q.question_size, size);
	assert_int_equal(q.udp_size, 512);
	assert_false(q.edns);
	assert_true(dns_is_standard(&q));
}

static void edns_says_how_much_the_client_takes(void **state)
{
	uint8_t m[512] = { 0 };
	struct dns_question q;
	size_t size = dns_query(m, 1, "db", DNS_TYPE_A, 4096);

	(void)state;
	assert_int_equal(dns_parse_query(m, size, &q), 0);
	assert_true(q.edns);
	assert_int_equal(q.udp_size, 4096);
	size = dns_query(m, 1, "db", DNS_TYPE_A, 100); /* less than everybody must take */
	assert_int_equal(dns_parse_query(m, size, &q), 0);
	assert_int_equal(q.udp_size, 512);
}

static void the_root_and_the_longest_name_are_read(void **state)
{
	uint8_t m[512] = { 0 };
	struct dns_question q;
	char name[256];
	size_t size = dns_query(m, 1, "", DNS_TYPE_A, 0);

	(void)state;
	assert_int_equal(dns_parse_query(m, size, &q), 0);
	assert_string_equal(q.name, "");
	memset(name, 'a', sizeof(name));
	name[63] = name[127] = name[191] = '.';
	name[253] = '\0'; /* 255 bytes on the wire */
	size = dns_query(m, 1, name, DNS_TYPE_A, 0);
	assert_int_equal(dns_parse_query(m, size, &q), 0);
	assert_string_equal(q.name, name);
	name[253] = 'a';
	name[254] = '\0';
	size = dns_query(m, 1, name, DNS_TYPE_A, 0);
	assert_int_equal(dns_parse_query(m, size, &q), -EINVAL);
}

static void every_cut_of_a_query_is_refused(void **state)
{
	uint8_t m[512] = { 0 };
	struct dns_question q;
	size_t size = dns_query(m, 1, "db.example", DNS_TYPE_A, 1232);

	(void)state;
	for (size_t cut = 0; cut < size; cut++) {
		uint8_t *exact =
			malloc(cut ? cut : 1); /* so that a sanitizer sees a step too far */

		memcpy(exact, m, cut);
		assert_true(dns_parse_query(exact, cut, &q) < 0);
		free(exact);
	}
	assert_int_equal(dns_parse_query(m, 11, &q), -EBADMSG);
}

static void hostile_questions_are_refused(void **state)
{
	uint8_t m[512] = { 0 };
	struct dns_question q;
	size_t size = dns_query(m, 1, "db", DNS_TYPE_A, 0);

	(void)state;
	m[2] |= 0x80; /* an answer: not to be answered */
	assert_int_equal(dns_parse_query(m, size, &q), -EBADMSG);
	m[2] &= 0x7f;
	m[5] = 2; /* two questions */
	assert_int_equal(dns_parse_query(m, size, &q), -EINVAL);
	m[5] = 0;
	assert_int_equal(dns_parse_query(m, size, &q), -EINVAL);
	m[5] = 1;
	m[12] = 0xc0; /* a pointer to itself */
	m[13] = 12;
	assert_int_equal(dns_parse_query(m, size, &q), -EINVAL);
	m[12] = 0x41; /* a kind of label that there is not */
	assert_int_equal(dns_parse_query(m, size, &q), -EINVAL);
	size = dns_query(m, 1, "db", DNS_TYPE_A, 0);
	m[6] = 0xff; /* 65,000 records that are not there */
	assert_int_equal(dns_parse_query(m, size, &q), -EINVAL);
	size = dns_query(m, 1, "db", DNS_TYPE_A, 1232);
	m[size - 1] = 1; /* OPT data beyond the end */
	assert_int_equal(dns_parse_query(m, size, &q), -EINVAL);
}

static void a_dot_inside_a_label_does_not_make_two(void **state)
{
	uint8_t m[512] = { 0 };
	struct dns_question q;
	size_t size = dns_query(m, 1, "aXb", DNS_TYPE_A, 0);

	(void)state;
	m[14] = '.';
	assert_int_equal(dns_parse_query(m, size, &q), 0);
	assert_string_equal(q.name, "a?b");
	m[14] = '\0';
	assert_int_equal(dns_parse_query(m, size, &q), 0);
	assert_string_equal(q.name, "a?b");
}

static void an_answer_repeats_the_question_and_holds_the_addresses(void **state)
{
	uint8_t m[512], out[512] = { 0 };
	struct dns_question q;
	const uint32_t addresses[] = { 0x0a590002, 0x0a590003 };
	size_t size = dns_query(m, 0x1234, "db", DNS_TYPE_A, 0), n;
	static const uint8_t expected[] = { 0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0, 2, 'd',
		'b', 0, 0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1, 0, 0, 2, 88, 0, 4, 10, 89, 0, 2, 0xc0, 12,
		0, 1, 0, 1, 0, 0, 2, 88, 0, 4, 10, 89, 0, 3 };

	(void)state;
	assert_int_equal(dns_parse_query(m, size, &q), 0);
	n = dns_answer_a(m, &q, DNS_NOERROR, addresses, 2, 600, out, sizeof(out));
	assert_int_equal(n, sizeof(expected));
	assert_memory_equal(out, expected, n);
	n = dns_answer_a(m, &q, DNS_NXDOMAIN, NULL, 0, 600, out, sizeof(out));
	assert_int_equal(n, size);
	assert_int_equal(dns_code(out), DNS_NXDOMAIN);
	assert_int_equal(dns_answer_a(m, &q, 0, NULL, 0, 0, out, size - 1), 0);
}

static void answers_are_truncated_at_the_limit(void **state)
{
	uint8_t m[512], out[600] = { 0 };
	struct dns_question q;
	uint32_t addresses[64] = { 0 };
	size_t size = dns_query(m, 1, "db", DNS_TYPE_A, 512), full;

	(void)state;
	assert_int_equal(dns_parse_query(m, size, &q), 0);
	for (size_t limit = q.question_size + 11; limit <= 512; limit++) {
		size_t n;

		memset(out, 0xee, sizeof(out));
		n = dns_answer_a(m, &q, 0, addresses, 64, 600, out, limit);
		assert_true(n <= limit && n > 0);
		assert_int_equal(out[limit], 0xee);
		assert_true(dns_truncated(out));
		assert_int_equal(dns_answer_count(out), (n - q.question_size - 11) / 16);
		assert_int_equal(out[11], 1); /* OPT is still there */
	}
	full = dns_answer_a(m, &q, 0, addresses, 30, 600, out, 512);
	assert_false(dns_truncated(out));
	assert_int_equal(full, q.question_size + 30 * 16 + 11);
}

static void a_reverse_answer_names_the_container(void **state)
{
	uint8_t m[512], out[512] = { 0 };
	struct dns_question q;
	uint32_t address;
	size_t size = dns_query(m, 1, "2.0.17.172.IN-ADDR.arpa", DNS_TYPE_PTR, 0), n;

	(void)state;
	assert_int_equal(dns_parse_query(m, size, &q), 0);
	assert_int_equal(dns_reverse_name(q.name, &address), 0);
	assert_int_equal(address, 0xac110002);
	n = dns_answer_ptr(m, &q, "p-db-1.p_default", 600, out, sizeof(out));
	assert_int_equal(dns_answer_count(out), 1);
	assert_int_equal(n, size + 12 + 1 + 6 + 1 + 9 + 1);
	assert_memory_equal(out + size + 12, "\6p-db-1\11p_default", 18);
	/* A name that cannot be written is a failure, not a broken message. */
	n = dns_answer_ptr(m, &q, "a..b", 600, out, sizeof(out));
	assert_int_equal(n, size);
	assert_int_equal(dns_code(out), DNS_SERVFAIL);
	n = dns_answer_ptr(m, &q, "p-db-1.p_default", 600, out, size + 5);
	assert_int_equal(n, size);
	assert_true(dns_truncated(out));
}

static void what_is_no_reverse_name_is_refused(void **state)
{
	static const char *const bad[] = { "", "in-addr.arpa", ".in-addr.arpa",
		"1.2.3.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "1.2.3.256.in-addr.arpa",
		"1.2.3.4/8.in-addr.arpa", "1.2.3.4.in-addr.arpa.x", "111.222.333.4444.in-addr.arpa",
		"x.1.2.3.in-addr.arpa" };
	uint32_t address;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (dns_reverse_name(bad[i], &address) != -EINVAL) {
			fail_msg("\"%s\" was taken for a reverse name", bad[i]);
		}
	}
}

static void only_the_answer_to_the_question_is_taken(void **state)
{
	uint8_t m[512], a[512];
	size_t size = dns_query(m, 7, "db.example", DNS_TYPE_A, 0);

	(void)state;
	memcpy(a, m, size);
	assert_false(dns_answers(m, size, a, size)); /* still a question */
	a[2] |= 0x80;
	assert_true(dns_answers(m, size, a, size));
	a[13] = 'D'; /* some servers change letters' case */
	assert_true(dns_answers(m, size, a, size));
	a[13] = 'x';
	assert_false(dns_answers(m, size, a, size));
	a[13] = 'd';
	a[1] ^= 1;
	assert_false(dns_answers(m, size, a, size));
	a[1] ^= 1;
	assert_false(dns_answers(m, size, a, size - 1));
	a[5] = 0;
	assert_false(dns_answers(m, size, a, 12));
	a[3] = DNS_REFUSED;
	assert_true(dns_answers(m, size, a, 12));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_is_read_with_its_case),
		cmocka_unit_test(edns_says_how_much_the_client_takes),
		cmocka_unit_test(the_root_and_the_longest_name_are_read),
		cmocka_unit_test(every_cut_of_a_query_is_refused),
		cmocka_unit_test(hostile_questions_are_refused),
		cmocka_unit_test(a_dot_inside_a_label_does_not_make_two),
		cmocka_unit_test(an_answer_repeats_the_question_and_holds_the_addresses),
		cmocka_unit_test(answers_are_truncated_at_the_limit),
		cmocka_unit_test(a_reverse_answer_names_the_container),
		cmocka_unit_test(what_is_no_reverse_name_is_refused),
		cmocka_unit_test(only_the_answer_to_the_question_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
