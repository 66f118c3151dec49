/* SHA-256 by libcrypto, in the image specification's form "sha256:HEX". */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_DIGEST_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_DIGEST_H

#include <stddef.h>

#include "base/banned.h"

#define DIGEST_SIZE 72 /* "sha256:", 64 digits, NUL */

struct digest {
	void *context; /* libcrypto's; NULL when not started */
};

#define _cleanup_digest_ __attribute__((cleanup(digest_finish)))

void digest_start(struct digest *digest);
void digest_add(struct digest *digest, const void *data, size_t size);
/* Ends the computation and writes the text. */
void digest_end(struct digest *digest, char out[DIGEST_SIZE]);
/* Gives up; fine on a digest that was never started or has ended. */
void digest_finish(struct digest *digest);

/* The digits after "sha256:". */
const char *digest_hex(const char *digest);

#endif
