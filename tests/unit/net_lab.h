/*
 * A small Internet for tests: the test itself stands in a fresh network namespace that plays the
 * host, beside it one that plays the outside, and containers as the product makes them.
 */
#ifndef WHERRY_TESTS_NET_LAB_H
#define WHERRY_TESTS_NET_LAB_H

#include <stdbool.h>
#include <stdint.h>

#include "net/net.h"

#define LAB_HOST    0xc6336401 /* 198.51.100.1, the host's outer address */
#define LAB_OUTSIDE 0xc6336402 /* 198.51.100.2 */
#define LAB_LOCAL   0x7f000001

struct lab {
	struct net *net;
	int outside; /* namespace, default route through the host */
	int c1, c2; /* 10.89.0.2 and .3 on bridge "whb1" */
	int other; /* 10.90.0.2 on bridge "whb2" */
};

/* Moves the process into a namespace of its own, with lo up. */
void lab_enter(void);
/* Host, outside link, two bridges, three containers. */
void lab_build(struct lab *lab);
void lab_destroy(struct lab *lab);

/* A listening (or bound, for UDP) socket in the namespace @ns (-1: the host). */
int lab_serve(int ns, uint8_t protocol, uint32_t address, uint16_t port);
/*
 * Sends a request from @ns and has @server answer it. Returns 0 with *@seen the client's address
 * as the server saw it, or a negative errno (-ETIMEDOUT where nothing came through).
 */
int lab_try(int ns, uint8_t protocol, uint32_t address, uint16_t port, int server, uint32_t *seen);

/* What a program prints. The caller's (free). */
char *lab_output(const char *const argv[]);
/* Interfaces, routes, packet rules and forwarding as text, for before and after. */
char *lab_snapshot(void);

#endif
