#include "net/nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/sys.h"

#define COMMIT_TRIES 10

static struct nl_msg *message(struct nft *nft, int type, int family, uint16_t resource, int flags)
{
	struct nfgenmsg head = {
		.nfgen_family = (uint8_t)family, .version = NFNETLINK_V0, .res_id = htons(resource)
	};
	struct nl_msg *m = netlink_request(type, flags, &head, sizeof(head));

	nlmsg_hdr(m)->nlmsg_seq = nft->sequence++;
	return m;
}

static struct nl_msg *table_message(struct nft *nft, int type, int flags)
{
	return message(nft, NFNL_SUBSYS_NFTABLES << 8 | type, NFPROTO_IPV4, 0, flags);
}

static void add(struct nft *nft, struct nl_msg *m)
{
	static const char padding[NLMSG_ALIGNTO];
	struct nlmsghdr *h = nlmsg_hdr(m);

	str_add_mem(&nft->bytes, h, h->nlmsg_len);
	str_add_mem(&nft->bytes, padding, NLMSG_ALIGN(h->nlmsg_len) - h->nlmsg_len);
	nlmsg_free(m);
}

void nft_begin(struct nft *nft, const char *table)
{
	memset(nft, 0, sizeof(*nft));
	nft->table = table;
	nft->sequence = 1;
	add(nft, message(nft, NFNL_MSG_BATCH_BEGIN, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, 0));
}

static void add_table(struct nft *nft, int flags)
{
	struct nl_msg *m = table_message(nft, NFT_MSG_NEWTABLE, NLM_F_CREATE | flags);

	nla_put_string(m, NFTA_TABLE_NAME, nft->table);
	add(nft, m);
}

void nft_table_add(struct nft *nft)
{
	add_table(nft, 0);
}

void nft_table_create(struct nft *nft)
{
	add_table(nft, NLM_F_EXCL);
}

void nft_table_delete(struct nft *nft)
{
	struct nl_msg *m = table_message(nft, NFT_MSG_DELTABLE, 0);

	nla_put_string(m, NFTA_TABLE_NAME, nft->table);
	add(nft, m);
}

