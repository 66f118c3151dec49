/*
 * nf_tables messages: a batch is collected, then committed as one transaction. Rules are written
 * as calls in the order of the expressions: matches first, then what happens.
 */
#ifndef WHERRY_NET_NFT_H
#define WHERRY_NET_NFT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "net/net.h"
#include "net/netlink.h"

/* Bits of the kernel's conntrack state and status. */
#define NFT_STATE_KNOWN    (1U << 1 | 1U << 2) /* established, related */
#define NFT_STATUS_DST_NAT (1U << 5)

struct nft {
	struct str bytes; /* the messages so far */
	uint32_t sequence;
	const char *table; /* of everything that follows; the caller's */
	struct nl_msg *rule; /* being written */
	struct nlattr *expressions;
};

/* Where a base chain is hooked in. */
struct nft_hook {
	const char *type; /* "filter" or "nat" */
	uint32_t number; /* NF_INET_... */
	int32_t priority;
};

/* Starts a batch about the IPv4 table @table. */
void nft_begin(struct nft *nft, const char *table);
void nft_table_add(struct nft *nft);
/* As nft_table_add(), but the batch fails with -EEXIST if the table is there. */
void nft_table_create(struct nft *nft);
/* The table must exist; add it first to delete one that may be missing. */
void nft_table_delete(struct nft *nft);
/* @hook NULL: a chain that is only jumped to. */
void nft_chain_add(struct nft *nft, const char *chain, const struct nft_hook *hook);

void nft_rule_begin(struct nft *nft, const char *chain);
void nft_rule_end(struct nft *nft);

/* Matches: incoming or outgoing interface, source or destination, protocol and port. */
void nft_match_iif(struct nft *nft, const char *name, bool same);
void nft_match_oif(struct nft *nft, const char *name, bool same);
void nft_match_source(struct nft *nft, struct net_ipv4 block);
void nft_match_destination(struct nft *nft, struct net_ipv4 block);
void nft_match_port(struct nft *nft, uint8_t protocol, uint16_t port);
/* The destination is an address of this host. */
void nft_match_local(struct nft *nft);
/* Any (or, with @any false, none) of these bits in the connection's state or status. */
void nft_match_state(struct nft *nft, uint32_t bits, bool any);
void nft_match_status(struct nft *nft, uint32_t bits, bool any);

/* What happens. */
void nft_dnat(struct nft *nft, uint32_t address, uint16_t port);
void nft_masquerade(struct nft *nft);
void nft_drop(struct nft *nft);
void nft_jump(struct nft *nft, const char *chain);

/* Sends the batch and frees it. All of it holds afterwards, or nothing; @err names the message
 * that the kernel refused. */
int nft_commit(struct nft *nft, struct netlink *nl, struct error *err);

#endif
