#include "base/hash.h"

/* Offset basis and prime of the 128-bit FNV-1a hash. */
#define FNV_BASIS (((unsigned __int128)0x6c62272e07bb0142 << 64) | 0x62b821756295c58d)
#define FNV_PRIME (((unsigned __int128)0x0000000001000000 << 64) | 0x000000000000013b)

void hash_init(struct hash *hash)
{
	hash->state = FNV_BASIS;
}

void hash_add(struct hash *hash, const void *data, size_t size)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < size; i++) {
		hash->state = (hash->state ^ p[i]) * FNV_PRIME;
	}
}

void hash_add_text(struct hash *hash, const char *text)
{
	hash_add(hash, text, strlen(text) + 1);
}

void hash_hex(const struct hash *hash, char out[HASH_HEX_SIZE])
{
	snprintf(out, HASH_HEX_SIZE, "%016llx%016llx", (unsigned long long)(hash->state >> 64),
		(unsigned long long)hash->state);
}

uint64_t hash_u64(const void *data, size_t size)
{
	struct hash hash;

	hash_init(&hash);
	hash_add(&hash, data, size);
	return (uint64_t)(hash.state >> 64) ^ (uint64_t)hash.state;
}

uint64_t hash_quick(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t state = 0xcbf29ce484222325 ^ size;

	while (size > 0) {
		uint64_t word = 0;
		size_t step = size < sizeof(word) ? size : sizeof(word);

		memcpy(&word, p, step);
		/* A multiplication carries upwards only: the shift brings high bits back down. */
		state = (state ^ word) * 0x9e3779b97f4a7c15;
		state ^= state >> 29;
		p += step;
		size -= step;
	}
	return state;
}
