#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/net.h"

static void an_address_with_and_without_prefix_is_read(void **state)
{
	struct net_ipv4 ip;

	(void)state;
	assert_int_equal(net_ipv4_parse("10.1.2.3/24", &ip), 0);
	assert_int_equal(ip.address, 0x0a010203);
	assert_int_equal(ip.prefix, 24);
	assert_int_equal(net_ipv4_parse("255.255.255.255", &ip), 0);
	assert_int_equal(ip.address, 0xffffffff);
	assert_int_equal(ip.prefix, 32);
	assert_int_equal(net_ipv4_parse("0.0.0.0/0", &ip), 0);
	assert_int_equal(ip.prefix, 0);
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const bad[] = { "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.4/33",
		"1.2.3.4/", "1.2.3.4/-1", "1.2.3.4 ", " 1.2.3.4", "01.2.3.4", "1.2.3.+4", "1..3.4",
		"1.2.3.4/024", "1.2.3.4x", "0x1.2.3.4", "1.2.3.4294967297", "::1" };
	struct net_ipv4 ip;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (net_ipv4_parse(bad[i], &ip) != -EINVAL) {
			fail_msg("\"%s\" was taken for an address", bad[i]);
		}
	}
}

static void an_address_is_printed_as_it_was_read(void **state)
{
	static const char *const texts[] = { "0.0.0.0/0", "255.255.255.255/32", "172.17.0.1/16" };
	char out[NET_IPV4_SIZE];
	struct net_ipv4 ip;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(net_ipv4_parse(texts[i], &ip), 0);
		net_ipv4_print(ip, true, out);
		assert_string_equal(out, texts[i]);
	}
	net_ipv4_print(ip, false, out);
	assert_string_equal(out, "172.17.0.1");
}

static void masks_and_overlaps_follow_the_prefix(void **state)
{
	const struct net_ipv4 wide = { 0xac110000, 16 }, inside = { 0xac11ff00, 24 };
	const struct net_ipv4 beside = { 0xac120000, 16 }, all = { 0, 0 };

	(void)state;
	assert_int_equal(net_ipv4_mask(0), 0);
	assert_int_equal(net_ipv4_mask(1), 0x80000000);
	assert_int_equal(net_ipv4_mask(24), 0xffffff00);
	assert_int_equal(net_ipv4_mask(32), 0xffffffff);
	assert_true(net_ipv4_overlap(wide, inside));
	assert_true(net_ipv4_overlap(inside, wide));
	assert_false(net_ipv4_overlap(wide, beside));
	assert_true(net_ipv4_overlap(all, beside));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_with_and_without_prefix_is_read),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(an_address_is_printed_as_it_was_read),
		cmocka_unit_test(masks_and_overlaps_follow_the_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
