#include <errno.h>
#include <stdio.h>

#include "net/net.h"

/* One decimal number of at most @max without sign, blank or leading zero (which some read as
 * octal). Returns the first character behind it, or NULL. */
static const char *number(const char *text, unsigned max, unsigned *value)
{
	unsigned v = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9' && p - text < 4; p++) {
		v = v * 10 + (unsigned)(*p - '0');
	}
	if (p == text || v > max || (*text == '0' && p - text > 1)) {
		return NULL;
	}
	*value = v;
	return p;
}

int net_ipv4_parse(const char *text, struct net_ipv4 *ip)
{
	uint32_t address = 0;
	unsigned part, prefix = 32;

	for (int i = 0; i < 4; i++) {
		if (i > 0 && *text++ != '.') {
			return -EINVAL;
		}
		text = number(text, 255, &part);
		if (!text) {
			return -EINVAL;
		}
		address = address << 8 | part;
	}
	if (*text == '/') {
		text = number(text + 1, 32, &prefix);
	}
	if (!text || *text != '\0') {
		return -EINVAL;
	}
	ip->address = address;
	ip->prefix = (uint8_t)prefix;
	return 0;
}

void net_ipv4_print(struct net_ipv4 ip, bool with_prefix, char out[NET_IPV4_SIZE])
{
	unsigned a = ip.address >> 24, b = ip.address >> 16 & 255, c = ip.address >> 8 & 255,
		 d = ip.address & 255;

	if (with_prefix) {
		snprintf(out, NET_IPV4_SIZE, "%u.%u.%u.%u/%u", a, b, c, d, ip.prefix);
	} else {
		snprintf(out, NET_IPV4_SIZE, "%u.%u.%u.%u", a, b, c, d);
	}
}

uint32_t net_ipv4_mask(uint8_t prefix)
{
	return prefix == 0 ? 0 : prefix >= 32 ? UINT32_MAX : ~(UINT32_MAX >> prefix);
}

bool net_ipv4_overlap(struct net_ipv4 a, struct net_ipv4 b)
{
	uint32_t mask = net_ipv4_mask(a.prefix < b.prefix ? a.prefix : b.prefix);

	return (a.address & mask) == (b.address & mask);
}
