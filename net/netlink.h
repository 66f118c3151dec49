/*
 * Netlink, for this folder alone: requests built with libnl's message helpers, answered at once.
 * A refused request's error carries the kernel's own words where it gives any.
 */
#ifndef WHERRY_NET_NETLINK_H
#define WHERRY_NET_NETLINK_H

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct netlink {
	int fd; /* -EBADF: closed */
	uint32_t sequence;
};

struct net {
	struct netlink route, filter;
};

/* Opens a socket of NETLINK_ROUTE or NETLINK_NETFILTER in the caller's network namespace. */
int netlink_open(struct netlink *nl, int protocol, struct error *err);
void netlink_close(struct netlink *nl);

/* A request with its fixed header of @size bytes. Never NULL; freed by the call that sends it. */
struct nl_msg *netlink_request(int type, int flags, const void *header, size_t size);

typedef int netlink_each_fn(const struct nlmsghdr *header, void *data);

/*
 * Sends @message, frees it and waits for the acknowledgement.
 * Returns 0 or a negative errno; @err stands as "<format>: <kernel's words>: <errno>".
 */
int netlink_call(struct netlink *nl, struct nl_msg *message, struct error *err, const char *format,
	...) __attribute__((format(printf, 4, 5)));

/* As netlink_call() for a request of one object: @each gets the answer. 0 or a negative errno. */
int netlink_get(struct netlink *nl, struct nl_msg *message, netlink_each_fn *each, void *data);
/*
 * Sends the dump request @message, frees it and calls @each for every answer; a non-zero result
 * ends the walk and is returned. A dump that changed under our eyes comes back as -EINTR.
 */
int netlink_dump(struct netlink *nl, struct nl_msg *message, netlink_each_fn *each, void *data);

/* The kernel's explanation in an NLMSG_ERROR message, or NULL. Lives as long as the message. */
const char *netlink_explanation(const struct nlmsghdr *header);

/* As netlink_open(), in another namespace; the socket stays bound to that one. */
int netlink_in_ns(int ns_fd, int protocol, struct netlink *nl, struct error *err);

#endif