void nft_chain_add(struct nft *nft, const char *chain, const struct nft_hook *hook)
{
	struct nl_msg *m = table_message(nft, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	struct nlattr *nest;

	nla_put_string(m, NFTA_CHAIN_TABLE, nft->table);
	nla_put_string(m, NFTA_CHAIN_NAME, chain);
	if (hook) {
		nest = nla_nest_start(m, NFTA_CHAIN_HOOK);
		nla_put_u32(m, NFTA_HOOK_HOOKNUM, htonl(hook->number));
		nla_put_u32(m, NFTA_HOOK_PRIORITY, htonl((uint32_t)hook->priority));
		nla_nest_end(m, nest);
		nla_put_string(m, NFTA_CHAIN_TYPE, hook->type);
	}
	add(nft, m);
}

void nft_rule_begin(struct nft *nft, const char *chain)
{
	nft->rule = table_message(nft, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	nla_put_string(nft->rule, NFTA_RULE_TABLE, nft->table);
	nla_put_string(nft->rule, NFTA_RULE_CHAIN, chain);
	nft->expressions = nla_nest_start(nft->rule, NFTA_RULE_EXPRESSIONS);
}

void nft_rule_end(struct nft *nft)
{
	nla_nest_end(nft->rule, nft->expressions);
	add(nft, nft->rule);
	nft->rule = NULL;
}

/* An expression is a list element of name and data. */
struct expression {
	struct nlattr *element, *data;
};

static struct expression expression_start(struct nft *nft, const char *name)
{
	struct expression e;

	e.element = nla_nest_start(nft->rule, NFTA_LIST_ELEM);
	nla_put_string(nft->rule, NFTA_EXPR_NAME, name);
	e.data = nla_nest_start(nft->rule, NFTA_EXPR_DATA);
	return e;
}

static void expression_end(struct nft *nft, struct expression e)
{
	nla_nest_end(nft->rule, e.data);
	nla_nest_end(nft->rule, e.element);
}

static void put(struct nft *nft, int attribute, uint32_t value)
{
	nla_put_u32(nft->rule, attribute, htonl(value));
}

static void put_value(struct nft *nft, int attribute, const void *value, int size)
{
	struct nlattr *nest = nla_nest_start(nft->rule, attribute);

	nla_put(nft->rule, NFTA_DATA_VALUE, size, value);
	nla_nest_end(nft->rule, nest);
}

static void compare(struct nft *nft, bool same, const void *value, int size)
{
	struct expression e = expression_start(nft, "cmp");

	put(nft, NFTA_CMP_SREG, NFT_REG_1);
	put(nft, NFTA_CMP_OP, same ? NFT_CMP_EQ : NFT_CMP_NEQ);
	put_value(nft, NFTA_CMP_DATA, value, size);
	expression_end(nft, e);
}

static void load_meta(struct nft *nft, uint32_t key)
{
	struct expression e = expression_start(nft, "meta");

	put(nft, NFTA_META_KEY, key);
	put(nft, NFTA_META_DREG, NFT_REG_1);
	expression_end(nft, e);
}

static void load_payload(struct nft *nft, uint32_t base, uint32_t offset, uint32_t size)
{
	struct expression e = expression_start(nft, "payload");

	put(nft, NFTA_PAYLOAD_DREG, NFT_REG_1);
	put(nft, NFTA_PAYLOAD_BASE, base);
	put(nft, NFTA_PAYLOAD_OFFSET, offset);
	put(nft, NFTA_PAYLOAD_LEN, size);
	expression_end(nft, e);
}

/* Register 1 and-ed with four bytes of mask. */
static void mask(struct nft *nft, uint32_t bits)
{
	struct expression e = expression_start(nft, "bitwise");
	uint32_t zero = 0;

	put(nft, NFTA_BITWISE_SREG, NFT_REG_1);
	put(nft, NFTA_BITWISE_DREG, NFT_REG_1);
	put(nft, NFTA_BITWISE_LEN, sizeof(bits));
	put_value(nft, NFTA_BITWISE_MASK, &bits, sizeof(bits));
	put_value(nft, NFTA_BITWISE_XOR, &zero, sizeof(zero));
	expression_end(nft, e);
}

static void immediate(struct nft *nft, uint32_t reg, const void *value, int size)
{
	struct expression e = expression_start(nft, "immediate");

	put(nft, NFTA_IMMEDIATE_DREG, reg);
	put_value(nft, NFTA_IMMEDIATE_DATA, value, size);
	expression_end(nft, e);
}

static void match_interface(struct nft *nft, uint32_t key, const char *name, bool same)
{
	char padded[IFNAMSIZ] = "";

	snprintf(padded, sizeof(padded), "%s", name);
	load_meta(nft, key);
	compare(nft, same, padded, sizeof(padded));
}

void nft_match_iif(struct nft *nft, const char *name, bool same)
{
	match_interface(nft, NFT_META_IIFNAME, name, same);
}

void nft_match_oif(struct nft *nft, const char *name, bool same)
{
	match_interface(nft, NFT_META_OIFNAME, name, same);
}

static void match_block(struct nft *nft, uint32_t offset, struct net_ipv4 block)
{
	uint32_t bits = htonl(net_ipv4_mask(block.prefix));
	uint32_t value = htonl(block.address) & bits;

	load_payload(nft, NFT_PAYLOAD_NETWORK_HEADER, offset, sizeof(value));
	if (block.prefix < 32) {
		mask(nft, bits);
	}
	compare(nft, true, &value, sizeof(value));
}

void nft_match_source(struct nft *nft, struct net_ipv4 block)
{
	match_block(nft, 12, block);
}

void nft_match_destination(struct nft *nft, struct net_ipv4 block)
{
	match_block(nft, 16, block);
}

void nft_match_port(struct nft *nft, uint8_t protocol, uint16_t port)
{
	uint16_t value = htons(port);

	load_meta(nft, NFT_META_L4PROTO);
	compare(nft, true, &protocol, sizeof(protocol));
	load_payload(nft, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(value));
	compare(nft, true, &value, sizeof(value));
}

void nft_match_local(struct nft *nft)
{
	struct expression e = expression_start(nft, "fib");
	uint32_t local = RTN_LOCAL;

	put(nft, NFTA_FIB_DREG, NFT_REG_1);
	put(nft, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	put(nft, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
	expression_end(nft, e);
	compare(nft, true, &local, sizeof(local));
}

static void match_conntrack(struct nft *nft, uint32_t key, uint32_t bits, bool any)
{
	struct expression e = expression_start(nft, "ct");
	uint32_t zero = 0;

	put(nft, NFTA_CT_KEY, key);
	put(nft, NFTA_CT_DREG, NFT_REG_1);
	expression_end(nft, e);
	mask(nft, bits);
	compare(nft, !any, &zero, sizeof(zero));
}

void nft_match_state(struct nft *nft, uint32_t bits, bool any)
{
	match_conntrack(nft, NFT_CT_STATE, bits, any);
}

void nft_match_status(struct nft *nft, uint32_t bits, bool any)
{
	match_conntrack(nft, NFT_CT_STATUS, bits, any);
}

void nft_dnat(struct nft *nft, uint32_t address, uint16_t port)
{
	uint32_t to = htonl(address);
	uint16_t to_port = htons(port);
	struct expression e;

	immediate(nft, NFT_REG_1, &to, sizeof(to));
	immediate(nft, NFT_REG_2, &to_port, sizeof(to_port));
	e = expression_start(nft, "nat");
	put(nft, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	put(nft, NFTA_NAT_FAMILY, NFPROTO_IPV4);
	put(nft, NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
	put(nft, NFTA_NAT_REG_PROTO_MIN, NFT_REG_2);
	expression_end(nft, e);
}

void nft_masquerade(struct nft *nft)
{
	expression_end(nft, expression_start(nft, "masq"));
}

static void verdict(struct nft *nft, int code, const char *chain)
{
	struct expression e = expression_start(nft, "immediate");
	struct nlattr *data, *nest;

	put(nft, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nla_nest_start(nft->rule, NFTA_IMMEDIATE_DATA);
	nest = nla_nest_start(nft->rule, NFTA_DATA_VERDICT);
	put(nft, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain) {
		nla_put_string(nft->rule, NFTA_VERDICT_CHAIN, chain);
	}
	nla_nest_end(nft->rule, nest);
	nla_nest_end(nft->rule, data);
	expression_end(nft, e);
}

void nft_drop(struct nft *nft)
{
	verdict(nft, NF_DROP, NULL);
}

void nft_jump(struct nft *nft, const char *chain)
{
	verdict(nft, NFT_JUMP, chain);
}

/* What message @sequence of the batch was about. */
static void describe(const struct nft *nft, uint32_t sequence, char *out, size_t size)
{
	static const struct {
		int type, name_attribute;
		const char *what;
	} kinds[] = {
		{ NFT_MSG_NEWTABLE, NFTA_TABLE_NAME, "add table" },
		{ NFT_MSG_DELTABLE, NFTA_TABLE_NAME, "delete table" },
		{ NFT_MSG_NEWCHAIN, NFTA_CHAIN_NAME, "add chain" },
		{ NFT_MSG_NEWRULE, NFTA_RULE_CHAIN, "add a rule to chain" },
	};
	struct nlmsghdr *h = (struct nlmsghdr *)nft->bytes.data;
	int left = (int)nft->bytes.size;

	snprintf(out, size, "commit");
	for (; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
		for (size_t i = 0; h->nlmsg_seq == sequence && i < ARRAY_SIZE(kinds); i++) {
			struct nlattr *name;

			if (h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | kinds[i].type)) {
				continue;
			}
			name = nlmsg_find_attr(h, sizeof(struct nfgenmsg), kinds[i].name_attribute);
			snprintf(out, size, "%s %s", kinds[i].what,
				name ? nla_get_string(name) : "");
		}
	}
}

/* Reads the answers that lie there; the first refusal counts, as the rest follows from it. */
static int read_answers(
	struct netlink *nl, uint32_t last, uint32_t *sequence, char *why, size_t why_size)
{
	_Alignas(struct nlmsghdr) char answer[8192];
	int verdict_code = 0, n;
	bool done = false;

	while (!done) {
		struct nlmsghdr *h = (struct nlmsghdr *)answer;

		n = (int)recv(nl->fd, answer, sizeof(answer), MSG_DONTWAIT);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) { /* everything is queued before sendmsg() returns: no more to come */
			return verdict_code ? verdict_code : -errno;
		}
		for (; nlmsg_ok(h, n); h = nlmsg_next(h, &n)) {
			const struct nlmsgerr *e = nlmsg_data(h);
			const char *text;

			if (h->nlmsg_type != NLMSG_ERROR || nlmsg_datalen(h) < (int)sizeof(*e)) {
				continue;
			}
			if (e->error < 0 && verdict_code == 0) {
				text = netlink_explanation(h);
				snprintf(why, why_size, "%s", text ? text : "");
				*sequence = h->nlmsg_seq;
				verdict_code = e->error;
			}
			done |= h->nlmsg_seq == last;
		}
	}
	return verdict_code;
}

static int transact(struct nft *nft, struct netlink *nl, uint32_t last, uint32_t *sequence,
	char *why, size_t why_size)
{
	char old[4096];
	ssize_t n;

	SYS_GATE("nft");
	while (recv(nl->fd, old, sizeof(old), MSG_DONTWAIT) > 0) {
		/* answers to a batch that was given up */
	}
	do {
		n = send(nl->fd, nft->bytes.data, nft->bytes.size, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return -errno;
	}
	return read_answers(nl, last, sequence, why, why_size);
}

int nft_commit(struct nft *nft, struct netlink *nl, struct error *err)
{
	uint32_t last = nft->sequence - 1, sequence = 0;
	char why[256] = "", what[128];
	struct nlmsghdr *h = (struct nlmsghdr *)nft->bytes.data;
	int left = (int)nft->bytes.size, room = left * 2 + 65536, r = -EBUSY;

	for (; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
		if (h->nlmsg_seq == last) { /* one acknowledgement is enough */
			h->nlmsg_flags |= NLM_F_ACK;
		}
	}
	add(nft, message(nft, NFNL_MSG_BATCH_END, AF_UNSPEC, NFNL_SUBSYS_NFTABLES, 0));
	/* The batch travels as one datagram. The second call is for those who may not force. */
	if (setsockopt(nl->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0) {
		setsockopt(nl->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	}
	/* Another writer of rules between our messages and their commit costs a new try. */
	for (int i = 0; i < COMMIT_TRIES && (r == -EBUSY || r == -EINTR || r == -EAGAIN); i++) {
		r = transact(nft, nl, last, &sequence, why, sizeof(why));
	}
	if (r < 0) {
		describe(nft, sequence, what, sizeof(what));
		error_set(err, r, "packet rules (nf_tables %s): %s%s%s", nft->table, what,
			why[0] ? ": " : "", why);
	}
	str_finish(&nft->bytes);
	return r;
}
