/*
 * The resolver of a project: answers on 127.0.0.11:53 inside each container (an nft rule in the
 * namespace leads port 53 there to the sockets' own ports), from a table that the owner keeps, and
 * forwards everything else to the host's resolvers from the host's namespace.
 */
#ifndef WHERRY_NET_RESOLVER_H
#define WHERRY_NET_RESOLVER_H

#include <stdint.h>

#include "base/error.h"
#include "base/loop.h"

struct resolver;
struct resolver_client; /* one container's view: its sockets and what it may see */

#define RESOLVER_ADDRESSES 64

enum resolver_verdict {
	RESOLVER_FOUND, /* a local name (maybe without an address of the type asked) */
	RESOLVER_FORWARD, /* not ours: ask upstream */
	RESOLVER_REFUSE /* not ours, and this client may not ask upstream: SERVFAIL */
};

/* Looks @name (no dot at the end, any case) up as @client sees it. Addresses in host byte order. */
typedef enum resolver_verdict resolver_lookup_fn(void *owner, void *client_owner, const char *name,
	uint32_t addresses[RESOLVER_ADDRESSES], size_t *count);
/* The reverse: the name for @address, or NULL. */
typedef const char *resolver_reverse_fn(void *owner, void *client_owner, uint32_t address);

struct resolver *resolver_create(
	struct loop *loop, resolver_lookup_fn *lookup, resolver_reverse_fn *reverse, void *owner);
/* Drops every client; the sockets of the containers stay open (they are the caller's). */
void resolver_destroy(struct resolver *resolver);
/* Reads the upstream servers from another file than /etc/resolv.conf (the text is copied). */
void resolver_host_conf(struct resolver *resolver, const char *path);

/*
 * Makes the UDP and TCP sockets inside @ns_fd on random ports of 127.0.0.11 and the nft rule there
 * that leads port 53 to them. The descriptors are the caller's (they outlive this process).
 */
int resolver_sockets_create(int ns_fd, int *udp_fd, int *tcp_fd, struct error *err);

/* Starts serving on such sockets (also adopted ones). */
struct resolver_client *resolver_serve(
	struct resolver *resolver, int udp_fd, int tcp_fd, void *client_owner, struct error *err);
/* Stops serving; does not close the two sockets. */
void resolver_drop(struct resolver *resolver, struct resolver_client *client);

/* Text for a container's /etc/resolv.conf, derived from the host's. The caller's (free). */
char *resolver_conf(const char *host_conf_path);

#endif
