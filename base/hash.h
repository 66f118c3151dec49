/*
 * A 128-bit FNV-1a content hash: tells contents apart (configuration hashes, cache keys, record
 * checksums). It is no defence against somebody who forges contents; where that matters the
 * digest is libcrypto's SHA-256 and lives in wherry-image.
 */
#ifndef WHERRY_BASE_HASH_H
#define WHERRY_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/banned.h"

struct hash {
	unsigned __int128 state;
};

#define HASH_HEX_SIZE 33

void hash_init(struct hash *hash);
void hash_add(struct hash *hash, const void *data, size_t size);
void hash_add_text(
	struct hash *hash, const char *text); /* with its NUL, so that "ab","c" != "a","bc" */
void hash_hex(const struct hash *hash, char out[HASH_HEX_SIZE]);
uint64_t hash_u64(const void *data, size_t size);
/* Eight bytes a step: for contents of many kilobytes on the start path. Values differ from
 * hash_u64() and between machines of another byte order. */
uint64_t hash_quick(const void *data, size_t size);

#endif
