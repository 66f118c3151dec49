#include "net/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "net/net.h"

#define ANSWER_SIZE 32768 /* what the kernel fills at most in one go of a dump */

int netlink_open(struct netlink *nl, int protocol, struct error *err)
{
	_cleanup_fd_ int fd = sys_socket(AF_NETLINK, SOCK_RAW, protocol);
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	int on = 1;

	nl->fd = -EBADF;
	nl->sequence = 1;
	if (fd < 0) {
		return error_set(err, fd, "open a netlink socket");
	}
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return error_set(err, errno, "bind a netlink socket");
	}
	/* Both only make messages better; a kernel without them still serves. */
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	nl->fd = take_fd(&fd);
	return 0;
}

void netlink_close(struct netlink *nl)
{
	fd_close(&nl->fd);
}

struct open_in_ns {
	struct netlink *nl;
	int protocol;
	struct error *err;
};

static int open_here(void *data)
{
	struct open_in_ns *o = data;

	return netlink_open(o->nl, o->protocol, o->err);
}

int netlink_in_ns(int ns_fd, int protocol, struct netlink *nl, struct error *err)
{
	struct error inner = ERROR_INIT;
	struct open_in_ns o = { .nl = nl, .protocol = protocol, .err = &inner };
	int r;

	nl->fd = -EBADF;
	r = net_ns_do(ns_fd, open_here, &o);
	if (r < 0) {
		return inner.code
			       ? error_say(err, r, "%s in the container's network", inner.message)
			       : error_set(err, r, "enter the container's network namespace");
	}
	return 0;
}

struct nl_msg *netlink_request(int type, int flags, const void *header, size_t size)
{
	struct nl_msg *message = nlmsg_alloc();
	struct nlmsghdr *h;

	if (!message) { /* as base/mem.h has it: without memory the process ends */
		fputs("wherry: out of memory\n", stderr);
		abort();
	}
	h = nlmsg_put(message, 0, 0, type, (int)size, NLM_F_REQUEST | flags);
	memcpy(nlmsg_data(h), header, size);
	return message;
}

const char *netlink_explanation(const struct nlmsghdr *header)
{
	const struct nlmsgerr *e = nlmsg_data(header);
	int offset = sizeof(*e), left = (int)header->nlmsg_len - NLMSG_HDRLEN - (int)sizeof(*e);
	struct nlattr *at;

	if (header->nlmsg_type != NLMSG_ERROR || left < 0 ||
		!(header->nlmsg_flags & NLM_F_ACK_TLVS)) {
		return NULL;
	}
	if (!(header->nlmsg_flags & NLM_F_CAPPED)) { /* our own payload comes first */
		int echoed = (int)e->msg.nlmsg_len - NLMSG_HDRLEN;

		offset += echoed;
		left -= echoed;
	}
	if (left <= 0) {
		return NULL;
	}
	at = nla_find((struct nlattr *)((char *)(uintptr_t)e + offset), left, NLMSGERR_ATTR_MSG);
	return at && nla_len(at) > 0 && ((char *)nla_data(at))[nla_len(at) - 1] == '\0'
		       ? nla_data(at)
		       : NULL;
}

static int send_request(struct netlink *nl, struct nl_msg *message, uint32_t *sequence)
{
	struct nlmsghdr *h = nlmsg_hdr(message);
	ssize_t n;

	h->nlmsg_seq = *sequence = ++nl->sequence;
	h->nlmsg_pid = 0;
	do {
		n = send(nl->fd, h, h->nlmsg_len, 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* One datagram of answers. The kernel has queued them before send() returned. */
static int receive(struct netlink *nl, void *buffer, size_t size)
{
	ssize_t n;

	do {
		n = recv(nl->fd, buffer, size, 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

/* Sends and waits; an answer goes to @each (may be NULL), the explanation is copied out. */
static int transact(struct netlink *nl, struct nl_msg *message, netlink_each_fn *each, void *data,
	char *why, size_t why_size)
{
	_Alignas(struct nlmsghdr) char answer[8192];
	uint32_t sequence;
	int n;

	SYS_GATE("netlink");
	nlmsg_hdr(message)->nlmsg_flags |= NLM_F_ACK;
	n = send_request(nl, message, &sequence);
	while (n >= 0) {
		struct nlmsghdr *h = (struct nlmsghdr *)answer;

		n = receive(nl, answer, sizeof(answer));
		for (; n > 0 && nlmsg_ok(h, n); h = nlmsg_next(h, &n)) {
			const struct nlmsgerr *e = nlmsg_data(h);
			const char *text;

			if (h->nlmsg_seq != sequence) {
				continue; /* left over from a request that was given up */
			}
			if (h->nlmsg_type != NLMSG_ERROR) {
				if (each) {
					each(h, data);
				}
				continue;
			}
			if (nlmsg_datalen(h) < (int)sizeof(*e)) {
				return -EBADMSG;
			}
			text = e->error < 0 ? netlink_explanation(h) : NULL;
			snprintf(why, why_size, "%s", text ? text : "");
			return e->error;
		}
	}
	return n;
}

int netlink_call(
	struct netlink *nl, struct nl_msg *message, struct error *err, const char *format, ...)
{
	char what[256], why[256] = "";
	va_list ap;
	int r = transact(nl, message, NULL, NULL, why, sizeof(why));

	nlmsg_free(message);
	if (r < 0) {
		va_start(ap, format);
		vsnprintf(what, sizeof(what), format, ap);
		va_end(ap);
		error_set(err, r, "%s%s%s", what, why[0] ? ": " : "", why);
	}
	return r;
}

int netlink_get(struct netlink *nl, struct nl_msg *message, netlink_each_fn *each, void *data)
{
	char why[2];
	int r = transact(nl, message, each, data, why, sizeof(why));

	nlmsg_free(message);
	return r;
}

int netlink_dump(struct netlink *nl, struct nl_msg *message, netlink_each_fn *each, void *data)
{
	_cleanup_free_ char *answer = xcalloc(1, ANSWER_SIZE);
	bool done = false, interrupted = false;
	uint32_t sequence;
	int verdict = 0, n;

	nlmsg_hdr(message)->nlmsg_flags |= NLM_F_DUMP;
	n = send_request(nl, message, &sequence);
	nlmsg_free(message);
	while (n >= 0 && !done) {
		struct nlmsghdr *h = (struct nlmsghdr *)answer;

		n = receive(nl, answer, ANSWER_SIZE);
		for (int left = n; n > 0 && nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
			if (h->nlmsg_seq != sequence) {
				continue;
			}
			interrupted |= h->nlmsg_flags & NLM_F_DUMP_INTR;
			if (h->nlmsg_type == NLMSG_DONE) {
				done = true;
			} else if (h->nlmsg_type == NLMSG_ERROR) {
				const struct nlmsgerr *e = nlmsg_data(h);

				done = true;
				verdict = verdict ? verdict : e->error;
			} else if (verdict == 0) {
				/* The rest is still read, or it would answer the next request. */
				verdict = each(h, data);
			}
		}
	}
	return n < 0 ? n : verdict ? verdict : interrupted ? -EINTR : 0;
}
