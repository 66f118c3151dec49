#include "rootfs-tools/image/digest.h"

#include <openssl/evp.h>

#define PREFIX "sha256:"

/* libcrypto fails here only without memory or without its own SHA-256: nothing can go on then. */
static void check(int ok)
{
	if (ok != 1) {
		fputs("wherry-image: libcrypto cannot compute SHA-256\n", stderr);
		abort();
	}
}

void digest_start(struct digest *digest)
{
	digest->context = EVP_MD_CTX_new();
	check(digest->context != NULL);
	check(EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL));
}

void digest_add(struct digest *digest, const void *data, size_t size)
{
	check(EVP_DigestUpdate(digest->context, data, size));
}

void digest_end(struct digest *digest, char out[DIGEST_SIZE])
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	int used;

	check(EVP_DigestFinal_ex(digest->context, raw, &size));
	used = snprintf(out, DIGEST_SIZE, PREFIX);
	for (unsigned i = 0; i < size; i++) {
		used += snprintf(out + used, (size_t)(DIGEST_SIZE - used), "%02x", raw[i]);
	}
	digest_finish(digest);
}

void digest_finish(struct digest *digest)
{
	EVP_MD_CTX_free(digest->context);
	digest->context = NULL;
}

const char *digest_hex(const char *digest)
{
	return digest + sizeof(PREFIX) - 1;
}
